import { beforeEach, describe, expect, test } from 'vitest';
import { EtcdError } from '../../src/etcd/port.ts';
import {
  createModelWorld,
  type ModelWorld,
  own,
  peerUrl,
  prepare,
  starts,
  TOKEN,
  untilEnded,
} from './model-member.ts';

let world: ModelWorld;
beforeEach(() => {
  world = createModelWorld();
});

describe('its life', () => {
  test('a blank volume is idle, a lost one has failed, and that is told rather than died of', async () => {
    expect((await world.start()).status()).toMatchObject({ phase: 'idle', identity: null, problem: null });
    world.disk.lose();
    const next = await world.start();
    expect(next.status()).toMatchObject({ phase: 'failed', dataProblem: 'volume-missing' });
    expect(await next.give(prepare)).toMatchObject({ outcome: 'refused', problem: 'volume-missing' });
  });

  test('a volume that cannot be understood is corrupt, one of another seat foreign', async () => {
    await world.start();
    const foreign = await world.start({ volume: { path: 'volume', id: 'volume-2' } });
    expect(foreign.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-foreign' });
    world.disk.corrupt();
    expect((await world.start()).status()).toMatchObject({ phase: 'failed', dataProblem: 'corrupt' });
  });

  test('a disk that is full at first is tried again until it is not', async () => {
    world.disk.setFull(true);
    const supervisor = await world.start();
    expect(supervisor.status()).toMatchObject({ phase: 'failed', dataProblem: null });
    expect(supervisor.status().problem).toContain('no space');
    world.disk.setFull(false);
    await world.clock.advance(6000);
    expect(supervisor.status()).toMatchObject({ phase: 'idle', problem: null });
  });

  test('when it is told to end it ends etcd by SIGTERM, and takes no order any more', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    supervisor.stop.abort();
    const late = supervisor.give(starts('resume'));
    await world.clock.during(supervisor.ended);
    expect(world.processes.started.at(-1)?.result).toEqual({ code: null, signal: 'SIGTERM' });
    expect(await late).toMatchObject({ outcome: 'failed' });
    expect(world.processes.running()).toEqual([]);
  });

  test('an etcd that takes no notice of SIGTERM is killed after the grace', async () => {
    world.etcd.program = async (context) => {
      world.disk.setData(1, 'present');
      context.onTerminate(() => {});
      return await untilEnded(context);
    };
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const beforeMs = world.clock.monotonicMs();
    expect(await supervisor.give({ kind: 'stop', args: { graceMs: 3000 } })).toMatchObject({
      outcome: 'done',
    });
    expect(world.clock.monotonicMs() - beforeMs).toBe(3000);
    expect(supervisor.status()).toMatchObject({
      phase: 'stopped',
      etcd: { lastExit: { signal: 'SIGKILL' } },
    });
  });

  test('a foreign holder of a port is told; the start is refused until it has gone', async () => {
    world.sweep = { killed: [], foreign: [{ port: 2379, process: { pid: 77, command: 'nginx' } }] };
    const supervisor = await world.start();
    expect(supervisor.status()).toMatchObject({
      phase: 'idle',
      problem: 'port 2379 is held by pid 77 (nginx)',
    });
    await supervisor.give(prepare);
    expect(await supervisor.give(starts('bootstrap'))).toMatchObject({
      outcome: 'failed',
      problem: 'etcd-refused',
      message: 'port 2379 is held by pid 77 (nginx)',
    });
    expect(supervisor.status()).toMatchObject({ phase: 'prepared', identity: { started: false } });
    world.sweep = { killed: [], foreign: [] };
    expect(await supervisor.give(starts('bootstrap'))).toMatchObject({ outcome: 'done' });
    expect(supervisor.status().problem).toBeNull();
  });
});

