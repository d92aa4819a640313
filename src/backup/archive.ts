import { createHash } from 'node:crypto';
import type * as z from 'zod';
import {
  type ArchiveDocument,
  archiveDocumentSchema,
  decodeDocument,
  type EpochDocument,
  encodeDocument,
  epochDocumentSchema,
  type Lineage,
} from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { ARCHIVE_KEY, EPOCHS_PREFIX, epochKey, epochPrefix, epochWithin } from './names.ts';
import { type ArchiveStore, ArchiveStoreError } from './store-port.ts';
import { readDocument } from './stored-document.ts';
import { tellsOf } from './testimony.ts';

/** An archive whose identity was looked at. */
export interface Archive {
  readonly store: ArchiveStore;
  readonly id: string;
  readonly owner: string;
  readonly createdAtMs: number;
  /** Why its own document had to be made again from what other objects say; `null`: it was read. */
  readonly damage: string | null;
}

/** A cluster's life in an archive. */
export interface Epoch {
  readonly document: EpochDocument;
  /** Of the document's bytes: what its log begins from. */
  readonly hash: string;
  /** Why its document had to be made again from what other objects say; `null`: it was read. */
  readonly damage: string | null;
}

/** What is told of both in all that is written for them. */
export function lineageOf({ owner, createdAtMs }: Archive, { document }: Epoch): Lineage {
  const { parent, createdAtMs: epochCreatedAtMs } = document;
  return { owner, archiveCreatedAtMs: createdAtMs, parent, epochCreatedAtMs };
}

/**
 * Makes an archive in an empty store. Safe to repeat with the same id. Rejects with an {@link ArchiveError}
 * `other-archive` or `other-owner` when the store holds one already.
 */
export async function createArchive(
  store: ArchiveStore,
  wanted: { readonly archiveId: string; readonly owner: string; readonly atMs: number },
  signal: AbortSignal,
): Promise<Archive> {
  const { archiveId, owner, atMs } = wanted;
  await putOnce(store, ARCHIVE_KEY, archiveDocument({ archiveId, owner, createdAtMs: atMs }), signal);
  return await openArchive(store, { archiveId, owner }, signal);
}

type ArchiveIdentity = Pick<ArchiveDocument, 'archiveId' | 'owner' | 'createdAtMs'>;

function archiveDocument({ archiveId, owner, createdAtMs }: ArchiveIdentity): ArchiveDocument {
  return { format: 'etcd-mesos archive', version: 1, archiveId, owner, createdAtMs };
}

async function putOnce(
  store: ArchiveStore,
  key: string,
  document: object,
  signal: AbortSignal,
): Promise<void> {
  try {
    await store.put(key, encodeDocument(document), { ifAbsent: true, signal });
  } catch (error) {
    if (!(error instanceof ArchiveStoreError && error.code === 'exists')) throw error;
  }
}

/**
 * Opens the archive that the store holds. Where its own document is lost or damaged, what other objects tell of it
 * takes its place.
 * @param expected what is known of it; `null` for what is not, as when a person looks at it. Rejects with an
 * {@link ArchiveError}: `missing` when the store holds none, `other-archive` or `other-owner` when it holds another,
 * `encrypted` when the store would have to be a `sealedStore` of its key.
 */
export async function openArchive(
  store: ArchiveStore,
  expected: { readonly archiveId: string | null; readonly owner: string | null },
  signal: AbortSignal,
): Promise<Archive> {
  const { identity, damage } = await identityOf(store, signal);
  if (identity === null) {
    throw new ArchiveError('missing', `${store.place} holds no archive`, {
      hint:
        expected.archiveId === null
          ? 'Name the place that the scheduler writes to.'
          : `Archive ${expected.archiveId} was there: find out what became of it before anything new is written.`,
    });
  }
  const { archiveId, owner, createdAtMs } = identity;
  if (expected.owner !== null && owner !== expected.owner) {
    throw new ArchiveError(
      'other-owner',
      `${store.place} holds the archive of ${owner}, not of ${expected.owner}`,
      { hint: 'Give every cluster an archive of its own.' },
    );
  }
  if (expected.archiveId !== null && archiveId !== expected.archiveId) {
    throw new ArchiveError(
      'other-archive',
      `${store.place} holds archive ${archiveId}, not ${expected.archiveId}`,
      {
        hint: 'The place was emptied and used anew, or is another: name the one with the archive that is known.',
      },
    );
  }
  return { store, id: archiveId, owner, createdAtMs, damage };
}

