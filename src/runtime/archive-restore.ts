import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Archive } from '../backup/archive.ts';
import { type RestoreProgress, type RestoreReport, restoreArchive } from '../backup/restore.ts';
import { RestoreError } from '../backup/restore-error.ts';
import { planRestore, type RestorePlan, type RestoreTarget } from '../backup/restore-plan.ts';
import { describeError } from '../base/errors.ts';
import { EtcdBinaryError } from '../etcd/versions.ts';
import { syncDirectory } from '../member/durable-file.ts';
import { createDrafts, type LocalDraft, noRoom } from './draft-files.ts';
import { findRestoreProgram, RESTORE_ENVIRONMENT, type RestoreProgram } from './restore-program.ts';

export { parseTarget, timeText } from '../backup/restore-plan.ts';
export { disagreementText } from '../backup/restore-proofs.ts';

/** Aborts when somebody ends the program: what was begun is then removed before it ends. */
export function interruptible(): AbortSignal {
  const stop = new AbortController();
  const error = new RestoreError('interrupted', 'it was ended before it was done; nothing is left behind');
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(error));
  return stop.signal;
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
  /** An etcdutl, or an etcdctl of 3.4 or 3.5; `null`: found in PATH. */
  readonly program: string | null;
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
  const program = output.kind === 'snapshot' ? null : await findRestoreProgram(output.program);
  const plan = await planRestore(archive, target, { epoch, nowMs: Date.now(), signal });
  if (program !== null) assertNotOlder(program, plan);
  const newFile = createDrafts(path.dirname(final));
  const { file, report } = await restoreArchive({
    archive,
    plan,
    newFile,
    raiseBy: request.raiseBy ?? undefined,
    acceptsMismatch: request.acceptsMismatch,
    onProgress: world.onProgress,
    signal,
  });
  try {
    if (output.kind === 'snapshot' || program === null) await file.keepAs(final);
    else await makeDataDirectory(program, output, { snapshot: file, final, signal });
    return { ...report, output: final, program };
  } finally {
    await file.discard();
  }
}

/** In a directory beside it that then gets its name: there is all of it, or nothing. */
async function makeDataDirectory(
  program: RestoreProgram,
  output: DataDirectoryOutput,
  { snapshot, final, signal }: { snapshot: LocalDraft; final: string; signal: AbortSignal },
): Promise<void> {
  const draft = path.join(path.dirname(final), `.etcd-mesos-data-${randomUUID()}`);
  await snapshot.sync();
  const args = [
    'snapshot',
    'restore',
    snapshot.path,
    `--data-dir=${draft}`,
    `--name=${output.name}`,
    `--initial-cluster=${output.initialCluster}`,
    `--initial-cluster-token=${output.token}`,
    `--initial-advertise-peer-urls=${output.peerUrls}`,
  ];
  try {
    await promisify(execFile)(program.path, args, {
      env: RESTORE_ENVIRONMENT,
      cwd: path.dirname(final),
      signal,
      maxBuffer: 16 * 1024 * 1024,
    });
    await rename(draft, final);
    await syncDirectory(path.dirname(final));
  } catch (cause) {
    signal.throwIfAborted();
    const said = saidBy(cause);
    if (/no space left on device|disk quota exceeded/i.test(said)) {
      throw noRoom(path.dirname(final), cause, said);
    }
    throw new EtcdBinaryError('not-run', `${program.path} snapshot restore failed: ${said}`, {
      cause,
      hint: 'What it says names the option or the file that it does not take.',
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The last line that a program wrote: there it says why it ended. */
function saidBy(cause: unknown): string {
  const text = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : '';
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.at(-1)?.slice(0, 1000) ?? describeError(cause);
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
  throw new RestoreError('bad-output', `${final} is there already`, {
    hint: 'Nothing is written over. Name another, or move what is there away.',
  });
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
