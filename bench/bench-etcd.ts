import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { etcdArguments } from '../src/etcd/arguments.ts';
import { createEtcdClient } from '../src/etcd/client.ts';
import { createProcesses } from '../src/runtime/processes.ts';
import { whereIs } from '../test/needs.ts';
import { etcdBinaries } from '../test/real-etcd/binaries.ts';
import { clock, freePorts, until } from '../test/wait.ts';

/** An etcd of one member that a benchmark asks. */
export interface BenchEtcd {
  readonly url: string;
  stop(): Promise<void>;
}

const execute = promisify(execFile);
const QUOTA_BYTES = 8 * 2 ** 30;
/** The program that restores snapshots. */
export function restoreOfSnapshots(): string {
  const restore = whereIs('etcdutl') ?? whereIs('etcdctl');
  if (restore === null) throw new Error('neither etcdutl nor etcdctl is in PATH');
  return restore;
}

/**
 * Starts the first etcd that is at hand, in a new directory of its own.
 * @param snapshot what it begins with, a file that `snapshot restore` takes; `null`: nothing.
 * @param more further arguments.
 */
export async function startBenchEtcd(
  directory: string,
  snapshot: string | null,
  more: readonly string[] = [],
): Promise<BenchEtcd> {
  const [binary] = etcdBinaries();
  if (binary === undefined) throw new Error('there is no etcd in PATH, in ETCD_BINARIES and in .cache/etcd');
  const [peerPort = 0, clientPort = 0] = await freePorts(2);
  const [peerUrl, url] = [`http://127.0.0.1:${peerPort}`, `http://127.0.0.1:${clientPort}`];
  const dataDirectory = join(directory, 'etcd');
  if (snapshot !== null) {
    const member = [
      '--name=m0',
      `--initial-cluster=m0=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
    ];
    await execute(
      restoreOfSnapshots(),
      ['snapshot', 'restore', snapshot, `--data-dir=${dataDirectory}`, ...member],
      {
        env: { ETCDCTL_API: '3' },
        cwd: directory,
      },
    );
  }
  const running = await createProcesses().start({
    command: binary.path,
    args: [
      ...etcdArguments({
        version: binary.version,
        name: 'm0',
        dataDirectory,
        logDirectory: null,
        listenHosts: ['127.0.0.1'],
        peerPort,
        clientPort,
        peerUrl,
        clientUrl: url,
        state: 'new',
        token: 'bench',
        initialCluster: [{ name: 'm0', peerUrl }],
        options: {
          heartbeatIntervalMs: 100,
          electionTimeoutMs: 1000,
          quotaBytes: QUOTA_BYTES,
          snapshotCount: 100_000,
        },
      }),
      ...more,
    ],
    cwd: directory,
    env: {},
    onLine: () => undefined,
  });
  const client = createEtcdClient({ url }, clock);
  try {
    await until('etcd serves', 60_000, async () => (await client.status(AbortSignal.timeout(1000))).leaderId);
  } finally {
    client.close();
  }
  return {
    url,
    stop: async () => {
      running.signal('SIGKILL');
      await running.exit;
    },
  };
}
