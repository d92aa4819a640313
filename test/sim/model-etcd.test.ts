import { beforeEach, describe, expect, test } from 'vitest';
import type { RunningProcess } from '../../src/base/ports.ts';
import { createModelEtcd, type ModelEtcd, type ModelEtcdClient, silentObserver } from './model-etcd.ts';
import { createChance } from './prng.ts';
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts';

const never = new AbortController().signal;

let clock: VirtualClock;
let etcd: ModelEtcd;
let cut: Set<string>;
let lines: string[];
let promotions: boolean[];

beforeEach(() => {
  clock = createVirtualClock();
  cut = new Set();
  lines = [];
  promotions = [];
  etcd = createModelEtcd({
    clock,
    random: createChance(1).stream('etcd'),
    reachable: (from, to) => from === to || !(cut.has(from) || cut.has(to)),
    latencyMs: () => 1,
    observer: {
      ...silentObserver,
      promotionGranted: (leader, learner) => {
        promotions.push(learner.data.applied >= leader.data.applied);
      },
    },
  });
});

const hostOf = (position: number) => `10.0.0.${position}`;
const clientOf = (position: number): ModelEtcdClient =>
  etcd.connect(hostOf(position), 'http://127.0.0.1:2379');

function argumentsOf(position: number, members: readonly number[], state: string, token = 'one'): string[] {
  const host = hostOf(position);
  return [
    `--name=etcd-${position}`,
    '--data-dir=/volume/data',
    `--initial-advertise-peer-urls=http://${host}:2380`,
    `--listen-peer-urls=http://${host}:2380`,
    '--listen-client-urls=http://127.0.0.1:2379',
    `--advertise-client-urls=http://${host}:2379`,
    `--initial-cluster=${members.map((other) => `etcd-${other}=http://${hostOf(other)}:2380`).join(',')}`,
    `--initial-cluster-state=${state}`,
    `--initial-cluster-token=${token}`,
  ];
}

async function start(position: number, args: readonly string[]): Promise<RunningProcess> {
  const processes = etcd.processes(hostOf(position));
  return await clock.during(
    processes.start({
      command: '/usr/bin/etcd',
      args,
      cwd: '/',
      env: {},
      onLine: (line) => lines.push(`${position}: ${line}`),
    }),
  );
}

async function bootstrap(members: readonly number[]): Promise<RunningProcess[]> {
  const processes = [];
  for (const member of members) processes.push(await start(member, argumentsOf(member, members, 'new')));
  const served = () => etcd.running.size === members.length && [...etcd.running].every((one) => one.serving);
  await clock.runUntil(served, 30_000);
  return processes;
}

