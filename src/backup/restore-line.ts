import { type Archive, type Epoch, type Epochs, lookAtEpochs } from './archive.ts';
import { type DamagedFull, type Full, lookAtFulls, revisionOf } from './full.ts';
import { findLogEnd } from './log-end.ts';
import { type LogItem, readLog } from './log-reader.ts';
import { type LogRun, listRuns, revisionAt, timeOf } from './log-runs.ts';
import type { LogPosition } from './log-segments.ts';
import { RestoreError } from './restore-error.ts';

/**
 * The one history that led to an epoch: its own log and fulls, and those of the epochs that it came from up to where
 * each parted. What an old writer appended to one of them later belongs to nobody.
 */
export interface Line {
  readonly epoch: Epoch;
  /** Oldest first; the last is the epoch itself. */
  readonly branches: readonly Branch[];
  /** What all logs together have without a gap, oldest first. */
  readonly runs: readonly LogRun[];
  /** By revision, and of one revision the later taken last. */
  readonly fulls: readonly Full[];
  /** Fulls whose description cannot be read, so that nobody knows their revision. */
  readonly damaged: readonly DamagedFull[];
  /** The newest revision that a log or a full has; 0 where there is none. */
  readonly head: bigint;
}
export interface Branch {
  readonly epoch: Epoch;
  /** Revisions up to this one are the line's. */
  readonly limit: bigint;
  /** Of its log, as far as it counts; `null` where it has none that does. */
  readonly end: LogPosition | null;
}

const NO_LIMIT = 2n ** 63n - 1n;

/**
 * Looks up what led to an epoch. Cheap, however long the logs are.
 * @param number of the epoch; `null`: the newest. Rejects with a {@link RestoreError}: `bad-target` where there is none,
 * `unreachable` where its document is damaged.
 */
export async function findLine(archive: Archive, number: number | null, signal: AbortSignal): Promise<Line> {
  const found = await lookAtEpochs(archive, signal);
  const epochs = found.sound;
  const epoch = number === null ? epochs.at(-1) : epochs.find(({ document }) => document.epoch === number);
  assertReadable(found, epoch?.document.epoch ?? 0, number);
  if (epoch === undefined) throw noEpoch(archive, epochs, number);
  const branches: Branch[] = [];
  let limit = NO_LIMIT;
  let end: LogPosition | null = await openEnd(archive, epoch, signal);
  for (let current: Epoch | undefined = epoch; current !== undefined; ) {
    branches.unshift({ epoch: current, limit, end });
    const { parent }: Epoch['document'] = current.document;
    if (parent === null || branches.length > epochs.length) break;
    const fork = BigInt(parent.forkRevision);
    limit = fork < limit ? fork : limit;
    const used = parent.logEnd;
    end = used === null ? null : { ...used, lastRevision: BigInt(used.lastRevision) };
    current = epochs.find(({ document }) => document.epoch === parent.epoch);
  }
  const runs: LogRun[] = [];
  const fulls: Full[] = [];
  const damaged: DamagedFull[] = [];
  for (const branch of branches) {
    if (branch.end !== null)
      joinRuns(runs, branch, await listRuns(archive, branch.epoch, branch.end, signal));
    const taken = await lookAtFulls(archive, branch.epoch, signal);
    fulls.push(...taken.sound.filter((full) => revisionOf(full) <= branch.limit));
    damaged.push(...taken.damaged);
  }
  fulls.sort(byRevision);
  const newest = fulls.at(-1);
  const [logHead, fullHead] = [runs.at(-1)?.last ?? 0n, newest === undefined ? 0n : revisionOf(newest)];
  return { epoch, branches, runs, fulls, damaged, head: logHead > fullHead ? logHead : fullHead };
}

/** The logs of a line as one, from the segment that holds `from` on: revisions that are not the line's are left out. */
export async function* readLine(
  archive: Archive,
  line: Line,
  from: bigint,
  signal: AbortSignal,
): AsyncGenerator<LogItem, void, undefined> {
  for (const { epoch, limit, end } of line.branches) {
    if (end === null || limit < from) continue;
    for await (const item of readLog(archive, epoch, { from, end, signal })) {
      if (item.kind === 'proof' && BigInt(item.proof.revision) > limit) break;
      if (item.kind !== 'batch') {
        yield item;
        continue;
      }
      const revisions = item.batch.revisions.filter(({ revision }) => revision <= limit);
      if (revisions.length > 0) yield { ...item, batch: { ...item.batch, revisions } };
      if (revisions.length < item.batch.revisions.length) break;
    }
  }
}

