import type { Clock } from '../base/ports.ts';
import { type Archive, type Epoch, lineageOf, openArchive } from './archive.ts';
import { type Batch, batchSizeBytes, cameAtMs } from './batch.ts';
import type { Gap, Proof, SegmentHeader } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { findLogEnd, type LogEnd } from './log-end.ts';
import type { LogPosition } from './log-segments.ts';
import { segmentKey } from './names.ts';
import { createSegmentEncoder, readSegment, type SegmentEncoder } from './segment.ts';
import { ArchiveStoreError, type GrowingObject } from './store-port.ts';

/**
 * Writes an epoch's log. Where the store has objects that grow, what is written is added to the newest segment; else
 * each write is a segment of its own. One call at a time.
 *
 * Two never write one log: a segment's name is its number, which a store gives to one, and to a growing segment
 * nothing counts as written before it was seen that nobody has begun the next.
 */
export interface LogWriter {
  /** The end of what is durable. */
  readonly position: LogPosition;
  /** The log has every revision after this one up to its end. */
  readonly base: bigint;
  /** How the log was found. */
  readonly foundEnd: LogEnd;
  /** What it has put into the store. */
  readonly writtenBytes: number;
  /**
   * Durable when it resolves. After a rejection with an `ArchiveStoreError` it may be repeated, with more revisions
   * too; some of them may be durable by then. Rejects with an {@link ArchiveError} for good: `fenced`, or as
   * {@link openArchive} does where the archive is not there any more.
   */
  write(batch: Batch): Promise<void>;
  /** As {@link write}. */
  prove(proof: Proof): Promise<void>;
  /** Goes on after revisions that the log will never have, or has and not as they were. As {@link write}. */
  skip(gap: Gap): Promise<void>;
  /** Closes the newest segment. Nothing may be written after it. */
  close(): Promise<void>;
}

export interface LogWriterOptions {
  readonly archive: Archive;
  readonly epoch: Epoch;
  /** Of the leader. A log that a higher one has written is not written any more. */
  readonly generation: number;
  /** A UUID of this run. */
  readonly writer: string;
  readonly clock: Clock;
  /** A growing segment that has so many bytes is followed by the next. */
  readonly segmentBytesMax: number;
  /** A growing segment that is so old is followed by the next. */
  readonly segmentAgeMsMax: number;
}

/** How often the next number is taken by another before it is given up. */
const CLAIMS_MAX = 20;
/** Bytes of what is not an event in a segment of one write. */
const HEADER_ROOM_BYTES = 4096;

/** A segment that grows. */
interface OpenSegment {
  readonly encoder: SegmentEncoder;
  readonly object: GrowingObject;
  readonly openedAtMs: number;
}

/**
 * Takes an epoch's log over: begins the next segment, so that whoever wrote it before is fenced. Rejects with an
 * {@link ArchiveError} `fenced` when it is the other way round.
 * @param signal ends this and everything that is written later.
 */
