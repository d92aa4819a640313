import { createHash } from 'node:crypto';
import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import type { StreamClient } from '../etcd/port.ts';
import { type Archive, type Epoch, lineageOf, loadDocument } from './archive.ts';
import { openBackend } from './backend/backend.ts';
import { BackendError } from './backend/backend-error.ts';
import { HASH_BYTES } from './backend/snapshot-file.ts';
import type { ReadableFile } from './bolt/file-port.ts';
import { encodeDocument, type FullDocument, fullDocumentSchema } from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { fullDataKey, fullKey, fullName, fullOf, fullsPrefix } from './names.ts';
import type { ArchiveStore } from './store-port.ts';

/** A full that is in the archive. */
export interface Full {
  readonly name: string;
  readonly document: FullDocument;
}

/** A log that goes back to here can be added to it. */
export function revisionOf({ document }: Full): bigint {
  return BigInt(document.revision ?? document.revisionAtLeast);
}

export interface FullOptions {
  readonly archive: Archive;
  readonly epoch: Epoch;
  readonly generation: number;
  /** Of the member that gives its data. */
  readonly client: StreamClient;
  readonly clock: Clock;
  /** Why it is taken, for people. */
  readonly reason: string;
  /** Told from time to time. */
  readonly onProgress?: ((sizeBytes: number) => void) | undefined;
}

/** So much is waited for at once: a timer for each message would cost more than the message. */
const PIECE_BYTES = 1024 * 1024;
/** A member that takes longer to send that hangs. */
const PIECE_MS_MAX = 60_000;

/**
 * Takes a full from a member: its data goes to the store piece by piece as it comes, while etcd's hash over it is
 * checked, so what is stored is what the member had; its description is stored last. Rejects with an
 * {@link ArchiveError}: `other-owner` when the member is of another cluster, `corrupt` when what it sent is not what
 * its hash says, or less than it had. Data without a description is what a full that failed may leave; nobody takes it for one.
 */
export async function takeFull(options: FullOptions, signal: AbortSignal): Promise<Full> {
  const { archive, epoch, generation, client, clock, reason } = options;
  const status = await client.status(signal);
  assertCluster(epoch, status.clusterId, status.memberId);
  const { memberId, version: etcdVersion, revision: revisionAtLeast } = status;
  const content = {
    pieces: piecesOf(client, clock, signal),
    about: { memberId, etcdVersion, revisionAtLeast, reason, madeFrom: null },
  };
  return await putFull(
    { archive, epoch, generation, clock, onProgress: options.onProgress },
    content,
    signal,
  );
}

/**
 * Stores a full: its data as it comes, while etcd's hash over it is checked; its description last. Rejects with an
 * {@link ArchiveError} `corrupt` when the data is not what its hash says.
 */
export async function putFull(
  options: Omit<FullOptions, 'client' | 'reason'>,
  content: {
    readonly pieces: AsyncIterable<Uint8Array>;
    readonly about: Pick<
      FullDocument,
      'memberId' | 'etcdVersion' | 'revisionAtLeast' | 'reason' | 'madeFrom'
    >;
  },
  signal: AbortSignal,
): Promise<Full> {
  const { archive, epoch, generation, clock } = options;
  const { store } = archive;
  const number = epoch.document.epoch;
  const startedAtMs = clock.wallMs();
  const name = fullName(startedAtMs, generation);
  const key = fullDataKey(number, name);
  const hashes = createHashCheck(key);
  const checked = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of content.pieces) {
      hashes.update(piece);
      options.onProgress?.(hashes.sizeBytes);
      yield piece;
    }
    hashes.assertSealed();
  };
  const { sizeBytes } = await store.put(key, checked(), { ifAbsent: true, signal });
  const revisions = await revisionsIn(objectFile(store, key, sizeBytes - HASH_BYTES, signal));
  const { revisionAtLeast } = content.about;
  if (revisions.revision !== null && BigInt(revisions.revision) < BigInt(revisionAtLeast)) {
    throw new ArchiveError(
      'corrupt',
      `${key} has revision ${revisions.revision}, and ${revisionAtLeast} was told before it was taken`,
    );
  }
  const document: FullDocument = {
    format: 'etcd-mesos full',
    version: 1,
    archiveId: archive.id,
    epoch: number,
    clusterId: epoch.document.clusterId,
    generation,
    ...content.about,
    sizeBytes,
    sha256: hashes.sha256(),
    ...revisions,
    startedAtMs,
    finishedAtMs: clock.wallMs(),
    lineage: lineageOf(archive, epoch),
  };
  await store.put(fullKey(number, name), encodeDocument(document), { ifAbsent: true, signal });
  return { name, document };
}

