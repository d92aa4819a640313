import { execFile } from 'node:child_process';
import { access, constants, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { EtcdBinaryError, judgeVersion, parseEtcdVersion } from '../etcd/versions.ts';

/** An etcd that was asked for its version and may be run. */
export interface EtcdProgram {
  /** Absolute, links followed. */
  readonly path: string;
  readonly version: string;
  /** Known defects of that version. */
  readonly warnings: readonly string[];
}

const VERSION_TIMEOUT_MS = 20_000;

/**
 * Finds etcd and looks whether it may be run.
 * Rejects with an `EtcdBinaryError`.
 * @param given a path, or a name to be looked up in PATH.
 * @param option what a person names it with.
 */
export async function findEtcdProgram(given: string, option = '--etcd-binary'): Promise<EtcdProgram> {
  const program = await locate(given, option);
  let output: string;
  try {
    output = (await promisify(execFile)(program, ['--version'], { timeout: VERSION_TIMEOUT_MS })).stdout;
  } catch (cause) {
    throw new EtcdBinaryError('not-run', `${program} --version failed`, {
      cause,
      hint: 'It has to be an etcd for this kind of machine.',
    });
  }
  const version = parseEtcdVersion(output);
  const { refusal, warnings } = judgeVersion(version);
  if (refusal === null) return { path: program, version: version.text, warnings };
  throw new EtcdBinaryError('refused', `${program} is not run: ${refusal}`, {
    hint: `Install a newer etcd, or name the path of one with ${option}.`,
  });
}

/**
 * The program of that path, or of that name in PATH, with links followed; `null` where there is none that may be run.
 */
export async function findExecutable(given: string): Promise<string | null> {
  const folders = given.includes('/') ? [''] : (process.env['PATH'] ?? '').split(':');
  for (const folder of folders) {
    const candidate = path.resolve(folder, given);
    try {
      await access(candidate, constants.X_OK);
      if ((await stat(candidate)).isFile()) return await realpath(candidate);
    } catch {
      // Not this one.
    }
  }
  return null;
}

async function locate(given: string, option: string): Promise<string> {
  const found = await findExecutable(given);
  if (found !== null) return found;
  const what = given.includes('/')
    ? `${given} is not there or not executable`
    : `there is no ${given} in PATH`;
  throw new EtcdBinaryError('not-found', `etcd is missing: ${what}`, {
    hint: `Install it (apt-get install etcd-server), or name the path of one with ${option}.`,
  });
}
