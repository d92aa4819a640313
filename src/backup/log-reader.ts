import type { Archive, Epoch } from './archive.ts';
import type { Batch } from './batch.ts';
import type { Proof, SegmentEnd, SegmentHeader } from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import type { LogRest } from './log-end.ts';
import { findBounds, type LogBounds, segmentOf } from './log-search.ts';
import {
  type LogPosition,
  type OpenSegment,
  openSegment,
  segmentGone,
  sizeOf,
  startOfLog,
} from './log-segments.ts';
import { segmentKey } from './names.ts';
import type { SegmentItem } from './segment.ts';

/** What a log says, in its order. */
export type LogItem =
  | { readonly kind: 'segment'; readonly header: SegmentHeader }
  | { readonly kind: 'batch'; readonly batch: Batch; readonly position: LogPosition }
  | { readonly kind: 'proof'; readonly proof: Proof; readonly position: LogPosition }
  | { readonly kind: 'end'; readonly end: SegmentEnd; readonly position: LogPosition }
  /** Comes last, if at all. */
  | { readonly kind: 'rest'; readonly rest: LogRest };

export interface ReadLogOptions {
  /** A revision: batches begin with the one that holds it or with an earlier one. Default: with the log's first. */
  readonly from?: bigint | undefined;
  /** Where it ends: what stands behind that is nobody's. Default: where it ends now. */
  readonly end?: LogPosition | undefined;
  readonly signal: AbortSignal;
}

/**
 * Reads an epoch's log from the segment that holds `from`, or from its first. Every segment is read up to where the
 * next one says that it goes on: what an old writer has added later is left out. Throws an {@link ArchiveError}
 * `corrupt` where the log does not hold together, `missing` where a segment is gone.
 */
export async function* readLog(
  archive: Archive,
  epoch: Epoch,
  options: ReadLogOptions,
): AsyncGenerator<LogItem, void, undefined> {
  const { from, end, signal } = options;
  const bounds = await findBounds(archive, epoch, signal);
  if (end !== undefined && (bounds?.last ?? 0) < end.sequence) {
    throw segmentGone(archive, segmentKey(epoch.document.epoch, end.sequence));
  }
  if (bounds === null || end?.sequence === 0) return;
  const within = { ...bounds, last: end?.sequence ?? bounds.last };
  const first = from === undefined ? bounds.first : await segmentOf(archive, epoch, within, from, signal);
  let dropped: OpenSegment | null = null;
  const segments = countedSegments(archive, epoch, { ...within, first, end }, signal, (segment) => {
    dropped = segment;
  });
  let position: LogPosition | null = first === 1 ? startOfLog(epoch) : null;
  let current: OpenSegment | null = null;
  let next: OpenSegment | null = null;
  try {
    current = (await segments.next()).value ?? null;
    while (current !== null) {
      next = (await segments.next()).value ?? null;
      const goesOnAt = next === null ? end?.hash : next.header?.previous.hash;
      const isLast = next === null && end === undefined;
      position = yield* readOpen(current, position, goesOnAt ?? null, isLast);
      if (isLast) yield* restOf(archive, current, signal);
      current = next;
    }
    if (dropped !== null) yield* restOf(archive, dropped, signal);
  } finally {
    await current?.close();
    await next?.close();
    await segments.return();
  }
}

/**
 * The segments that the log consists of, each opened when the one before it is given. A segment that a later one
 * does not go on from counts for nothing, nor does a last one that nothing was written to.
 */
async function* countedSegments(
  archive: Archive,
  epoch: Epoch,
  { first, last, end }: LogBounds & { readonly end: LogPosition | undefined },
  signal: AbortSignal,
  drop: (segment: OpenSegment) => void,
): AsyncGenerator<OpenSegment, void, undefined> {
  /** Up to the last all were there: one that is not was removed meanwhile, and is no end of the log. */
  const open = async (sequence: number): Promise<OpenSegment | null> => {
    const segment = await openSegment(archive, epoch, sequence, signal);
    if (segment === null && sequence <= last) {
      throw segmentGone(archive, segmentKey(epoch.document.epoch, sequence));
    }
    return segment;
  };
  let current = await open(first);
  let next: OpenSegment | null = null;
  try {
    while (current !== null) {
      const isEnd = current.sequence === end?.sequence;
      next = isEnd ? null : await open(current.sequence + 1);
      const isVoid = next !== null && next.previousSequence < current.sequence;
      const isOpen = next === null && !isEnd;
      const counted: OpenSegment | null = isOpen ? await unlessEmpty(current, drop) : current;
      current = null;
      if (isVoid || counted === null) await counted?.close();
      else yield counted;
      [current, next] = [next, null];
    }
  } finally {
    await current?.close();
    await next?.close();
  }
}

