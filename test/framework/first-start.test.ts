import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import { adoptedInstead, firstStart } from '../../src/framework/first-start.ts';
import { ownershipOf, reservationLabels, taskLabels } from '../../src/framework/labels.ts';
import { rangesOf } from '../../src/framework/resources.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import type { Resource, TaskState } from '../../src/mesos/wire.ts';
import { peerUrlOf, supervisorUrlOf } from '../../src/protocol/launch.ts';
import type { EtcdMember, MemberStatus, Probe } from '../../src/protocol/member-status.ts';
import { type ClusterRecord, newEpoch, type Seat, serializeRecord } from '../../src/protocol/record.ts';
import { createOrderKey } from '../../src/protocol/signature.ts';
import { silentLogger } from '../silent-logger.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { createFakeMaster, createFakeMembers, done, status } from './fake-master.ts';
import { CONFIG, ROLE, record, seat } from './fixtures.ts';

const seats: readonly Seat[] = [0, 1, 2].map((at) =>
  seat({
    id: `etcd-${at}-seat`,
    slot: `etcd-${at}`,
    agentId: `S${at + 1}`,
    hostname: `agent-${at + 1}`,
    host: `10.0.0.${at + 1}`,
    agentAddress: `10.0.0.${at + 1}:5051`,
    volumeId: `etcd-${at}-seat`,
    task: `etcd-${at}__one`,
  }),
);

function reservationOf(one: Seat, cluster: string): readonly Resource[] {
  const labels = reservationLabels(ownershipOf(one, { framework: 'etcd', cluster, epoch: 1 }), one);
  const reservations = [{ type: 'DYNAMIC', role: ROLE, labels } as const];
  const scalar = (name: string, value: number, more = {}): Resource => ({
    name,
    type: 'SCALAR',
    scalar: { value },
    reservations,
    ...more,
  });
  const { cpus, memMb, diskMb } = one.resources;
  const volume = { persistence: { id: one.volumeId }, volume: { mode: 'RW', container_path: 'etcd-volume' } };
  return [
    scalar('cpus', cpus + (one.nameShare?.cpus ?? 0)),
    scalar('mem', memMb + (one.nameShare?.memMb ?? 0)),
    scalar('disk', diskMb, { disk: volume }),
    ...(one.wal === null
      ? []
      : [
          scalar('disk', one.wal.diskMb, {
            disk: {
              persistence: { id: one.wal.volumeId },
              volume: { mode: 'RW', container_path: 'etcd-wal' },
            },
          }),
        ]),
    {
      name: 'ports',
      type: 'RANGES',
      ranges: { range: rangesOf(Object.values(one.ports)) },
      reservations,
    },
  ];
}

function agents(of: readonly Seat[], cluster = 'cluster-1') {
  return of.map((one) => ({
    agent_info: { id: { value: one.agentId }, hostname: one.hostname, port: 5051 },
    active: true,
    version: '1.11.0',
    pid: `slave(1)@${one.agentAddress}`,
    total_resources: reservationOf(one, cluster),
  }));
}

const task = (one: Seat, state: TaskState = 'TASK_RUNNING', frameworkId = 'framework-1') => ({
  name: 'etcd-server',
  task_id: { value: one.task },
  framework_id: { value: frameworkId },
  agent_id: { value: one.agentId },
  state,
  labels: taskLabels(ownershipOf(one, { framework: 'etcd', cluster: 'cluster-1', epoch: 1 }), one),
  statuses: [{ task_id: { value: one.task }, state, source: 'SOURCE_EXECUTOR' }],
});

const framework = (changes: object = {}) => ({
  framework_info: { user: 'root', name: 'etcd', id: { value: 'framework-1' }, roles: [ROLE] },
  active: false,
  connected: false,
  ...changes,
});

const listed: readonly EtcdMember[] = seats.map((one, at) => ({
  id: `a${at}`,
  name: one.slot,
  peerUrls: [peerUrlOf(one)],
  clientUrls: [],
  isLearner: false,
}));

function probe(changes: Partial<Probe> = {}): Probe {
  return {
    ageMs: 0,
    version: '3.6.1',
    clusterVersion: '3.6.0',
    clusterId: 'c1',
    memberId: 'a0',
    leaderId: 'a0',
    isLearner: false,
    raftTerm: '2',
    raftIndex: '9',
    raftAppliedIndex: '9',
    revision: '5',
    dbSizeBytes: 1,
    dbSizeInUseBytes: 1,
    errors: [],
    alarms: [],
    confirmedMembers: [...listed],
    localMembers: [...listed],
    ...changes,
  };
}