describe('starting', () => {
  test('that it was started is stored before etcd runs', async () => {
    const supervisor = await world.start();
    await supervisor.give(prepare);
    let stored: boolean | undefined;
    world.etcd.program = async (context) => {
      stored = (await world.disk.connect().readIdentity())?.started;
      return await untilEnded(context);
    };
    await supervisor.give(starts('bootstrap'));
    expect(stored).toBe(true);
  });

  test('a supervisor that died between the two starts nothing on the empty directory', async () => {
    const disk = world.disk.connect();
    await (await world.start()).give(prepare);
    const identity = await disk.readIdentity();
    if (identity === null) throw new Error('nothing was prepared');
    await disk.writeIdentity({ ...identity, started: true });
    const next = await world.start();
    expect(next.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-missing' });
    expect(await next.give(starts('bootstrap'))).toMatchObject({ problem: 'already-started' });
    expect(await next.give(starts('resume'))).toMatchObject({ problem: 'data-missing' });
    expect(world.processes.started).toEqual([]);
  });

  test('the first start may form a cluster, a later one cannot', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.processes.running()[0]?.kill('SIGKILL');
    await world.clock.runUntil(() => world.processes.started.length === 2, 1000);
    const states = world.processes.started.map(
      ({ spec }) => spec.args.find((argument) => argument.startsWith('--initial-cluster-state')) ?? '',
    );
    expect(states).toEqual(['--initial-cluster-state=new', '--initial-cluster-state=existing']);
    const [first] = world.processes.started;
    expect(first?.spec.command).toBe('setpriv');
    expect(first?.spec.args.slice(0, 4)).toEqual(['--pdeathsig', 'KILL', '--', 'etcd']);
    expect(first?.spec.args).toContain('--data-dir=/volume/epoch-1/data');
  });

  test('a failed attempt gives way to the next, a formed epoch only to the next epoch', async () => {
    world.etcd.serves = false;
    const supervisor = await world.start();
    await supervisor.give(prepare);
    await supervisor.give(starts('bootstrap'));
    const again = await supervisor.give({ kind: 'prepare', args: { token: 'token-2' } }, { attempt: 2 });
    expect(again).toMatchObject({ outcome: 'done' });
    expect(world.processes.running()).toEqual([]);
    expect(supervisor.status()).toMatchObject({
      phase: 'prepared',
      identity: { attempt: 2, started: false },
    });

    world.etcd.serves = true;
    await supervisor.give(starts('bootstrap', { token: 'token-2' }), { attempt: 2 });
    await world.clock.runUntil(() => supervisor.status().identity?.clusterId === 'abc', 5000);
    const third = await supervisor.give({ kind: 'prepare', args: { token: 'token-3' } }, { attempt: 3 });
    expect(third).toMatchObject({ problem: 'already-started' });
    const epoch = await supervisor.give({ kind: 'prepare', args: { token: 'token-4' } }, { epoch: 2 });
    expect(epoch).toMatchObject({ outcome: 'done' });
    expect(supervisor.status()).toMatchObject({ phase: 'prepared', identity: { epoch: 2, attempt: 1 } });
    expect(await world.disk.connect().dataState(1)).toBe('present');
  });

  test('a program that cannot be run fails the order and is tried again', async () => {
    const supervisor = await world.start();
    await supervisor.give(prepare);
    const { program } = world.etcd;
    world.etcd.program = async (context) => {
      context.print('setpriv: failed to execute etcd: No such file or directory');
      return 127;
    };
    await supervisor.give(starts('bootstrap'));
    await world.clock.advance(1000);
    expect(supervisor.status()).toMatchObject({ phase: 'backing-off' });
    expect(supervisor.status().problem).toContain('failed to execute');
    world.etcd.program = program;
    await world.clock.runUntil(() => supervisor.status().phase === 'running', 60_000);
    await world.clock.runUntil(() => supervisor.status().problem === null, 5000);
  });
});