describe('model etcd', () => {
  test('three members form one cluster that takes writes through any of them', async () => {
    await bootstrap([1, 2, 3]);
    await clock.during(clientOf(1).put('a', '1', never));
    await clock.during(clientOf(3).confirmQuorum(never));
    const statuses = await Promise.all(
      [1, 2, 3].map((member) => clock.during(clientOf(member).status(never))),
    );
    expect(new Set(statuses.map((status) => status.clusterId)).size).toBe(1);
    expect(new Set(statuses.map((status) => status.leaderId)).size).toBe(1);
    await clock.advance(100);
    for (const process of etcd.running) expect(process.data.store.values.get('a')).toBe('1');
  });

  test('a killed leader is followed by another with every acknowledged write, and comes back on its data', async () => {
    const processes = await bootstrap([1, 2, 3]);
    const leader = [...etcd.running].findIndex((one) => one.node?.role === 'leader');
    const asked = leader === 0 ? 2 : 1;
    for (let write = 0; write < 20; write += 1)
      await clock.during(clientOf(asked).put(`k${write}`, 'v', never));
    processes[leader]?.signal('SIGKILL');
    await clock.advance(5_000);
    await clock.during(clientOf(asked).put('after', 'v', never));
    await start(leader + 1, argumentsOf(leader + 1, [1, 2, 3], 'existing'));
    await clock.advance(5_000);
    const values = [...etcd.running].map((one) => one.data.store.values.size);
    expect(values).toEqual([21, 21, 21]);
  });

  test('without a quorum nothing linearizable is answered, and a member that starts stays silent', async () => {
    const processes = await bootstrap([1, 2, 3]);
    processes[1]?.signal('SIGKILL');
    processes[2]?.signal('SIGKILL');
    await clock.advance(5_000);
    await expect(clock.during(clientOf(1).confirmQuorum(never))).rejects.toMatchObject({ code: 'timeout' });
    await expect(clock.during(clientOf(1).put('a', '1', never))).rejects.toMatchObject({ code: 'timeout' });
    expect((await clock.during(clientOf(1).status(never))).leaderId).toBeNull();
    processes[0]?.signal('SIGKILL');
    await clock.advance(100);
    await start(1, argumentsOf(1, [1, 2, 3], 'existing'));
    await clock.advance(20_000);
    await expect(clock.during(clientOf(1).status(never))).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('an add waits until all voters were connected for five seconds, and is refused while one is dead', async () => {
    const processes = await bootstrap([1, 2, 3]);
    const peerUrl = `http://${hostOf(4)}:2380`;
    await expect(clock.during(clientOf(1).memberAddLearner(peerUrl, never))).rejects.toMatchObject({
      code: 'unhealthy-cluster',
    });
    processes[2]?.signal('SIGKILL');
    await clock.advance(10_000);
    await expect(clock.during(clientOf(1).memberAddLearner(peerUrl, never))).rejects.toMatchObject({
      code: 'unhealthy-cluster',
    });
  });

  test('a dead voter is replaced by remove, add, join, promote; promotion is granted on the log alone', async () => {
    const processes = await bootstrap([1, 2, 3]);
    for (let write = 0; write < 20; write += 1) await clock.during(clientOf(1).put(`k${write}`, 'v', never));
    processes[2]?.signal('SIGKILL');
    await clock.advance(10_000);
    const third = (await clock.during(clientOf(1).members(never))).find((one) => one.name === 'etcd-3');
    await clock.during(clientOf(1).memberRemove(third?.id ?? '', never));
    const peerUrl = `http://${hostOf(4)}:2380`;
    const { memberId } = await clock.during(clientOf(1).memberAddLearner(peerUrl, never));
    await expect(
      clock.during(clientOf(1).memberAddLearner(`http://${hostOf(5)}:2380`, never)),
    ).rejects.toMatchObject({ code: 'too-many-learners' });
    await expect(clock.during(clientOf(1).memberPromote(memberId, never))).rejects.toMatchObject({
      code: 'learner-not-ready',
    });
    await start(4, argumentsOf(4, [1, 2, 4], 'existing'));
    let promoted = false;
    while (!promoted) {
      await clock.advance(10);
      promoted = await clock.during(
        clientOf(1)
          .memberPromote(memberId, never)
          .then(
            () => true,
            () => false,
          ),
      );
    }
    expect(promotions).toEqual([false]);
    await clock.advance(10_000);
    expect((await clock.during(clientOf(4).status(never))).isLearner).toBe(false);
    expect([...etcd.running].map((one) => one.data.store.values.size)).toEqual([20, 20, 20]);
  });

  test('a removed member ends with code 0, and does so again when it is started on its data', async () => {
    const processes = await bootstrap([1, 2, 3]);
    await clock.advance(10_000);
    const third = (await clock.during(clientOf(1).members(never))).find((one) => one.name === 'etcd-3');
    await clock.during(clientOf(1).memberRemove(third?.id ?? '', never));
    expect(await clock.during(processes[2]?.exit ?? Promise.reject(new Error('no process')))).toEqual({
      code: 0,
      signal: null,
    });
    expect(lines).toContain('3: the member has been permanently removed from the cluster');
    const again = await start(3, argumentsOf(3, [1, 2, 3], 'existing'));
    expect((await clock.during(again.exit)).code).toBe(0);
  });

  test('a joiner with another initial cluster than the cluster has ends with an error', async () => {
    await bootstrap([1, 2, 3]);
    const process = await start(4, argumentsOf(4, [1, 2, 3, 4], 'existing'));
    expect((await clock.during(process.exit)).code).toBe(1);
    expect(lines.at(-1)).toContain('member count is unequal');
  });

  test('an empty directory with state new and another token makes a cluster of its own', async () => {
    await bootstrap([1]);
    await start(2, argumentsOf(2, [2], 'new', 'two'));
    await clock.advance(5_000);
    expect(new Set([...etcd.running].map((one) => one.data.clusterId)).size).toBe(2);
  });

  test('a second etcd cannot have the same ports or directory', async () => {
    await bootstrap([1]);
    const second = await start(1, argumentsOf(1, [1], 'existing'));
    expect((await clock.during(second.exit)).code).toBe(1);
    expect(lines.at(-1)).toContain('address already in use');
  });

  test('a member that is cut off loses its leader, and follows again when it is back', async () => {
    await bootstrap([1, 2, 3]);
    cut.add(hostOf(2));
    etcd.networkChanged();
    await clock.advance(5_000);
    expect((await clock.during(clientOf(2).status(never))).leaderId).toBeNull();
    await clock.during(clientOf(1).put('a', '1', never));
    cut.clear();
    etcd.networkChanged();
    await clock.advance(5_000);
    expect((await clock.during(clientOf(2).status(never))).leaderId).not.toBeNull();
    expect([...etcd.running].map((one) => one.data.store.values.size)).toEqual([1, 1, 1]);
  });
});
