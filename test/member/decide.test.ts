import { describe, expect, test } from 'vitest';
import type { EtcdStatus } from '../../src/etcd/port.ts';
import {
  isBehind,
  judgeData,
  judgeExit,
  judgeLook,
  type MemberView,
  phaseOf,
  raiseFloor,
  type Work,
  workFor,
} from '../../src/member/decide.ts';
import type { StoredIdentity } from '../../src/member/volume.ts';
import type { Order, OrderBody } from '../../src/protocol/orders.ts';

const peerUrl = 'http://10.0.0.1:2380';
const fresh: StoredIdentity = {
  slot: 'etcd-0',
  cluster: 'cluster-1',
  epoch: 2,
  attempt: 2,
  token: 'token-2-2',
  started: false,
  removed: false,
  clusterId: null,
  memberId: null,
};
const begun: StoredIdentity = { ...fresh, started: true };
const formed: StoredIdentity = { ...begun, clusterId: 'abc', memberId: 'f1' };
const floor = { term: '3', index: '100' };
const view = (changes: Partial<MemberView> = {}): MemberView => ({
  slot: 'etcd-0',
  cluster: 'cluster-1',
  peerUrl,
  identity: null,
  data: 'absent',
  floor: null,
  etcd: 'down',
  dataProblem: null,
  ...changes,
});

/** What a member may be in, each as it comes about. */
const situations = {
  blank: view(),
  prepared: view({ identity: fresh, data: 'empty' }),
  'prepared, directory gone': view({ identity: fresh, data: 'absent' }),
  'prepared, with a log': view({ identity: fresh, data: 'present' }),
  'started, never wrote': view({ identity: begun, data: 'empty' }),
  'started, not formed': view({ identity: begun, data: 'present' }),
  stopped: view({ identity: formed, data: 'present', floor }),
  running: view({ identity: formed, data: 'present', floor, etcd: 'running' }),
  'backing off': view({ identity: formed, data: 'present', floor, etcd: 'backing-off' }),
  'log gone': view({ identity: formed, data: 'empty', floor }),
  removed: view({ identity: { ...formed, removed: true }, data: 'present', floor }),
} satisfies Record<string, MemberView>;
type Situation = keyof typeof situations;

const envelope = { id: 'o', cluster: 'cluster-1', task: 't', generation: 1, counter: 1 };
const ordered = (body: OrderBody, epoch = 2, attempt = 2): Order => ({
  ...envelope,
  epoch,
  attempt,
  ...body,
});
const starts = (
  mode: 'bootstrap' | 'join' | 'resume',
  changes: Partial<(OrderBody & { kind: 'start' })['args']> = {},
): OrderBody => ({
  kind: 'start',
  args: {
    mode,
    token: 'token-2-2',
    initialCluster: [
      { name: 'etcd-0', peerUrl },
      { name: 'etcd-1', peerUrl: 'http://10.0.0.2:2380' },
    ],
    clusterId: mode === 'bootstrap' ? null : 'abc',
    memberId: mode === 'bootstrap' ? null : 'f1',
    floor: mode === 'resume' ? floor : null,
    ...changes,
  },
});
const prepare = (token = 'token-2-2'): OrderBody => ({ kind: 'prepare', args: { token } });

/** One word for what comes of an order. */
const outcome = (work: Work): string => (work.kind === 'refuse' ? work.problem : work.kind);

