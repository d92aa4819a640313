import type { Archive, Epoch } from './archive.ts';
import { cameAtMs } from './batch.ts';
import type { SegmentHeader } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { readLog } from './log-reader.ts';
import { findBounds, type LogBounds, lastSegment, segmentOf } from './log-search.ts';
import { headerOf, type LogPosition } from './log-segments.ts';
import { segmentKey } from './names.ts';
import { readSegment } from './segment.ts';

/** Revisions of a log that follow each other without a gap. */
export interface LogRun {
  /** It has every revision after this one … */
  readonly after: bigint;
  /** … up to this one. */
  readonly last: bigint;
}

/**
 * The runs of a log up to `end`, oldest first: a few looks at headers for each gap that it has, however long it is.
 * A segment whose header cannot be read ends a run.
 */
export async function listRuns(
  archive: Archive,
  epoch: Epoch,
  end: LogPosition,
  signal: AbortSignal,
): Promise<readonly LogRun[]> {
  const found = await findBounds(archive, epoch, signal);
  if (found === null || end.sequence === 0) return [];
  const bounds = { first: found.first, last: end.sequence };
  const runs: LogRun[] = [];
  let [sequence, last] = [end.sequence, end.lastRevision];
  /** A gap may have been found after later ones: what goes on to it ends before it, whatever comes in between. */
  let ceiling = end.lastRevision;
  while (sequence >= bounds.first) {
    const newest = await headerOf(archive, epoch, sequence, signal);
    if (newest === null) {
      sequence -= 1;
      last = lower(await lastRevisionOf(archive, epoch, sequence, signal), ceiling);
      continue;
    }
    const first = await firstOfRun(archive, epoch, bounds, newest, signal);
    const { base, firstRevision, gap, previous } = first;
    // Where older segments were removed, or cannot be read, the log begins later than its header says.
    const after = gap === null ? higher(BigInt(base), BigInt(firstRevision) - 1n) : BigInt(base);
    if (last > after) runs.unshift({ after, last });
    sequence = previous.sequence;
    if (sequence < bounds.first) break;
    // A revision that lacks a part is in the log, and does not count.
    if (gap !== null) ceiling = lower(ceiling, BigInt(gap.from) - 1n);
    const before =
      gap === null ? await lastRevisionOf(archive, epoch, sequence, signal) : BigInt(previous.lastRevision);
    last = lower(before, ceiling);
  }
  return runs;
}

/** The log goes on from after this revision to its end without a gap. @param header of its last segment. */
export async function baseOfLog(
  archive: Archive,
  epoch: Epoch,
  header: SegmentHeader,
  end: LogPosition,
  signal: AbortSignal,
): Promise<bigint> {
  const runs = await listRuns(archive, epoch, end, signal);
  // A gap at the very end is in the header alone; older segments that were removed are in the runs alone.
  return higher(BigInt(header.base), runs.at(-1)?.after ?? 0n);
}

/**
 * The last revision up to `limit` that had come by then, `null` where none had. Between archivers whose clocks differ
 * it is exact up to that difference.
 */
export async function revisionAt(
  archive: Archive,
  epoch: Epoch,
  options: {
    readonly atMs: number;
    readonly end: LogPosition;
    readonly limit: bigint;
    readonly signal: AbortSignal;
  },
): Promise<bigint | null> {
  const { atMs, end, limit, signal } = options;
  const found = await findBounds(archive, epoch, signal);
  if (found === null || end.sequence === 0) return null;
  const bounds = { first: found.first, last: end.sequence };
  const sequence = await lastSegment(bounds, async (candidate) => {
    // One without a batch says nothing of its own: the next ones do.
    for (let at = candidate; at <= bounds.last; at += 1) {
      const firstMs = await firstTimeIn(archive, epoch, at, signal);
      if (firstMs !== null) return firstMs <= atMs;
    }
    return false;
  });
  const header = await headerOf(archive, epoch, sequence, signal);
  const from = header === null ? undefined : lower(BigInt(header.firstRevision), limit);
  let revision: bigint | null = null;
  for await (const item of readLog(archive, epoch, { from, end, signal })) {
    if (item.kind !== 'batch') continue;
    for (const one of item.batch.revisions) {
      if (cameAtMs(item.batch, one) > atMs || one.revision > limit) return revision;
      ({ revision } = one);
    }
  }
  return revision;
}

/** When a revision of the log came. */
export async function timeOf(
  archive: Archive,
  epoch: Epoch,
  options: { readonly revision: bigint; readonly end: LogPosition; readonly signal: AbortSignal },
): Promise<number | null> {
  const { revision, end, signal } = options;
  for await (const item of readLog(archive, epoch, { from: revision, end, signal })) {
    if (item.kind !== 'batch' || item.position.lastRevision < revision) continue;
    const wanted = item.batch.revisions.find((one) => one.revision === revision);
    return wanted === undefined ? item.batch.atMs : cameAtMs(item.batch, wanted);
  }
  return null;
}

/** The segment before which the log has a gap, or the oldest from which it can be read on to `newest`. */
async function firstOfRun(
  archive: Archive,
  epoch: Epoch,
  bounds: LogBounds,
  newest: SegmentHeader,
  signal: AbortSignal,
): Promise<SegmentHeader> {
  const { base } = newest;
  const within = { ...bounds, last: newest.sequence };
  const begins = await segmentOf(archive, epoch, within, BigInt(base) + 1n, signal);
  let header = await headerOf(archive, epoch, begins, signal);
  // A void segment may have led the search astray: then the way back is gone step by step.
  if (header?.base !== base) header = newest;
  while (header.gap === null && header.previous.sequence >= bounds.first) {
    const before = await headerOf(archive, epoch, header.previous.sequence, signal);
    if (before === null) return header;
    header = before;
  }
  return header;
}

async function lastRevisionOf(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<bigint> {
  let last = 0n;
  try {
    for await (const item of segmentItems(archive, epoch, sequence, signal)) last = item.lastRevision;
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
  }
  return last;
}

async function firstTimeIn(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<number | null> {
  try {
    for await (const item of segmentItems(archive, epoch, sequence, signal)) {
      if (item.kind === 'batch') return item.batch.atMs;
    }
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
  }
  return null;
}

function segmentItems(archive: Archive, epoch: Epoch, sequence: number, signal: AbortSignal) {
  const key = segmentKey(epoch.document.epoch, sequence);
  return readSegment(key, archive.store.read(key, { signal }));
}

const higher = (left: bigint, right: bigint): bigint => (left > right ? left : right);
const lower = (left: bigint, right: bigint): bigint => (left < right ? left : right);
