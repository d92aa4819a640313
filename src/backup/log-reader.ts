import type { Archive, Epoch } from './archive.ts';
import type { Batch } from './batch.ts';
import type { Proof, SegmentEnd, SegmentHeader } from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { logPrefix, segmentKey, sequenceOf } from './names.ts';
import { readSegment, type SegmentItem } from './segment.ts';
import { ArchiveStoreError } from './store-port.ts';

/** Where a log stands: after a frame whose hash covers all before it. */
export interface LogPosition {
  /** 0 before the first segment. */
  readonly sequence: number;
  readonly hash: string;
  readonly lastRevision: bigint;
}

/** How a log ends. */
export interface LogEnd {
  readonly position: LogPosition;
  /** Of the newest segment: who has only said that he goes on is newer than what he goes on from. `null`: none. */
  readonly header: SegmentHeader | null;
  /** The number of the segment that comes next. */
  readonly nextSequence: number;
  /** What of the last segment does not count; `null` where all does. */
  readonly rest: LogRest | null;
}
/** Bytes at the end of a segment that are no whole frame, or not what was written: what a crash leaves. */
export interface LogRest {
  readonly key: string;
  readonly bytes: number;
  /** What is wrong with them; `null` when they are only too few. */
  readonly damage: string | null;
}

/** What a log says, in its order. */
export type LogItem =
  | { readonly kind: 'segment'; readonly header: SegmentHeader }
  | { readonly kind: 'batch'; readonly batch: Batch; readonly position: LogPosition }
  | { readonly kind: 'proof'; readonly proof: Proof; readonly position: LogPosition }
  | { readonly kind: 'end'; readonly end: SegmentEnd; readonly position: LogPosition }
  /** Comes last, if at all. */
  | { readonly kind: 'rest'; readonly rest: LogRest };

/** Segments whose beginning cannot be read that are stepped over to find where a log ends. */
export const SEGMENTS_LOOKED_BACK = 16;

/** Finds the end of an epoch's log by some forty looks, however long it is, and reads its last segment. */
export async function findLogEnd(archive: Archive, epoch: Epoch, signal: AbortSignal): Promise<LogEnd> {
  const bounds = await findBounds(archive, epoch, signal);
  const nextSequence = (bounds?.last ?? 0) + 1;
  if (bounds === null) {
    return { position: startOf(epoch), header: null, nextSequence, rest: null };
  }
  const lowest = Math.max(bounds.first, bounds.last - SEGMENTS_LOOKED_BACK + 1);
  for (let sequence = bounds.last; sequence >= lowest; sequence -= 1) {
    const segment = await readSegmentEnd(archive, epoch, sequence, signal);
    if (segment === null) continue;
    const before = segment.isEmpty ? await grownBefore(archive, epoch, segment.header, signal) : null;
    return { ...(before ?? segment), header: segment.header, nextSequence };
  }
  if (lowest === 1) return { position: startOf(epoch), header: null, nextSequence, rest: null };
  throw new ArchiveError(
    'corrupt',
    `none of the last ${bounds.last - lowest + 1} segments in ${logPrefix(epoch.document.epoch)} can be read`,
  );
}

interface SegmentEndState {
  readonly position: LogPosition;
  readonly header: SegmentHeader;
  readonly rest: LogRest | null;
  readonly isEmpty: boolean;
}

/**
 * Whoever takes over a log that grows says first where it goes on, so that the one before him sees it and stops.
 * What that one had added between the look and the word counts, as long as nothing else has followed.
 */
async function grownBefore(
  archive: Archive,
  epoch: Epoch,
  { previous }: SegmentHeader,
  signal: AbortSignal,
): Promise<SegmentEndState | null> {
  if (previous.sequence === 0) return null;
  const before = await readSegmentEnd(archive, epoch, previous.sequence, signal);
  return before !== null && before.position.lastRevision > BigInt(previous.lastRevision) ? before : null;
}