/** Takes a full out of the archive. Its data goes last: without a description it is no full. Safe to repeat. */
export async function dropFull(archive: Archive, full: Full, signal: AbortSignal): Promise<void> {
  const { epoch } = full.document;
  await archive.store.remove(fullKey(epoch, full.name), signal);
  await archive.store.remove(fullDataKey(epoch, full.name), signal);
}

/** What the member had applied when it was asked for its data is not what is in it: that is read from the data. */
async function revisionsIn(database: ReadableFile): Promise<Pick<FullDocument, 'revision' | 'authRevision'>> {
  try {
    const { revision, authRevision } = await openBackend(database);
    return { revision: String(revision), authRevision: String(authRevision) };
  } catch (error) {
    if (!(error instanceof BackendError && error.code === 'schema-unknown')) throw error;
    return { revision: null, authRevision: null };
  }
}

/** The fulls of an epoch that are complete, oldest first. */
export interface Fulls {
  readonly sound: readonly Full[];
  /** Those whose description is not what was written: no other one, and no log, is less worth for that. */
  readonly damaged: readonly DamagedFull[];
}
export interface DamagedFull {
  readonly name: string;
  readonly error: ArchiveError;
}

export async function lookAtFulls(archive: Archive, epoch: Epoch, signal: AbortSignal): Promise<Fulls> {
  const sound: Full[] = [];
  const damaged: DamagedFull[] = [];
  const number = epoch.document.epoch;
  for await (const { key } of archive.store.list(fullsPrefix(number), { signal })) {
    const name = fullOf(key);
    if (name === null) continue;
    try {
      const document = await loadDocument(archive, key, fullDocumentSchema, signal);
      assertPlace(key, archive, epoch, name, document);
      sound.push({ name, document });
    } catch (error) {
      if (isDamage(error)) damaged.push({ name, error });
      // Retention has removed it since its name was seen.
      else if (!(error instanceof ArchiveError && error.code === 'missing')) throw error;
    }
  }
  return { sound, damaged };
}

/**
 * Every full of an epoch that is complete, oldest first. Rejects with an {@link ArchiveError} where one is damaged: what
 * need not be kept can only be said where all are known.
 */
export async function listFulls(
  archive: Archive,
  epoch: Epoch,
  signal: AbortSignal,
): Promise<readonly Full[]> {
  const { sound, damaged } = await lookAtFulls(archive, epoch, signal);
  const [first] = damaged;
  if (first === undefined) return sound;
  throw new ArchiveError('corrupt', first.error.message, {
    cause: first.error,
    hint: `Put it back from a copy of the archive, or give that full up: remove ${fullKey(epoch.document.epoch, first.name)} and the data beside it.`,
  });
}

function assertPlace(
  key: string,
  archive: Archive,
  epoch: Epoch,
  name: string,
  document: FullDocument,
): void {
  const { archiveId, clusterId, startedAtMs, generation } = document;
  const isOurs = archiveId === archive.id && clusterId === epoch.document.clusterId;
  const isHere = document.epoch === epoch.document.epoch && fullName(startedAtMs, generation) === name;
  if (isOurs && isHere) return;
  throw new ArchiveError(
    'corrupt',
    `${key} is full ${fullName(startedAtMs, generation)} of epoch ${document.epoch} of cluster ${clusterId} in ` +
      `archive ${archiveId}: it was put in the wrong place`,
  );
}

/**
 * Reads all of a full and compares its hashes. Rejects with an {@link ArchiveError} `corrupt` when a byte of it is not
 * what was stored, or `missing` when it is not there.
 */
export async function verifyFull(archive: Archive, full: Full, signal: AbortSignal): Promise<void> {
  for await (const _ of readFull(archive, full, signal));
}