export async function openLogWriter(options: LogWriterOptions, signal: AbortSignal): Promise<LogWriter> {
  const { archive, epoch, generation, writer, clock } = options;
  const { store } = archive;
  let position: LogPosition;
  let base: bigint;
  let nextSequence: number;
  let segment: OpenSegment | null = null;
  let writtenBytes = 0;

  const headerAfter = (previous: LogPosition, sequence: number, gap: Gap | null): SegmentHeader => ({
    format: 'etcd-mesos segment',
    version: 1,
    archiveId: archive.id,
    epoch: epoch.document.epoch,
    clusterId: epoch.document.clusterId,
    sequence,
    generation,
    writer,
    previous: {
      sequence: previous.sequence,
      hash: previous.hash,
      lastRevision: String(previous.lastRevision),
    },
    firstRevision: String(laterOf(previous.lastRevision, gap) + 1n),
    gap,
    base: String(laterOf(base, gap)),
    lineage: lineageOf(archive, epoch),
    createdAtMs: clock.wallMs(),
  });
  const keyOf = (sequence: number): string => segmentKey(epoch.document.epoch, sequence);

  /** Puts a whole segment, or the beginning of one that grows. */
  const place = async (encoder: SegmentEncoder, bytes: Buffer): Promise<void> => {
    const { sequence } = encoder.header;
    const key = keyOf(sequence);
    if (store.growing === null) await store.put(key, bytes, { ifAbsent: true, signal });
    else {
      const object = await store.growing.create(key, bytes, signal);
      segment = { encoder, object, openedAtMs: clock.monotonicMs() };
    }
    writtenBytes += bytes.byteLength;
    position = { sequence, hash: encoder.hash, lastRevision: encoder.lastRevision };
    base = BigInt(encoder.header.base);
    nextSequence = sequence + 1;
  };

  const letGo = async (): Promise<void> => {
    const open = segment;
    segment = null;
    await open?.object.close().catch(() => undefined);
  };

  /** What stands where we wanted to write: another's ends this writer. */
  const assertOwn = async (sequence: number): Promise<void> => {
    const key = keyOf(sequence);
    for await (const item of readSegment(key, store.read(key, { signal }))) {
      if (item.kind === 'header' && item.header.writer !== writer) throw fenced(key, item.header, generation);
      return;
    }
  };
  /** An earlier try of ours, whose answer was lost: the next goes on from where it ends. */
  const adoptOwn = async (sequence: number): Promise<void> => {
    await assertOwn(sequence);
    const key = keyOf(sequence);
    for await (const item of readSegment(key, store.read(key, { signal }))) {
      if (item.kind === 'header') base = BigInt(item.header.base);
      position = { sequence, hash: item.hash, lastRevision: item.lastRevision };
    }
    nextSequence = sequence + 1;
  };

  /** Begins the next segment with what `fill` makes of it. */
  const next = async (
    gap: Gap | null,
    fill: (encoder: SegmentEncoder) => readonly Buffer[],
  ): Promise<void> => {
    await letGo();
    // A place that was emptied, or where another archive is mounted by now, would take it too.
    await openArchive(store, { archiveId: archive.id, owner: archive.owner }, signal);
    const encoder = createSegmentEncoder(headerAfter(position, nextSequence, gap));
    const parts = [encoder.begin(), ...fill(encoder)];
    if (store.growing === null) parts.push(encoder.end(clock.wallMs()));
    try {
      await place(encoder, Buffer.concat(parts));
    } catch (error) {
      if (!(error instanceof ArchiveStoreError && error.code === 'exists')) throw error;
      await adoptOwn(nextSequence);
    }
  };

  /** Adds to the segment that grows. */
  const add = async (open: OpenSegment, encode: (encoder: SegmentEncoder) => Buffer): Promise<void> => {
    const { encoder, object } = open;
    const following = encoder.header.sequence + 1;
    try {
      const bytes = encode(encoder);
      await object.append(bytes);
      writtenBytes += bytes.byteLength;
      if ((await store.head(keyOf(following), signal)) !== null) await assertOwn(following);
    } catch (error) {
      // Nobody knows how much of it is there: the next segment goes on from what is known.
      await letGo();
      throw error;
    }
    position = { ...position, hash: encoder.hash, lastRevision: encoder.lastRevision };
  };

  const isFull = (open: OpenSegment, moreBytes: number): boolean =>
    open.encoder.sizeBytes + moreBytes > options.segmentBytesMax ||
    clock.monotonicMs() - open.openedAtMs > options.segmentAgeMsMax;

  const write = async (encode: (encoder: SegmentEncoder) => Buffer, bytes: number): Promise<void> => {
    if (segment !== null && isFull(segment, bytes)) {
      await add(segment, (encoder) => encoder.end(clock.wallMs()));
      await letGo();
    }
    if (segment === null) await next(null, (encoder) => [encode(encoder)]);
    else await add(segment, encode);
  };

  let end = await findLogEnd(archive, epoch, signal);
  const foundEnd = end;
  for (let claims = 1; ; claims += 1) {
    if (end.header !== null) assertNotFenced(keyOf(end.position.sequence), end.header, generation, writer);
    ({ position, nextSequence } = end);
    base = BigInt(end.header?.base ?? position.lastRevision);
    const encoder = createSegmentEncoder(headerAfter(position, nextSequence, null));
    const parts = [encoder.begin()];
    if (store.growing === null) parts.push(encoder.end(clock.wallMs()));
    try {
      await place(encoder, Buffer.concat(parts));
    } catch (error) {
      const isTaken = error instanceof ArchiveStoreError && error.code === 'exists';
      if (!isTaken || claims === CLAIMS_MAX) throw error;
    }
    try {
      end = await findLogEnd(archive, epoch, signal);
    } catch (error) {
      await letGo();
      throw error;
    }
    // Seen again as it was left: nobody has added anything before he could see that we go on.
    if (end.position.sequence === encoder.header.sequence && end.position.hash === encoder.hash) break;
    await letGo();
    if (claims === CLAIMS_MAX) {
      throw new ArchiveStoreError(
        'unavailable',
        `${keyOf(nextSequence)}: others take the log over again and again`,
      );
    }
  }

  return {
    get position() {
      return position;
    },
    get base() {
      return base;
    },
    foundEnd,
    get writtenBytes() {
      return writtenBytes;
    },
    write: async (batch) => {
      // An earlier try whose answer was lost has written some of them.
      for (let left = after(batch, position.lastRevision); left !== null; ) {
        const written = left;
        await write((encoder) => encoder.batch(written), batchSizeBytes(written) + HEADER_ROOM_BYTES);
        left = after(batch, position.lastRevision);
      }
    },
    prove: async (proof) => await write((encoder) => encoder.proof(proof), HEADER_ROOM_BYTES),
    skip: async (gap) => await next(gap, () => []),
    close: async () => {
      const open = segment;
      if (open === null) return;
      try {
        await add(open, (encoder) => encoder.end(clock.wallMs()));
      } finally {
        await letGo();
      }
    },
  };
}

/** Where a log goes on after a gap, which may also be one of revisions that it has, and not as they were. */
export function laterOf(lastRevision: bigint, gap: Gap | null): bigint {
  return gap !== null && BigInt(gap.to) > lastRevision ? BigInt(gap.to) : lastRevision;
}

/** What of the batch is newer than a revision; `null` when nothing is. */
function after(batch: Batch, revision: bigint): Batch | null {
  const revisions = batch.revisions.filter((candidate) => candidate.revision > revision);
  const [first] = revisions;
  return first === undefined ? null : { ...batch, atMs: cameAtMs(batch, first), revisions };
}

function assertNotFenced(key: string, header: SegmentHeader, generation: number, writer: string): void {
  const isOlder = header.generation < generation;
  const isOwn = header.generation === generation && header.writer === writer;
  if (!isOlder && !isOwn) throw fenced(key, header, generation);
}

function fenced(key: string, header: SegmentHeader, generation: number): ArchiveError {
  return new ArchiveError(
    'fenced',
    `${key} was written by generation ${header.generation}, ours is ${generation}: another scheduler archives now`,
  );
}