const identity = { epoch: 1, attempt: 2, token: 'token-2', started: true, clusterId: 'c1', memberId: null };

function serving(one: Seat, changes: Partial<MemberStatus> = {}): MemberStatus {
  return status({
    slot: one.slot,
    seat: one.id,
    task: one.task,
    phase: 'running',
    fence: { epoch: 1, generation: 7 },
    identity,
    floor: { term: '2', index: '9' },
    probe: probe(),
    ...changes,
  });
}

function world() {
  const clock = createVirtualClock({ settleTurns: 3 });
  const master = createFakeMaster();
  const members = createFakeMembers(clock.sleep);
  let ids = 0;
  const ports = {
    transport: master.transport,
    masters: createFixedMasterSource('http://master:5050'),
    clock,
    ids: {
      uuid: () => {
        ids += 1;
        return `id-${ids}`;
      },
    },
    members,
    orderKey: createOrderKey().key,
  };
  const found = (facts: { agents?: object; tasks?: object; frameworks?: object }) => {
    master.answer('GET_FRAMEWORKS', facts.frameworks ?? { frameworks: [framework()] });
    master.answer('GET_AGENTS', facts.agents ?? { agents: agents(seats) });
    master.answer('GET_TASKS', facts.tasks ?? { tasks: seats.map((one) => task(one)) });
  };
  /** Runs it to its end, however long that takes. */
  const run = async (changes: Partial<SchedulerConfig> = {}) => {
    const outcome = firstStart(
      { config: { ...CONFIG, ...changes }, ports, log: silentLogger },
      new AbortController().signal,
    ).then(
      (result) => ({ result, error: null }),
      (error: unknown) => ({ result: null, error: error as { code: string; message: string } }),
    );
    return await clock.during(outcome, 400_000);
  };
  /** What is believed in the place of a stored record. */
  const runWith = async (stored: ClusterRecord, changes: Partial<SchedulerConfig> = {}) => {
    const input = { config: { ...CONFIG, ...changes }, ports, log: silentLogger };
    return await clock.during(adoptedInstead(input, stored, new AbortController().signal), 400_000);
  };
  const serve = (of: readonly Seat[], changes: Partial<MemberStatus> = {}) => {
    for (const one of of) members.statuses.set(supervisorUrlOf(one), serving(one, changes));
  };
  return { clock, master, members, found, run, runWith, serve };
}

const nothing = { agents: {}, tasks: {}, frameworks: {} };

