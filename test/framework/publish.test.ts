import { describe, expect, it } from 'vitest';
import { publishedViewOf } from '../../src/framework/publish.ts';
import type { SchedulerSnapshot } from '../../src/framework/snapshot.ts';
import { peerUrlOf } from '../../src/protocol/launch.ts';
import type { EtcdMember, MemberStatus } from '../../src/protocol/member-status.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { publishedViewSchema } from '../../src/protocol/view.ts';
import type { MemberView } from '../../src/reconcile/observation.ts';
import { status } from './fake-master.ts';
import { CONFIG, record, seat } from './fixtures.ts';

const BY = { build: 'test', scheduler: { url: 'http://10.0.0.8:23400', elected: false, terms: 1 } };

const seats: readonly Seat[] = [0, 1, 2].map((at) =>
  seat({ id: `s${at}`, slot: `etcd-${at}`, host: `10.0.0.${at + 1}`, task: `etcd-${at}__one` }),
);
const formed: ClusterRecord = record({
  seats: [...seats],
  epoch: { ...record().epoch, phase: 'formed', clusterId: 'c1' },
});
const members: readonly EtcdMember[] = seats.map((one, at) => ({
  id: `a${at}`,
  name: one.slot,
  peerUrls: [peerUrlOf(one)],
  clientUrls: [],
  isLearner: at === 2,
}));

function statusOf(one: Seat, at: number, confirmed = true): MemberStatus {
  return status({
    seat: one.id,
    slot: one.slot,
    task: one.task,
    phase: 'running',
    probe: {
      ageMs: 0,
      version: '3.6.1',
      clusterVersion: '3.6.0',
      clusterId: 'c1',
      memberId: `a${at}`,
      leaderId: 'a1',
      isLearner: at === 2,
      raftTerm: '2',
      raftIndex: '9',
      raftAppliedIndex: '9',
      revision: '18446744073709551615',
      dbSizeBytes: 4096,
      dbSizeInUseBytes: 4096,
      errors: [],
      alarms: [],
      confirmedMembers: confirmed ? [...members] : null,
      localMembers: [...members],
    },
  });
}
const view = (given: MemberStatus, changes: Partial<MemberView> = {}): MemberView => ({
  status: given,
  ageMs: 10,
  failingMs: 0,
  notServingMs: 0,
  ...changes,
});

function snapshot(
  ours: ClusterRecord | null,
  views: Readonly<Record<string, MemberView>> = {},
): SchedulerSnapshot {
  return {
    atMs: 1,
    uninstalled: false,
    record: ours,
    observation: {
      wallMs: 1,
      elapsedMs: 0,
      freshId: 'x',
      mesos: {
        subscribed: true,
        unanswered: new Set(),
        tasks: new Map([
          ['etcd-0__one', { kind: 'alive', state: 'TASK_RUNNING', agentId: 'S1', healthy: true }],
        ]),
        offered: new Map(),
        agentsGone: new Set(),
        maintenance: new Map(),
        strays: [],
      },
      members: new Map(Object.entries(views)),
      archive: null,
    },
    decision: null,
    archive: null,
    blocked: [],
    mesos: {
      subscribed: true,
      frameworkId: 'framework-1',
      master: { id: 'm', address: { ip: 'fd00::1', port: 5050 } },
      problem: null,
      suppressed: true,
      offersHeld: 0,
    },
    offers: { summaries: [], explanations: [] },
    story: [],
    counters: {
      passes: 0,
      passFailures: 0,
      passMsSum: 0,
      recordSaves: 0,
      subscriptions: 0,
      offersReceived: 0,
      offersDeclined: 0,
      offersRejected: {},
      operationsFailed: 0,
      launches: 0,
      taskUpdates: {},
      tasksFailed: 0,
      orders: {},
      quorumLosses: 0,
      intentsClosed: 0,
    },
  };
}
const all = Object.fromEntries(seats.map((one, at) => [one.id, view(statusOf(one, at))]));
const published = (given: SchedulerSnapshot) => publishedViewSchema.parse(publishedViewOf(given, CONFIG, BY));

