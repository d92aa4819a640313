import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readProcessTable } from '../../src/local/process-table.ts';
import { LAUNCH_VARIABLE, type Launch, peerUrlOf, supervisorUrlOf } from '../../src/protocol/launch.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { OrderBody, Receipt } from '../../src/protocol/orders.ts';
import { createOrderKey, signOrder } from '../../src/protocol/signature.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createMembersHttp } from '../../src/runtime/members-http.ts';
import { freePorts, until } from '../wait.ts';

/** A place for a member, whose supervisor processes come and go while its volume and ports stay. */
export interface SupervisedMember {
  readonly launch: Launch;
  readonly sandbox: string;
  readonly volumePath: string;
  /** Of a second volume, at `wal`, which only a launch that names it uses. */
  readonly walPath: string;
  /** Starts a supervisor as a new task. Resolves when it answers. */
  start(changes?: { launch?: Partial<Launch>; env?: Record<string, string> }): Promise<void>;
  /** Starts it and tells how it ended, with what it wrote to stderr. */
  startAndFail(changes?: { launch?: Partial<Launch>; env?: Record<string, string> }): Promise<Ended>;
  status(): Promise<MemberStatus>;
  statusWhere(
    what: string,
    condition: (status: MemberStatus) => boolean,
    limitMs?: number,
  ): Promise<MemberStatus>;
  order(body: OrderBody, envelope?: Partial<Envelope>): Promise<Receipt>;
  /** Prepares and starts a cluster of one, and waits until it serves. */
  bootstrap(): Promise<MemberStatus>;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
  /** Of the newest supervisor. */
  readonly ended: Promise<Ended>;
  close(): Promise<void>;
}
export interface Envelope {
  readonly epoch: number;
  readonly attempt: number;
  readonly generation: number;
  readonly counter: number;
  readonly task: string;
}
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

const ENTRY = join(import.meta.dirname, '..', '..', 'src', 'cli', 'etcd-mesos.ts');
export const TOKEN = 'token-1';
const key = createOrderKey().key;
/**
 * A supervisor that starts kills whatever else runs for its cluster and seat, as what was left of the task before it.
 * So the members of two files of tests, which run at the same time, are never of one cluster.
 */
const CLUSTER = `cluster-${randomUUID()}`;

export async function createSupervisedMember(etcdBinary: string): Promise<SupervisedMember> {
  const sandbox = await mkdtemp(join(tmpdir(), 'etcd-mesos-member-'));
  // As Mesos has it: the volumes are the agent's, and linked into the sandbox.
  const agent = await mkdtemp(join(tmpdir(), 'etcd-mesos-agent-'));
  const [volumePath, walPath] = [join(agent, 'volume'), join(agent, 'wal')];
  for (const directory of [volumePath, walPath]) await mkdir(directory);
  await symlink(volumePath, join(sandbox, 'volume'));
  await symlink(walPath, join(sandbox, 'wal'));
  const [peer = 0, client = 0, supervisor = 0] = await freePorts(3);
  const base: Launch = {
    protocol: 1,
    framework: 'framework-1',
    cluster: CLUSTER,
    slot: 'etcd-0',
    seat: 'seat-1',
    task: 'etcd-0__0',
    schedulerKey: key.publicKey,
    volume: { path: 'volume', id: 'volume-1' },
    host: '127.0.0.1',
    ports: { peer, client, supervisor },
    etcdBinary,
    etcd: { heartbeatIntervalMs: 50, electionTimeoutMs: 500, quotaBytes: 2 ** 28, snapshotCount: 10_000 },
  };
  let launch = base;
  let tasks = 0;
  let counter = 0;
  const children: { child: ChildProcess; ended: Promise<Ended> }[] = [];
  const etcdPids = new Set<number>();
  const http = createHttpTransport();
  const members = createMembersHttp(http);

  const spawnNext = (changes: { launch?: Partial<Launch>; env?: Record<string, string> } = {}) => {
    tasks += 1;
    launch = { ...base, task: `etcd-0__${tasks}`, ...changes.launch };
    const child = spawn(process.execPath, [ENTRY, 'run-member'], {
      cwd: sandbox,
      env: { PATH: process.env['PATH'] ?? '', [LAUNCH_VARIABLE]: JSON.stringify(launch), ...changes.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<Ended>((resolve) => {
      child.once('exit', (code, signal) => {
        setTimeout(() => resolve({ code, signal, stdout, stderr }), 50);
      });
    });
    children.push({ child, ended });
    return { child, ended };
  };

  const status = async (): Promise<MemberStatus> => {
    const now = await members.status(supervisorUrlOf(launch), null, AbortSignal.timeout(2000));
    if (now.etcd !== null && now.etcd.pid > 0) etcdPids.add(now.etcd.pid);
    return now;
  };
  const statusWhere: SupervisedMember['statusWhere'] = async (what, condition, limitMs = 15_000) =>
    await until(what, limitMs, async () => {
      const now = await status();
      if (condition(now)) return now;
      throw new Error(`status is ${JSON.stringify(now)}`);
    });

  const order: SupervisedMember['order'] = async (body, envelope = {}) => {
    counter += 1;
    const signed = signOrder(
      {
        id: `order-${counter}`,
        cluster: launch.cluster,
        task: launch.task,
        epoch: 1,
        attempt: 1,
        generation: 1,
        counter,
        ...envelope,
        ...body,
      },
      key,
    );
    return await members.order(supervisorUrlOf(launch), signed, AbortSignal.timeout(20_000));
  };

  const newest = () => {
    const last = children.at(-1);
    if (last === undefined) throw new Error('no supervisor was started');
    return last;
  };

  return {
    get launch() {
      return launch;
    },
    sandbox,
    volumePath,
    walPath,
    async start(changes) {
      const { ended, child } = spawnNext(changes);
      void ended.then(({ code, stdout, stderr }) => {
        if (code !== 0 && code !== null)
          console.log(`supervisor ${child.pid} ended with ${code}\n${stdout}\n${stderr}`);
      });
      await until('the supervisor answers', 20_000, status);
    },
    startAndFail: async (changes) => await spawnNext(changes).ended,
    status,
    statusWhere,
    order,
    async bootstrap() {
      await order({ kind: 'prepare', args: { token: TOKEN } });
      await order({
        kind: 'start',
        args: {
          mode: 'bootstrap',
          token: TOKEN,
          initialCluster: [{ name: launch.slot, peerUrl: peerUrlOf(launch) }],
          clusterId: null,
          memberId: null,
          floor: null,
        },
      });
      return await statusWhere(
        'it serves and knows a quorum',
        ({ probe, floor, identity }) =>
          probe !== null && probe.confirmedMembers !== null && floor !== null && identity?.clusterId !== null,
      );
    },
    signal: (name) => void newest().child.kill(name),
    get ended() {
      return newest().ended;
    },
    async close() {
      for (const { child } of children) child.kill('SIGKILL');
      await Promise.all(children.map(({ ended }) => ended));
      await until('all etcds have ended', 10_000, async () => [...etcdPids].every((pid) => !isAlive(pid)));
      await http.close();
      for (const directory of [sandbox, agent]) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A zombie is dead: whoever should have reaped it is not our matter. */
export function isAlive(pid: number): boolean {
  return readProcessTable().has(pid);
}
