import { createHash } from 'node:crypto';
import type * as z from 'zod';
import {
  type ArchiveDocument,
  archiveDocumentSchema,
  DOCUMENT_BYTES_MAX,
  decodeDocument,
  type EpochDocument,
  encodeDocument,
  epochDocumentSchema,
} from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { ARCHIVE_KEY, EPOCHS_PREFIX, epochKey, epochOf } from './names.ts';
import { keyIdIn } from './sealing.ts';
import { type ArchiveStore, ArchiveStoreError, readWhole } from './store-port.ts';

/** An archive whose identity was looked at. */
export interface Archive {
  readonly store: ArchiveStore;
  readonly id: string;
  readonly owner: string;
}

/** A cluster's life in an archive. */
export interface Epoch {
  readonly document: EpochDocument;
  /** Of the document's bytes: what its log begins from. */
  readonly hash: string;
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
  const document: ArchiveDocument = {
    format: 'etcd-mesos archive',
    version: 1,
    archiveId,
    owner,
    createdAtMs: atMs,
  };
  try {
    await store.put(ARCHIVE_KEY, encodeDocument(document), { ifAbsent: true, signal });
  } catch (error) {
    if (!(error instanceof ArchiveStoreError && error.code === 'exists')) throw error;
  }
  return await openArchive(store, { archiveId, owner }, signal);
}

/**
 * Opens the archive that the store holds.
 * @param expected what is known of it; `null` for what is not, as when a person looks at it. Rejects with an
 * {@link ArchiveError}: `missing` when the store holds none, `other-archive` or `other-owner` when it holds another,
 * `encrypted` when the store would have to be a `sealedStore` of its key.
 */
export async function openArchive(
  store: ArchiveStore,
  expected: { readonly archiveId: string | null; readonly owner: string | null },
  signal: AbortSignal,
): Promise<Archive> {
  const bytes = await readDocument(store, ARCHIVE_KEY, signal);
  if (bytes === null) {
    throw new ArchiveError('missing', `${store.place} holds no archive`, {
      hint:
        expected.archiveId === null
          ? 'Name the place that the scheduler writes to.'
          : `Archive ${expected.archiveId} was there: find out what became of it before anything new is written.`,
    });
  }
  const { archiveId, owner } = decodeDocument(archiveDocumentSchema, ARCHIVE_KEY, bytes);
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
  return { store, id: archiveId, owner };
}

/** What an epoch is begun with. */
export type EpochBirth = Pick<EpochDocument, 'epoch' | 'clusterId' | 'parent'> & { readonly atMs: number };

/**
 * Begins an epoch, or finds it begun. Rejects with an {@link ArchiveError} `other-owner` when the archive has that
 * epoch of another cluster: two clusters never write one log.
 */
export async function beginEpoch(archive: Archive, birth: EpochBirth, signal: AbortSignal): Promise<Epoch> {
  const { epoch, clusterId, parent, atMs } = birth;
  const document: EpochDocument = {
    format: 'etcd-mesos epoch',
    version: 1,
    archiveId: archive.id,
    epoch,
    clusterId,
    parent,
    createdAtMs: atMs,
  };
  try {
    await archive.store.put(epochKey(epoch), encodeDocument(document), { ifAbsent: true, signal });
  } catch (error) {
    if (!(error instanceof ArchiveStoreError && error.code === 'exists')) throw error;
  }
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

/** `null` where the archive has no such epoch. */
export async function loadEpoch(archive: Archive, epoch: number, signal: AbortSignal): Promise<Epoch | null> {
  const key = epochKey(epoch);
  const bytes = await readDocument(archive.store, key, signal);
  if (bytes === null) return null;
  const document = decodeDocument(epochDocumentSchema, key, bytes);
  if (document.archiveId !== archive.id || document.epoch !== epoch) {
    throw new ArchiveError(
      'corrupt',
      `${key} is of archive ${document.archiveId}, epoch ${document.epoch}: it was put in the wrong place`,
    );
  }
  return { document, hash: createHash('sha256').update(bytes).digest('hex') };
}

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
  // A folder may hold a million segments: each is left by a look for the first name of the next.
  for (let after = EPOCHS_PREFIX; ; ) {
    const number = await nextEpoch(archive.store, after, signal);
    if (number === null) return { sound, damaged };
    try {
      const epoch = await loadEpoch(archive, number, signal);
      if (epoch !== null) sound.push(epoch);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push({ number, error });
    }
    after = `${epochKey(number).replace(/epoch\.json$/, '')}~`;
  }
}

async function nextEpoch(store: ArchiveStore, after: string, signal: AbortSignal): Promise<number | null> {
  for await (const { key } of store.list(EPOCHS_PREFIX, { after, signal })) {
    const number = epochOf(key);
    if (number !== null) return number;
  }
  return null;
}

async function readDocument(store: ArchiveStore, key: string, signal: AbortSignal): Promise<Buffer | null> {
  let bytes: Buffer;
  try {
    bytes = await readWhole(store, key, { bytesMax: DOCUMENT_BYTES_MAX, signal });
  } catch (error) {
    if (error instanceof ArchiveStoreError && error.code === 'not-found') return null;
    throw error;
  }
  const keyId = keyIdIn(bytes);
  if (keyId === null) return bytes;
  throw new ArchiveError('encrypted', `${key} in ${store.place} is encrypted with key ${keyId}`, {
    hint: 'Name the file of that key: --key-file; for a scheduler --archive-key-file.',
  });
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
