import type { LogFields, Logger } from '../../src/base/ports.ts';
import { type EtcdClient, EtcdError, type EtcdStatus } from '../../src/etcd/port.ts';
import { parseEtcdVersion } from '../../src/etcd/versions.ts';
import type { SweepReport } from '../../src/member/orphan-port.ts';
import { createSupervisor, type Supervisor } from '../../src/member/supervisor.ts';
import type { Launch } from '../../src/protocol/launch.ts';
import type { EtcdMember } from '../../src/protocol/member-status.ts';
import type { OrderBody, Receipt } from '../../src/protocol/orders.ts';
import { createOrderKey, parsePublicOrderKey, signOrder } from '../../src/protocol/signature.ts';
import { createMemoryProcesses, type MemoryProcesses, type ProgramContext } from '../sim/memory-processes.ts';
import { createMemoryDisk, type MemoryDisk } from '../sim/memory-volume.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';

export const peerUrl = 'http://10.0.0.1:2380';
export const TOKEN = 'token-1';
/** The scheduler's, whose orders its supervisors take. */
export const key = createOrderKey().key;
export const launch: Launch = {
  protocol: 1,
  framework: 'framework-1',
  cluster: 'cluster-1',
  slot: 'etcd-0',
  seat: 'seat-1',
  task: 'etcd-0__1',
  schedulerKey: key.publicKey,
  volume: { path: 'volume', id: 'volume-1' },
  host: '10.0.0.1',
  ports: { peer: 2380, client: 2379, supervisor: 2378 },
  etcdBinary: 'etcd',
  etcd: { heartbeatIntervalMs: 100, electionTimeoutMs: 1000, quotaBytes: 2 ** 31, snapshotCount: 10_000 },
};

/** The etcd of a world with one member: what it answers is set by the test, how it runs by its program. */
export interface ModelMemberEtcd {
  status: EtcdStatus;
  members: readonly EtcdMember[];
  quorum: boolean;
  /** With its authentication on: to be changed alone, as 3.4 does, or also to tell how it is. */
  asksForUser: 'no' | 'for-changes' | 'always';
  /** Answers at all. */
  serves: boolean;
  /** What its process does; the default writes a log and runs until a signal. */
  program: (context: ProgramContext) => Promise<number>;
  /** Calls that changed the cluster. */
  readonly calls: string[];
  /** Thrown by the next call that changes the cluster. */
  refusal: EtcdError | null;
  /** Settled when it has rewritten its database. */
  rewriting: Promise<void>;
  /** In their order, with the bytes of key and value. */
  keys: readonly (readonly [key: string, bytes: number])[];
  /** What a page of them takes. */
  pageMs: number;
}

export interface ModelWorld {
  readonly clock: VirtualClock;
  readonly disk: MemoryDisk;
  readonly processes: MemoryProcesses;
  readonly etcd: ModelMemberEtcd;
  readonly log: readonly (readonly [event: string, fields: LogFields])[];
  sweep: SweepReport;
  /** Starts a supervisor as a new task and lets it boot. */
  start(changes?: Partial<Launch>): Promise<RunningSupervisor>;
}
export interface RunningSupervisor extends Supervisor {
  readonly task: string;
  /** SIGTERM. */
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  give(body: OrderBody, envelope?: Partial<Envelope>): Promise<Receipt>;
  /** Prepares, bootstraps, and waits until it is known to serve. */
  bootstrap(): Promise<void>;
}
export interface Envelope {
  readonly id: string;
  readonly cluster: string;
  readonly task: string;
  readonly epoch: number;
  readonly attempt: number;
  readonly generation: number;
  readonly counter: number;
}

export const own: EtcdMember = {
  id: 'f1',
  name: 'etcd-0',
  peerUrls: [peerUrl],
  clientUrls: ['http://10.0.0.1:2379'],
  isLearner: false,
};

export const starts = (
  mode: 'bootstrap' | 'join' | 'resume',
  changes: Partial<(OrderBody & { kind: 'start' })['args']> = {},
): OrderBody => ({
  kind: 'start',
  args: {
    mode,
    token: TOKEN,
    initialCluster: [{ name: 'etcd-0', peerUrl }],
    clusterId: null,
    memberId: null,
    floor: null,
    ...changes,
  },
});
export const prepare: OrderBody = { kind: 'prepare', args: { token: TOKEN } };

