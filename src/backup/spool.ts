import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { Archive, Epoch } from './archive.ts';
import { eventsSizeBytes } from './batch.ts';
import type { Gap, SegmentHeader } from './documents.ts';
import { ArchiveError } from './errors.ts';
import type { InboxEntry } from './inbox.ts';
import { laterOf } from './log-writer.ts';
import { createSegmentEncoder, readSegment, type SegmentEncoder, type SegmentItem } from './segment.ts';
import { type ArchiveStore, ArchiveStoreError, type GrowingObject } from './store-port.ts';

/** Where a spool lies. */
export interface SpoolPlace {
  /** Of this machine, with objects that grow; nobody else's. Sealed where the archive is. */
  readonly store: ArchiveStore;
  /** Bytes that may lie in it. */
  readonly bytesMax: number;
}

/**
 * What has come from a member and does not fit into memory while the archive's store takes nothing: on the local disk,
 * oldest first, in the form that the log has, so every byte is checked when it is read.
 */
export interface Spool {
  /** Bytes of it that count. */
  readonly sizeBytes: number;
  /** When the oldest revision in it came, by the wall clock; `null` when there is none. */
  readonly oldestAtMs: number | null;
  /** The last revision in it; `null` when it is empty. */
  readonly lastRevision: bigint | null;
  /**
   * Adds at its end; `false` when it is full. Rejects with an `ArchiveStoreError` when the disk does not take it: it is
   * as if nothing had been added.
   * @param before the revision that comes before the entry's first.
   */
  add(entry: InboxEntry, before: bigint): Promise<boolean>;
  /**
   * What comes first; `null` when it is empty. It stays until {@link drop}. Rejects when what lies there is not what
   * was added: then it has to be emptied.
   */
  peek(signal: AbortSignal): Promise<InboxEntry | null>;
  /** What was peeked is durable elsewhere. */
  drop(): void;
  /** Forgets all of it. Does not reject: what is left is of no use to anybody. */
  clear(): Promise<void>;
  /** Lets go of its files, which stay. Nothing is asked of it after that. */
  close(): Promise<void>;
}

