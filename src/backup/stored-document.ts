import { DOCUMENT_BYTES_MAX } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { keyIdIn } from './sealing.ts';
import { type ArchiveStore, ArchiveStoreError, readWhole } from './store-port.ts';

/** The bytes of a document; `null` where there is none. Rejects with an {@link ArchiveError} `encrypted`. */
export async function readDocument(
  store: ArchiveStore,
  key: string,
  signal: AbortSignal,
): Promise<Buffer | null> {
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
