import { createHash } from 'node:crypto';
import type { ReadableFile, WritableFile } from '../bolt/file-port.ts';
import { BackendError } from './backend-error.ts';

/** A snapshot is the database and the SHA-256 of it. */
export const HASH_BYTES = 32;
/** Databases are whole sectors, so a file that is not has something behind it. */
const SECTOR_BYTES = 512;
const READ_BYTES = 1024 * 1024;

/**
 * The database in a snapshot, once its trailing hash was compared with all of it.
 * Throws a {@link BackendError}: `hash-missing` or `hash-mismatch`.
 */
export async function checkedDatabase(snapshot: ReadableFile): Promise<ReadableFile> {
  const sizeBytes = snapshot.sizeBytes - HASH_BYTES;
  if (snapshot.sizeBytes % SECTOR_BYTES !== HASH_BYTES || sizeBytes <= 0) {
    throw new BackendError(
      'hash-missing',
      `a file of ${snapshot.sizeBytes} bytes does not end with its hash`,
      {
        hint: 'Take a snapshot from a running etcd: a copied backend file has no hash, and nothing shows that it is whole.',
      },
    );
  }
  const database = databaseIn(snapshot);
  const stored = Buffer.alloc(HASH_BYTES);
  await snapshot.readAt(stored, sizeBytes);
  const found = await hashOf(database);
  if (found.equals(stored)) return database;
  throw new BackendError(
    'hash-mismatch',
    `the snapshot’s hash is ${found.toString('hex')}, and it ends with ${stored.toString('hex')}`,
    { hint: 'It was altered or damaged; use another one.' },
  );
}

/** The database in a snapshot whose hash was compared already: all but the hash. */
export function databaseIn(snapshot: ReadableFile): ReadableFile {
  const sizeBytes = Math.max(0, snapshot.sizeBytes - HASH_BYTES);
  return {
    sizeBytes,
    readAt: async (target, offset) => {
      const length = Math.max(0, Math.min(target.length, sizeBytes - offset));
      return await snapshot.readAt(target.subarray(0, length), offset);
    },
  };
}

/** Appends the hash that makes a snapshot of a database, and gives it. */
export async function sealSnapshot(database: ReadableFile & WritableFile): Promise<Buffer> {
  const hash = await hashOf(database);
  await database.writeAt(hash, database.sizeBytes);
  return hash;
}

async function hashOf(file: ReadableFile): Promise<Buffer> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(READ_BYTES);
  for (let offset = 0; offset < file.sizeBytes; ) {
    const count = await file.readAt(piece.subarray(0, Math.min(READ_BYTES, file.sizeBytes - offset)), offset);
    if (count === 0) throw new BackendError('hash-mismatch', `the file ends at byte ${offset} already`);
    hash.update(piece.subarray(0, count));
    offset += count;
  }
  return hash.digest();
}