/** The bytes of a full. None may be used before the last was given: only then was all of it compared, as above. */
export async function* readFull(
  archive: Archive,
  full: Full,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { epoch, sizeBytes, sha256 } = full.document;
  const key = fullDataKey(epoch, full.name);
  const stored = await archive.store.head(key, signal);
  if (stored === null) throw new ArchiveError('missing', `${key} is not in ${archive.store.place} any more`);
  const hashes = createHashCheck(key);
  for await (const piece of archive.store.read(key, { signal })) {
    hashes.update(piece);
    yield piece;
  }
  if (hashes.sizeBytes !== sizeBytes) {
    throw new ArchiveError('corrupt', `${key} has ${hashes.sizeBytes} bytes, ${sizeBytes} were stored`);
  }
  hashes.assertSealed();
  if (hashes.sha256() !== sha256) throw new ArchiveError('corrupt', `${key} has changed since it was stored`);
}

/** The first bytes of an object as a file that is read at any offset. */
export function objectFile(
  store: ArchiveStore,
  key: string,
  sizeBytes: number,
  signal: AbortSignal,
): ReadableFile {
  return {
    sizeBytes,
    readAt: async (target, offset) => {
      const length = Math.max(0, Math.min(target.byteLength, sizeBytes - offset));
      let filled = 0;
      if (length === 0) return 0;
      for await (const part of store.read(key, { range: { offset, length }, signal })) {
        target.set(part, filled);
        filled += part.byteLength;
      }
      return filled;
    },
  };
}

/** What a member sends, as it comes: a copy of everything would cost more than all else here. */
async function* piecesOf(
  client: StreamClient,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const giveUp = new AbortController();
  const sent = client.snapshot(AbortSignal.any([signal, giveUp.signal]))[Symbol.asyncIterator]();
  const gather = async (): Promise<readonly Uint8Array[]> => {
    const parts: Uint8Array[] = [];
    for (let sizeBytes = 0; sizeBytes < PIECE_BYTES; ) {
      const { done, value } = await sent.next();
      if (done === true) break;
      parts.push(value);
      sizeBytes += value.byteLength;
    }
    return parts;
  };
  try {
    for (;;) {
      const parts = await withDeadline(clock, PIECE_MS_MAX, signal, gather);
      if (parts.length === 0) return;
      yield* parts;
    }
  } finally {
    giveUp.abort();
    await sent.return?.();
  }
}

/** Hashes what goes by, and holds its last 32 bytes against the hash of all before them. */
interface HashCheck {
  update(piece: Uint8Array): void;
  readonly sizeBytes: number;
  assertSealed(): void;
  /** Hex; of everything. */
  sha256(): string;
}

function createHashCheck(name: string): HashCheck {
  /** Of all but the bytes in `tail`. */
  const body = createHash('sha256');
  let tail: Uint8Array = new Uint8Array();
  let sizeBytes = 0;
  return {
    update: (piece) => {
      sizeBytes += piece.byteLength;
      if (piece.byteLength >= HASH_BYTES) {
        body.update(tail).update(piece.subarray(0, piece.byteLength - HASH_BYTES));
        tail = Uint8Array.from(piece.subarray(piece.byteLength - HASH_BYTES));
        return;
      }
      const joined = Buffer.concat([tail, piece]);
      const cut = Math.max(0, joined.byteLength - HASH_BYTES);
      body.update(joined.subarray(0, cut));
      tail = joined.subarray(cut);
    },
    get sizeBytes() {
      return sizeBytes;
    },
    assertSealed: () => {
      const found = body.copy().digest();
      if (tail.byteLength === HASH_BYTES && found.equals(tail)) return;
      throw new ArchiveError(
        'corrupt',
        `${name}: ${sizeBytes} bytes do not end with the hash of what is before them`,
      );
    },
    sha256: () => body.copy().update(tail).digest('hex'),
  };
}

function assertCluster(epoch: Epoch, clusterId: string, memberId: string): void {
  const wanted = epoch.document.clusterId;
  if (clusterId === wanted) return;
  throw new ArchiveError('other-owner', `member ${memberId} is of cluster ${clusterId}, not of ${wanted}`);
}