type Row = Readonly<Record<Situation, string>>;
const orders: Readonly<Record<string, { order: Order; expected: Row }>> = {
  fence: {
    order: ordered({ kind: 'fence', args: {} }),
    expected: rowOf('nothing'),
  },
  'prepare the same attempt': {
    order: ordered(prepare()),
    expected: rowOf('already-started', {
      blank: 'create-data',
      prepared: 'nothing',
      'prepared, directory gone': 'create-data',
      'prepared, with a log': 'not-empty',
    }),
  },
  'prepare the same attempt with another token': {
    order: ordered(prepare('other')),
    expected: rowOf('wrong-epoch', { blank: 'create-data' }),
  },
  'prepare a later attempt': {
    order: ordered(prepare('token-2-3'), 2, 3),
    expected: rowOf('create-data', {
      stopped: 'already-started',
      running: 'already-started',
      'backing off': 'already-started',
      'log gone': 'already-started',
      removed: 'already-started',
    }),
  },
  'prepare an earlier attempt': {
    order: ordered(prepare('token-2-1'), 2, 1),
    expected: rowOf('wrong-epoch', { blank: 'create-data' }),
  },
  'prepare the next epoch': { order: ordered(prepare('token-3-1'), 3, 1), expected: rowOf('create-data') },
  'prepare an older epoch': {
    order: ordered(prepare('token-1-9'), 1, 9),
    expected: rowOf('wrong-epoch', { blank: 'create-data' }),
  },
  bootstrap: {
    order: ordered(starts('bootstrap')),
    expected: rowOf('already-started', {
      blank: 'not-prepared',
      prepared: 'start',
      'prepared, directory gone': 'not-prepared',
      'prepared, with a log': 'not-empty',
      running: 'nothing',
      'backing off': 'retry-now',
      removed: 'removed',
    }),
  },
  join: {
    order: ordered(starts('join')),
    expected: rowOf('already-started', {
      blank: 'not-prepared',
      prepared: 'start',
      'prepared, directory gone': 'not-prepared',
      'prepared, with a log': 'not-empty',
      running: 'nothing',
      'backing off': 'retry-now',
      removed: 'removed',
    }),
  },
  'bootstrap of another attempt': {
    order: ordered(starts('bootstrap'), 2, 1),
    expected: rowOf('wrong-epoch', { blank: 'not-prepared' }),
  },
  'bootstrap with another token': {
    order: ordered(starts('bootstrap', { token: 'other' })),
    expected: rowOf('data-foreign', { blank: 'not-prepared', removed: 'removed' }),
  },
  'bootstrap that names another address': {
    order: ordered(
      starts('bootstrap', { initialCluster: [{ name: 'etcd-0', peerUrl: 'http://10.0.0.9:1' }] }),
    ),
    expected: rowOf('already-started', {
      blank: 'not-prepared',
      prepared: 'malformed',
      'prepared, directory gone': 'not-prepared',
      'prepared, with a log': 'not-empty',
      running: 'nothing',
      'backing off': 'retry-now',
      removed: 'removed',
    }),
  },
  resume: {
    order: ordered(starts('resume')),
    expected: rowOf('data-missing', {
      // Its volume knows of nothing, and a position was reported.
      'started, not formed': 'data-rolled-back',
      stopped: 'start',
      running: 'nothing',
      'backing off': 'retry-now',
      removed: 'removed',
    }),
  },
  'resume above what the volume knows': {
    order: ordered(starts('resume', { floor: { term: '3', index: '101' } })),
    expected: rowOf('data-missing', {
      'started, not formed': 'data-rolled-back',
      stopped: 'data-rolled-back',
      running: 'nothing',
      'backing off': 'retry-now',
      removed: 'removed',
    }),
  },
  'resume in another cluster': {
    order: ordered(starts('resume', { clusterId: 'abd' })),
    expected: rowOf('data-missing', {
      'started, not formed': 'data-rolled-back',
      stopped: 'data-foreign',
      running: 'data-foreign',
      'backing off': 'data-foreign',
      'log gone': 'data-foreign',
      removed: 'removed',
    }),
  },
  stop: {
    order: ordered({ kind: 'stop', args: { graceMs: 5 } }),
    expected: rowOf('nothing', { running: 'stop', 'backing off': 'stop' }),
  },
  'member-add': {
    order: ordered({ kind: 'member-add', args: { peerUrl: 'http://10.0.0.3:2380', voters: ['f1'] } }),
    expected: rowOf('not-running', { running: 'member-add' }),
  },
  'member-remove': {
    order: ordered({ kind: 'member-remove', args: { memberId: 'f2', voters: ['f1'] } }),
    expected: rowOf('not-running', { running: 'member-remove' }),
  },
  'member-promote': {
    order: ordered({ kind: 'member-promote', args: { memberId: 'f2', voters: ['f1'] } }),
    expected: rowOf('not-running', { running: 'member-promote' }),
  },
  'move-leader': {
    order: ordered({ kind: 'move-leader', args: { memberId: 'f2' } }),
    expected: rowOf('not-running', { running: 'move-leader' }),
  },
  'member-remove of another epoch': {
    order: ordered({ kind: 'member-remove', args: { memberId: 'f2', voters: ['f1'] } }, 3, 1),
    expected: rowOf('not-running', { running: 'wrong-epoch' }),
  },
};

function rowOf(rest: string, exceptions: Partial<Row> = {}): Row {
  const names = Object.keys(situations) as Situation[];
  return Object.fromEntries(names.map((name) => [name, exceptions[name] ?? rest])) as Row;
}