/** `identity` is `null` where nothing tells of an archive. */
async function identityOf(
  store: ArchiveStore,
  signal: AbortSignal,
): Promise<{ readonly identity: ArchiveIdentity | null; readonly damage: string | null }> {
  const read = await readOrDamage(store, ARCHIVE_KEY, archiveDocumentSchema, signal);
  if (read.document !== null) return { identity: read.document, damage: null };
  for await (const epoch of epochNumbers(store, signal)) {
    const told = await tellsOf(store, epoch, signal);
    if (told === null) continue;
    const { archiveId, lineage } = told;
    const { owner, archiveCreatedAtMs: createdAtMs } = lineage;
    return { identity: { archiveId, owner, createdAtMs }, damage: read.damage };
  }
  if (read.error !== null) throw read.error;
  return { identity: null, damage: null };
}

type ReadOrDamage<T> =
  | { readonly document: T; readonly bytes: Buffer; readonly damage: null; readonly error: null }
  | { readonly document: null; readonly damage: string; readonly error: ArchiveError | null };

/** A document that is right by `assertRight`; or why there is none: `error` is `null` where nothing is there. */
async function readOrDamage<T>(
  store: ArchiveStore,
  key: string,
  schema: z.ZodType<T>,
  signal: AbortSignal,
  assertRight: (document: T) => void = () => undefined,
): Promise<ReadOrDamage<T>> {
  try {
    const bytes = await readDocument(store, key, signal);
    if (bytes === null) return { document: null, damage: `${key} is not there`, error: null };
    const document = decodeDocument(schema, key, bytes);
    assertRight(document);
    return { document, bytes, damage: null, error: null };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { document: null, damage: error.message, error };
  }
}

/** What an epoch is begun with. */
export type EpochBirth = Pick<EpochDocument, 'epoch' | 'clusterId' | 'parent'> & { readonly atMs: number };

/**
 * Begins an epoch, or finds it begun. Rejects with an {@link ArchiveError} `other-owner` when the archive has that
 * epoch of another cluster: two clusters never write one log.
 */
export async function beginEpoch(archive: Archive, birth: EpochBirth, signal: AbortSignal): Promise<Epoch> {
  const { store, id: archiveId, owner, createdAtMs } = archive;
  const { epoch, clusterId, parent, atMs } = birth;
  if (archive.damage !== null) {
    await putOnce(store, ARCHIVE_KEY, archiveDocument({ archiveId, owner, createdAtMs }), signal);
  }
  // Of one that is lost another would not be what its log begins from.
  const before = await loadEpoch(archive, epoch, signal);
  const identity = { archiveId, epoch, clusterId, parent, createdAtMs: atMs };
  await putOnce(store, epochKey(epoch), before?.document ?? epochDocument(identity), signal);
  const found = await loadEpoch(archive, epoch, signal);
  if (found === null) throw new ArchiveError('missing', `${epochKey(epoch)} went missing as it was written`);
  if (found.document.clusterId !== clusterId) {
    throw new ArchiveError(
      'other-owner',
      `epoch ${epoch} in ${archive.store.place} is of cluster ${found.document.clusterId}, not of ${clusterId}`,
      { hint: 'A cluster that is not a restore of that one needs an archive of its own.' },
    );
  }
  return found;
}

