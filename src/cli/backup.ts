import type { Command } from 'commander';
import { type ArchiveFlags, epochNumber, ofArchive } from './archive-flags.ts';
import { registerWithScheduler } from './backup-now.ts';
import { registerPrune } from './backup-prune.ts';

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
    .description('read all of the archive, restore every full to its log’s end and compare all hashes')
    .option('--no-restore', 'only read, and hold every byte against its hashes')
    .option(
      '--work-dir <directory>',
      'for what is restored, twice the size of a full; by default the system’s',
    )
    .option('--start', 'also start a private etcd on the newest revision and ask it for its hash')
    .option('--etcd <program>', 'for --start; by default the etcd in PATH')
    .option('--etcdutl <program>', 'for --start; by default the etcdutl or etcdctl in PATH')
    .addHelpText('after', '\nEnds with 0 if all is as it was written and can be restored, with 1 if not.')
    .action(verify);
  ofArchive(command.command('synthesize'))
    .description('make a full backup of the newest one and the log, without a member, and put it beside them')
    .option('--epoch <number>', 'of which of the clusters’ lives; by default the newest', epochNumber)
    .option('--work-dir <directory>', 'for its files, twice the size of a full; by default the system’s')
    .addHelpText('after', '\nEnds with 0 if the archive has a full backup of its newest revision then.')
    .action(synthesize);
  registerPrune(command);
}

interface SynthesizeFlags extends ArchiveFlags {
  readonly epoch?: number;
  readonly workDir?: string;
}

async function synthesize(flags: SynthesizeFlags): Promise<void> {
  const [
    { openArchiveToChange, synthesizeWithin },
    { renderSynthesis },
    { interruptible },
    { progressOn },
    { paintFor },
  ] = await Promise.all([
    import('../runtime/archive-place.ts'),
    import('./restore-table.ts'),
    import('../runtime/archive-restore.ts'),
    import('./progress.ts'),
    import('./style.ts'),
  ]);
  const progress = progressOn(process.stderr, { isWanted: flags.json !== true });
  const { epoch = null, workDir: within = null } = flags;
  try {
    const synthesis = await interruptible(async (signal) => {
      const archive = await openArchiveToChange(flags, { readOnly: false }, signal);
      return await synthesizeWithin(archive, { epoch, within, onProgress: progress.step, signal });
    });
    progress.end();
    const paint = paintFor(process.stdout, process.env);
    print(flags, synthesis, () => renderSynthesis(synthesis, paint));
  } finally {
    progress.end();
  }
}

interface VerifyFlags extends ArchiveFlags {
  readonly restore: boolean;
  readonly workDir?: string;
  readonly start?: true;
  readonly etcd?: string;
  readonly etcdutl?: string;
}

async function verify(flags: VerifyFlags): Promise<void> {
  const [archive, { verifyWithin, renderVerification }, paint] = await opened(flags);
  const [{ findStartPrograms, startNewest }, { interruptible }, { progressOn }] = await Promise.all([
    import('../runtime/archive-start.ts'),
    import('../runtime/archive-restore.ts'),
    import('./progress.ts'),
  ]);
  const progress = progressOn(process.stderr, { isWanted: flags.json !== true });
  const { workDir: within = null, etcd = null, etcdutl = null } = flags;
  const programs = flags.start === true ? await findStartPrograms({ etcd, etcdutl }) : null;
  try {
    const [verification, start] = await interruptible(async (signal) => {
      const shared = { within, onProgress: progress.step, signal };
      return [
        await verifyWithin(archive, { ...shared, restores: flags.restore }),
        programs === null ? null : await startNewest(archive, programs, shared),
      ] as const;
    });
    progress.end();
    print(flags, { ...verification, start }, () => renderVerification(verification, start, paint));
    const isSound = verification.problems.length + (start?.problems.length ?? 0) === 0;
    process.exitCode = isSound ? 0 : 1;
  } finally {
    progress.end();
  }
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