describe.for(Object.entries(orders))('%s', ([, { order, expected }]) => {
  test.for(Object.entries(situations))('on a member that is %s', ([name, situation]) => {
    expect(outcome(workFor(situation, order))).toBe(expected[name as Situation]);
  });
});

test('a first start stores that it was started, and the ids that it was told', () => {
  expect(workFor(situations.prepared, ordered(starts('join')))).toMatchObject({
    kind: 'start',
    mode: 'join',
    identity: { ...fresh, started: true, clusterId: 'abc', memberId: 'f1' },
  });
});

test('a resumed member is alone in its initial cluster: its command line can form no cluster', () => {
  expect(workFor(situations.stopped, ordered(starts('resume')))).toMatchObject({
    kind: 'start',
    mode: 'resume',
    initialCluster: [{ name: 'etcd-0', peerUrl }],
  });
});

test('a later attempt and a later epoch begin blank', () => {
  expect(workFor(situations['started, not formed'], ordered(prepare('t'), 2, 3))).toEqual({
    kind: 'create-data',
    identity: { ...fresh, attempt: 3, token: 't' },
  });
  expect(workFor(situations.running, ordered(prepare('t'), 3, 1))).toEqual({
    kind: 'create-data',
    identity: { ...fresh, epoch: 3, attempt: 1, token: 't' },
  });
});

test.for([
  ['blank', 'resume', 'data-missing'],
  ['started, never wrote', 'resume', 'data-missing'],
  ['log gone', 'resume', 'data-missing'],
  ['stopped', 'resume above what the volume knows', 'data-rolled-back'],
  ['stopped', 'resume in another cluster', 'data-foreign'],
  ['prepared', 'resume', 'data-missing'],
] as const)('on a member that is %s, "%s" shows that its data is %s', ([situation, name, problem]) => {
  const { order } = orders[name] ?? {};
  if (order === undefined) throw new Error(`no order ${name}`);
  expect(workFor(situations[situation], order)).toMatchObject({ kind: 'refuse', dataProblem: problem });
});

test('a prepared member that is told to resume where nothing was ever reported has lost nothing', () => {
  const order = ordered(starts('resume', { floor: null }));
  expect(workFor(situations.prepared, order)).toMatchObject({ problem: 'data-missing', dataProblem: null });
});

test.for([
  ['blank', 'idle', null],
  ['prepared', 'prepared', null],
  ['prepared, directory gone', 'idle', null],
  ['started, never wrote', 'failed', 'data-missing'],
  ['started, not formed', 'stopped', null],
  ['stopped', 'stopped', null],
  ['running', 'running', null],
  ['backing off', 'backing-off', null],
  ['log gone', 'failed', 'data-missing'],
  ['removed', 'removed', null],
] as const)('a member that is %s is in phase %s', ([situation, phase, problem]) => {
  const found = judgeData(situations[situation]);
  expect(found).toBe(problem);
  expect(phaseOf({ ...situations[situation], dataProblem: found }, false)).toBe(phase);
});

test('another cluster’s or slot’s identity is foreign, and a volume in trouble fails the member', () => {
  expect(judgeData(view({ identity: { ...formed, cluster: 'x' }, data: 'present' }))).toBe('data-foreign');
  expect(judgeData(view({ identity: { ...formed, slot: 'etcd-1' }, data: 'present' }))).toBe('data-foreign');
  expect(phaseOf(situations.blank, true)).toBe('failed');
  expect(phaseOf(situations.running, true)).toBe('running');
});

test.for([
  [null, floor, true],
  [floor, floor, false],
  [floor, { term: '3', index: '99' }, false],
  [floor, { term: '3', index: '101' }, true],
  [floor, { term: '4', index: '100' }, true],
  [{ term: '4', index: '99' }, floor, true],
  [{ term: '9', index: '18446744073709551615' }, { term: '10', index: '1' }, true],
] as const)('%j is behind %j: %s', ([known, reported, behind]) => {
  expect(isBehind(known, reported)).toBe(behind);
});

test('a floor rises in each part and never falls', () => {
  expect(raiseFloor(null, floor)).toEqual(floor);
  expect(raiseFloor(floor, { term: '4', index: '7' })).toEqual({ term: '4', index: '100' });
  expect(raiseFloor(floor, { term: '2', index: '1000' })).toEqual({ term: '3', index: '1000' });
});

