import { beforeEach, describe, expect, test } from 'vitest';
import type { RunningProcess } from '../../src/base/ports.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { Decision } from '../../src/reconcile/decision.ts';
import { problemOf } from './decision-checks.ts';
import { createInvariants, type Invariants } from './invariants.ts';
import type { Acknowledgement } from './ledger.ts';
import { createModelEtcd, type EtcdProcess, type ModelEtcd } from './model-etcd.ts';
import { createChance } from './prng.ts';
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts';

/** Every checker must be seen to fail: here the wrong thing is done to the model by hand. */

const never = new AbortController().signal;
let clock: VirtualClock;
let etcd: ModelEtcd;
let invariants: Invariants;
let record: ClusterRecord;
let acknowledged: Map<string, Acknowledgement>;
let inSight: readonly string[];

beforeEach(() => {
  clock = createVirtualClock();
  acknowledged = new Map();
  inSight = [];
  record = recordOf({ phase: 'go' });
  invariants = createInvariants({
    clock,
    etcd: () => etcd,
    size: () => 3,
    record: () => record,
    acknowledged: () => acknowledged,
    names: () => [],
    supervised: () => false,
    watched: () => true,
    inSight: () => inSight,
    unreachableTimeoutMs: 20_000,
  });
  etcd = createModelEtcd({
    clock,
    random: createChance(3).stream('etcd'),
    reachable: () => true,
    latencyMs: () => 1,
    observer: invariants.observer,
  });
});

const hostOf = (position: number) => `10.0.0.${position}`;
const peerOf = (position: number) => `http://${hostOf(position)}:2380`;
const violated = () => invariants.violations.map((violation) => violation.invariant);

function recordOf(epoch: Partial<ClusterRecord['epoch']>, intent: unknown = null): ClusterRecord {
  const partial = {
    epoch: { token: 'one', phase: 'formed', clusterId: null, ...epoch },
    size: 3,
    scaling: null,
    seats: [],
    leaving: [],
    disruption: null,
    space: null,
    intent,
  };
  return partial as unknown as ClusterRecord;
}

async function start(position: number, members: readonly number[], state: string, token = 'one') {
  const processes = etcd.processes(hostOf(position));
  const args = [
    `--name=etcd-${position - 1}`,
    '--data-dir=/volume/data',
    `--initial-advertise-peer-urls=${peerOf(position)}`,
    `--listen-peer-urls=${peerOf(position)}`,
    '--listen-client-urls=http://127.0.0.1:2379',
    `--advertise-client-urls=http://${hostOf(position)}:2379`,
    `--initial-cluster=${members.map((other) => `etcd-${other - 1}=${peerOf(other)}`).join(',')}`,
    `--initial-cluster-state=${state}`,
    `--initial-cluster-token=${token}`,
  ];
  return await clock.during(processes.start({ command: 'etcd', args, cwd: '/', env: {} }));
}

async function pass(durationMs: number): Promise<void> {
  const untilMs = clock.monotonicMs() + durationMs;
  while (clock.monotonicMs() < untilMs) {
    await clock.advance(50);
    invariants.step();
  }
}

async function formed(members: readonly number[]): Promise<RunningProcess[]> {
  const processes = [];
  for (const member of members) processes.push(await start(member, members, 'new'));
  await pass(10_000);
  record = recordOf({ clusterId: processAt(members[0] ?? 1).data.clusterId });
  return processes;
}

/** A second cluster begins beside one that has acknowledged a write. */
async function foundSecond(): Promise<void> {
  await formed([1, 2, 3]);
  acknowledged.set('key-1', { clusterId: processAt(1).data.clusterId, atMs: 0 });
  record = recordOf({ token: 'two', phase: 'go' });
  await start(4, [4], 'new', 'two');
  await pass(200);
}

function processAt(position: number): EtcdProcess {
  const found = [...etcd.running].find((process) => process.host === hostOf(position));
  if (found === undefined) throw new Error(`nothing runs on ${hostOf(position)}`);
  return found;
}
const clientAt = (position: number) => etcd.connect(hostOf(position), 'http://127.0.0.1:2379');