describe('L0', () => {
  test('etcd is started again at once, then with growing pauses; a start order cuts a pause short', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const startedAtMs: number[] = [];
    world.etcd.program = async (context) => {
      startedAtMs.push(world.clock.monotonicMs());
      context.print('{"level":"fatal","msg":"discovery failed","error":"the disk hiccups"}');
      return 1;
    };
    world.processes.running()[0]?.kill('SIGKILL');
    await world.clock.advance(4000);
    const pauses = startedAtMs.slice(1).map((atMs, index) => atMs - (startedAtMs[index] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([250, 500, 1000, 2000]);
    expect(supervisor.status()).toMatchObject({
      phase: 'backing-off',
      probe: null,
      problem: 'etcd ended with code 1: discovery failed: the disk hiccups',
    });
    const before = startedAtMs.length;
    expect(await supervisor.give(starts('resume'))).toMatchObject({ outcome: 'done' });
    await world.clock.advance(1);
    expect(startedAtMs.length).toBe(before + 1);
  });

  test('an etcd that ended on a full disk says so: its quota is another matter', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.program = async (context) => {
      const error = 'write /volume/epoch-1/data/member/snap/db: no space left on device';
      context.print(JSON.stringify({ level: 'fatal', msg: 'failed to commit tx', error }));
      return 1;
    };
    world.processes.running()[0]?.kill('SIGKILL');
    await world.clock.runUntil(() => supervisor.status().phase === 'backing-off', 5000);
    await world.clock.advance(1000);
    expect(supervisor.status().problem).toMatch(
      /^the disk under its volume is full: .*; etcd ended with code 1: failed to commit tx: write .* no space left/,
    );
    expect(supervisor.status().dataProblem).toBeNull();
  });

  test('a stop ends the waiting, and it stays down', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.program = async () => 1;
    world.processes.running()[0]?.kill('SIGKILL');
    await world.clock.runUntil(() => supervisor.status().phase === 'backing-off', 5000);
    await supervisor.give({ kind: 'stop', args: { graceMs: 0 } });
    const starts = world.processes.started.length;
    await world.clock.advance(60_000);
    expect(world.processes.started.length).toBe(starts);
    expect(supervisor.status().phase).toBe('stopped');
  });

  test('one that could not join yet is started with the list of a newer order', async () => {
    const supervisor = await world.start();
    await supervisor.give(prepare);
    world.etcd.program = async () => 1;
    const lists = [
      ['etcd-0', 'etcd-1', 'etcd-2'],
      ['etcd-0', 'etcd-1'],
    ];
    for (const names of lists) {
      const initialCluster = names.map((name, at) => ({ name, peerUrl: `http://10.0.0.${at + 1}:2380` }));
      await supervisor.give(starts('join', { clusterId: 'abc', memberId: 'f1', initialCluster }));
      await world.clock.runUntil(() => supervisor.status().phase === 'backing-off', 5000);
    }
    const [first, last] = [world.processes.started[0], world.processes.started.at(-1)];
    expect(first?.spec.args.join(' ')).toContain('etcd-2=');
    expect(last?.spec.args.join(' ')).not.toContain('etcd-2=');
  });

  test('a log that has vanished is not begun anew', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.disk.setData(1, 'empty');
    world.processes.running()[0]?.kill('SIGKILL');
    await world.clock.advance(60_000);
    expect(world.processes.started).toHaveLength(1);
    expect(supervisor.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-missing' });
  });

  test('a removed member is never started again, by nobody', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.program = async (context) => await untilEnded(context);
    const { processes } = world;
    await supervisor.give({ kind: 'stop', args: { graceMs: 0 } });
    world.etcd.program = async (context) => {
      context.print(
        '{"level":"warn","msg":"server error","error":"the member has been permanently removed from the cluster"}',
      );
      return 0;
    };
    await supervisor.give(starts('resume'));
    await world.clock.advance(60_000);
    expect(processes.started).toHaveLength(2);
    expect(supervisor.status()).toMatchObject({ phase: 'removed', etcd: { lastExit: { code: 0 } } });
    const next = await world.start();
    expect(next.status().phase).toBe('removed');
    expect(await next.give(starts('resume'))).toMatchObject({ outcome: 'refused', problem: 'removed' });
  });
});

