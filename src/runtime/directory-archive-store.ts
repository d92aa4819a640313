import { randomUUID } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import {
  access,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises';
import path from 'node:path';
import {
  type ArchiveStore,
  ArchiveStoreError,
  assertKey,
  assertWithin,
  type GrowingObject,
  type ListedObject,
  type ListOptions,
  type ObjectContent,
  type PutOptions,
  partsOf,
  type ReadOptions,
} from '../backup/store-port.ts';
import { describeError } from '../base/errors.ts';
import { syncDirectory } from '../member/durable-file.ts';

/** Where objects are written before they get their names. No key begins with a dot. */
const DRAFTS = '.drafts';
/** A draft that nobody has written to for so long is what a crash left. */
const DRAFT_AGE_MS_MAX = 24 * 60 * 60 * 1000;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const READ_BYTES = 256 * 1024;
/** Parts of an object are written together. */
const WRITE_BYTES = 1024 * 1024;
/** So much of a large object is written back at once: an archive's log, or an etcd, may be synced on the same disk. */
const SYNC_BYTES = 16 * 1024 * 1024;

/**
 * An archive in a directory, which is made where it is missing: a disk, or a mount that every scheduler shares. An
 * object is written to a draft, synced, given its name and its directory synced; so a crash at any point leaves all
 * of it or nothing but a draft. A new name is a hard link, which two never get both, also over NFS.
 *
 * Rejects with an {@link ArchiveStoreError} when the directory cannot be made, written or does not take hard links.
 * @param options.readOnly nothing is made: it has to be there, and only to be readable.
 */
export async function openDirectoryArchiveStore(
  root: string,
  { readOnly = false } = {},
): Promise<ArchiveStore> {
  const drafts = path.join(root, DRAFTS);
  const known = new Set<string>();
  const pathOf = (key: string): string => {
    assertKey(key);
    return path.join(root, ...key.split('/'));
  };
  const failed = (what: string, cause: unknown): ArchiveStoreError => storeError(root, what, cause);

  /** Folders that a crash would forget are synced once, also those that somebody made who did not get so far. */
  const makeDirectoryOf = async (file: string): Promise<void> => {
    const directory = path.dirname(file);
    if (known.has(directory)) return;
    const first = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
    for (
      let made = directory;
      made.length > root.length || (first !== undefined && made.length >= first.length);
      made = path.dirname(made)
    ) {
      await syncDirectory(path.dirname(made));
    }
    known.add(directory);
  };

  /** Writes a draft that holds `content`, and gives it its name. */
  const publish = async (key: string, content: ObjectContent, options: PutOptions): Promise<number> => {
    const target = pathOf(key);
    const draft = path.join(drafts, randomUUID());
    try {
      const sizeBytes = await writeDraft(draft, content, options.signal, failed);
      await nameDraft(draft, target, options.ifAbsent);
      return sizeBytes;
    } catch (error) {
      throw error instanceof FromContent ? error.cause : failed(`${key} was not stored`, error);
    } finally {
      await rm(draft, { force: true }).catch(() => undefined);
    }
  };
  const nameDraft = async (draft: string, target: string, ifAbsent: boolean): Promise<void> => {
    const name = async (): Promise<void> => {
      await makeDirectoryOf(target);
      await (ifAbsent ? link(draft, target) : rename(draft, target));
    };
    try {
      await name();
    } catch (error) {
      // It may be of a try whose sync failed: whoever is told that it is there builds on it.
      if (codeOf(error) === 'EEXIST') await syncDirectory(path.dirname(target));
      if (codeOf(error) !== 'ENOENT') throw error;
      // Somebody has removed the folder since it was made.
      known.delete(path.dirname(target));
      await name();
    }
    await syncDirectory(path.dirname(target));
  };

  /** Folders of which nothing is left; one that somebody writes to at this moment is made again. */
  const removeEmpty = async (directory: string): Promise<void> => {
    for (
      let folder = directory;
      folder.startsWith(path.join(root, path.sep));
      folder = path.dirname(folder)
    ) {
      known.delete(folder);
      const isGone = await rmdir(folder).then(
        () => true,
        () => false,
      );
      if (!isGone) return;
    }
  };

  const prepare = async (): Promise<void> => {
    await makeDirectoryOf(path.join(drafts, 'any'));
    await access(drafts, constants.W_OK | constants.X_OK);
    await removeOldDrafts(drafts);
    await tryHardLink(drafts);
  };
  try {
    if (readOnly) await readdir(root);
    else await prepare();
  } catch (error) {
    if (readOnly && isAbsence(error)) {
      const is = codeOf(error) === 'ENOENT' ? 'not there' : 'no directory';
      throw new ArchiveStoreError('not-found', `${root} is ${is}`, {
        hint: 'Name the directory that the scheduler writes to.',
      });
    }
    throw failed('the archive cannot be used', error);
  }

  return {
    place: root,
    put: async (key, content, options) => {
      abortedBy(options.signal);
      return { key, sizeBytes: await publish(key, content, options) };
    },
    read: (key, options) => readFile(pathOf(key), key, options, failed),
    head: async (key, signal) => {
      abortedBy(signal);
      const file = pathOf(key);
      try {
        const found = await stat(file);
        return found.isFile() ? { key, sizeBytes: found.size } : null;
      } catch (error) {
        if (isAbsence(error)) return null;
        throw failed(`${key} cannot be looked at`, error);
      }
    },
    list: (prefix, options) => listFiles(root, prefix, options, failed),
    remove: async (key, signal) => {
      abortedBy(signal);
      const file = pathOf(key);
      try {
        await rm(file, { force: true });
        await syncDirectory(path.dirname(file));
        await removeEmpty(path.dirname(file));
      } catch (error) {
        if (!isAbsence(error)) throw failed(`${key} was not removed`, error);
      }
    },
    growing: {
      create: async (key, first, signal) => {
        abortedBy(signal);
        await publish(key, first, { ifAbsent: true, signal });
        try {
          const file = await open(pathOf(key), constants.O_WRONLY | constants.O_APPEND);
          return growingFile(file, { file: pathOf(key), key, failed });
        } catch (error) {
          throw failed(`${key} cannot be added to`, error);
        }
      },
    },
  };
}

type Failed = (what: string, cause: unknown) => ArchiveStoreError;

/** What the caller's own content threw: it is not the store's to explain. */
class FromContent extends Error {
  override readonly name = 'FromContent';
}

async function writeDraft(
  draft: string,
  content: ObjectContent,
  signal: AbortSignal,
  failed: Failed,
): Promise<number> {
  const file = await open(draft, 'wx', FILE_MODE);
  let sizeBytes = 0;
  let parts: Uint8Array[] = [];
  let partsBytes = 0;
  /** While one write is under way the next parts are taken. */
  let writing: Promise<void> = Promise.resolve();
  /** What was written is synced by and by, also while more is. */
  let syncing: Promise<void> = Promise.resolve();
  let isSyncing = false;
  let unsyncedBytes = 0;
  const syncSome = (): void => {
    [isSyncing, unsyncedBytes] = [true, 0];
    syncing = file.datasync().finally(() => {
      isSyncing = false;
    });
    // It is looked at before the next, and at the end: what could not be written is told once.
    syncing.catch(() => undefined);
  };
  const begin = async (): Promise<void> => {
    await writing;
    writing = writeParts(file, parts);
    // It is looked at when the next one begins.
    writing.catch(() => undefined);
    [parts, partsBytes] = [[], 0];
  };
  try {
    for await (const part of fromCaller(content)) {
      abortedBy(signal);
      parts.push(part);
      partsBytes += part.byteLength;
      sizeBytes += part.byteLength;
      if (partsBytes < WRITE_BYTES) continue;
      unsyncedBytes += partsBytes;
      await begin();
      if (unsyncedBytes < SYNC_BYTES || isSyncing) continue;
      await syncing;
      syncSome();
    }
    abortedBy(signal);
    await begin();
    await writing;
    await syncing;
    await file.sync();
  } finally {
    await writing.catch(() => undefined);
    await syncing.catch(() => undefined);
    // Nothing has been promised yet: a failing close is as good as a failing write.
    await file.close().catch((error: unknown) => {
      throw failed('a draft was not closed', error);
    });
  }
  return sizeBytes;
}

async function* fromCaller(content: ObjectContent): AsyncGenerator<Uint8Array> {
  const parts = partsOf(content);
  try {
    for (;;) {
      const { done, value } = await parts.next().catch((cause: unknown) => {
        throw new FromContent('the content ended', { cause });
      });
      if (done === true) return;
      yield value;
    }
  } finally {
    await parts.return();
  }
}

async function writeParts(file: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  if (parts.length === 0) return;
  let { bytesWritten: left } = await file.writev(parts);
  for (const part of parts) {
    const written = Math.min(left, part.byteLength);
    left -= written;
    if (written < part.byteLength) await writeAll(file, part.subarray(written));
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, offset, bytes.byteLength - offset);
    offset += bytesWritten;
  }
}

