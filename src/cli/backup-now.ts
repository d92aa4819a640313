import { type Command, InvalidArgumentError } from 'commander';
import { formatAge } from '../base/duration.ts';
import { type BackupAnswer, backupAnswerSchema } from '../protocol/backup-answer.ts';
import { isArchiveWarning, type PublishedView } from '../protocol/view.ts';
import { formatBytes } from './amounts.ts';
import { archiveLine, archiveLines } from './archive-lines.ts';
import { connect, type OperationFlags } from './operation.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';
import type { Paint } from './style.ts';

/** `etcd-mesos backup now` and `backup status`: what a running scheduler does with its archive. */
export function registerWithScheduler(command: Command): void {
  command
    .command('now')
    .description('have the scheduler take a full backup and read it back whole')
    .option('--reason <text>', 'why, kept with it; up to 200 characters', reasonOf)
    .option('--no-wait', 'end as soon as the scheduler has taken it up')
    .option('--json', 'print what the API answers, and nothing while it waits')
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText(
      'after',
      '\nEnds with 0 when it is in the archive and whole, with 1 when that is refused or fails.',
    )
    .action(takeNow);
  command
    .command('status')
    .description('the archive as the scheduler knows it: how far it reaches, and what is in the way')
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .addHelpText('after', '\nEnds with 0 if there is nothing to warn of, with 1 if there is, or no archive.')
    .action(showStatus);
}

async function takeNow(flags: OperationFlags & { readonly reason?: string }): Promise<void> {
  const { reason } = flags;
  const client = await connect(flags);
  let text = await client.post('/v1/backup', reason === undefined ? {} : { reason });
  let answer = answerIn(text);
  const { createSystemClock } = await import('../runtime/clock.ts');
  const clock = createSystemClock();
  const begunMs = clock.monotonicMs();
  const isShown = flags.json !== true && process.stderr.isTTY;
  while (answer.outcome === 'under-way' && flags.wait) {
    const age = formatAge(clock.monotonicMs() - begunMs);
    if (isShown) process.stderr.write(`\r\u001b[K${answer.message}: ${age}`);
    text = await client.text(`/v1/backup/requests/${encodeURIComponent(answer.id)}`);
    answer = answerIn(text);
  }
  if (isShown) process.stderr.write('\r\u001b[K');
  process.stdout.write(flags.json === true ? text : `${describe(answer)}\n`);
}

function reasonOf(text: string): string {
  if (text !== '' && text.length <= 200) return text;
  throw new InvalidArgumentError(`It has ${text.length} characters; it must have 1 to 200.`);
}

const answerIn = (text: string): BackupAnswer => backupAnswerSchema.parse(JSON.parse(text));

function describe(answer: BackupAnswer): string {
  if (answer.outcome === 'under-way') return `${answer.message}; see etcd-mesos backup status`;
  const { name, revision, sizeBytes } = answer;
  return `full ${name}, revision ${revision}, ${formatBytes(sizeBytes)}: it was read back whole`;
}

async function showStatus(flags: Omit<OperationFlags, 'wait'>): Promise<void> {
  const client = await connect({ ...flags, wait: false });
  const view = await client.view();
  const { paintFor } = await import('./style.ts');
  const paint = paintFor(process.stdout, process.env);
  const text = flags.json === true ? await client.text('/v1/backup') : renderArchive(view, paint);
  process.stdout.write(text);
  process.exitCode = view.warnings.some(isArchiveWarning) ? 1 : 0;
}

/** What `etcd-mesos backup status` prints. */
export function renderArchive(view: PublishedView, paint: Paint): string {
  const { archive, atMs } = view;
  const lines = [
    `archive  ${archiveLine(archive, paint)}`,
    ...(archive === null ? [] : archiveLines(archive, atMs, paint)),
    ...view.warnings
      .filter(isArchiveWarning)
      .map(({ code, message }) => `${paint(code, 'yellow')}: ${message}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