/** The newest revision that had come by then, to a log or with a full; `null` where none had. */
export async function lineRevisionAt(
  archive: Archive,
  line: Line,
  atMs: number,
  signal: AbortSignal,
): Promise<bigint | null> {
  const begin = line.runs[0]?.after ?? 0n;
  // How far the cluster was between a full that was kept alone and the first of the log nobody knows any more.
  const isKnown = (full: Full): boolean =>
    full.document.finishedAtMs === atMs || (full.document.finishedAtMs < atMs && revisionOf(full) >= begin);
  const taken = line.fulls.filter(isKnown).map(revisionOf);
  let newest = taken.at(-1) ?? null;
  for (const { epoch, limit, end } of line.branches.toReversed()) {
    const come = end === null ? null : await revisionAt(archive, epoch, { atMs, end, limit, signal });
    if (come === null) continue;
    if (newest === null || come > newest) newest = come;
    break;
  }
  return newest;
}

/** When a revision came: by its log, or at the latest when a full of it was taken; `null` where neither has it. */
export async function lineTimeOf(
  archive: Archive,
  line: Line,
  revision: bigint,
  signal: AbortSignal,
): Promise<number | null> {
  const isLogged = line.runs.some(({ after, last }) => after < revision && revision <= last);
  for (const { epoch, limit, end } of line.branches) {
    if (!isLogged || end === null || limit < revision || end.lastRevision < revision) continue;
    const come = await timeOf(archive, epoch, { revision, end, signal });
    if (come !== null) return come;
  }
  const full = line.fulls.find((candidate) => revisionOf(candidate) === revision);
  return full?.document.finishedAtMs ?? null;
}

/** The end of a log that may grow. */
async function openEnd(archive: Archive, epoch: Epoch, signal: AbortSignal): Promise<LogPosition | null> {
  const { header, position } = await findLogEnd(archive, epoch, signal);
  return header === null ? null : position;
}

/** Adds a branch's runs: one that goes on where the last one ended makes it longer. */
function joinRuns(runs: LogRun[], { limit }: Branch, added: readonly LogRun[]): void {
  for (const run of added) {
    const last = run.last < limit ? run.last : limit;
    if (last <= run.after) continue;
    const before = runs.at(-1);
    if (before?.last === run.after) runs[runs.length - 1] = { after: before.after, last };
    else runs.push({ after: run.after, last });
  }
}

function byRevision(left: Full, right: Full): number {
  const difference = revisionOf(left) - revisionOf(right);
  if (difference !== 0n) return difference < 0n ? -1 : 1;
  return left.document.startedAtMs - right.document.startedAtMs;
}

/** One whose document is damaged may be the newest: an older one is not taken for it unless it is named. */
function assertReadable({ sound, damaged }: Epochs, newest: number, wanted: number | null): void {
  const inTheWay = damaged.findLast((epoch) =>
    wanted === null ? epoch.number > newest : epoch.number === wanted,
  );
  if (inTheWay === undefined) return;
  const others = sound.map(({ document }) => document.epoch).join(', ');
  throw new RestoreError('unreachable', inTheWay.error.message, {
    cause: inTheWay.error,
    hint:
      others === '' ? 'No other epoch is there.' : `Name another epoch with --epoch; there are: ${others}.`,
  });
}

function noEpoch(archive: Archive, epochs: readonly Epoch[], number: number | null): RestoreError {
  if (number === null) {
    return new RestoreError(
      'unreachable',
      `${archive.store.place} holds no epoch: nothing was archived yet`,
      {
        hint: 'If something was, its epoch.json was lost: `etcd-mesos backup verify` says which is missing.',
      },
    );
  }
  const known = epochs.map(({ document }) => document.epoch).join(', ');
  return new RestoreError('bad-target', `${archive.store.place} has no epoch ${number}`, {
    hint: known === '' ? 'Nothing was archived yet.' : `It has: ${known}.`,
  });
}
