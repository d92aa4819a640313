import { describe, expect, it } from 'vitest';
import { newEpoch, type Seat } from '../../src/protocol/record.ts';
import { type SmallMember, SmallWorld } from './small-world.ts';

function wholeWorld(size = 3, storage: Seat['storage'] = 'persistent'): SmallWorld {
  const world = new SmallWorld(size);
  world.storage = storage;
  world.until(() => world.isWhole());
  return world;
}

/** Ends every task and forgets all but the places, as their labels tell of them. */
function forget(world: SmallWorld): void {
  const { seats, leaving } = world.record;
  const found = [...seats, ...leaving.map(({ seat }) => seat)];
  world.record = {
    ...world.record,
    epoch: {
      ...newEpoch({ number: 1, attempt: 1, token: 'not-read-yet', openedAtMs: 0 }),
      source: { kind: 'adopted' },
      phase: 'adopting',
    },
    seats: found.map((seat) => ({ ...seat, data: null, lost: null, taskEnd: null, quickEnds: 0 })),
    leaving: [],
    intent: null,
  };
  for (const seat of found) end(world, seat);
  world.maintenance.clear();
  world.refuse.clear();
  world.story.length = 0;
  world.last = null;
}

function end(world: SmallWorld, seat: Seat): void {
  const over = { standing: 'ended', source: 'SOURCE_EXECUTOR', reason: '', message: '' } as const;
  const taskEnd = { ...over, state: 'TASK_KILLED', atMs: world.nowMs };
  world.tasks.set(seat.task, { kind: 'over', end: taskEnd, agentId: seat.agentId });
  member(world, seat.id).up = false;
  if (seat.storage === 'persistent') world.offered.set(seat.id, { volume: true, complete: true });
}

function member(world: SmallWorld, seat: string): SmallMember {
  const found = world.members.get(seat);
  if (found === undefined) throw new Error(`${seat} never ran`);
  return found;
}

/** Etcd was never started there. */
function unstart(one: SmallMember): void {
  one.phase = 'prepared';
  one.memberId = null;
  if (one.identity !== null) {
    one.identity = { ...one.identity, started: false, clusterId: null, memberId: null };
  }
}

function steps(world: SmallWorld, count: number, elapsedMs = 500): void {
  for (let step = 0; step < count; step += 1) world.step(elapsedMs);
}

function codes(world: SmallWorld): readonly string[] {
  return world.last?.blocked.map(({ code }) => code) ?? [];
}

function did(world: SmallWorld, what: string): readonly string[] {
  return world.story.filter((line) => line.startsWith(what));
}