describe('a first start', () => {
  it('is believed when the master knows nothing of that name', async () => {
    const { found, run } = world();
    found(nothing);
    const { result } = await run();
    expect(result).toMatchObject({
      record: {
        generation: 1,
        framework: { name: 'etcd', id: null },
        seats: [],
        epoch: { phase: 'preparing' },
      },
    });
    expect(serializeRecord(result?.record as never).length).toBeGreaterThan(0);
  });

  it('without a word on its size has three members', async () => {
    const { found, run } = world();
    found(nothing);
    const { result } = await run({ spec: { ...CONFIG.spec, size: null } });
    expect(result?.record).toMatchObject({ size: 3, sizeOption: null });
  });

  it('goes on under an id that was registered and never used', async () => {
    const { found, run } = world();
    found({ ...nothing, frameworks: { frameworks: [framework()] } });
    expect((await run()).result?.record.framework.id).toBe('framework-1');
  });

  it('forgets a framework that was torn down', async () => {
    const { found, run } = world();
    found({ ...nothing, frameworks: { completed_frameworks: [framework()] } });
    expect((await run()).result?.record.framework.id).toBeNull();
  });

  it('looks past what belongs to others', async () => {
    const { found, run } = world();
    const other = { user: 'root', name: 'other', id: { value: 'f2' }, roles: ['x'] };
    found({
      ...nothing,
      frameworks: { frameworks: [framework({ framework_info: other, connected: true })] },
    });
    expect((await run()).result?.record.framework.id).toBeNull();
  });

  it('waits for agents that a new master has not seen yet, and gives up in the end', async () => {
    const { clock, found, run, master } = world();
    found({ ...nothing, agents: { recovered_agents: [{ id: { value: 'S1' }, hostname: 'agent-1' }] } });
    const waiting = run();
    await clock.advance(10_000);
    master.answer('GET_AGENTS', {});
    expect((await waiting).result?.record.seats).toEqual([]);

    const later = world();
    later.found({ ...nothing, agents: { recovered_agents: [{ id: { value: 'S1' }, hostname: 'agent-1' }] } });
    expect((await later.run()).error).toMatchObject({ code: 'not-a-first-start' });
  });

  it('adopts no part of a cluster while agents are awaited: the rest of it may be on them', async () => {
    const { clock, found, run, serve, master } = world();
    const [first] = seats as [Seat];
    serve(seats);
    const recovered_agents = [{ id: { value: 'S2' }, hostname: 'agent-2' }];
    found({ agents: { agents: agents([first]), recovered_agents }, tasks: { tasks: [task(first)] } });
    const waiting = run();
    await clock.advance(90_000);
    found({});
    expect((await waiting).result?.record.seats).toHaveLength(seats.length);
    expect(master.subscriptions).toEqual([]);
  });

  it('adopts what there is when they have been away for as long as any member may be', async () => {
    const { found, run, serve } = world();
    const [first] = seats as [Seat];
    serve([first]);
    const recovered_agents = [{ id: { value: 'S2' }, hostname: 'agent-2' }];
    found({ agents: { agents: agents([first]), recovered_agents }, tasks: { tasks: [task(first)] } });
    const spec = { ...CONFIG.spec, unreachableTimeoutMs: 200_000 };
    expect((await run({ spec })).result?.record.seats).toHaveLength(1);
  });

  it.each([401, 403])('relies on offers where the operator API answers %i', async (refusal) => {
    const { master, run } = world();
    master.answer('GET_FRAMEWORKS', refusal);
    expect((await run()).result).toMatchObject({ record: { seats: [] } });
    expect((await run({ bootstrap: 'adopt' })).result).toMatchObject({ record: { seats: [] } });
  });

  it('is not made up when it should adopt', async () => {
    const { found, run } = world();
    found(nothing);
    expect((await run({ bootstrap: 'adopt' })).error).toMatchObject({ code: 'nothing-to-adopt' });
  });

  it('ignores what is there on the operator’s word', async () => {
    const { found, run, members } = world();
    found({});
    expect((await run({ bootstrap: 'new' })).result?.record.seats).toEqual([]);
    expect(members.orders).toEqual([]);
  });

  it('stops where a scheduler of that name is connected', async () => {
    const { found, run } = world();
    found({ ...nothing, frameworks: { frameworks: [framework({ connected: true, active: true })] } });
    expect((await run()).error).toMatchObject({ code: 'already-running' });
  });

  it('gives up on masters that do not answer in time', async () => {
    const { master, run } = world();
    master.answer('GET_FRAMEWORKS', 500);
    expect((await run({ masterTimeoutMs: 5_000 })).error).toMatchObject({ code: 'no-master' });
  });
});