describe('the checkers', () => {
  test('have nothing to say of a replacement as it should be', async () => {
    const processes = await formed([1, 2, 3]);
    const dead = processAt(3).data.memberId;
    processes[2]?.signal('SIGKILL');
    await pass(10_000);
    record = recordOf(record.epoch, { remove: { memberId: dead }, add: { seat: 's', peerUrl: peerOf(4) } });
    await clock.during(clientAt(1).memberRemove(dead, never));
    const { memberId } = await clock.during(clientAt(1).memberAddLearner(peerOf(4), never));
    await start(4, [1, 2, 4], 'existing');
    await pass(15_000);
    record = recordOf(record.epoch, { remove: null, add: { seat: 's', peerUrl: peerOf(4), memberId } });
    await clock.during(clientAt(1).memberPromote(memberId, never));
    await pass(1_000);
    // That the successor has no supervisor is all there is to say.
    expect(violated()).toEqual(['S1']);
    expect(invariants.violations[0]?.text).toContain('before its successor');
    record = recordOf(record.epoch);
    expect(invariants.atRest()).toEqual(['0 seats of 3']);
  });

  test('S1: a voter is removed while another is dead', async () => {
    const processes = await formed([1, 2, 3]);
    processes[2]?.signal('SIGKILL');
    await pass(10_000);
    const alive = processAt(2);
    record = recordOf(record.epoch, { remove: { memberId: alive.data.memberId }, add: null });
    // etcd itself would refuse: so the change is put into the log behind its back.
    const { node } = processAt(1);
    if (node === null || alive.node === null) throw new Error('no raft');
    invariants.observer.committed(node, {
      index: node.data.log.length + 1,
      term: node.data.term,
      payload: { kind: 'remove', memberId: alive.data.memberId },
      committedAtMs: clock.monotonicMs(),
    });
    expect(violated()).toEqual(['S1']);
  });

  test('S2: a change without an intent', async () => {
    await formed([1, 2, 3]);
    await clock.during(clientAt(1).memberAddLearner(peerOf(4), never));
    expect(violated()).toEqual(['S2']);
  });

  test('S2: a change that a record ordered which is gone', async () => {
    await formed([1, 2, 3]);
    record = recordOf(record.epoch, { remove: null, add: { seat: 's', peerUrl: peerOf(4) } });
    invariants.recordGone();
    record = recordOf(record.epoch);
    await clock.during(clientAt(1).memberAddLearner(peerOf(4), never));
    expect(violated()).toEqual([]);
  });

  test('S3 and target: promoted by etcd’s consent alone, as a fourth voter', async () => {
    await formed([1, 2, 3]);
    for (let write = 0; write < 50; write += 1) await clock.during(clientAt(1).put(`k${write}`, 'v', never));
    await pass(10_000);
    record = recordOf(record.epoch, { remove: null, add: { seat: 's', peerUrl: peerOf(4) } });
    const { memberId } = await clock.during(clientAt(1).memberAddLearner(peerOf(4), never));
    await start(4, [1, 2, 3, 4], 'existing');
    record = recordOf(record.epoch, { remove: null, add: { seat: 's', peerUrl: peerOf(4), memberId } });
    for (let promoted = false; !promoted; ) {
      await pass(10);
      promoted = await clock.during(
        clientAt(1)
          .memberPromote(memberId, never)
          .then(
            () => true,
            () => false,
          ),
      );
    }
    expect(violated()).toEqual(['target', 'S3']);
  });

  test('S4: a removed member is started again', async () => {
    const processes = await formed([1, 2, 3]);
    const third = processAt(3).data.memberId;
    record = recordOf(record.epoch, { remove: { memberId: third }, add: null });
    await clock.during(clientAt(1).memberRemove(third, never));
    await clock.during(processes[2]?.exit ?? Promise.reject(new Error('no process')));
    expect(violated()).toEqual([]);
    await start(3, [1, 2, 3], 'existing');
    await pass(200);
    expect(violated()).toContain('S4');
  });

  test('S4: a member that was removed while it was down is started', async () => {
    const processes = await formed([1, 2, 3]);
    const third = processAt(3).data.memberId;
    processes[2]?.signal('SIGKILL');
    await pass(10_000);
    record = recordOf(record.epoch, { remove: { memberId: third }, add: null });
    await clock.during(clientAt(1).memberRemove(third, never));
    await pass(11_000);
    await start(3, [3], 'existing');
    await pass(200);
    expect(violated()).toEqual(['S4']);
  });

  test('S5: a founder is prepared again, and founded again', async () => {
    const processes = await formed([1, 2, 3]);
    record = recordOf({ phase: 'go' });
    // etcd itself would refuse, could it ask the others.
    for (const process of processes) process.signal('SIGKILL');
    await pass(1_000);
    etcd.erase(hostOf(3), '/volume');
    await start(3, [1, 2, 3], 'new');
    await pass(200);
    expect(violated()).toEqual(['S5']);
  });

  test('S4: a member starts on a log that ends before what it has reported', async () => {
    const processes = await formed([1, 2, 3]);
    const putBack = etcd.copyOf(hostOf(3), '/volume');
    for (let write = 0; write < 20; write += 1) await clock.during(clientAt(1).put(`k${write}`, 'v', never));
    await pass(1_000);
    const { clusterId, memberId, log } = processAt(3).data;
    const floor = { term: '2', index: String(log.length) };
    invariants.reported({ identity: { clusterId, memberId }, floor } as unknown as MemberStatus);
    processes[2]?.signal('SIGKILL');
    await pass(1_000);
    etcd.restore(putBack);
    await start(3, [1, 2, 3], 'existing');
    await pass(200);
    expect(violated()).toEqual(['S4']);
  });

  test('one name: a second cluster serves beside the recorded one', async () => {
    await foundSecond();
    record = recordOf({ token: 'two', phase: 'formed', clusterId: processAt(4).data.clusterId });
    await pass(5_000);
    expect(violated()).toContain('one name');
  });

  test('reasons: a decision, an order or a want that does not say why; two changes at once', () => {
    const decision = (changes: object) =>
      problemOf({ actions: [], wants: [], blocked: [], record, ...changes } as unknown as Decision);
    const order = (kind: string, reason = 'because') => ({ kind: 'order', body: { kind }, reason });
    expect(
      decision({ actions: [order('member-add')], wants: [{ kind: 'place', reason: 'lost' }] }),
    ).toBeNull();
    expect(decision({ actions: [order('start', ' ')] })).toMatch(/without a reason/);
    expect(decision({ wants: [{ kind: 'place', reason: '' }] })).toMatch(/without a reason/);
    expect(decision({ blocked: [{ code: 'unsafe', message: '' }] })).toMatch(/without a reason/);
    expect(decision({ actions: [order('member-add'), order('member-remove')] })).toMatch(/at once/);
  });

  test('S5: founders are started before go was stored', async () => {
    record = recordOf({ phase: 'preparing' });
    await start(1, [1], 'new');
    await pass(200);
    expect(violated()).toEqual(['S5']);
  });

  test('S5: a second cluster is founded beside one that has acknowledged writes', async () => {
    await foundSecond();
    expect(violated()).toEqual(['S5']);
  });

  test('S8: the volume of a member is destroyed', async () => {
    const processes = await formed([1, 2, 3]);
    processes[2]?.signal('SIGKILL');
    await pass(1_000);
    invariants.removingVolume(hostOf(3), '/volume');
    expect(violated()).toEqual(['S8']);
  });

  test('S8: the volume of a lost member is destroyed before another votes in its slot', async () => {
    const processes = await formed([1, 2, 3]);
    const third = processAt(3).data.memberId;
    processes[2]?.signal('SIGKILL');
    await pass(10_000);
    record = recordOf(record.epoch, { remove: { memberId: third }, add: null });
    await clock.during(clientAt(1).memberRemove(third, never));
    invariants.removingVolume(hostOf(3), '/volume');
    expect(violated()).toEqual(['S8']);
  });

  test('S8: what a member beyond the size held is destroyed while another does not serve', async () => {
    const processes = await formed([1, 2, 3]);
    const third = processAt(3).data.memberId;
    record = recordOf(record.epoch, { remove: { memberId: third }, add: null });
    await clock.during(clientAt(1).memberRemove(third, never));
    await clock.during(processes[2]?.exit ?? Promise.reject(new Error('no process')));
    const lost = { cause: 'surplus', message: 'etcd-3 is beyond the size, 3' };
    const seat = { host: hostOf(3), volumeId: 'volume', data: { started: true }, lost };
    record = { ...record, leaving: [{ seat }] } as unknown as ClusterRecord;
    invariants.removingVolume(hostOf(3), '/volume');
    expect(violated()).toEqual([]);
    processes[1]?.signal('SIGKILL');
    await pass(10_000);
    invariants.removingVolume(hostOf(3), '/volume');
    expect(violated()).toEqual(['S8']);
  });

  test('S9: a healthy voter is stopped while another is away', async () => {
    const processes = await formed([1, 2, 3]);
    invariants.stopping(processAt(2), 'all are well');
    expect(violated()).toEqual([]);
    processes[2]?.signal('SIGKILL');
    await pass(10_000);
    invariants.stopping(processAt(2), 'a test');
    expect(violated()).toEqual(['S9']);
  });

  test('patience: a seat is given up too soon after it was in sight', async () => {
    const lost = { id: 'seat-1', lost: { cause: 'unreachable' } };
    const givesUp = { ...record, seats: [lost] } as unknown as ClusterRecord;
    const keeps = { ...record, seats: [{ ...lost, lost: null }] } as unknown as ClusterRecord;
    invariants.recordStored(keeps);
    inSight = ['seat-1'];
    await pass(10_000);
    inSight = [];
    await pass(20_000);
    invariants.recordStored(givesUp);
    expect(violated()).toEqual([]);
    invariants.recordStored(keeps);
    inSight = ['seat-1'];
    await pass(10_000);
    inSight = [];
    await pass(19_000);
    invariants.recordStored(givesUp);
    expect(violated()).toEqual(['patience']);
  });

  test('patience: what a record put back gives up was given up before', async () => {
    const lost = { id: 'seat-1', lost: { cause: 'unreachable' } };
    const givesUp = { ...record, seats: [lost] } as unknown as ClusterRecord;
    inSight = ['seat-1'];
    await pass(10_000);
    invariants.recordPutBack(givesUp);
    invariants.recordStored(givesUp);
    expect(violated()).toEqual([]);
  });

  test('durability: an acknowledged write that a member lacks', async () => {
    await formed([1, 2, 3]);
    acknowledged.set('key-1', { clusterId: processAt(1).data.clusterId, atMs: 0 });
    expect(invariants.atRest().join()).toContain('lacks the acknowledged write key-1');
    const { node } = processAt(1);
    if (node !== null) invariants.observer.elected(node);
    expect(violated()).toEqual(['durability']);
  });
});
