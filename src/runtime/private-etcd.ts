import { describeError } from '../base/errors.ts';
import type { Clock, RunningProcess } from '../base/ports.ts';
import { etcdArguments } from '../etcd/arguments.ts';
import { createEtcdClient } from '../etcd/client.ts';
import type { EtcdClient } from '../etcd/port.ts';
import { EtcdBinaryError, parseEtcdVersion } from '../etcd/versions.ts';
import { claimPortRange } from '../local/port-range.ts';
import type { EtcdProgram } from './etcd-program.ts';
import { createProcesses } from './processes.ts';
import { createSystemRandom } from './random.ts';

/** An etcd of one, on loopback, that nobody is told of. */
export interface PrivateEtcd {
  readonly url: string;
  readonly client: EtcdClient;
  /** Ends it, by force if it takes long. Safe to repeat. */
  stop(): Promise<void>;
}

const SERVES_MS_MAX = 60_000;
const LOOK_MS = 50;
const STATUS_MS_MAX = 2_000;
/** How long it may take to end by itself. */
const ENDS_MS_MAX = 10_000;
const LINES_KEPT = 5;
/** It only reads what was restored, however large that is. */
const QUOTA_BYTES = 2 ** 43;
/** A name and a peer URL for a data directory that a private etcd is started on. */
export const PRIVATE_MEMBER = { name: 'private', peerUrl: 'http://127.0.0.1:2380' } as const;

/**
 * Starts an etcd on a data directory that `snapshot restore` has made. Rejects with an `EtcdBinaryError` `not-run` when
 * it does not serve within a minute.
 */
export async function startPrivateEtcd(
  program: EtcdProgram,
  dataDirectory: string,
  {
    clock,
    signal,
    more = [],
  }: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    /** Further arguments. */
    readonly more?: readonly string[];
  },
): Promise<PrivateEtcd> {
  const { begin, release } = await claimPortRange(2, createSystemRandom());
  const url = `http://127.0.0.1:${begin + 1}`;
  const lines: string[] = [];
  const running = await createProcesses().start({
    command: program.path,
    args: [
      ...etcdArguments({
        version: parseEtcdVersion(`etcd Version: ${program.version}`),
        name: PRIVATE_MEMBER.name,
        dataDirectory,
        logDirectory: null,
        listenHosts: ['127.0.0.1'],
        peerPort: begin,
        clientPort: begin + 1,
        peerUrl: PRIVATE_MEMBER.peerUrl,
        clientUrl: url,
        state: 'existing',
        token: 'private',
        initialCluster: [PRIVATE_MEMBER],
        unchecked: true,
        options: {
          heartbeatIntervalMs: 100,
          electionTimeoutMs: 1000,
          quotaBytes: QUOTA_BYTES,
          snapshotCount: 100_000,
        },
      }),
      ...more,
    ],
    cwd: dataDirectory,
    env: {},
    onLine: (line) => {
      lines.push(line);
      if (lines.length > LINES_KEPT) lines.shift();
    },
  });
  const client = createEtcdClient({ url }, clock);
  const stop = async (): Promise<void> => {
    client.close();
    await end(running, clock);
    release();
  };
  try {
    await untilItServes(client, running, clock, signal);
  } catch (cause) {
    await stop();
    signal.throwIfAborted();
    throw new EtcdBinaryError(
      'not-run',
      `${program.path} does not serve what was restored: ${describeError(cause)}\n${lines.join('\n')}`,
      { cause },
    );
  }
  return { url, client, stop };
}

async function untilItServes(
  client: EtcdClient,
  running: RunningProcess,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let hasEnded = false;
  void running.exit.then(() => {
    hasEnded = true;
  });
  const endMs = clock.monotonicMs() + SERVES_MS_MAX;
  for (;;) {
    signal.throwIfAborted();
    try {
      const { leaderId } = await client.status(AbortSignal.any([signal, AbortSignal.timeout(STATUS_MS_MAX)]));
      if (leaderId !== null) return;
    } catch (error) {
      if (clock.monotonicMs() > endMs) throw error;
    }
    if (hasEnded) throw new Error('it has ended');
    if (clock.monotonicMs() > endMs) throw new Error(`it has no leader after ${SERVES_MS_MAX / 1000} s`);
    await clock.sleep(LOOK_MS, signal);
  }
}

async function end(running: RunningProcess, clock: Clock): Promise<void> {
  const ended = new AbortController();
  const exit = running.exit.then(() => ended.abort());
  running.signal('SIGTERM');
  await Promise.race([exit, clock.sleep(ENDS_MS_MAX, ended.signal)]);
  running.signal('SIGKILL');
  await exit;
}
