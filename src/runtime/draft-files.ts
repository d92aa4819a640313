import { randomUUID } from 'node:crypto';
import { link, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Archive } from '../backup/archive.ts';
import { type DraftFile, verifyNewest } from '../backup/restore.ts';
import { RestoreError } from '../backup/restore-error.ts';
import type { ArchiveVerification } from '../backup/scheduled-verification.ts';
import { describeError } from '../base/errors.ts';
import type { Clock } from '../base/ports.ts';
import { syncDirectory } from '../member/durable-file.ts';
import { createLocalFile } from './local-file.ts';

/** A file under a name of its own until it is whole. */
export interface LocalDraft extends DraftFile {
  readonly path: string;
  /** What was written is on the disk when it resolves. */
  sync(): Promise<void>;
  /** Makes it durable and gives it its name; never in place of another file: then it rejects as {@link givingName}. */
  keepAs(file: string): Promise<void>;
}

/**
 * Makes drafts in a directory that is there. They, and whatever is written to them, reject with a {@link RestoreError}:
 * `no-room` where the disk is full, `bad-output` where nothing can be written there.
 */
export function createDrafts(directory: string): (what: string) => Promise<LocalDraft> {
  const withRoom = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      if (hasCode(cause, ['EACCES', 'EPERM', 'EROFS'])) throw notWritable(directory, cause);
      throw hasCode(cause, ['ENOSPC', 'EDQUOT']) ? noRoom(directory, cause) : cause;
    }
  };
  return async (what) => {
    const draft = path.join(directory, `.etcd-mesos-${what}-${randomUUID()}`);
    const file = await withRoom(async () => await createLocalFile(draft));
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (isOpen) await file.close();
      isOpen = false;
    };
    const sync = async (): Promise<void> => await withRoom(async () => await file.sync());
    return {
      path: draft,
      sync,
      get sizeBytes() {
        return file.sizeBytes;
      },
      readAt: async (target, offset) => await file.readAt(target, offset),
      writeAt: async (bytes, offset) => await withRoom(async () => await file.writeAt(bytes, offset)),
      keepAs: async (name) => {
        await sync();
        await close();
        await givingName(name, async () => await link(draft, name));
        await rm(draft);
        await syncDirectory(path.dirname(name));
      },
      discard: async () => {
        await close();
        await rm(draft, { force: true });
      },
    };
  };
}

/** Does some work with a directory of its own below `within`, by default the system's for what is temporary. */
export async function withScratch<T>(
  within: string | null,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(path.join(within ?? tmpdir(), 'etcd-mesos-scratch-')).catch(
    (cause: unknown) => {
      throw notWritable(within ?? tmpdir(), cause);
    },
  );
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * {@link verifyNewest} with its files in a directory below `within`, which is gone afterwards. It takes about twice the
 * room of the newest full.
 */
export async function verifyNewestWithin(
  within: string,
  archive: Archive,
  clock: Clock,
  signal: AbortSignal,
): Promise<ArchiveVerification> {
  return await withScratch(
    within,
    async (directory) =>
      await verifyNewest(archive, { newFile: createDrafts(directory), nowMs: clock.wallMs(), signal }),
  );
}

/**
 * Gives what is whole its name. Rejects with a {@link RestoreError} `bad-output` where somebody else took the name in
 * the meantime, or no such thing can be made there.
 */
export async function givingName(name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw hasCode(cause, ['EEXIST', 'ENOTEMPTY']) ? isThere(name) : notWritable(path.dirname(name), cause);
  }
}

/** What is there is never written over. */
export function isThere(name: string): RestoreError {
  return new RestoreError('bad-output', `${name} is there already`, {
    hint: 'Nothing is written over. Name another, or move what is there away.',
  });
}

function notWritable(directory: string, cause: unknown): RestoreError {
  return new RestoreError('bad-output', `nothing can be made in ${directory}: ${describeError(cause)}`, {
    cause,
    hint: 'Name a directory that is there and can be written to.',
  });
}

const hasCode = (error: unknown, codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code));

/** What a disk that is full ends a restore with. */
export function noRoom(directory: string, cause: unknown, said = describeError(cause)): RestoreError {
  return new RestoreError('no-room', `the disk of ${directory} is full: ${said}`, {
    cause,
    hint:
      'It takes about twice the size of the full backup; a data directory as much again, and 64 MB for etcd’s log. ' +
      'Nothing is left behind.',
  });
}
