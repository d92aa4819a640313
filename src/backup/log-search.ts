import type { Archive, Epoch } from './archive.ts';
import { headerOf, sizeOf } from './log-segments.ts';
import { logPrefix, segmentKey, sequenceOf } from './names.ts';

export interface LogBounds {
  readonly first: number;
  readonly last: number;
}

/** The numbers of the first and the last segment, which have no hole between them; `null` where there is none. */
export async function findBounds(
  archive: Archive,
  epoch: Epoch,
  signal: AbortSignal,
): Promise<LogBounds | null> {
  const first = await firstSequence(archive, epoch, signal);
  if (first === null) return null;
  const exists = async (sequence: number): Promise<boolean> =>
    (await sizeOf(archive, segmentKey(epoch.document.epoch, sequence), signal)) !== null;
  let step = 1;
  while (await exists(first + step)) step *= 2;
  let [there, absent] = [first + Math.floor(step / 2), first + step];
  while (absent - there > 1) {
    const middle = Math.floor((there + absent) / 2);
    if (await exists(middle)) there = middle;
    else absent = middle;
  }
  return { first, last: there };
}

async function firstSequence(archive: Archive, epoch: Epoch, signal: AbortSignal): Promise<number | null> {
  for await (const { key } of archive.store.list(logPrefix(epoch.document.epoch), { signal })) {
    const sequence = sequenceOf(key);
    if (sequence !== null) return sequence;
  }
  return null;
}

/** The last segment that begins at or before the revision, or the first. */
export async function segmentOf(
  archive: Archive,
  epoch: Epoch,
  bounds: LogBounds,
  revision: bigint,
  signal: AbortSignal,
): Promise<number> {
  return await lastSegment(bounds, async (sequence) => {
    const header = await headerOf(archive, epoch, sequence, signal);
    // One that cannot be read is taken for early: reading then begins no later than it has to.
    return header === null || BigInt(header.firstRevision) <= revision;
  });
}

/** The last segment of which `isEarly` holds, as it does for those before it, or the first. */
export async function lastSegment(
  bounds: LogBounds,
  isEarly: (sequence: number) => Promise<boolean>,
): Promise<number> {
  let [low, high] = [bounds.first, bounds.last + 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await isEarly(middle)) low = middle;
    else high = middle;
  }
  return low;
}
