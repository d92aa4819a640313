import { mkdir, readFile, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../base/errors.ts';
import {
  LOG_ENTRIES_MAX,
  LOG_ENTRY_BYTES_MAX,
  LOG_KINDS,
  type LogKind,
  type StateStore,
  StateStoreError,
} from '../base/ports.ts';
import { DRAFT_SUFFIX, replaceFile, syncDirectory, writeSynced } from '../member/durable-file.ts';
import { RECORD_BYTES_MAX } from '../protocol/record.ts';
import { decodeStateFile, encodeStateFile, type StateFile } from './state-header.ts';
import { takeStateLock } from './state-lock.ts';

/**
 * The cluster record in a directory of the scheduler's machine:
 *
 *     record          the record, with a version and a checksum; replaced as a whole
 *     <kind>.jsonl    a log: one entry a line
 *     lock            who uses the directory
 */
export interface FileStateStore extends StateStore {
  /** Lets another scheduler use the directory. */
  close(): Promise<void>;
}

/** A log is rewritten to its newest {@link LOG_ENTRIES_MAX} entries when it has this many more. */
const LOG_SLACK_ENTRIES = 50;

/**
 * Opens a directory, which is made where it is missing, for this process alone. Rejects with a
 * {@link StateStoreError}: `unavailable` when another scheduler holds it, or it cannot be made or written.
 */
export async function openFileStateStore(directory: string): Promise<FileStateStore> {
  const lock = await inDirectory(directory, async () => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return await takeStateLock(join(directory, 'lock'));
  });
  const recordPath = join(directory, 'record');
  /** Writes follow each other: the check of a version and what it permits are one step. */
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(() => {
      if (closed) throw new StateStoreError('unavailable', `the state directory ${directory} was closed`);
      return inDirectory(directory, work);
    });
    last = mine.catch(() => undefined);
    return await mine;
  };

  return {
    load: () =>
      inTurn(async () => {
        const found = await readRecord(recordPath);
        return found === null ? null : { bytes: found.bytes, version: String(found.version) };
      }),
    save: (bytes, expectedVersion) =>
      inTurn(async () => {
        if (bytes.byteLength > RECORD_BYTES_MAX) throw tooLarge(bytes.byteLength);
        const found = await readRecord(recordPath);
        const version = found === null ? null : String(found.version);
        if (version !== expectedVersion) throw conflict(recordPath, expectedVersion, version);
        const next = (found?.version ?? 0) + 1;
        await replaceFile(recordPath, encodeStateFile({ version: next, bytes }));
        return String(next);
      }),
    append: (kind, entry) => inTurn(() => appendEntry(directory, kind, entry)),
    read: (kind) => inTurn(async () => (await readLines(directory, kind)).slice(-LOG_ENTRIES_MAX)),
    clear: () =>
      inTurn(async () => {
        // The record goes last: what is left after a crash still says whose the logs are.
        for (const kind of LOG_KINDS) await rm(join(directory, `${kind}.jsonl`), { force: true });
        await rm(recordPath, { force: true });
        await syncDirectory(directory);
      }),
    close: async () => {
      await last;
      if (closed) return;
      closed = true;
      await lock.release();
    },
  };
}

async function readRecord(path: string): Promise<StateFile | null> {
  const content = await readIfThere(path);
  return content === null ? null : decodeStateFile(content, path);
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new StateStoreError('unreadable', `${path} cannot be read: ${describeError(error)}`, {
      cause: error,
      hint: 'Check who owns it and whether its disk is well.',
    });
  }
}

async function appendEntry(directory: string, kind: LogKind, entry: string): Promise<void> {
  const line = JSON.stringify(entry);
  if (Buffer.byteLength(line) > LOG_ENTRY_BYTES_MAX) throw tooLarge(Buffer.byteLength(line));
  const lines = await readLines(directory, kind);
  const path = join(directory, `${kind}.jsonl`);
  if (lines.length + 1 > LOG_ENTRIES_MAX + LOG_SLACK_ENTRIES) {
    const kept = [...lines.slice(1 - LOG_ENTRIES_MAX).map((old) => JSON.stringify(old)), line];
    await replaceFile(path, `${kept.join('\n')}\n`);
    return;
  }
  // A line that a crash cut short ends here, and is skipped by readers.
  const whole = await endsWithNewline(path);
  await writeSynced(path, 'a', `${whole ? '' : '\n'}${line}\n`);
  if (lines.length === 0) await syncDirectory(directory);
}

async function endsWithNewline(path: string): Promise<boolean> {
  const content = await readIfThere(path);
  return content === null || content.length === 0 || content.at(-1) === 0x0a;
}

async function readLines(directory: string, kind: LogKind): Promise<readonly string[]> {
  const content = await readIfThere(join(directory, `${kind}.jsonl`));
  if (content === null) return [];
  return content
    .toString('utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        const entry: unknown = JSON.parse(line);
        return typeof entry === 'string' ? [entry] : [];
      } catch {
        return [];
      }
    });
}

/** What the system refuses becomes a {@link StateStoreError} that names the directory. */
async function inDirectory<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StateStoreError) throw error;
    await unlink(join(directory, `record${DRAFT_SUFFIX}`)).catch(() => undefined);
    throw new StateStoreError(
      'unavailable',
      `the state directory ${directory} cannot be used: ${describeError(error)}`,
      { cause: error, hint: 'It must be writable for this user and have room.' },
    );
  }
}

function conflict(path: string, expected: string | null, found: string | null): StateStoreError {
  const name = (version: string | null): string => (version === null ? 'none' : `version ${version}`);
  return new StateStoreError('conflict', `${path} holds ${name(found)}, expected was ${name(expected)}`);
}

function tooLarge(sizeBytes: number): StateStoreError {
  return new StateStoreError('too-large', `${sizeBytes} bytes are more than what is stored at once`);
}