export interface SpoolOptions {
  readonly place: SpoolPlace;
  readonly archive: Archive;
  readonly epoch: Epoch;
  readonly generation: number;
  /** A UUID of this run. */
  readonly writer: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A file that has so many bytes is followed by the next: what was read is given back file by file. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
/** Room for what a file has beside its entry. */
const FILE_ROOM_BYTES = 4096;

interface SpoolFile {
  readonly key: string;
  /** Of the first batch in it; `null` while there is none. */
  atMs: number | null;
  /** Bytes that were added whole. */
  sizeBytes: number;
}

const keyOf = (number: number): string => String(number).padStart(10, '0');

/**
 * Opens what an earlier run has left, if it goes on exactly from where the archive ends; else it begins empty. A file
 * that a crash cut short counts up to there. What does not count is removed, unless it cannot be a spool's.
 * @param archived the last revision that is durable in the archive.
 * @returns beside it gaps that the archive does not have yet, and what lay there and should not have; `null`: nothing.
 */
export async function openSpool(
  options: SpoolOptions,
  archived: bigint,
  signal: AbortSignal,
): Promise<{ readonly spool: Spool; readonly gaps: readonly Gap[]; readonly problem: string | null }> {
  const { place, logger } = options;
  const { files: found, problems } = await filesIn(place.store, signal);
  const read = await readLeft(options, found, archived, (text) => problems.push(text), signal);
  const problem = problems.length === 0 ? null : `the spool ${place.store.place}: ${problems.join('; ')}`;
  if (problem !== null) logger.warn('what lay in the spool does not all count', { problem });
  const isOfUse = read.lastRevision !== null && read.lastRevision > archived;
  const left = isOfUse ? read : NOTHING_LEFT;
  const dropped = found.filter(({ key }) => !left.files.some((file) => file.key === key));
  for (const { key } of dropped) await place.store.remove(key, signal);
  const spool = createSpool(options, left, Number(left.files.at(-1)?.key ?? 0) + 1);
  if (isOfUse) {
    logger.info('what an earlier run had spooled goes on where the archive ends', {
      to: String(left.lastRevision),
      bytes: spool.sizeBytes,
      filesDropped: dropped.length,
    });
  } else if (found.length > 0) {
    logger.info('what an earlier run had spooled is of no use', { files: found.length });
  }
  return { spool, gaps: left.gaps, problem };
}

interface Left {
  readonly files: readonly SpoolFile[];
  readonly lastRevision: bigint | null;
  /** Those that the archive does not have yet. */
  readonly gaps: readonly Gap[];
}
const NOTHING_LEFT: Left = { files: [], lastRevision: null, gaps: [] };

/** Names of others that are told. */
const OTHERS_SHOWN_MAX = 3;

async function filesIn(store: ArchiveStore, signal: AbortSignal) {
  const files: { readonly key: string }[] = [];
  const others: string[] = [];
  for await (const { key } of store.list('', { signal })) {
    if (/^\d{10}$/.test(key)) files.push({ key });
    else others.push(key);
  }
  const shown =
    others.slice(0, OTHERS_SHOWN_MAX).join(', ') + (others.length > OTHERS_SHOWN_MAX ? ', …' : '');
  const problems = others.length === 0 ? [] : [`it holds what is none of its files and stays: ${shown}`];
  return { files, problems };
}

/**
 * Reads all that lies there and follows: the first file that counts begins where the archive ends or before it, each
 * next one where the one before it ends.
 */
async function readLeft(
  options: SpoolOptions,
  found: readonly { readonly key: string }[],
  archived: bigint,
  onProblem: (text: string) => void,
  signal: AbortSignal,
): Promise<Left> {
  const files: SpoolFile[] = [];
  const gaps: Gap[] = [];
  let lastRevision: bigint | null = null;
  for (const { key } of found) {
    const file: SpoolFile = { key, atMs: null, sizeBytes: 0 };
    try {
      for await (const item of readSegment(key, options.place.store.read(key, { signal }))) {
        if (item.kind === 'header') {
          const { previous, gap } = item.header;
          const before = BigInt(previous.lastRevision);
          const follows = lastRevision === null ? before <= archived : before === lastRevision;
          if (!isOurs(options, item.header)) {
            const { archiveId, epoch } = item.header;
            onProblem(`${key} was of epoch ${epoch} of archive ${archiveId} and is dropped`);
            return { files, lastRevision, gaps };
          }
          if (!follows) return { files, lastRevision, gaps };
          if (gap !== null && BigInt(gap.to) > archived) gaps.push(gap);
        }
        if (item.kind === 'batch') file.atMs ??= item.batch.atMs;
        file.sizeBytes = item.sizeBytes;
        lastRevision = item.lastRevision;
      }
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      onProblem(describeError(error));
      if (file.sizeBytes === 0) continue;
    }
    if (file.sizeBytes > 0) files.push(file);
    // It has its header from the start.
    else onProblem(`${key} is too short to be one of its files`);
  }
  return { files, lastRevision, gaps };
}

function isOurs({ archive, epoch }: SpoolOptions, header: SegmentHeader): boolean {
  const { epoch: number, clusterId } = epoch.document;
  return header.archiveId === archive.id && header.epoch === number && header.clusterId === clusterId;
}

interface WrittenFile {
  readonly file: SpoolFile;
  readonly encoder: SegmentEncoder;
  readonly object: GrowingObject;
}

function createSpool(options: SpoolOptions, left: Left, firstNumber: number): Spool {
  const { place, archive, epoch, generation, writer, clock, logger } = options;
  const { store } = place;
  const files: SpoolFile[] = [...left.files];
  let { lastRevision } = left;
  let number = firstNumber;
  let writing: WrittenFile | null = null;
  let reading: AsyncGenerator<SegmentItem, void, undefined> | null = null;
  let readBytes = 0;
  let head: InboxEntry | null = null;

  const sizeBytes = (): number => files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const headerOf = (gap: Gap | null, before: bigint): SegmentHeader => ({
    format: 'etcd-mesos segment',
    version: 1,
    archiveId: archive.id,
    epoch: epoch.document.epoch,
    clusterId: epoch.document.clusterId,
    sequence: number,
    generation,
    writer,
    previous: { sequence: number - 1, hash: epoch.hash, lastRevision: String(before) },
    firstRevision: String(laterOf(before, gap) + 1n),
    gap,
    base: String(before),
    // The archive itself tells.
    lineage: null,
    createdAtMs: clock.wallMs(),
  });
  const letGo = async (): Promise<void> => {
    const open = writing;
    writing = null;
    await open?.object.close().catch(() => undefined);
  };
  const close = async (): Promise<void> => {
    await letGo();
    await reading?.return().catch(() => undefined);
    [reading, readBytes] = [null, 0];
  };
  const remove = async (key: string): Promise<void> => {
    await store.remove(key, NEVER).catch((error: unknown) => {
      logger.debug('a file of the spool was not removed', { problem: describeError(error) });
    });
  };

  const begin = async (entry: InboxEntry, before: bigint): Promise<WrittenFile> => {
    if (store.growing === null) throw new ArchiveStoreError('unsuitable', 'a spool needs objects that grow');
    const encoder = createSegmentEncoder(headerOf(entry.kind === 'gap' ? entry.gap : null, before));
    const bytes = Buffer.concat([encoder.begin(), ...encoded(encoder, entry)]);
    const key = keyOf(number);
    number += 1;
    try {
      const object = await store.growing.create(key, bytes, NEVER);
      const open = { encoder, object, file: { key, atMs: null, sizeBytes: bytes.byteLength } };
      writing = open;
      files.push(open.file);
      return open;
    } catch (error) {
      await remove(key);
      throw error;
    }
  };
  const append = async (open: WrittenFile, entry: InboxEntry): Promise<WrittenFile> => {
    const bytes = Buffer.concat(encoded(open.encoder, entry));
    try {
      await open.object.append(bytes);
    } catch (error) {
      // Where it ends nobody knows; up to where it counts is known.
      await letGo();
      throw error;
    }
    open.file.sizeBytes += bytes.byteLength;
    return open;
  };

  /** The next thing in the oldest file; `null` at its end, where it is removed. */
  const nextIn = async (file: SpoolFile, signal: AbortSignal): Promise<SegmentItem | null> => {
    // Its end stays where it is from now on.
    if (writing?.file === file) await letGo();
    const range = { offset: 0, length: file.sizeBytes };
    reading ??= readSegment(file.key, store.read(file.key, { range, signal }));
    const { done, value } = await reading.next();
    if (done !== true) {
      readBytes = value.sizeBytes;
      return value;
    }
    if (readBytes !== file.sizeBytes) {
      throw new ArchiveError('corrupt', `${file.key} in ${store.place} has changed since it was written`);
    }
    [reading, readBytes] = [null, 0];
    files.shift();
    if (files.length === 0) lastRevision = null;
    await remove(file.key);
    return null;
  };

  return {
    get sizeBytes() {
      return sizeBytes();
    },
    get oldestAtMs() {
      if (head?.kind === 'batch') return head.batch.atMs;
      return files.find(({ atMs }) => atMs !== null)?.atMs ?? null;
    },
    get lastRevision() {
      return lastRevision;
    },
    add: async (entry, before) => {
      const bytes = (entry.kind === 'batch' ? entry.sizeBytes : 0) + FILE_ROOM_BYTES;
      if (sizeBytes() + bytes > place.bytesMax) return false;
      // A gap stands in a header.
      if (writing !== null && (writing.file.sizeBytes >= FILE_BYTES_MAX || entry.kind === 'gap'))
        await letGo();
      const open = writing === null ? await begin(entry, before) : await append(writing, entry);
      if (entry.kind === 'batch') open.file.atMs ??= entry.batch.atMs;
      ({ lastRevision } = open.encoder);
      return true;
    },
    peek: async (signal) => {
      for (let [file] = files; head === null && file !== undefined; [file] = files) {
        head = entryOf(await nextIn(file, signal));
      }
      return head;
    },
    drop: () => {
      head = null;
    },
    clear: async () => {
      await close();
      [head, lastRevision] = [null, null];
      for (const { key } of files.splice(0)) await remove(key);
    },
    close,
  };
}

/** What is done to a local disk takes a moment and is not given up: also at the end all has to get there. */
const NEVER = new AbortController().signal;

function encoded(encoder: SegmentEncoder, entry: InboxEntry): Buffer[] {
  switch (entry.kind) {
    case 'batch':
      return [encoder.batch(entry.batch)];
    case 'proof':
      return [encoder.proof(entry.proof)];
    case 'gap':
      return [];
  }
}

function entryOf(item: SegmentItem | null): InboxEntry | null {
  switch (item?.kind) {
    case 'batch': {
      const { revisions } = item.batch;
      const sizeBytes = revisions.reduce((sum, { events }) => sum + eventsSizeBytes(events), 0);
      return { kind: 'batch', batch: item.batch, revisions: revisions.length, sizeBytes };
    }
    case 'proof':
      return { kind: 'proof', proof: item.proof };
    case 'header':
      return item.header.gap === null ? null : { kind: 'gap', gap: item.header.gap };
    default:
      return null;
  }
}
