import type { Command } from 'commander';
import { type ArchiveFlags, ofArchive } from './archive-flags.ts';
import { registerWithScheduler } from './backup-now.ts';

/**
 * `etcd-mesos backup …`. What an archive has is read where it lies: neither Mesos nor a scheduler is needed for that.
 */
export function register(command: Command): void {
  registerWithScheduler(command);
  ofArchive(command.command('list'))
    .description('the clusters’ lives in the archive, their full backups, and how far their logs go')
    .action(async (flags: ArchiveFlags) => {
      const [archive, { surveyArchive, renderSurvey }, paint] = await opened(flags);
      const survey = await surveyArchive(archive, never);
      print(flags, survey, () => renderSurvey(survey, paint));
    });
  ofArchive(command.command('show'))
    .description('everything that is known of one full backup')
    .argument('<full>', 'its name, as `backup list` prints it')
    .action(async (name: string, flags: ArchiveFlags) => {
      const [archive, { findFull, renderFull }, paint] = await opened(flags);
      const full = await findFull(archive, name, never);
      print(flags, full, () => renderFull(full, paint));
    });
  ofArchive(command.command('verify'))
    .description('read all of the archive and hold every byte against its hashes')
    .addHelpText('after', '\nEnds with 0 if all is as it was written, with 1 if not.')
    .action(async (flags: ArchiveFlags) => {
      const [archive, { verifyArchive, renderVerification }, paint] = await opened(flags);
      const onProgress = process.stderr.isTTY ? showProgress : () => undefined;
      const verification = await verifyArchive(archive, { onProgress, signal: never });
      if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
      print(flags, verification, () => renderVerification(verification, paint));
      process.exitCode = verification.problems.length === 0 ? 0 : 1;
    });
}

const never = new AbortController().signal;

async function opened(flags: ArchiveFlags) {
  const [{ openArchiveToRead, ...reading }, tables, { paintFor }] = await Promise.all([
    import('../runtime/archive-place.ts'),
    import('./backup-table.ts'),
    import('./style.ts'),
  ]);
  const archive = await openArchiveToRead(flags, never);
  return [archive, { ...reading, ...tables }, paintFor(process.stdout, process.env)] as const;
}

function print(flags: ArchiveFlags, value: unknown, render: () => string): void {
  process.stdout.write(flags.json === true ? `${JSON.stringify(value, null, 2)}\n` : render());
}

function showProgress(object: string): void {
  process.stderr.write(`\r\u001b[Kreading ${object}`);
}