describe('orders', () => {
  test('the fence outlives the supervisor', async () => {
    await (await world.start()).give({ kind: 'fence', args: {} }, { generation: 7 });
    const next = await world.start();
    expect(next.status().fence).toEqual({ epoch: 1, generation: 7 });
    expect(await next.give(prepare, { generation: 6 })).toMatchObject({ problem: 'stale-generation' });
    expect(await next.give(prepare, { generation: 7 })).toMatchObject({ outcome: 'done' });
  });

  test('a fence that cannot be stored is not adopted', async () => {
    const supervisor = await world.start();
    world.disk.setFull(true);
    expect(await supervisor.give({ kind: 'fence', args: {} })).toMatchObject({
      outcome: 'failed',
      problem: 'volume-error',
    });
    expect(supervisor.status().fence).toEqual({ epoch: 0, generation: 0 });
  });

  test('an order asked twice is carried out once, while it is under way and after', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const add = { kind: 'member-add', args: { peerUrl: 'http://10.0.0.2:2380', voters: ['f1'] } } as const;
    const envelope = { id: 'add', counter: 100 };
    const [first, second] = await Promise.all([
      supervisor.give(add, envelope),
      supervisor.give(add, envelope),
    ]);
    const third = await supervisor.give(add, envelope);
    expect(first).toMatchObject({ outcome: 'done', memberId: 'a1' });
    expect([second, third]).toEqual([first, first]);
    expect(world.etcd.calls).toEqual(['add http://10.0.0.2:2380']);
    expect(await supervisor.give(add, { id: 'other', counter: 99 })).toMatchObject({ problem: 'replayed' });
  });

  test('what is so already is done: a listed peer URL, a gone member, a voter, another leader', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const give = async (kind: 'member-remove' | 'member-promote', memberId: string) =>
      await supervisor.give({ kind, args: { memberId, voters: ['f9'] } });
    expect(await supervisor.give({ kind: 'member-add', args: { peerUrl, voters: ['f9'] } })).toMatchObject({
      memberId: 'f1',
    });
    expect(await give('member-remove', 'dead')).toMatchObject({ outcome: 'done' });
    expect(await give('member-promote', 'f1')).toMatchObject({ outcome: 'done' });
    world.etcd.status = { ...world.etcd.status, leaderId: 'f2' };
    expect(await supervisor.give({ kind: 'move-leader', args: { memberId: 'f3' } })).toMatchObject({
      outcome: 'done',
    });
    expect(world.etcd.calls).toEqual([]);
    expect(await give('member-promote', 'dead')).toMatchObject({ outcome: 'failed', problem: 'etcd-error' });
  });

  test.for([
    ['unhealthy-cluster', 'unhealthy-cluster'],
    ['too-many-learners', 'too-many-learners'],
    ['learner-not-ready', 'learner-not-ready'],
    ['timeout', 'timeout'],
    ['no-leader', 'etcd-error'],
  ] as const)('etcd’s refusal %s is told as %s and may be asked again', async ([code, problem]) => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.refusal = new EtcdError(code, 'etcdserver: no');
    const add = { kind: 'member-add', args: { peerUrl: 'http://10.0.0.2:2380', voters: ['f1'] } } as const;
    expect(await supervisor.give(add)).toMatchObject({ outcome: 'failed', problem });
    expect(await supervisor.give(add)).toMatchObject({ outcome: 'done' });
  });

  test('a change that was judged by other voters than a quorum lists is not made', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const add = {
      kind: 'member-add',
      args: { peerUrl: 'http://10.0.0.2:2380', voters: ['f1', 'f2'] },
    } as const;
    expect(await supervisor.give(add)).toMatchObject({
      outcome: 'failed',
      problem: 'membership-changed',
      message: 'the voters are f1, not f1, f2',
    });
    expect(
      await supervisor.give({ kind: 'member-remove', args: { memberId: 'f1', voters: [] } }),
    ).toMatchObject({
      problem: 'membership-changed',
    });
    expect(world.etcd.calls).toEqual([]);
  });

  test('without a quorum a change is given up in time', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.quorum = false;
    const beforeMs = world.clock.monotonicMs();
    expect(
      await supervisor.give({ kind: 'member-remove', args: { memberId: 'f2', voters: ['f1'] } }),
    ).toMatchObject({
      outcome: 'failed',
      problem: 'timeout',
    });
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThanOrEqual(8000);
  });

  test('orders beyond what may wait are turned away, none is lost', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.quorum = false;
    const many = Array.from(
      { length: 20 },
      async () => await supervisor.give({ kind: 'member-remove', args: { memberId: 'f2', voters: ['f1'] } }),
    );
    const receipts = await Promise.all(many);
    expect(receipts.filter(({ message }) => message.includes('wait already'))).toHaveLength(4);
    expect(receipts.every(({ outcome, problem }) => outcome === 'failed' && problem === 'timeout')).toBe(
      true,
    );
  });
});