function growingFile(
  file: FileHandle,
  of: { readonly file: string; readonly key: string; readonly failed: Failed },
): GrowingObject {
  const { key, failed } = of;
  let state: 'open' | 'broken' | 'closed' = 'open';
  return {
    append: async (bytes) => {
      if (state !== 'open') throw failed(`${key} is not added to any more`, new Error(`it is ${state}`));
      try {
        await writeAll(file, bytes);
        await file.datasync();
        await assertThere(file, of.file);
      } catch (error) {
        state = 'broken';
        throw failed(`${key} was not added to`, error);
      }
    },
    close: async () => {
      if (state === 'closed') return;
      state = 'closed';
      await file.close().catch((error: unknown) => {
        throw failed(`${key} was not closed`, error);
      });
    },
  };
}

/** What is written to a file that was removed, or whose directory is another by now, is in no archive. */
async function assertThere(file: FileHandle, name: string): Promise<void> {
  const [open, there] = await Promise.all([file.stat(), stat(name)]);
  if (open.ino !== there.ino || open.dev !== there.dev) throw new Error(`${name} is another file by now`);
}

async function* readFile(
  file: string,
  key: string,
  { range, signal }: ReadOptions,
  failed: Failed,
): AsyncGenerator<Uint8Array> {
  abortedBy(signal);
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw failed(`${key} cannot be read`, error);
  }
  try {
    const sizeBytes = (await handle.stat()).size;
    assertWithin(key, range, sizeBytes);
    let offset = range?.offset ?? 0;
    const end = range === undefined ? sizeBytes : offset + range.length;
    while (offset < end) {
      abortedBy(signal);
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - offset));
      const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, offset);
      if (bytesRead === 0) throw new Error(`it ends at byte ${offset} of ${end}`);
      offset += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw failed(`${key} cannot be read`, error);
  } finally {
    await handle.close();
  }
}

