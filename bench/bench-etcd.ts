import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type LoneEtcd, restoreSnapshot, startLoneEtcd } from '../test/archive/lone-etcd.ts';
import { type EtcdBinary, etcdBinaries, restoreProgram } from '../test/real-etcd/binaries.ts';

/** An etcd of one member that a benchmark asks. */
export type BenchEtcd = Pick<LoneEtcd, 'url' | 'stop'>;

/** As a cluster's members are tuned by default, with room for what benchmarks write. */
const TUNING = {
  heartbeatIntervalMs: 100,
  electionTimeoutMs: 1000,
  quotaBytes: 8 * 2 ** 30,
  snapshotCount: 100_000,
} as const;

/** The first etcd that is at hand. */
function benchBinary(): EtcdBinary {
  const [binary] = etcdBinaries();
  if (binary === undefined) throw new Error('there is no etcd in PATH, in ETCD_BINARIES and in .cache/etcd');
  return binary;
}

/** The program of that etcd's release that restores snapshots. */
export function restoreOfSnapshots(): string {
  const binary = benchBinary();
  const restore = restoreProgram(binary);
  if (restore === null) throw new Error(`there is no program beside ${binary.path} that restores`);
  return restore;
}

/**
 * Starts it in a new directory of its own.
 * @param snapshot what it begins with, a file that `snapshot restore` takes; `null`: nothing.
 * @param more further arguments.
 */
export async function startBenchEtcd(
  directory: string,
  snapshot: string | null,
  more: readonly string[] = [],
): Promise<BenchEtcd> {
  const binary = benchBinary();
  const dataDirectory = join(directory, 'etcd');
  if (snapshot === null) await mkdir(dataDirectory);
  else await restoreSnapshot(binary, snapshot, dataDirectory);
  return await startLoneEtcd(binary, dataDirectory, { tuning: TUNING, more });
}
