import { type Command, InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../base/duration.ts';
import type { RemovalPlan } from '../runtime/archive-place.ts';
import { formatBytes } from './amounts.ts';
import { type ArchiveFlags, ofArchive } from './archive-flags.ts';

interface PruneFlags extends ArchiveFlags {
  readonly keepFulls: number;
  /** Milliseconds. */
  readonly keep?: number;
  readonly yes?: boolean;
}

const DEFAULT_FULLS = 7;
const DEFAULT_DAYS = 30;
const never = new AbortController().signal;

/** `etcd-mesos backup prune`: what the scheduler does after each full backup, by hand. */
export function registerPrune(command: Command): void {
  ofArchive(command.command('prune'))
    .description(
      'show which full backups and which beginnings of logs need not be kept; remove them with --yes',
    )
    .option(
      '--keep-fulls <count>',
      'the newest full backups, which stay however old they are',
      count,
      DEFAULT_FULLS,
    )
    .option(
      '--keep <duration>',
      `how far back every moment can be restored (default: ${DEFAULT_DAYS}d)`,
      duration,
    )
    .option('--yes', 'remove what is shown; it cannot be taken back')
    .addHelpText('after', '\nWhat is needed to restore the newest state stays, whatever is given.')
    .action(async ({ keepFulls, keep, yes = false, ...flags }: PruneFlags) => {
      const { openArchiveToChange, planRemovals, removePlanned } = await import(
        '../runtime/archive-place.ts'
      );
      const { createSystemClock } = await import('../runtime/clock.ts');
      const archive = await openArchiveToChange(flags, { readOnly: !yes }, never);
      const policy = { keepFulls, keepMs: keep ?? DEFAULT_DAYS * 86_400_000 };
      const plan = await planRemovals(archive, policy, createSystemClock().wallMs(), never);
      const isJson = flags.json === true;
      if (!isJson) process.stdout.write(planLines(plan, yes));
      const removedObjects = yes ? await removePlanned(archive, plan, { signal: never }) : 0;
      if (isJson) process.stdout.write(`${JSON.stringify({ ...plan, removedObjects }, null, 2)}\n`);
      else if (yes) process.stdout.write(`${removedObjects} objects were removed\n`);
    });
}

function planLines(
  { fulls, logs, epochs, leftovers, fullsKept, wayBack, held }: RemovalPlan,
  isDone: boolean,
): string {
  const sizeBytes = fulls.reduce((sum, full) => sum + full.sizeBytes, 0);
  const lines = [
    ...(held === null ? [] : [`nothing that is complete goes: ${held}`]),
    ...fulls.map(
      (full) =>
        `full ${full.name} of epoch ${full.epoch}, revision ${full.revision}, ${formatBytes(full.sizeBytes)}`,
    ),
    ...logs.map(({ epoch, first, last }) => `segments ${first} to ${last} of the log of epoch ${epoch}`),
    ...epochs.map((epoch) => `epoch ${epoch}, of which nothing is left then`),
    ...(wayBack === null ? [] : [`full ${wayBack} stays by itself: the way back from an upgrade of etcd`]),
    ...leftovers.map((key) => `${key}, of a full backup that was never complete`),
  ];
  const isAny = fulls.length + logs.length + epochs.length + leftovers.length > 0;
  const verdict = isAny
    ? `${fulls.length} full backups go, ${formatBytes(sizeBytes)}, and ${fullsKept} stay`
    : `there is nothing to remove; ${fullsKept} full backups stay`;
  const hint = isAny && !isDone ? ['nothing was removed: give --yes to do it'] : [];
  return [...lines, verdict, ...hint].map((line) => `${line}\n`).join('');
}

function count(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 10_000) return value;
  throw new InvalidArgumentError('It must be a whole number from 1 to 10000.');
}

function duration(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs !== null) return durationMs;
  throw new InvalidArgumentError('It must be a duration up to 366d, such as 30d or 12h.');
}