describe('a cluster whose record was lost', () => {
  it('is adopted as it runs', async () => {
    const { found, run, serve, members } = world();
    found({});
    serve(seats);
    const { result } = await run();
    expect(result?.record).toMatchObject({
      cluster: 'cluster-1',
      framework: { name: 'etcd', id: 'framework-1' },
      generation: 8,
      epoch: {
        number: 1,
        attempt: 2,
        token: 'token-2',
        phase: 'formed',
        clusterId: 'c1',
        source: { kind: 'adopted' },
      },
      leaving: [],
      intent: null,
    });
    expect(result?.record.seats).toEqual(
      seats.map((one, at) => ({
        ...one,
        launches: 2,
        launchedAtMs: expect.any(Number) as number,
        data: { epoch: 1, attempt: 2, started: true, memberId: `a${at}`, floor: { term: '2', index: '9' } },
      })),
    );
    expect(members.orders.map(({ order }) => [order.kind, order.generation])).toEqual(
      seats.map(() => ['fence', 8]),
    );
  });

  it('keeps as many members as are found where nobody says how many', async () => {
    const { found, run, serve } = world();
    const five = [
      ...seats,
      ...[3, 4].map((at) =>
        seat({
          id: `etcd-${at}-seat`,
          slot: `etcd-${at}`,
          task: `etcd-${at}__t`,
          agentId: `S${at + 1}`,
          hostname: `agent-${at + 1}`,
          host: `10.0.0.${at + 1}`,
        }),
      ),
    ];
    found({ agents: { agents: agents(five) }, tasks: { tasks: five.map((one) => task(one)) } });
    serve(five);
    const { result } = await run({ spec: { ...CONFIG.spec, size: null } });
    expect(result?.record.size).toBe(5);
  });

  it('is adopted with the ports and the name task’s share as its labels tell them', async () => {
    const { found, run, serve } = world();
    const [first, ...others] = seats;
    const odd = seat({
      ...first,
      ports: { peer: 31_000, client: 31_007, supervisor: 31_003 },
      nameShare: { cpus: 0.01, memMb: 32 },
    });
    found({
      agents: { agents: agents([odd, ...others]) },
      tasks: { tasks: [odd, ...others].map((one) => task(one)) },
    });
    serve([odd, ...others]);
    const { ports, nameShare, resources } = (await run()).result?.record.seats[0] ?? {};
    expect({ ports, nameShare, resources }).toEqual({
      ports: odd.ports,
      nameShare: odd.nameShare,
      resources: odd.resources,
    });
  });

  it('is adopted with its name tasks, which never pass for members', async () => {
    const { found, run, serve } = world();
    const named = seats.map((one) => ({ ...one, task: `${one.slot}-client__one` }));
    const [first, ...others] = seats as [Seat, ...Seat[]];
    found({
      agents: { agents: agents(seats) },
      tasks: {
        tasks: [...named, ...others].map((one) => task(one)),
        completed_tasks: [task(first, 'TASK_FAILED')],
      },
    });
    serve(others);
    const { seats: adopted = [] } = (await run()).result?.record ?? {};
    expect(adopted.map((one) => one.nameTask?.task)).toEqual(named.map((one) => one.task));
    expect(adopted.map((one) => one.task)).toEqual(seats.map((one) => one.task));
    expect(adopted.map((one) => one.taskEnd?.state)).toEqual(['TASK_FAILED', undefined, undefined]);
  });

  it('is adopted with the volumes of its logs', async () => {
    const { found, run, serve } = world();
    const [first, ...others] = seats;
    const own = seat({ ...first, wal: { volumeId: 'etcd-0-seat-wal', diskMb: 512 } });
    const all = [own, ...others];
    found({ agents: { agents: agents(all) }, tasks: { tasks: all.map((one) => task(one)) } });
    serve(all);
    const { wal, resources, volumeId } = (await run()).result?.record.seats[0] ?? {};
    expect({ wal, resources, volumeId }).toEqual({
      wal: own.wal,
      resources: own.resources,
      volumeId: own.volumeId,
    });
  });

  it('is not begun anew where its data has ended with its sandboxes', async () => {
    const { found, run } = world();
    const all = seats.map((one) => seat({ ...one, storage: 'sandbox' }));
    const ended = { completed_tasks: all.map((one) => task(one, 'TASK_FAILED')) };
    found({ agents: {}, tasks: ended });
    expect((await run()).error).toMatchObject({
      code: 'not-a-first-start',
      message: expect.stringContaining('etcd-0__one, etcd-1__one') as string,
    });
    found({ agents: {}, tasks: ended, frameworks: { completed_frameworks: [framework()] } });
    expect((await run()).result?.record.seats).toEqual([]);
  });

  it('is adopted from its tasks where the data lies in their sandboxes', async () => {
    const { found, run, serve } = world();
    const all = seats.map((one) => seat({ ...one, storage: 'sandbox' }));
    const bare = agents(all).map((one) => ({ ...one, total_resources: [] }));
    const resourcesOf = (one: Seat) =>
      reservationOf(one, 'cluster-1').map(({ reservations: _, disk: __, ...rest }) => rest);
    found({
      agents: { agents: bare },
      tasks: { tasks: all.map((one) => ({ ...task(one), resources: resourcesOf(one) })) },
    });
    serve(all);
    const { record } = (await run()).result ?? {};
    expect(record?.epoch.phase).toBe('formed');
    expect(
      record?.seats.map(({ storage, ports, host, resources }) => ({ storage, ports, host, resources })),
    ).toEqual(all.map(({ storage, ports, host, resources }) => ({ storage, ports, host, resources })));
  });

  it('is adopted with a member that is down, from its reservation alone', async () => {
    const { found, run, serve } = world();
    const [down, ...up] = seats as [Seat, ...Seat[]];
    found({ tasks: { tasks: up.map((one) => task(one)), completed_tasks: [task(down, 'TASK_FAILED')] } });
    serve(up);
    const { result } = await run();
    expect(result?.record.seats[0]).toMatchObject({
      id: down.id,
      task: down.task,
      taskEnd: { standing: 'ended', state: 'TASK_FAILED' },
      data: { started: true, memberId: 'a0' },
    });
  });

  it('is adopted though a task went with an agent that is not there any more', async () => {
    const { found, run, serve } = world();
    const old = seat({ id: 'etcd-0-old', task: 'etcd-0__old', agentId: 'S9' });
    const gone = { ...task(old), state: 'TASK_LOST' };
    found({ tasks: { tasks: seats.map((one) => task(one)), completed_tasks: [gone] } });
    serve(seats);
    const { result } = await run();
    expect(result?.record.seats.map(({ id }) => id)).toEqual(seats.map(({ id }) => id));
  });

  it('gives a member whose last task nobody remembers a task to be denied', async () => {
    const { found, run, serve } = world();
    found({ tasks: { tasks: seats.slice(1).map((one) => task(one)) } });
    serve(seats.slice(1));
    expect((await run()).result?.record.seats[0]).toMatchObject({
      task: 'etcd-0__forgotten-etcd-0-seat',
      taskEnd: null,
      data: { started: true, memberId: 'a0' },
    });
  });

  it('gives up what a quorum does not list, and keeps its data until the slot has another voter', async () => {
    const { found, run, serve } = world();
    found({});
    serve(seats, { probe: probe({ confirmedMembers: listed.slice(0, 2) }) });
    const { result } = await run();
    expect(result?.record.seats.map(({ slot, lost }) => [slot, lost?.cause])).toEqual([
      ['etcd-0', undefined],
      ['etcd-1', undefined],
      ['etcd-2', 'data'],
    ]);
    expect(result?.record.seats[2]?.data).toMatchObject({ started: true, memberId: null });
    expect(result?.record.leaving).toEqual([]);
  });

  it('gives nobody up without a quorum', async () => {
    const { found, run, serve } = world();
    found({});
    serve(seats.slice(0, 1), { probe: probe({ confirmedMembers: null, localMembers: listed.slice(0, 2) }) });
    const { result } = await run();
    expect(result?.record.seats).toHaveLength(3);
    expect(result?.record.leaving).toEqual([]);
    expect(result?.record.seats[2]?.data).toMatchObject({ started: true, memberId: null });
  });

  it('is born anew, with another token, when nothing of it was ever started', async () => {
    const { found, run, serve } = world();
    found({});
    serve(seats, {
      phase: 'prepared',
      probe: null,
      identity: { ...identity, started: false, clusterId: null },
    });
    const { result } = await run();
    expect(result?.record.epoch).toMatchObject({
      number: 1,
      attempt: 3,
      phase: 'preparing',
      clusterId: null,
    });
    expect(result?.record.epoch.token).not.toBe('token-2');
    expect(result?.record.seats.every((one) => one.data === null)).toBe(true);
  });

  it('is read from its volumes first, where nothing of it runs', async () => {
    const { found, run } = world();
    found({ tasks: {} });
    const { result } = await run();
    expect(result?.record).toMatchObject({
      cluster: 'cluster-1',
      epoch: { phase: 'adopting', source: { kind: 'adopted' }, clusterId: null },
      leaving: [],
    });
    expect(result?.record.seats.map(({ id, data, volumeId }) => [id, data, volumeId])).toEqual(
      seats.map(({ id, volumeId }) => [id, null, volumeId]),
    );
  });

  it('is adopted without a member that the master does not see, where the others are a quorum', async () => {
    const { found, run, serve } = world();
    const lost = { ...(seats[2] as Seat), agentId: 'S9' };
    const tasks = [...seats.slice(0, 2).map((one) => task(one)), task(lost, 'TASK_UNREACHABLE')];
    found({ agents: { agents: agents(seats.slice(0, 2)) }, tasks: { tasks } });
    serve(seats.slice(0, 2));
    const { result } = await run();
    expect(result?.record.epoch).toMatchObject({ phase: 'formed', clusterId: 'c1' });
    expect(result?.record.seats.map(({ slot }) => slot)).toEqual(['etcd-0', 'etcd-1']);
  });

  it.each<[string, (of: ReturnType<typeof world>) => void, RegExp]>([
    [
      'reservations of two clusters',
      ({ found }) => {
        const [first, ...rest] = seats as [Seat, ...Seat[]];
        found({ agents: { agents: [...agents([first], 'cluster-2'), ...agents(rest)] }, tasks: {} });
      },
      /2 clusters: cluster-2, cluster-1/,
    ],
    [
      'members of two etcd clusters',
      ({ found, serve }) => {
        found({});
        serve(seats.slice(0, 2));
        serve(seats.slice(2), { identity: { ...identity, clusterId: 'c2' } });
      },
      /different etcd cluster ids: c1, c2/,
    ],
    [
      'members of two attempts',
      ({ found, serve }) => {
        found({});
        serve(seats.slice(0, 2));
        serve(seats.slice(2), { identity: { ...identity, attempt: 1 } });
      },
      /different attempts: 2, 1/,
    ],
    [
      'members that follow another key',
      ({ found, serve, members }) => {
        found({});
        serve(seats);
        members.respond = (order) =>
          Promise.resolve({ ...done(order), outcome: 'refused', problem: 'bad-signature' });
      },
      /another scheduler's key: etcd-0 on agent-1/,
    ],
    [
      'tasks under a framework id that is gone',
      ({ found, serve }) => {
        found({ frameworks: {} });
        serve(seats);
      },
      /framework id framework-1, which is not registered/,
    ],
    [
      'tasks under two framework ids',
      ({ found, serve }) => {
        found({
          tasks: { tasks: seats.map((one, at) => task(one, 'TASK_RUNNING', `framework-${at}`)) },
        });
        serve(seats);
      },
      /3 framework ids/,
    ],
    [
      'a task on an agent that is out of sight',
      ({ found, serve }) => {
        found({
          agents: { agents: agents(seats.slice(1)) },
          tasks: {
            tasks: seats.slice(1).map((one) => task(one)),
            unreachable_tasks: seats.slice(0, 1).map((one) => task(one, 'TASK_UNREACHABLE')),
          },
        });
        serve(seats.slice(1), { probe: probe({ confirmedMembers: null }) });
      },
      /does not see at present: etcd-0 on agent S1/,
    ],
  ])('is not adopted from %s', async (_what, arrange, message) => {
    const built = world();
    arrange(built);
    const { error } = await built.run();
    expect(error).toMatchObject({ code: 'not-a-first-start' });
    expect(error?.message).toMatch(message);
  });
});