type EpochIdentity = Pick<EpochDocument, 'archiveId' | 'epoch' | 'clusterId' | 'parent' | 'createdAtMs'>;

/** Its members in their order, so that it has the same bytes whenever it is made. */
function epochDocument(identity: EpochIdentity): EpochDocument {
  return epochDocumentSchema.parse({ format: 'etcd-mesos epoch', version: 1, ...identity });
}

/**
 * `null` where the archive has no such epoch. Where its own document is lost or damaged, what its other objects tell of
 * it takes its place.
 */
export async function loadEpoch(archive: Archive, epoch: number, signal: AbortSignal): Promise<Epoch | null> {
  const key = epochKey(epoch);
  const read = await readOrDamage(archive.store, key, epochDocumentSchema, signal, (document) =>
    assertPlace(key, archive, epoch, document),
  );
  if (read.document !== null) return { document: read.document, hash: hashOf(read.bytes), damage: null };
  const told = await tellsOf(archive.store, epoch, signal);
  if (told !== null && told.archiveId === archive.id) {
    const { archiveId, clusterId, lineage } = told;
    const { parent, epochCreatedAtMs: createdAtMs } = lineage;
    const document = epochDocument({ archiveId, epoch, clusterId, parent, createdAtMs });
    return { document, hash: hashOf(encodeDocument(document)), damage: read.damage };
  }
  if (read.error !== null) throw read.error;
  return null;
}

function assertPlace(key: string, archive: Archive, epoch: number, document: EpochDocument): void {
  if (document.archiveId === archive.id && document.epoch === epoch) return;
  throw new ArchiveError(
    'corrupt',
    `${key} is of archive ${document.archiveId}, epoch ${document.epoch}: it was put in the wrong place`,
  );
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Every epoch, oldest first. Rejects with an {@link ArchiveError} where the document of one is damaged. */
export async function listEpochs(archive: Archive, signal: AbortSignal): Promise<readonly Epoch[]> {
  const { sound, damaged } = await lookAtEpochs(archive, signal);
  const [first] = damaged;
  if (first !== undefined) throw first.error;
  return sound;
}

/** The epochs of an archive, oldest first. */
export interface Epochs {
  readonly sound: readonly Epoch[];
  /** Those whose document is not what was written: no other one is less worth for that. */
  readonly damaged: readonly { readonly number: number; readonly error: ArchiveError }[];
}

export async function lookAtEpochs(archive: Archive, signal: AbortSignal): Promise<Epochs> {
  const sound: Epoch[] = [];
  const damaged: { number: number; error: ArchiveError }[] = [];
  for await (const number of epochNumbers(archive.store, signal)) {
    try {
      const epoch = await loadEpoch(archive, number, signal);
      if (epoch !== null) sound.push(epoch);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push({ number, error });
    }
  }
  return { sound, damaged };
}

/** Of all epochs of which there is anything, in their order. */
async function* epochNumbers(
  store: ArchiveStore,
  signal: AbortSignal,
): AsyncGenerator<number, void, undefined> {
  // A folder may hold a million segments: each is left by a look for the first name of the next.
  for (let after = EPOCHS_PREFIX; ; ) {
    const number = await nextEpoch(store, after, signal);
    if (number === null) return;
    yield number;
    after = `${epochPrefix(number)}~`;
  }
}

async function nextEpoch(store: ArchiveStore, after: string, signal: AbortSignal): Promise<number | null> {
  for await (const { key } of store.list(EPOCHS_PREFIX, { after, signal })) {
    const number = epochWithin(key);
    if (number !== null) return number;
  }
  return null;
}

/** One document of an archive that is expected there. Rejects with an {@link ArchiveError} `missing` if it is not. */
export async function loadDocument<T>(
  archive: Archive,
  key: string,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const bytes = await readDocument(archive.store, key, signal);
  if (bytes === null) throw new ArchiveError('missing', `${key} is not in ${archive.store.place} any more`);
  return decodeDocument(schema, key, bytes);
}
