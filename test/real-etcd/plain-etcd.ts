import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProcessExit, RunningProcess } from '../../src/base/ports.ts';
import { etcdArguments } from '../../src/etcd/arguments.ts';
import { createEtcdClient } from '../../src/etcd/client.ts';
import type { EtcdClient } from '../../src/etcd/port.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createProcesses } from '../../src/runtime/processes.ts';
import type { EtcdBinary } from './binaries.ts';
import { freePorts } from './wait.ts';

/** An etcd that a test runs by itself, without a supervisor. */
export interface PlainEtcd {
  readonly name: string;
  readonly peerUrl: string;
  readonly client: EtcdClient;
  readonly process: RunningProcess;
  readonly lines: readonly string[];
}
export interface PlainCluster {
  readonly members: readonly PlainEtcd[];
  /** Starts one more, as a member that the cluster has added. */
  join(name: string, ports: { peer: number; client: number }): Promise<PlainEtcd>;
  /** Ends all and removes their data. */
  close(): Promise<void>;
}

export async function startPlainCluster(binary: EtcdBinary, size: number): Promise<PlainCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-plain-'));
  const ports = await freePorts(size * 2);
  const processes = createProcesses();
  const clock = createSystemClock();
  const members: PlainEtcd[] = [];
  const urlOf = (port: number | undefined) => `http://127.0.0.1:${port}`;

  const start = async (
    name: string,
    at: { peer: number; client: number },
    initialCluster: readonly { name: string; peerUrl: string }[],
    state: 'new' | 'existing',
  ): Promise<PlainEtcd> => {
    const lines: string[] = [];
    const process = await processes.start({
      command: binary.path,
      args: etcdArguments({
        version: binary.version,
        name,
        dataDirectory: join(directory, name),
        listenHosts: ['127.0.0.1'],
        peerPort: at.peer,
        clientPort: at.client,
        peerUrl: urlOf(at.peer),
        clientUrl: urlOf(at.client),
        state,
        token: 'plain',
        initialCluster,
        options: {
          heartbeatIntervalMs: 50,
          electionTimeoutMs: 500,
          quotaBytes: 2 ** 28,
          snapshotCount: 10_000,
        },
      }),
      cwd: directory,
      env: {},
      onLine: (line) => lines.push(line),
    });
    const client = createEtcdClient({ url: urlOf(at.client) }, clock);
    const member = { name, peerUrl: urlOf(at.peer), client, process, lines };
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
      const others = listed.flatMap(({ id, name: known, peerUrls }) =>
        peerUrls.map((peerUrl) => ({ name: known === '' ? name : `${known}-${id}`, peerUrl })),
      );
      return await start(name, at, others, 'existing');
    },
    async close() {
      for (const { client, process } of members) {
        client.close();
        process.signal('SIGKILL');
      }
      await Promise.all(members.map(({ process }): Promise<ProcessExit> => process.exit));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
