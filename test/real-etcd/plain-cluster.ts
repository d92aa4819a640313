import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Processes, RunningProcess } from '../../src/base/ports.ts';
import { etcdArguments } from '../../src/etcd/arguments.ts';
import { createEtcdClient, createKvClient } from '../../src/etcd/client.ts';
import type { AlarmName, EtcdClient } from '../../src/etcd/port.ts';
import { parseEtcdVersion } from '../../src/etcd/versions.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createProcesses } from '../../src/runtime/processes.ts';
import { createModelEtcd, silentObserver } from '../sim/model-etcd.ts';
import { createChance } from '../sim/prng.ts';
import { freePorts, until } from '../wait.ts';
import type { EtcdBinary } from './binaries.ts';

/** An etcd that a test runs by itself, without a supervisor. */
export interface PlainEtcd {
  readonly name: string;
  readonly peerUrl: string;
  readonly clientUrl: string;
  readonly client: EtcdClient;
  readonly keys: PlainKeys;
  readonly process: RunningProcess;
  /** Monotonic. */
  readonly startedAtMs: number;
  readonly lines: readonly string[];
}
/** What a user of the store, and a member that finds another's data to differ, ask of it. */
export interface PlainKeys {
  put(key: string, value: string, signal: AbortSignal): Promise<unknown>;
  raiseAlarm(memberId: string, alarm: AlarmName, signal: AbortSignal): Promise<void>;
}
export interface PlainCluster {
  readonly members: readonly PlainEtcd[];
  /** Starts one more, as a member that the cluster has added. */
  join(name: string, ports: { peer: number; client: number }): Promise<PlainEtcd>;
  /** Starts a member that has ended again, on the data it has. */
  restart(member: PlainEtcd): Promise<PlainEtcd>;
  /** Ends all and removes their data. */
  close(): Promise<void>;
}

/** What runs and asks etcds: the real ones, or the model on this machine's clock. */
interface EtcdWorld {
  readonly binary: EtcdBinary;
  readonly processes: Processes;
  readonly connect: (url: string) => EtcdClient;
  readonly keys: (url: string) => PlainKeys & { close(): void };
}

const QUOTA_BYTES = 2 ** 28;

const LOOPBACK = '127.0.0.1';
const clock = createSystemClock();

export async function startPlainCluster(
  binary: EtcdBinary,
  size: number,
  quotaBytes = QUOTA_BYTES,
): Promise<PlainCluster> {
  const connect = (url: string) => createEtcdClient({ url }, clock);
  const keys = (url: string) => ({ ...createKvClient({ url }, clock), raiseAlarm: raiserOf(url) });
  return await startCluster({ binary, processes: createProcesses(), connect, keys }, size, quotaBytes);
}

/** Over etcd's own gateway from JSON: nothing of ours raises alarms. */
function raiserOf(url: string): PlainKeys['raiseAlarm'] {
  return async (memberId, alarm, signal) => {
    const body = { action: 'ACTIVATE', memberID: BigInt(`0x${memberId}`).toString(), alarm };
    const response = await fetch(`${url}/v3/maintenance/alarm`, {
      method: 'POST',
      body: JSON.stringify(body),
      signal,
    });
    if (!response.ok) throw new Error(`raising an alarm: ${response.status} ${await response.text()}`);
  };
}

/** The simulation's etcd, its world one host without faults, in real time. */
export async function startModelCluster(size: number, quotaBytes = QUOTA_BYTES): Promise<PlainCluster> {
  const etcd = createModelEtcd({
    clock,
    random: createChance(1).stream('etcd'),
    reachable: () => true,
    latencyMs: () => 0.1,
    observer: silentObserver,
  });
  const world: EtcdWorld = {
    binary: { path: 'etcd', version: parseEtcdVersion('etcd Version: 3.5.29') },
    processes: etcd.processes(LOOPBACK),
    connect: (url) => etcd.connect(LOOPBACK, url),
    keys: (url) => etcd.connect(LOOPBACK, url),
  };
  return await startCluster(world, size, quotaBytes);
}

async function startCluster(
  { binary, processes, connect, keys: keysAt }: EtcdWorld,
  size: number,
  quotaBytes: number,
): Promise<PlainCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-plain-'));
  const ports = await freePorts(size * 2);
  const members: PlainEtcd[] = [];
  const opened: { close(): void }[] = [];
  const urlOf = (port: number | undefined) => `http://${LOOPBACK}:${port}`;

  const start = async (
    name: string,
    at: { peer: number; client: number },
    initialCluster: readonly { name: string; peerUrl: string }[],
    state: 'new' | 'existing',
  ): Promise<PlainEtcd> => {
    const lines: string[] = [];
    const [peerUrl, clientUrl] = [urlOf(at.peer), urlOf(at.client)];
    const startedAtMs = clock.monotonicMs();
    const process = await processes.start({
      command: binary.path,
      args: etcdArguments({
        version: binary.version,
        name,
        dataDirectory: join(directory, name),
        logDirectory: null,
        listenHosts: [LOOPBACK],
        peerPort: at.peer,
        clientPort: at.client,
        peerUrl,
        clientUrl,
        state,
        token: 'plain',
        initialCluster,
        options: {
          heartbeatIntervalMs: 50,
          electionTimeoutMs: 500,
          quotaBytes,
          snapshotCount: 10_000,
        },
      }),
      cwd: directory,
      env: {},
      onLine: (line) => lines.push(line),
    });
    const client = connect(clientUrl);
    const keys = keysAt(clientUrl);
    const member = { name, peerUrl, clientUrl, client, keys, process, startedAtMs, lines };
    opened.push(keys);
    members.push(member);
    return member;
  };

  const initial = Array.from({ length: size }, (_, index) => ({
    name: `m${index}`,
    peerUrl: urlOf(ports[index * 2]),
  }));
  for (const [index, { name }] of initial.entries()) {
    await start(name, { peer: ports[index * 2] ?? 0, client: ports[index * 2 + 1] ?? 0 }, initial, 'new');
  }
  return {
    members,
    join: async (name, at) => {
      const listed = (await members[0]?.client.members(AbortSignal.timeout(2000))) ?? [];
      const all = listed.flatMap(({ id, name: known, peerUrls }) =>
        peerUrls.map((peerUrl) => ({ name: known === '' ? name : `${known}-${id}`, peerUrl })),
      );
      return await start(name, at, all, 'existing');
    },
    restart: async ({ name, peerUrl, clientUrl }) => {
      const at = { peer: Number(new URL(peerUrl).port), client: Number(new URL(clientUrl).port) };
      return await start(name, at, [{ name, peerUrl }], 'existing');
    },
    async close() {
      for (const keys of opened) keys.close();
      for (const { client, process } of members) {
        client.close();
        process.signal('SIGKILL');
      }
      await Promise.all(members.map(({ process }) => process.exit));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until every member answers and knows who leads, and gives their status in their order. */
export async function formed(cluster: PlainCluster) {
  return await Promise.all(
    cluster.members.map(
      async ({ name, client }) =>
        await until(`${name} answers with a leader`, 20_000, async () => {
          const status = await client.status(AbortSignal.timeout(1000));
          return status.leaderId === null ? null : status;
        }),
    ),
  );
}