describe('the published view', () => {
  it('has every slot, and no endpoint, before there is anything', () => {
    const { members: shown, endpoints, cluster, mesos } = published(snapshot(null));
    expect(shown).toEqual([]);
    expect(endpoints).toEqual({ client: [], peer: [] });
    expect(cluster).toBeNull();
    expect(mesos.master).toBe('http://[fd00::1]:5050');
    expect(published(snapshot(record())).members.map(({ slot, seat: id }) => [slot, id])).toEqual([
      ['etcd-0', null],
      ['etcd-1', null],
      ['etcd-2', null],
    ]);
  });

  it.each(['preparing', 'go'] as const)('names no endpoint in phase %s', (phase) => {
    const forming = { ...formed, epoch: { ...formed.epoch, phase } };
    expect(published(snapshot(forming, all)).endpoints).toEqual({ client: [], peer: [] });
  });

  it('names voters as endpoints, not learners', () => {
    const { endpoints, members: shown } = published(snapshot(formed, all));
    expect(endpoints.client).toEqual(['http://10.0.0.1:31001', 'http://10.0.0.2:31001']);
    expect(shown.map(({ role, leader, healthy, memberId }) => [role, leader, healthy, memberId])).toEqual([
      ['voter', false, true, 'a0'],
      ['voter', true, true, 'a1'],
      ['learner', false, true, 'a2'],
    ]);
    expect(shown[0]).toMatchObject({ mesosState: 'TASK_RUNNING', revision: '18446744073709551615' });
  });

  it('keeps a voter listed that is away for a moment, and does not call it healthy', () => {
    const away = { ...all, s0: view(statusOf(seats[0] as Seat, 0), { failingMs: 4_000, ageMs: 4_500 }) };
    const { endpoints, members: shown } = published(snapshot(formed, away));
    expect(endpoints.client).toHaveLength(2);
    expect(shown[0]).toMatchObject({
      healthy: false,
      role: 'voter',
      problem: 'its supervisor has not answered for 4 s',
    });
  });

  it('goes by what members knew when nobody speaks for a quorum, and by the record when nobody speaks', () => {
    const local = Object.fromEntries(seats.map((one, at) => [one.id, view(statusOf(one, at, false))]));
    expect(published(snapshot(formed, local)).endpoints.client).toHaveLength(2);
    const data = { epoch: 1, attempt: 1, started: true, memberId: 'a0', floor: null };
    const known = { ...formed, seats: seats.map((one, at) => (at === 0 ? { ...one, data } : one)) };
    expect(published(snapshot(known)).endpoints.client).toEqual(['http://10.0.0.1:31001']);
  });

  it('calls who keeps to itself how it is healthy where a quorum stands behind it, and goes by the record', () => {
    const data = { epoch: 1, attempt: 1, started: true, memberId: 'a0', floor: null };
    const known = {
      ...formed,
      seats: seats.map((one, at) => ({ ...one, data: { ...data, memberId: `a${at}` } })),
    };
    const silent = seats.map((one, at) => ({
      ...statusOf(one, at),
      probe: null,
      needsUser: { quorum: at > 0 },
    }));
    const views = Object.fromEntries(silent.map((one) => [one.seat, view(one)]));
    const { endpoints, members: shown } = published(snapshot(known, views));
    expect(endpoints.client).toHaveLength(3);
    expect(shown.map(({ healthy, role, memberId, problem }) => [healthy, role, memberId, problem])).toEqual([
      [false, 'none', 'a0', null],
      [true, 'none', 'a1', null],
      [true, 'none', 'a2', null],
    ]);
  });

  it.each([
    [{ remove: { memberId: 'gone', seat: null } }, 'a learner is added'],
    [{ remove: { memberId: 'a0', seat: null } }, 'the old member is removed'],
    [
      { add: { seat: 's2', peerUrl: peerUrlOf(seats[2] as Seat), memberId: null } },
      'the learner is promoted',
    ],
  ])('says how far a membership change has come', (changes, step) => {
    const add = { seat: 's9', peerUrl: 'http://10.0.0.9:31000', memberId: null };
    const intent = {
      id: 'i',
      slot: 'etcd-0',
      reason: 'r',
      openedAtMs: 0,
      committed: true,
      remove: null,
      add,
      ...changes,
    };
    expect(published(snapshot({ ...formed, intent }, all)).intent).toEqual({
      slot: 'etcd-0',
      reason: 'r',
      step,
    });
  });
});