export function createModelWorld(): ModelWorld {
  const clock = createVirtualClock({ settleTurns: 3 });
  const disk = createMemoryDisk();
  const log: (readonly [string, LogFields])[] = [];
  const etcd: ModelMemberEtcd = {
    status: {
      version: '3.5.30',
      clusterId: 'abc',
      memberId: 'f1',
      leaderId: 'f1',
      isLearner: false,
      raftTerm: '2',
      raftIndex: '10',
      raftAppliedIndex: '10',
      revision: '1',
      dbSizeBytes: 1000,
      dbSizeInUseBytes: 900,
      errors: [],
    },
    members: [own],
    quorum: true,
    asksForUser: 'no',
    serves: true,
    program: async (context) => {
      disk.setData(1, 'present');
      return await untilEnded(context);
    },
    calls: [],
    refusal: null,
    rewriting: Promise.resolve(),
    keys: [],
    pageMs: 0,
  };
  const processes = createMemoryProcesses({
    clock,
    programs: { setpriv: async (context) => await etcd.program(context) },
  });
  let tasks = 0;
  let counter = 0;
  const world: ModelWorld = {
    clock,
    disk,
    processes,
    etcd,
    log,
    sweep: { killed: [], foreign: [] },
    async start(changes = {}) {
      tasks += 1;
      const mine = { ...launch, task: `etcd-0__${tasks}`, ...changes };
      const stop = new AbortController();
      const supervisor = createSupervisor({
        launch: mine,
        schedulerKey: parsePublicOrderKey(mine.schedulerKey),
        clock,
        processes,
        volume: disk.connect(),
        orphans: { sweep: async () => world.sweep },
        etcd: () => clientOf(world),
        log: recorder(log),
        etcdLog: () => {},
        build: 'test',
        etcdVersion: parseEtcdVersion('etcd Version: 3.5.30'),
        warnings: [],
        listenHosts: ['10.0.0.1', '127.0.0.1'],
        workDirectory: '/sandbox',
        environment: {},
      });
      const ended = supervisor.run(stop.signal);
      const give: RunningSupervisor['give'] = async (body, envelope = {}) => {
        counter += 1;
        const order = {
          id: `order-${counter}`,
          cluster: 'cluster-1',
          task: mine.task,
          epoch: 1,
          attempt: 1,
          generation: 1,
          counter,
          ...envelope,
          ...body,
        };
        return await clock.during(supervisor.order(signOrder(order, key)));
      };
      await clock.settle();
      await supervisor.ready;
      return {
        ...supervisor,
        task: mine.task,
        stop,
        ended,
        give,
        async bootstrap() {
          await give(prepare);
          await give(starts('bootstrap'));
          await clock.runUntil(() => supervisor.status().identity?.clusterId === 'abc', 5000);
        },
      };
    },
  };
  return world;
}

export function untilEnded(context: ProgramContext): Promise<number> {
  return new Promise((resolve) => context.ended.addEventListener('abort', () => resolve(0)));
}

async function aborted(signal: AbortSignal): Promise<never> {
  return await new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new EtcdError('aborted', 'aborted')));
  });
}

function clientOf(world: ModelWorld): EtcdClient {
  const { etcd, processes } = world;
  const answer = async <T>(value: () => T): Promise<T> => {
    if (!etcd.serves || processes.running().length === 0) throw new EtcdError('unavailable', 'no connection');
    return value();
  };
  const told = async <T>(value: () => T): Promise<T> =>
    await answer(() => {
      if (etcd.asksForUser === 'always') throw new EtcdError('needs-user', 'user name is empty');
      return value();
    });
  const change = async (name: string): Promise<void> => {
    const { refusal } = etcd;
    etcd.refusal = null;
    if (refusal !== null) throw refusal;
    etcd.calls.push(name);
  };
  return {
    status: async () => await told(() => ({ ...etcd.status })),
    clusterVersion: async () => await answer(() => '3.5.0'),
    members: async () => await told(() => etcd.members),
    confirmQuorum: async (signal) => {
      await answer(() => null);
      if (!etcd.quorum) await aborted(signal);
      return { needsUser: etcd.asksForUser !== 'no' };
    },
    alarms: async () => await answer(() => []),
    memberAddLearner: async (url) => {
      await change(`add ${url}`);
      const added = { ...own, id: 'a1', name: '', peerUrls: [url], clientUrls: [], isLearner: true };
      etcd.members = [...etcd.members, added];
      return { memberId: added.id };
    },
    memberRemove: async (memberId) => await change(`remove ${memberId}`),
    memberPromote: async (memberId) => await change(`promote ${memberId}`),
    moveLeader: async (memberId) => await change(`move to ${memberId}`),
    defragment: async (signal) => {
      await Promise.race([etcd.rewriting, aborted(signal)]);
      await change('defragment');
    },
    compact: async (revision) => await change(`compact ${revision}`),
    disarm: async (memberId, alarm) => await change(`disarm ${memberId} ${alarm}`),
    hashKv: async (revision) => {
      await change(`hash ${revision}`);
      return { hash: 7, compactRevision: '3' };
    },
    keySizes: async (from, countMax) => {
      if (etcd.pageMs > 0) await world.clock.sleep(etcd.pageMs);
      return await answer(() => {
        const rest = etcd.keys.filter(([key]) => Buffer.compare(Buffer.from(key), from) >= 0);
        const page = rest.slice(0, countMax);
        return {
          keys: page.map(([key, bytes]) => ({ key: Buffer.from(key), bytes })),
          more: page.length < rest.length,
        };
      });
    },
    close: () => {},
  };
}

function recorder(log: (readonly [string, LogFields])[]): Logger {
  const add = (event: string, fields: LogFields = {}) => void log.push([event, fields]);
  return { debug: add, info: add, warn: add, error: add, child: () => recorder(log) };
}