/** `null` when not even its header can be read. */
async function readSegmentEnd(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<SegmentEndState | null> {
  const key = segmentKey(epoch.document.epoch, sequence);
  let state: SegmentEndState | null = null;
  let sizeBytes = 0;
  let damage: string | null = null;
  try {
    for await (const item of openSegment(archive, epoch, sequence, signal)) {
      const position = { sequence, hash: item.hash, lastRevision: item.lastRevision };
      ({ sizeBytes } = item);
      state = stateAfter(item, position, state);
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    damage = error.message;
  }
  if (state === null) return null;
  const bytes = Math.max(0, ((await sizeOf(archive, key, signal)) ?? sizeBytes) - sizeBytes);
  return { ...state, rest: bytes === 0 ? null : { key, bytes, damage } };
}

function stateAfter(
  item: SegmentItem,
  position: LogPosition,
  before: SegmentEndState | null,
): SegmentEndState | null {
  if (item.kind === 'header')
    return { position, header: item.header, rest: null, isEmpty: item.header.gap === null };
  return before === null ? null : { ...before, position, isEmpty: before.isEmpty && item.kind === 'end' };
}

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
    throw missing(archive, segmentKey(epoch.document.epoch, end.sequence));
  }
  if (bounds === null || end?.sequence === 0) return;
  const within = { ...bounds, last: end?.sequence ?? bounds.last };
  const first = from === undefined ? bounds.first : await segmentOf(archive, epoch, within, from, signal);
  let dropped: OpenSegment | null = null;
  const segments = countedSegments(archive, epoch, { ...within, first, end }, signal, (segment) => {
    dropped = segment;
  });
  let position: LogPosition | null = first === 1 ? startOf(epoch) : null;
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
    const segment = await openNext(archive, epoch, sequence, signal);
    if (segment === null && sequence <= last) {
      throw missing(archive, segmentKey(epoch.document.epoch, sequence));
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

/** A segment whose header was read, and what follows it was not. */
interface OpenSegment {
  readonly key: string;
  readonly sequence: number;
  readonly previousSequence: number;
  /** `null` when it cannot be read; `damage` says why. */
  readonly header: SegmentHeader | null;
  readonly hash: string;
  /** Up to where it was read, and what was wrong there. */
  readBytes: number;
  damage: string | null;
  readonly items: AsyncGenerator<SegmentItem, void, undefined>;
  /** Reads it once more, from its beginning. */
  again(): AsyncGenerator<SegmentItem, void, undefined>;
  close(): Promise<void>;
}

const UNREADABLE = {
  header: null,
  hash: '',
  previousSequence: Number.POSITIVE_INFINITY,
  readBytes: 0,
} as const;

/** `null` where there is none. */
async function openNext(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<OpenSegment | null> {
  const key = segmentKey(epoch.document.epoch, sequence);
  if ((await sizeOf(archive, key, signal)) === null) return null;
  const again = () => openSegment(archive, epoch, sequence, signal);
  const items = again();
  const close = async (): Promise<void> => void (await items.return());
  const shared = { key, sequence, items, again, close };
  try {
    const { value } = await items.next();
    if (value?.kind === 'header') {
      const { header, hash, sizeBytes } = value;
      const previousSequence = header.previous.sequence;
      return { ...shared, header, hash, previousSequence, readBytes: sizeBytes, damage: null };
    }
    return { ...shared, ...UNREADABLE, damage: `${key} has no header` };
  } catch (error) {
    if (error instanceof ArchiveError && error.code === 'missing') return null;
    if (!isDamage(error)) throw error;
    return { ...shared, ...UNREADABLE, damage: error.message };
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

/** A segment of just this archive, epoch and number. */
async function* openSegment(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): AsyncGenerator<SegmentItem, void, undefined> {
  const key = segmentKey(epoch.document.epoch, sequence);
  try {
    for await (const item of readSegment(key, archive.store.read(key, { signal }))) {
      if (item.kind === 'header') assertPlace(key, archive, epoch, sequence, item.header);
      yield item;
    }
  } catch (error) {
    if (error instanceof ArchiveStoreError && error.code === 'not-found') throw missing(archive, key);
    throw error;
  }
}

function missing(archive: Archive, key: string): ArchiveError {
  return new ArchiveError('missing', `${key} is not in ${archive.store.place} any more`, {
    hint: 'What is old may have been removed while it was read: try once more.',
  });
}

function assertPlace(
  key: string,
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  header: SegmentHeader,
): void {
  const { archiveId, clusterId } = header;
  const isOurs = archiveId === archive.id && clusterId === epoch.document.clusterId;
  if (isOurs && header.epoch === epoch.document.epoch && header.sequence === sequence) return;
  throw new ArchiveError(
    'corrupt',
    `${key} is segment ${header.sequence} of epoch ${header.epoch} of cluster ${clusterId} in archive ` +
      `${archiveId}: it was put in the wrong place`,
  );
}

const startOf = (epoch: Epoch): LogPosition => ({
  sequence: 0,
  hash: epoch.hash,
  lastRevision: BigInt(epoch.document.parent?.forkRevision ?? '0'),
});

/** `null` where it is not there; 0 where it is, and is damaged so that it has no size. */
async function sizeOf(archive: Archive, key: string, signal: AbortSignal): Promise<number | null> {
  try {
    return (await archive.store.head(key, signal))?.sizeBytes ?? null;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return 0;
  }
}

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

/** `null` where it cannot be read, or there is none. */
export async function headerOf(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<SegmentHeader | null> {
  const segment = await openNext(archive, epoch, sequence, signal);
  await segment?.close();
  return segment?.header ?? null;
}
