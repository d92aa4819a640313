import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'vitest';
import { type EtcdVersion, parseEtcdVersion } from '../../src/etcd/versions.ts';

export interface EtcdBinary {
  readonly path: string;
  readonly version: EtcdVersion;
}

const CACHE = join(import.meta.dirname, '..', '..', '.cache', 'etcd');

/**
 * The etcd programs at hand: those that ETCD_BINARIES names (separated by colons), those in `.cache/etcd` (any
 * folder that holds an `etcd`), and the system's. One of each version. Where there is none, a skipped test says so.
 */
export function etcdBinaries(): readonly EtcdBinary[] {
  const named = (process.env['ETCD_BINARIES'] ?? '').split(':').filter((path) => path !== '');
  const cached = existsSync(CACHE) ? readdirSync(CACHE).map((name) => join(CACHE, name, 'etcd')) : [];
  const system = (process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'etcd'));
  const found = new Map<string, EtcdBinary>();
  for (const path of [...named, ...cached, ...system].filter((candidate) => existsSync(candidate))) {
    const version = parseEtcdVersion(execFileSync(path, ['--version'], { encoding: 'utf8' }));
    if (!found.has(version.text)) found.set(version.text, { path, version });
  }
  const binaries = [...found.values()];
  console.log(`etcd versions at hand: ${binaries.map((binary) => binary.version.text).join(', ') || 'none'}`);
  // Its caller makes tests for each program: without one there would be none, and nobody would learn why.
  if (binaries.length === 0) test.skip('there is no etcd in PATH, in ETCD_BINARIES and in .cache/etcd');
  return binaries;
}

/** The program of the same release that restores snapshots; `null` where it is not beside it. */
export function restoreProgram({ path, version }: EtcdBinary): string | null {
  const program = join(dirname(path), version.minor >= 5 ? 'etcdutl' : 'etcdctl');
  return existsSync(program) ? program : null;
}