/** By the order of whole keys: a folder counts as its name and the slash that follows. */
async function* listFiles(
  root: string,
  prefix: string,
  { after = '', signal }: ListOptions,
  failed: Failed,
  folder = '',
): AsyncGenerator<ListedObject> {
  const entries = await entriesOf(path.join(root, folder)).catch((error: unknown) => {
    throw failed(`${folder === '' ? 'the archive' : folder} cannot be listed`, error);
  });
  const keys = entries
    .filter((entry) => !entry.name.startsWith('.') && (entry.isDirectory() || entry.isFile()))
    .map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''))
    .toSorted((left, right) => (left < right ? -1 : 1));
  for (const key of keys) {
    abortedBy(signal);
    if (key.endsWith('/')) {
      const mayHold = key.startsWith(prefix) || prefix.startsWith(key);
      const isBefore = key < after && !after.startsWith(key);
      if (mayHold && !isBefore) yield* listFiles(root, prefix, { after, signal }, failed, key);
    } else if (key.startsWith(prefix) && key > after) yield { key };
  }
}

async function entriesOf(directory: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}

async function removeOldDrafts(drafts: string): Promise<void> {
  for (const { name } of await entriesOf(drafts)) {
    const draft = path.join(drafts, name);
    const found = await stat(draft).catch(() => null);
    if (found !== null && Date.now() - found.mtimeMs > DRAFT_AGE_MS_MAX) await rm(draft, { force: true });
  }
}

async function tryHardLink(drafts: string): Promise<void> {
  const [draft, named] = [path.join(drafts, randomUUID()), path.join(drafts, randomUUID())];
  try {
    await (await open(draft, 'wx', FILE_MODE)).close();
    await link(draft, named);
  } finally {
    await rm(draft, { force: true });
    await rm(named, { force: true });
  }
}

function abortedBy(signal: AbortSignal): void {
  if (signal.aborted) throw new ArchiveStoreError('aborted', 'the archive was not waited for');
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;
const isAbsence = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');

function storeError(root: string, what: string, cause: unknown): ArchiveStoreError {
  if (cause instanceof ArchiveStoreError) return cause;
  const message = `${what} in ${root}: ${describeError(cause)}`;
  switch (codeOf(cause)) {
    case 'ENOENT':
      return new ArchiveStoreError('not-found', message, { cause });
    case 'EEXIST':
      return new ArchiveStoreError('exists', message, { cause });
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new ArchiveStoreError('full', message, {
        cause,
        hint: 'Make room on its disk, or keep fewer backups.',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ArchiveStoreError('denied', message, {
        cause,
        hint: 'This user must be allowed to read it; who writes, also to write, on a file system that takes hard links.',
      });
    default:
      return new ArchiveStoreError('unavailable', message, { cause });
  }
}
