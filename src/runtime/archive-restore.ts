import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Archive } from '../backup/archive.ts';
import { BackendError } from '../backup/backend/backend-error.ts';
import {
  type Restored,
  type RestoreOptions,
  type RestoreProgress,
  type RestoreReport,
  restoreArchive,
} from '../backup/restore.ts';
import { RestoreError } from '../backup/restore-error.ts';
import { planRestore, type RestorePlan, type RestoreTarget } from '../backup/restore-plan.ts';
import { EtcdBinaryError } from '../etcd/versions.ts';
import { syncDirectory } from '../member/durable-file.ts';
import { replayArchive } from './archive-replay.ts';
import { createDrafts, givingName, isThere, type LocalDraft } from './draft-files.ts';
import { findEtcdProgram } from './etcd-program.ts';
import { findRestoreProgram, type RestoreProgram, runRestore } from './restore-program.ts';

export { parseTarget, timeText } from '../backup/restore-plan.ts';
export { disagreementText } from '../backup/restore-proofs.ts';

/**
 * Does what is given up when somebody ends the program: what it had begun is removed before it rejects, then with a
 * {@link RestoreError} `interrupted`.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const ended = new RestoreError('interrupted', 'it was ended before it was done; nothing is left behind');
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(ended));
  try {
    return await work(stop.signal);
  } catch (error) {
    throw stop.signal.aborted ? ended : error;
  }
}

/** A restore as a person asks for it. */
export interface RestoreRequest {
  readonly archive: Archive;
  readonly target: RestoreTarget;
  /** `null`: the newest. */
  readonly epoch: number | null;
  /** `null`: the store goes on where it was. */
  readonly raiseBy: bigint | null;
  readonly acceptsMismatch: boolean;
  /** `null`: every hash that can be compared is. */
  readonly proofsMax: number | null;
  /** `auto`: spliced, and replayed where the layout of the backend is not known. */
  readonly method: 'auto' | 'splice' | 'replay';
  /** Paths or names in PATH; `null`: the usual ones. */
  readonly programs: {
    /** An etcdutl, or an etcdctl of 3.4 or 3.5. */
    readonly etcdutl: string | null;
    /** What a replay writes into. */
    readonly etcd: string | null;
  };
  readonly output: SnapshotOutput | DataDirectoryOutput;
}
/** A snapshot as `etcdctl snapshot save` makes one. */
export interface SnapshotOutput {
  readonly kind: 'snapshot';
  readonly file: string;
}
/** A member's data directory, made by etcd's own program with its check of the snapshot's hash. */
export interface DataDirectoryOutput {
  readonly kind: 'data-directory';
  readonly directory: string;
  readonly name: string;
  readonly initialCluster: string;
  readonly token: string;
  readonly peerUrls: string;
}
export interface RestoreOutcome extends RestoreReport {
  /** Absolute. */
  readonly output: string;
  /** What made the data directory. */
  readonly program: RestoreProgram | null;
}
interface RestoreWorld {
  readonly onProgress: (progress: RestoreProgress) => void;
  readonly signal: AbortSignal;
}

/**
 * Restores an archive into a file or a data directory that was not there; when it rejects, neither is. Rejects with a
 * {@link RestoreError}, an `ArchiveError`, an `ArchiveStoreError` or an `EtcdBinaryError`.
 */
export async function restoreTo(request: RestoreRequest, world: RestoreWorld): Promise<RestoreOutcome> {
  const { archive, target, epoch, output } = request;
  const { signal } = world;
  const final = path.resolve(output.kind === 'snapshot' ? output.file : output.directory);
  await assertFree(final, output.kind);
  const program = output.kind === 'snapshot' ? null : await findRestoreProgram(request.programs.etcdutl);
  const plan = await planRestore(archive, target, { epoch, nowMs: Date.now(), signal });
  if (program !== null) assertNotOlder(program, plan);
  const { file, report } = await restoreBy(
    request,
    {
      archive,
      plan,
      newFile: createDrafts(path.dirname(final)),
      raiseBy: request.raiseBy ?? undefined,
      acceptsMismatch: request.acceptsMismatch,
      proofsMax: request.proofsMax ?? undefined,
      onProgress: world.onProgress,
      signal,
    },
    path.dirname(final),
  );
  try {
    if (output.kind === 'snapshot' || program === null) await file.keepAs(final);
    else await makeDataDirectory(program, output, { snapshot: file, final, signal });
    return { ...report, output: final, program };
  } finally {
    await file.discard();
  }
}

/** By a splice; by a replay where that is asked for, or where the layout of all backends is unknown to us. */
async function restoreBy(
  { method, programs }: RestoreRequest,
  options: RestoreOptions<LocalDraft>,
  within: string,
): Promise<Restored<LocalDraft>> {
  if (method !== 'replay') {
    try {
      return await restoreArchive(options);
    } catch (error) {
      const isUnknown = error instanceof BackendError && error.code === 'schema-unknown';
      if (method === 'splice' || !isUnknown) throw error;
    }
  }
  if (options.raiseBy !== undefined) {
    throw new RestoreError('bad-target', 'what is replayed cannot be raised', {
      hint: 'Restore it without --raise-by, and let `etcdutl snapshot restore --bump-revision --mark-compacted` do it.',
    });
  }
  const restore = await findRestoreProgram(programs.etcdutl);
  const etcd = await findEtcdProgram(programs.etcd ?? 'etcd', '--etcd');
  return await replayArchive(options, { etcd, restore, within });
}

/** In a directory beside it that then gets its name: there is all of it, or nothing. */
async function makeDataDirectory(
  program: RestoreProgram,
  output: DataDirectoryOutput,
  { snapshot, final, signal }: { snapshot: LocalDraft; final: string; signal: AbortSignal },
): Promise<void> {
  const draft = path.join(path.dirname(final), `.etcd-mesos-data-${randomUUID()}`);
  await snapshot.sync();
  try {
    await runRestore(program, snapshot.path, { ...output, directory: draft }, signal);
    await givingName(final, async () => await rename(draft, final));
    await syncDirectory(path.dirname(final));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** What is there is never written over; an empty directory may be taken. */
async function assertFree(final: string, kind: RestoreRequest['output']['kind']): Promise<void> {
  const parent = path.dirname(final);
  const isParent = await stat(parent).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isParent) {
    throw new RestoreError('bad-output', `${parent} is no directory`, { hint: 'Make it first.' });
  }
  const found = await stat(final).catch(() => null);
  if (found === null) return;
  const isEmpty = found.isDirectory() && (await readdir(final)).length === 0;
  if (kind === 'data-directory' && isEmpty) return;
  throw isThere(final);
}

/** A program of an older minor does not know all that a newer etcd has written. */
function assertNotOlder(program: RestoreProgram, { fulls }: RestorePlan): void {
  for (const { document } of fulls) {
    const minor = Number(/^3\.(\d+)\./.exec(document.etcdVersion)?.[1] ?? 0);
    if (program.minor >= minor) continue;
    throw new EtcdBinaryError(
      'refused',
      `${program.path} is of ${program.version}, the backup of etcd ${document.etcdVersion}`,
      { hint: `Name an etcdutl of 3.${minor} or newer with --etcdutl.` },
    );
  }
}
