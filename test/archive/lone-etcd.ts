import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Etcd3 } from 'etcd3';
import { type EtcdTuning, etcdArguments } from '../../src/etcd/arguments.ts';
import { createEtcdClient } from '../../src/etcd/client.ts';
import type { EtcdClient } from '../../src/etcd/port.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createProcesses } from '../../src/runtime/processes.ts';
import { type EtcdBinary, restoreProgram } from '../real-etcd/binaries.ts';
import { freePorts, until } from '../wait.ts';

/** An etcd without others, asked through a client that shares nothing with what is tested. */
export interface LoneEtcd {
  readonly url: string;
  readonly theirs: Etcd3;
  readonly ours: EtcdClient;
  /** A snapshot as etcd sends it, with its trailing hash. */
  snapshot(): Promise<Buffer>;
  /** Ends it; its data stay. */
  stop(): Promise<void>;
}

const CALL_MS = 10_000;
/** It takes long where what it begins with is large. */
const SERVES_MS_MAX = 60_000;
/** Small and fast, for what a test writes. */
const TUNING: EtcdTuning = {
  heartbeatIntervalMs: 50,
  electionTimeoutMs: 500,
  quotaBytes: 2 ** 30,
  snapshotCount: 500,
};

/**
 * @param dataDirectory is there already.
 * @param options.more further arguments.
 */
export async function startLoneEtcd(
  binary: EtcdBinary,
  dataDirectory: string,
  { tuning = TUNING, more = [] }: { readonly tuning?: EtcdTuning; readonly more?: readonly string[] } = {},
): Promise<LoneEtcd> {
  const [peer = 0, client = 0] = await freePorts(2);
  const [peerUrl, url] = [`http://127.0.0.1:${peer}`, `http://127.0.0.1:${client}`];
  const lines: string[] = [];
  const running = await createProcesses().start({
    command: binary.path,
    args: [
      ...etcdArguments({
        version: binary.version,
        name: 'm0',
        dataDirectory,
        logDirectory: null,
        listenHosts: ['127.0.0.1'],
        peerPort: peer,
        clientPort: client,
        peerUrl,
        clientUrl: url,
        state: 'new',
        token: 'lone',
        initialCluster: [{ name: 'm0', peerUrl }],
        options: tuning,
      }),
      // A replay puts into one transaction what a lease has ended with.
      '--max-txn-ops=10000',
      '--max-request-bytes=33554432',
      ...more,
    ],
    cwd: dataDirectory,
    env: {},
    onLine: (line) => lines.push(line),
  });
  const ours = createEtcdClient({ url }, createSystemClock());
  const theirs = new Etcd3({ hosts: url, defaultCallOptions: () => ({ deadline: Date.now() + CALL_MS }) });
  const stop = async () => {
    ours.close();
    theirs.close();
    running.signal('SIGTERM');
    await running.exit;
  };
  try {
    await until(
      'etcd serves',
      SERVES_MS_MAX,
      async () => (await ours.status(AbortSignal.timeout(1000))).leaderId,
    );
  } catch (error) {
    await stop();
    throw new Error(lines.slice(-20).join('\n'), { cause: error });
  }
  return {
    url,
    ours,
    theirs,
    stop,
    snapshot: async () => {
      const stream = await theirs.maintenance.snapshot();
      const pieces: Buffer[] = [];
      await new Promise<void>((resolve, reject) => {
        stream.on('data', ({ blob }: { blob: Buffer }) => pieces.push(blob));
        stream.on('end', () => resolve());
        stream.on('error', reject);
      });
      return Buffer.concat(pieces);
    },
  };
}

/** `snapshot restore` with its check of the hash, for a member that {@link startLoneEtcd} starts. */
export async function restoreSnapshot(
  binary: EtcdBinary,
  file: string,
  dataDirectory: string,
): Promise<void> {
  const program = restoreProgram(binary);
  if (program === null) throw new Error(`there is no program beside ${binary.path} that restores`);
  const peerUrl = 'http://127.0.0.1:2380';
  const place = ['--name=m0', `--initial-cluster=m0=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`];
  await promisify(execFile)(program, ['snapshot', 'restore', file, `--data-dir=${dataDirectory}`, ...place], {
    env: { ETCDCTL_API: '3' },
    cwd: join(dataDirectory, '..'),
  });
}