describe('what it tells', () => {
  test('local evidence does not wait for the linearizable read', async () => {
    world.etcd.quorum = false;
    world.etcd.status = { ...world.etcd.status, leaderId: null, errors: ['etcdserver: no leader'] };
    const supervisor = await world.start();
    await supervisor.give(prepare);
    await supervisor.give(starts('bootstrap'));
    await world.clock.advance(200);
    for (let look = 0; look < 20; look += 1) {
      await world.clock.advance(250);
      const { probe } = supervisor.status();
      expect(probe).toMatchObject({ leaderId: null, localMembers: [own], confirmedMembers: null });
      expect(probe?.ageMs).toBeLessThanOrEqual(600);
    }
    expect(supervisor.status()).toMatchObject({ floor: null, identity: { clusterId: null } });
  });

  test('the confirmed list is taken back when the quorum goes, and after every change', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    expect(supervisor.status().probe?.confirmedMembers).toEqual([own]);
    world.etcd.quorum = false;
    await world.clock.runUntil(() => supervisor.status().probe?.confirmedMembers === null, 3000);
    world.etcd.quorum = true;
    await world.clock.runUntil(() => supervisor.status().probe?.confirmedMembers !== null, 3000);
    await supervisor.give({ kind: 'member-add', args: { peerUrl: 'http://10.0.0.2:2380', voters: ['f1'] } });
    await world.clock.runUntil(() => supervisor.status().probe?.confirmedMembers !== null, 3000);
    expect(supervisor.status().probe?.confirmedMembers?.map(({ id }) => id)).toEqual(['f1', 'a1']);
  });

  test('an etcd that asks for a user answers, and what it keeps to itself is not known', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const { floor } = supervisor.status();
    world.etcd.asksForUser = 'always';
    await world.clock.runUntil(() => supervisor.status().needsUser !== null, 3000);
    expect(supervisor.status()).toMatchObject({ phase: 'running', problem: null, probe: null, floor });
    await world.clock.advance(60_000);
    expect(supervisor.status()).toMatchObject({ needsUser: { quorum: true }, etcd: { restarts: 0 } });
    world.etcd.quorum = false;
    await world.clock.runUntil(() => supervisor.status().needsUser?.quorum === false, 3000);
    expect(supervisor.status()).toMatchObject({ phase: 'running', probe: null });
    world.etcd.serves = false;
    await world.clock.runUntil(() => supervisor.status().needsUser === null, 5000);
    expect(supervisor.status().probe).toBeNull();
    Object.assign(world.etcd, { serves: true, quorum: true, asksForUser: 'no' });
    await world.clock.runUntil(() => supervisor.status().probe?.confirmedMembers != null, 5000);
    expect(supervisor.status()).toMatchObject({ needsUser: null, etcd: { restarts: 0 } });
  });

  test('an etcd that asks for a user to be changed alone tells both', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.asksForUser = 'for-changes';
    await world.clock.runUntil(() => supervisor.status().needsUser !== null, 3000);
    expect(supervisor.status()).toMatchObject({
      needsUser: { quorum: true },
      probe: { confirmedMembers: [own] },
    });
    // What it would refuse is not asked for; what it answers tells of the quorum as ever.
    world.etcd.quorum = false;
    await world.clock.runUntil(() => supervisor.status().needsUser === null, 3000);
    expect(supervisor.status().probe).toMatchObject({ confirmedMembers: null });
  });

  test('an etcd that was started again and asks for a user has no trouble any more', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.asksForUser = 'always';
    world.processes.running()[0]?.kill('SIGKILL');
    await world.clock.runUntil(() => supervisor.status().etcd?.restarts === 1, 3000);
    await world.clock.runUntil(() => supervisor.status().needsUser !== null, 3000);
    expect(supervisor.status()).toMatchObject({ phase: 'running', problem: null });
  });

  test('a learner is asked for its status alone', async () => {
    world.etcd.status = { ...world.etcd.status, isLearner: true };
    world.etcd.quorum = false;
    const supervisor = await world.start();
    await supervisor.give(prepare);
    await supervisor.give(starts('join', { clusterId: 'abc', memberId: 'f1' }));
    await world.clock.advance(1000);
    expect(supervisor.status().probe).toMatchObject({
      isLearner: true,
      localMembers: [],
      confirmedMembers: null,
    });
  });

  test('alarms are read from the status', async () => {
    world.etcd.status = { ...world.etcd.status, errors: ['memberID:241 alarm:NOSPACE '] };
    const supervisor = await world.start();
    await supervisor.bootstrap();
    expect(supervisor.status().probe?.alarms).toEqual([{ memberId: 'f1', alarm: 'NOSPACE' }]);
  });

  test('who waits hears of a change at once, and of nothing while nothing changes', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    await world.clock.advance(10_000);
    const { sequence } = supervisor.status();
    const beforeMs = world.clock.monotonicMs();
    const nothing = supervisor.waitStatus(sequence, 5000, new AbortController().signal);
    expect((await world.clock.during(nothing)).sequence).toBe(sequence);
    expect(world.clock.monotonicMs() - beforeMs).toBe(5000);

    const waiting = supervisor.waitStatus(sequence, 30_000, new AbortController().signal);
    world.processes.running()[0]?.kill('SIGKILL');
    const changed = await world.clock.during(waiting);
    expect(changed.sequence).toBeGreaterThan(sequence);
    expect(changed.phase).not.toBe('running');
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThan(5100);
  });

  test('steady writes are told about once a second', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    await world.clock.advance(10_000);
    const before = supervisor.status().sequence;
    for (let write = 0; write < 100; write += 1) {
      const index = `${1000 + write}`;
      world.etcd.status = {
        ...world.etcd.status,
        raftIndex: index,
        raftAppliedIndex: index,
        revision: index,
      };
      await world.clock.advance(100);
    }
    const told = supervisor.status().sequence - before;
    expect(told).toBeGreaterThanOrEqual(5);
    expect(told).toBeLessThanOrEqual(11);
  });

  test('an etcd that ceases to answer has no probe, and its process is left alone', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.serves = false;
    await world.clock.runUntil(() => supervisor.status().probe === null, 5000);
    expect(supervisor.status().phase).toBe('running');
    expect(world.processes.running()).toHaveLength(1);
  });
});