describe('places whose record was lost', () => {
  it('are the cluster that their volumes agree on, and nothing is prepared or placed', () => {
    const world = wholeWorld();
    const before = world.record;
    forget(world);
    world.until(() => world.isWhole());
    const { attempt, token, clusterId } = before.epoch;
    expect(world.record.epoch).toMatchObject({ phase: 'formed', attempt, token, clusterId });
    expect(world.record.seats.map((seat) => seat.data?.memberId)).toEqual(
      before.seats.map((seat) => seat.data?.memberId),
    );
    expect([...did(world, 'prepare'), ...did(world, 'place')]).toEqual([]);
  });

  it('are led with a generation above every one that their supervisors remember', () => {
    const world = wholeWorld();
    forget(world);
    member(world, 'seat-2').fence = { epoch: 1, generation: 7 };
    world.until(() => world.isWhole());
    expect(world.record.generation).toBe(8);
  });

  it('are not started while their volumes contradict each other', () => {
    const world = wholeWorld();
    forget(world);
    const odd = member(world, 'seat-3');
    if (odd.identity !== null) odd.identity = { ...odd.identity, clusterId: 'c2' };
    steps(world, 60);
    expect(codes(world)).toContain('adoption-contradiction');
    expect(world.last?.blocked.find(({ code }) => code === 'adoption-contradiction')?.message).toContain(
      'c2 on etcd-2 on host-3',
    );
    expect([...did(world, 'start'), ...did(world, 'prepare'), ...did(world, 'place')]).toEqual([]);
  });

  it('wait for the agents that hold the others where fewer than a quorum were found', () => {
    const world = wholeWorld();
    forget(world);
    world.record = { ...world.record, seats: world.record.seats.slice(0, 1) };
    steps(world, 60);
    expect(codes(world)).toContain('adoption-incomplete');
    expect([...did(world, 'start'), ...did(world, 'prepare'), ...did(world, 'place')]).toEqual([]);
  });

  it('are started to tell where all the others know that they were removed', () => {
    const world = wholeWorld();
    world.listed = world.listed.slice(0, 1);
    forget(world);
    for (const seat of ['seat-2', 'seat-3']) member(world, seat).phase = 'removed';
    world.until(() => world.record.epoch.phase === 'formed');
    expect(did(world, 'start')).toEqual([expect.stringContaining('start etcd-0')]);
  });

  it('are started to tell where the others never held a member', () => {
    const world = wholeWorld();
    world.listed = world.listed.slice(0, 1);
    forget(world);
    world.spec = { ...world.spec, size: 1 };
    world.record = { ...world.record, sizeOption: 1, seats: world.record.seats.slice(0, 2) };
    unstart(member(world, 'seat-2'));
    world.until(() => world.record.epoch.phase === 'formed');
    expect(did(world, 'start')).toEqual([expect.stringContaining('start etcd-0')]);
  });

  it('are looked for in as many slots as the option says', () => {
    const world = wholeWorld(1);
    forget(world);
    world.record = { ...world.record, size: 3 };
    world.spec = { ...world.spec, size: 3 };
    steps(world, 60);
    expect(codes(world)).toContain('adoption-incomplete');
    world.spec = { ...world.spec, size: 1 };
    world.until(() => world.isWhole());
    expect(world.record.scaling).toBeNull();
  });

  it('are started without one that does not answer, which is never prepared again', () => {
    const world = wholeWorld();
    forget(world);
    world.offered.delete('seat-3');
    world.until(() => world.record.epoch.phase === 'formed', 60, 500);
    expect(world.record.seats[2]?.data).toMatchObject({ started: true });
    world.until(() => world.last?.health.healthyVoters === 2);
    world.offered.set('seat-3', { volume: true, complete: true });
    world.until(() => world.isWhole());
    expect(did(world, 'prepare')).toEqual([]);
  });

  it('are started to tell where no volume knows its cluster', () => {
    const world = wholeWorld();
    forget(world);
    for (const one of world.members.values()) {
      if (one.identity !== null) one.identity = { ...one.identity, clusterId: null };
    }
    world.until(() => world.isWhole());
    expect(world.record.epoch).toMatchObject({ phase: 'formed', clusterId: 'c1' });
  });

  it('on which nothing was ever started are where a birth begins anew', () => {
    const world = wholeWorld();
    const { attempt } = world.record.epoch;
    forget(world);
    world.listed = [];
    for (const one of world.members.values()) unstart(one);
    world.until(() => world.isWhole());
    expect(world.record.epoch).toMatchObject({ phase: 'formed', attempt: attempt + 1 });
    expect(did(world, 'place')).toEqual([]);
  });

  it('are no birth while one of them cannot be read', () => {
    const world = wholeWorld();
    forget(world);
    for (const one of world.members.values()) unstart(one);
    member(world, 'seat-1').dataProblem = 'corrupt';
    steps(world, 60);
    expect(codes(world)).toContain('adoption-contradiction');
    expect([...did(world, 'start'), ...did(world, 'prepare')]).toEqual([]);
  });

  it('are replaced where the cluster has removed their member', () => {
    const world = wholeWorld();
    forget(world);
    const removed = member(world, 'seat-3');
    removed.phase = 'removed';
    world.listed = world.listed.filter(({ id }) => id !== removed.memberId);
    world.until(() => world.isWhole(), 200);
    expect(world.record.seats.map(({ id }) => id)).not.toContain('seat-3');
    expect(world.voters()).toHaveLength(3);
  });
});

