import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describeError } from '../base/errors.ts';
import { EtcdBinaryError } from '../etcd/versions.ts';
import { noRoom } from './draft-files.ts';
import { findExecutable } from './etcd-program.ts';

/** A program that makes a data directory of a snapshot. */
export interface RestoreProgram {
  /** Absolute, links followed. */
  readonly path: string;
  readonly kind: 'etcdutl' | 'etcdctl';
  readonly version: string;
  readonly minor: number;
}

const VERSION_TIMEOUT_MS = 20_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
/** From 3.6 on it cannot: that is etcdutl's. */
const LAST_ETCDCTL_MINOR = 5;
const HINT = 'Name one with --etcdutl: an etcdutl, or an etcdctl of 3.4 or 3.5. Or write a --snapshot-file.';
/** What it is run with: an etcdctl of 3.4 needs telling which of its two it is. */
const RESTORE_ENVIRONMENT = { ETCDCTL_API: '3' } as const;

/**
 * Finds the etcdutl or etcdctl that restores snapshots and asks for its version. Rejects with an `EtcdBinaryError`.
 * @param given a path, or a name to be looked up in PATH; `null`: etcdutl, else etcdctl.
 */
export async function findRestoreProgram(given: string | null): Promise<RestoreProgram> {
  let found: string | null = null;
  for (const name of given === null ? ['etcdutl', 'etcdctl'] : [given]) {
    found ??= await findExecutable(name);
  }
  if (found === null) {
    const what = given === null ? 'neither etcdutl nor etcdctl is in PATH' : `there is no program ${given}`;
    throw new EtcdBinaryError('not-found', `what restores snapshots is missing: ${what}`, { hint: HINT });
  }
  let output: string;
  try {
    const run = promisify(execFile);
    const options = { timeout: VERSION_TIMEOUT_MS, env: RESTORE_ENVIRONMENT };
    ({ stdout: output } = await run(found, ['version'], options));
  } catch (cause) {
    throw new EtcdBinaryError('not-run', `${found} version failed: ${describeError(cause)}`, {
      cause,
      hint: HINT,
    });
  }
  const match = /^(etcdutl|etcdctl) version: (3\.(\d+)\.\d+\S*)/m.exec(output);
  const [, name, version = '', minorText] = match ?? [];
  const minor = Number(minorText);
  if (match === null) {
    const shown = JSON.stringify(output.trim().slice(0, 200));
    throw new EtcdBinaryError('unparsable', `${found} is no etcdutl: its version is ${shown}`, {
      hint: HINT,
    });
  }
  if (name === 'etcdctl' && minor > LAST_ETCDCTL_MINOR) {
    throw new EtcdBinaryError('refused', `${found}, an etcdctl ${version}, restores no snapshots any more`, {
      hint: HINT,
    });
  }
  return { path: found, kind: name === 'etcdctl' ? 'etcdctl' : 'etcdutl', version, minor };
}

/** Which member of which cluster a data directory is made for, in etcd's own words. */
export interface RestorePlace {
  readonly directory: string;
  readonly name: string;
  readonly initialCluster: string;
  readonly token: string;
  readonly peerUrls: string;
}

/**
 * Has it make a data directory of a snapshot whose hash it checks. Rejects with an `EtcdBinaryError` `not-run`, or a
 * `RestoreError` `no-room`.
 */
export async function runRestore(
  program: RestoreProgram,
  snapshot: string,
  place: RestorePlace,
  signal: AbortSignal,
): Promise<void> {
  const parent = path.dirname(place.directory);
  const args = [
    'snapshot',
    'restore',
    snapshot,
    `--data-dir=${place.directory}`,
    `--name=${place.name}`,
    `--initial-cluster=${place.initialCluster}`,
    `--initial-cluster-token=${place.token}`,
    `--initial-advertise-peer-urls=${place.peerUrls}`,
  ];
  signal.throwIfAborted();
  const options = { env: RESTORE_ENVIRONMENT, cwd: parent, maxBuffer: OUTPUT_BYTES_MAX };
  const running = promisify(execFile)(program.path, args, options);
  // By ourselves: with a signal of its own execFile does not wait for the end, until which the program may write.
  const end = (): void => void running.child.kill('SIGKILL');
  signal.addEventListener('abort', end, { once: true });
  try {
    await running;
  } catch (cause) {
    signal.throwIfAborted();
    const said = saidBy(cause);
    if (/no space left on device|disk quota exceeded/i.test(said)) throw noRoom(parent, cause, said);
    throw new EtcdBinaryError('not-run', `${program.path} snapshot restore failed: ${said}`, {
      cause,
      hint: 'What it says names the option or the file that it does not take.',
    });
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** The last line that a program wrote: there it says why it ended. */
function saidBy(cause: unknown): string {
  const text = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : '';
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.at(-1)?.slice(0, 1000) ?? describeError(cause);
}