const died = { exit: { code: null, signal: 'SIGKILL' }, saidRemoved: false, stopping: false, servedMs: 0 };

test('etcd is started again at once, then ever later, and at once again after it was sound', () => {
  const pauses: number[] = [];
  let failures = 0;
  for (let end = 0; end < 10; end += 1) {
    const decision = judgeExit({ ...died, failures });
    if (decision.kind !== 'restart') throw new Error('it must be started again');
    pauses.push(decision.afterMs);
    failures = decision.failures;
  }
  expect(pauses).toEqual([0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  expect(judgeExit({ ...died, servedMs: 59_999, failures })).toMatchObject({ afterMs: 30_000 });
  expect(judgeExit({ ...died, servedMs: 60_000, failures })).toEqual({
    kind: 'restart',
    afterMs: 0,
    failures: 1,
  });
});

test('exit code 0, or its own word, means removed, even while it is being stopped', () => {
  const exited = { ...died, exit: { code: 0, signal: null }, failures: 0 };
  expect(judgeExit(exited)).toEqual({ kind: 'removed' });
  expect(judgeExit({ ...exited, stopping: true })).toEqual({ kind: 'removed' });
  expect(judgeExit({ ...died, saidRemoved: true, failures: 0 })).toEqual({ kind: 'removed' });
  expect(judgeExit({ ...died, stopping: true, failures: 0 })).toEqual({ kind: 'down' });
});

const status: EtcdStatus = {
  version: '3.5.30',
  clusterId: 'abc',
  memberId: 'f1',
  leaderId: 'f1',
  isLearner: false,
  raftTerm: '3',
  raftIndex: '100',
  raftAppliedIndex: '100',
  revision: '5',
  dbSizeBytes: 1,
  dbSizeInUseBytes: 1,
  errors: [],
};
const own = { id: 'f1', name: 'etcd-0', peerUrls: [peerUrl], clientUrls: [], isLearner: false };
const look = { status, members: [own], confirmed: true };

test('one that could not join takes a newer list, and one that was founded keeps its own', () => {
  const waits = { ...situations['started, never wrote'], etcd: 'backing-off' as const };
  const initialCluster = [{ name: 'etcd-0', peerUrl }];
  expect(workFor(waits, ordered(starts('join', { initialCluster })))).toMatchObject({
    kind: 'start',
    mode: 'join',
    identity: { started: true },
    initialCluster,
  });
  expect(workFor(waits, ordered(starts('bootstrap')))).toEqual({ kind: 'retry-now' });
});

test('one that its peers’ data keeps from starting is started unchecked on a word', () => {
  const waits = { ...situations['backing off'] };
  expect(workFor(waits, ordered(starts('resume')))).toEqual({ kind: 'retry-now' });
  const told = ordered(starts('resume', { unchecked: true }));
  expect(workFor(waits, told)).toMatchObject({ kind: 'start', mode: 'resume', unchecked: true });
  expect(workFor({ ...waits, floor: null }, told)).toMatchObject({
    kind: 'refuse',
    problem: 'data-rolled-back',
  });
});

test('ids are learned once a quorum has answered an etcd that is ours', () => {
  const unformed = situations['started, not formed'];
  expect(judgeLook(unformed, look)).toEqual({ kind: 'learned', identity: formed });
  expect(judgeLook(unformed, { ...look, confirmed: false })).toEqual({ kind: 'fine' });
  const elsewhere = { ...look, members: [{ ...own, peerUrls: ['http://10.0.0.9:2380'] }] };
  expect(judgeLook(unformed, elsewhere)).toEqual({ kind: 'fine' });
});

test('an etcd of another cluster or member is foreign', () => {
  for (const changed of [{ clusterId: 'abd' }, { memberId: 'f2' }]) {
    expect(judgeLook(situations.running, { ...look, status: { ...status, ...changed } })).toMatchObject({
      kind: 'foreign',
    });
  }
});

test('a caught-up position below the floor is a rolled-back cluster, before it is caught up it is lag', () => {
  const behind = { ...look, status: { ...status, raftIndex: '99' } };
  expect(judgeLook(situations.running, behind)).toMatchObject({ kind: 'rolled-back' });
  expect(judgeLook(situations.running, { ...behind, confirmed: false })).toEqual({ kind: 'fine' });
  expect(judgeLook(situations.running, look)).toEqual({ kind: 'fine' });
});