describe('the floor', () => {
  test('is told once it is stored, and an older copy of the volume does not pass it', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    const copy = world.disk.copy();
    world.etcd.status = { ...world.etcd.status, raftTerm: '4', raftIndex: '500' };
    await world.clock.advance(5000);
    const { floor } = supervisor.status();
    expect(floor).toEqual({ term: '4', index: '500' });
    expect(await world.disk.connect().readFloor(1)).toEqual(floor);
    supervisor.stop.abort();
    await world.clock.during(supervisor.ended);
    world.disk.restore(copy);
    const next = await world.start();
    expect(await next.give(starts('resume', { floor }))).toMatchObject({ problem: 'data-rolled-back' });
    expect(next.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-rolled-back' });
    expect(await next.give(starts('resume', { floor: null }))).toMatchObject({ problem: 'data-rolled-back' });
  });

  test('does not rise on a volume that takes no writes, which is told', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.disk.setFull(true);
    world.etcd.status = { ...world.etcd.status, raftIndex: '500' };
    await world.clock.advance(5000);
    expect(supervisor.status()).toMatchObject({ phase: 'running', floor: { index: '10' } });
    expect(supervisor.status().problem).toContain('no space');
    world.disk.setFull(false);
    world.etcd.status = { ...world.etcd.status, raftIndex: '501' };
    await world.clock.advance(5000);
    expect(supervisor.status()).toMatchObject({ problem: null, floor: { index: '501' } });
  });

  test('a cluster that has lost what was reported is told, an etcd of another cluster is ended', async () => {
    const supervisor = await world.start();
    await supervisor.bootstrap();
    world.etcd.status = { ...world.etcd.status, raftIndex: '7' };
    await world.clock.advance(3000);
    expect(supervisor.status()).toMatchObject({ phase: 'running', dataProblem: 'data-rolled-back' });
    world.etcd.status = { ...world.etcd.status, clusterId: 'fff' };
    await world.clock.advance(3000);
    expect(supervisor.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-foreign', probe: null });
    expect(world.processes.running()).toEqual([]);
    expect(await supervisor.give(starts('resume', { token: TOKEN }))).toMatchObject({
      problem: 'data-foreign',
    });
  });
});