/** Whoever has only said that he goes on has not cut off what was added before he said so. */
async function unlessEmpty(
  segment: OpenSegment,
  drop: (segment: OpenSegment) => void,
): Promise<OpenSegment | null> {
  const { header, items } = segment;
  // A gap is a word of its own, also where nothing came after it yet.
  if (header === null || header.previous.sequence === 0 || header.gap !== null) return segment;
  let first: IteratorResult<SegmentItem, void>;
  try {
    first = await items.next();
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { ...segment, items: failing(error) };
  }
  if (first.done === true || first.value.kind === 'end') {
    await segment.close();
    drop({ ...segment, readBytes: first.value?.sizeBytes ?? segment.readBytes });
    return null;
  }
  return { ...segment, items: startingWith(first.value, items) };
}

// biome-ignore lint/correctness/useYield: it gives nothing and then throws
async function* failing(error: ArchiveError): AsyncGenerator<SegmentItem, void, undefined> {
  await Promise.resolve();
  throw error;
}

async function* startingWith(
  first: SegmentItem,
  rest: AsyncGenerator<SegmentItem, void, undefined>,
): AsyncGenerator<SegmentItem, void, undefined> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return();
  }
}

/** What one segment says, up to the frame from which the next one goes on; returns where it ends. */
async function* readOpen(
  segment: OpenSegment,
  before: LogPosition | null,
  goesOnAt: string | null,
  isLast: boolean,
): AsyncGenerator<LogItem, LogPosition, undefined> {
  const { key, sequence, header, hash } = segment;
  const items = goesOnAt === null ? segment.items : withWhatWasAdded(segment);
  if (header === null) {
    if (!isLast) throw new ArchiveError('corrupt', segment.damage ?? `${key} cannot be read`);
    return before ?? { sequence, hash, lastRevision: 0n };
  }
  const { previous } = header;
  if (before !== null && (previous.hash !== before.hash || previous.sequence !== before.sequence)) {
    throw new ArchiveError(
      'corrupt',
      `${key} goes on from segment ${previous.sequence}, ${previous.hash}, which the log does not have there`,
    );
  }
  yield { kind: 'segment', header };
  let position: LogPosition = { sequence, hash, lastRevision: BigInt(header.firstRevision) - 1n };
  try {
    while (position.hash !== goesOnAt) {
      const { done, value: item } = await items.next();
      if (done === true || item.kind === 'header') break;
      position = { sequence, hash: item.hash, lastRevision: item.lastRevision };
      segment.readBytes = item.sizeBytes;
      yield { ...item, position };
    }
  } catch (error) {
    if (!isDamage(error) || !isLast) throw error;
    segment.damage = error.message;
  } finally {
    await items.return();
    // What was not begun does not close what it would have read.
    await segment.close();
  }
  if (goesOnAt !== null && position.hash !== goesOnAt) {
    throw new ArchiveError(
      'corrupt',
      `${key} ends after ${segment.readBytes} bytes, before the place from which the log goes on`,
    );
  }
  return position;
}

/**
 * What a segment says that another goes on from. It may have grown between the looks at the two: so at the end of what
 * there was it is looked at once more.
 */
async function* withWhatWasAdded({
  items,
  readBytes,
  again,
}: OpenSegment): AsyncGenerator<SegmentItem, void, undefined> {
  let seenBytes = readBytes;
  for await (const item of items) {
    seenBytes = item.sizeBytes;
    yield item;
  }
  for await (const item of again()) if (item.sizeBytes > seenBytes) yield item;
}

/** What of the last segment was not read as a part of the log. */
async function* restOf(
  archive: Archive,
  { key, readBytes, damage }: OpenSegment,
  signal: AbortSignal,
): AsyncGenerator<LogItem, void, undefined> {
  const bytes = Math.max(0, ((await sizeOf(archive, key, signal)) ?? 0) - readBytes);
  if (bytes > 0 || damage !== null) yield { kind: 'rest', rest: { key, bytes, damage } };
}