describe('the stored record of a cluster that is about to be born', () => {
  const stored = (changes: Partial<ClusterRecord> = {}): ClusterRecord =>
    record({
      cluster: 'cluster-1',
      generation: 3,
      epoch: newEpoch({ number: 1, attempt: 1, token: 'token-1', openedAtMs: 0 }),
      seats: [],
      ...changes,
    });

  it('gives way to the cluster that Mesos holds, if it does not know all of its places', async () => {
    const { found, runWith, serve } = world();
    found({});
    serve(seats);
    const instead = await runWith(stored({ seats: seats.slice(0, 2) }));
    expect(instead?.record).toMatchObject({ generation: 8, epoch: { phase: 'formed', clusterId: 'c1' } });
    expect(instead?.record.seats).toHaveLength(3);
  });

  it('never takes back a generation', async () => {
    const { found, runWith, serve } = world();
    found({});
    serve(seats);
    expect((await runWith(stored({ generation: 20 })))?.record.generation).toBe(21);
  });

  it('holds where all that Mesos has of it is known, or another cluster’s', async () => {
    const { found, runWith } = world();
    found({});
    expect(await runWith(stored({ seats: [...seats] }))).toBeNull();
    expect(await runWith(stored({ cluster: 'another' }))).toBeNull();
  });

  it('holds on the operator’s word, and where the master does not let us look', async () => {
    const { found, master, runWith } = world();
    found({});
    expect(await runWith(stored(), { bootstrap: 'new' })).toBeNull();
    master.answer('GET_FRAMEWORKS', 403);
    expect(await runWith(stored())).toBeNull();
  });

  it('is not asked about once the cluster has formed', async () => {
    const { found, runWith } = world();
    found({});
    const { epoch } = stored();
    expect(await runWith(stored({ epoch: { ...epoch, phase: 'formed' } }))).toBeNull();
  });
});