describe('two places of one slot', () => {
  /** The only member moves to another agent until the supervisors refuse an order of this kind. */
  function moveUntil(kind: string, done: (world: SmallWorld) => boolean): SmallWorld {
    const world = wholeWorld(1);
    world.refuse.add(kind);
    world.maintenance.set(world.seat('etcd-0').agentId, world.nowMs);
    world.until(() => done(world));
    return world;
  }
  const isRunning = (world: SmallWorld) => world.members.get('seat-2')?.phase === 'running';
  const expectWhole = (world: SmallWorld) => {
    world.until(() => world.isWhole(), 200);
    expect(world.voters()).toHaveLength(1);
    expect(world.record.seats).toHaveLength(1);
  };

  it('of which one was only prepared leave no doubt', () => {
    const world = moveUntil('member-add', (world) => world.members.get('seat-2')?.phase === 'prepared');
    forget(world);
    expectWhole(world);
    expect(world.record.seats[0]?.id).toBe('seat-1');
  });

  it('of which one was listed and not started end in the move that was begun', () => {
    const world = moveUntil('start', (world) => world.listed.length === 2);
    forget(world);
    expectWhole(world);
    expect(world.record.seats[0]?.id).toBe('seat-2');
  });

  it('of which one is a learner end in the move that was begun, once the list tells', () => {
    const world = moveUntil('member-promote', isRunning);
    forget(world);
    world.notServingMs = 10_000;
    expectWhole(world);
    expect(world.record.seats[0]?.id).toBe('seat-2');
  });

  it('that both vote are both started, and one of them goes', () => {
    const world = moveUntil('member-remove', (world) => world.voters().length === 2);
    forget(world);
    world.notServingMs = 10_000;
    expectWhole(world);
  });

  it('of which one was removed: the one that went on goes first, and the other is never started', () => {
    const world = moveUntil('nothing', (world) => world.record.leaving.length > 0);
    forget(world);
    const [removed, stays] = [member(world, 'seat-1'), member(world, 'seat-2')];
    removed.phase = 'stopped';
    removed.floor = { term: '2', index: '100' };
    stays.floor = { term: '3', index: '9' };
    world.notServingMs = 10_000;
    expectWhole(world);
    expect(removed.phase).toBe('stopped');
    expect(world.record.seats[0]?.id).toBe('seat-2');
  });

  it('of which one was removed and the other has lost its data give way to a third', () => {
    const world = wholeWorld();
    const removed = member(world, 'seat-3');
    removed.dataProblem = 'data-rolled-back';
    world.refuse.add('member-promote');
    world.until(() => world.members.get('seat-4')?.phase === 'running');
    forget(world);
    Object.assign(removed, { phase: 'stopped', dataProblem: null });
    Object.assign(member(world, 'seat-4'), { phase: 'failed', dataProblem: 'data-missing' });
    world.until(() => world.isWhole(), 200);
    expect(removed.phase).toBe('stopped');
    expect(world.record.seats.map(({ id }) => id)).toEqual(['seat-1', 'seat-2', 'seat-5']);
  });

  it('of which one does not answer wait for it until it is given up', () => {
    const world = moveUntil('member-promote', isRunning);
    forget(world);
    world.listed = world.listed.filter(({ isLearner }) => !isLearner);
    world.offered.delete('seat-2');
    steps(world, 60);
    expect(codes(world)).toContain('member-in-doubt');
    expect(did(world, 'start')).toEqual([]);
    world.until(() => world.isWhole() || world.record.leaving.length > 0, 400, 1_000);
    world.agentsGone.add('agent-2');
    expectWhole(world);
    expect(world.record.seats[0]?.id).toBe('seat-1');
  });
});

describe('data in sandboxes', () => {
  it('is adopted where its tasks still run, and what has ended is replaced', () => {
    const world = wholeWorld(3, 'sandbox');
    const running = world.record.seats.slice(0, 2);
    forget(world);
    for (const { id, task, agentId } of running) {
      world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: true });
      member(world, id).up = true;
    }
    world.until(() => world.isWhole(), 400, 500);
    expect(world.record.seats.map(({ id }) => id).sort()).toEqual(['seat-1', 'seat-2', 'seat-4']);
    expect(did(world, 'relaunch')).toEqual([]);
  });
});
