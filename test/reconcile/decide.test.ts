import { describe, expect, it } from 'vitest';
import { peerUrlOf } from '../../src/protocol/launch.ts';
import type { Want } from '../../src/reconcile/decision.ts';
import { SmallWorld } from './small-world.ts';

function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.until(() => world.isWhole());
  world.story.length = 0;
  return world;
}

/** What a step wants of offers, besides names. */
function placesWanted(world: SmallWorld): readonly Want[] {
  return world.step().wants.filter((want) => want.kind !== 'name');
}

describe('bootstrap', () => {
  it.each([1, 3, 5])('starts %i members together when all are in hand', (size) => {
    const world = new SmallWorld(size);
    world.until(() => world.isWhole());
    const starts = world.story.filter((line) => line.startsWith('start '));
    expect(starts).toHaveLength(size);
    expect(world.story.filter((line) => line.startsWith('member-'))).toEqual([]);
    expect(world.record.epoch).toMatchObject({ phase: 'formed', clusterId: 'c1', attempt: 1 });
    expect(world.record.seats.every((seat) => seat.data?.memberId !== null)).toBe(true);
  });

  it('stores go before the first start is ordered', () => {
    const world = new SmallWorld();
    world.until(() => {
      const decision = world.step();
      const starting = decision.actions.some(
        (action) => action.kind === 'order' && action.body.kind === 'start',
      );
      if (starting) expect(decision.record.epoch.phase).not.toBe('preparing');
      return starting;
    });
    expect(world.record.seats.every((seat) => seat.data?.started === true)).toBe(true);
  });

  it('starts with a quorum after the window and lets the rest join as learners', () => {
    const world = new SmallWorld();
    world.step();
    const late = world.member('etcd-2');
    late.up = false;
    const startMs = world.nowMs;
    world.until(() => world.record.epoch.phase === 'formed', 100);
    expect(world.record.epoch.members.map((member) => member.slot)).toEqual(['etcd-0', 'etcd-1']);
    expect(world.nowMs - startMs).toBeGreaterThanOrEqual(world.spec.bootstrapWindowMs);
    late.up = true;
    world.until(() => world.isWhole());
    expect(world.voters()).toHaveLength(3);
    expect(world.story.slice(-3)).toEqual([
      'member-add etcd-0',
      expect.stringMatching(/^start etcd-2/),
      expect.stringMatching(/^member-promote etcd-0/),
    ]);
  });

  it('starts the founder that all others ask first, and the others once it serves its peers', () => {
    const world = new SmallWorld();
    world.servePeers = false;
    world.until(() => world.story.some((line) => line.startsWith('start ')));
    for (let step = 0; step < 5; step += 1) world.step();
    const first = world.record.seats.toSorted((left, right) =>
      peerUrlOf(left) < peerUrlOf(right) ? -1 : 1,
    )[0];
    const started = world.story.filter((line) => line.startsWith('start ')).map((line) => line.split(' ')[1]);
    expect(started).toEqual([first?.slot]);
    world.member(first?.slot ?? '').servesPeers = true;
    world.step();
    expect(world.story.filter((line) => line.startsWith('start '))).toHaveLength(3);
  });

  it('waits for the first founder to serve its peers only for a while', () => {
    const world = new SmallWorld();
    world.servePeers = false;
    world.until(() => world.isWhole(), 60);
    expect(world.record.epoch.waitedMs).toBeGreaterThanOrEqual(3_000);
  });

  it('does not start fewer than a quorum of the target', () => {
    const world = new SmallWorld();
    world.step();
    world.member('etcd-1').up = false;
    world.member('etcd-2').up = false;
    for (let step = 0; step < 100; step += 1) world.step(1000);
    expect(world.record.epoch.phase).toBe('preparing');
    expect(world.last?.blocked.map((one) => one.code)).toContain('forming');
  });

  it('begins a new attempt with a new token when a majority is lost between go and forming', () => {
    const world = new SmallWorld();
    world.refuse.add('start');
    world.until(() => world.record.epoch.phase === 'go');
    const { token } = world.record.epoch;
    world.loseAgent('etcd-0');
    world.loseAgent('etcd-1');
    world.step();
    expect(world.record.epoch).toMatchObject({ phase: 'preparing', attempt: 2 });
    expect(world.record.epoch.token).not.toBe(token);
    world.refuse.clear();
    world.until(() => world.isWhole());
    expect(world.record.seats).toHaveLength(3);
  });

  it('never prepares again a founder that came back blank after go', () => {
    const world = new SmallWorld();
    world.refuse.add('start');
    world.until(() => world.record.epoch.phase === 'go');
    const blank = world.member('etcd-2');
    blank.identity = null;
    blank.phase = 'idle';
    world.refuse.clear();
    world.story.length = 0;
    world.until(() => world.isWhole());
    expect(blank.identity).toBeNull();
    expect(world.record.seats.find((seat) => seat.id === blank.seat.id)).toBeUndefined();
    expect(world.voters()).toHaveLength(3);
  });
});

describe('L1: the task is gone, agent and volume are there', () => {
  it('launches a new task on the same seat and starts etcd on its data', () => {
    const world = wholeWorld();
    const { seat, memberId } = world.member('etcd-1');
    world.end('etcd-1', 'ended');
    world.step();
    world.until(() => world.isWhole());
    expect(world.story).toEqual(['relaunch etcd-1', expect.stringMatching(/^start etcd-1/)]);
    expect(world.seat('etcd-1')).toMatchObject({ id: seat.id, launches: 2 });
    expect(world.seat('etcd-1').task).not.toBe(seat.task);
    expect(world.member('etcd-1').memberId).toBe(memberId);
  });

  it('relaunches every member when all tasks ended, and so brings the quorum back', () => {
    const world = wholeWorld();
    for (const slot of ['etcd-0', 'etcd-1', 'etcd-2']) world.end(slot, 'ended');
    world.step();
    world.until(() => world.isWhole());
    expect(world.story.filter((line) => line.startsWith('member-'))).toEqual([]);
    expect(world.record.epoch).toMatchObject({ number: 1, attempt: 1 });
  });

  it('waits longer each time a task ends soon after its launch', () => {
    const world = wholeWorld();
    const { id } = world.seat('etcd-1');
    for (let round = 0; round < 5; round += 1) {
      world.end('etcd-1', 'ended');
      world.until(() => world.seat('etcd-1').taskEnd === null, 1000);
      world.step();
      const member = world.members.get(id);
      if (member !== undefined) member.phase = 'stopped';
      world.refuse.add('start');
    }
    world.end('etcd-1', 'ended');
    world.step();
    expect(world.last?.blocked.map((one) => one.code)).toContain('launch-backs-off');
  });
});

describe('a place on which no task comes up', () => {
  /** `etcd-2` is on a new place, and its task has just ended there once more. */
  function failing(quickEnds: number): SmallWorld {
    const world = wholeWorld();
    world.end('etcd-2', 'ended', 'TASK_FAILED');
    const { task } = world.seat('etcd-2');
    const heard = world.tasks.get(task);
    const end = heard?.kind === 'over' ? heard.end : null;
    const seats = world.record.seats.map((seat) =>
      seat.slot === 'etcd-2' ? { ...seat, data: null, taskEnd: end, quickEnds } : seat,
    );
    world.record = { ...world.record, seats };
    world.offersFit = false;
    return world;
  }
  const lostOf = (world: SmallWorld) => world.record.seats.find(({ slot }) => slot === 'etcd-2')?.lost;

  it('is exchanged after many tries, where supervisors come up elsewhere', () => {
    const world = failing(5);
    world.step();
    expect(lostOf(world)).toBeNull();
    const exchanged = failing(6);
    expect(exchanged.step().wants).toContainEqual(expect.objectContaining({ kind: 'place', slot: 'etcd-2' }));
    expect(lostOf(exchanged)).toEqual({
      cause: 'never-launched',
      message: 'its task ended 6 times soon after launch on host-3: ended by the test',
    });
  });

  it('is not given up for its absence while its next try is not due', () => {
    const world = failing(5);
    world.offered.clear();
    world.step(4_000);
    world.step(3_000);
    expect(world.last?.blocked.map(({ code }) => code)).toContain('launch-backs-off');
    expect(world.seat('etcd-2')).toMatchObject({ absentMs: 0, lost: null });
    for (let step = 0; step < 3; step += 1) world.step(4_000);
    expect(lostOf(world)).toMatchObject({ cause: 'never-launched' });
  });

  it('is kept where no other does any better', () => {
    const world = failing(6);
    for (const slot of ['etcd-0', 'etcd-1']) world.member(slot).up = false;
    world.step();
    expect(lostOf(world)).toBeNull();
  });
});

describe('L2: agent or data gone', () => {
  it('replaces a member whose agent is gone: place, remove, add, start, promote', () => {
    const world = wholeWorld();
    const old = world.member('etcd-2');
    world.loseAgent('etcd-2');
    world.step();
    world.until(() => world.isWhole());
    expect(world.story).toEqual([
      'place etcd-2 on host-4',
      'prepare etcd-2',
      `member-remove etcd-0 ${old.memberId}`,
      'member-add etcd-0',
      expect.stringMatching(/^start etcd-2/),
      expect.stringMatching(/^member-promote etcd-0/),
    ]);
    expect(world.voters()).toHaveLength(3);
    expect(world.voters()).not.toContain(old.memberId);
    expect(world.record.leaving).toEqual([]);
  });

  it('does not remove the old member while there is no place for its successor', () => {
    const world = wholeWorld();
    world.offersFit = false;
    world.loseAgent('etcd-2');
    for (let step = 0; step < 50; step += 1) world.step();
    expect(world.story).toEqual([]);
    expect(world.voters()).toHaveLength(3);
    expect(world.last?.blocked.map((one) => one.code)).toContain('waits-for-offers');
  });

  it('touches no membership without a quorum', () => {
    const world = wholeWorld();
    world.loseAgent('etcd-1');
    world.loseAgent('etcd-2');
    for (let step = 0; step < 50; step += 1) world.step();
    expect(world.story.filter((line) => line.startsWith('member-'))).toEqual([]);
    expect(world.last?.blocked.map((one) => one.code)).toContain('no-quorum');
    expect(world.last?.health.state).toBe('quorum-lost');
  });

  it('replaces two of five one after the other, both removed before the first is added', () => {
    const world = wholeWorld(5);
    world.loseAgent('etcd-3');
    world.loseAgent('etcd-4');
    world.step();
    world.until(() => world.isWhole(), 100);
    const changes = world.story
      .filter((line) => line.startsWith('member-'))
      .map((line) => line.split(' ')[0]);
    expect(changes).toEqual([
      'member-remove',
      'member-remove',
      'member-add',
      'member-promote',
      'member-add',
      'member-promote',
    ]);
    expect(world.voters()).toHaveLength(5);
  });

  it('parks a replacement while a second dead voter stands in the way of the add', () => {
    const world = wholeWorld(5);
    world.loseAgent('etcd-3');
    world.refuse.add('member-add');
    world.step();
    world.until(() => world.story.some((line) => line.endsWith('refuses member-add')));
    world.loseAgent('etcd-4');
    world.step();
    world.until(() => world.voters().length === 3);
    world.refuse.clear();
    world.until(() => world.isWhole(), 100);
    expect(world.voters()).toHaveLength(5);
  });

  it('parks the move of a member that serves while a dead voter stands in the way of the add', () => {
    const world = wholeWorld();
    const { memberId } = world.member('etcd-2');
    const moved = { cause: 'moved', message: 'an operator has it moved' } as const;
    const seats = world.record.seats.map((seat) =>
      seat.slot === 'etcd-2' ? { ...seat, lost: moved } : seat,
    );
    world.record = { ...world.record, seats };
    world.refuse.add('member-add');
    world.step();
    world.until(() => world.story.some((line) => line.endsWith('refuses member-add')));
    world.loseAgent('etcd-1');
    world.step();
    world.until(() => world.voters().length === 2);
    expect(world.voters()).toContain(memberId);
    world.refuse.clear();
    world.until(() => world.isWhole(), 100);
    expect(world.voters()).toHaveLength(3);
  });

  it('replaces a member that reports its data unusable', () => {
    const world = wholeWorld();
    const old = world.member('etcd-1');
    old.dataProblem = 'corrupt';
    old.phase = 'failed';
    world.step();
    world.until(() => world.isWhole());
    expect(world.voters()).not.toContain(old.memberId);
    expect(world.story).toContain(`kill ${old.seat.task}`);
    expect(world.story.at(-1)).toBe(`release ${old.seat.id}`);
  });

  it('removes a learner that is lost, then adds another', () => {
    const world = wholeWorld();
    world.loseAgent('etcd-2');
    world.refuse.add('start');
    world.step();
    world.until(() => world.listed.some((member) => member.isLearner));
    world.loseAgent('etcd-2');
    world.refuse.clear();
    world.step();
    world.until(() => world.isWhole(), 100);
    const changes = world.story
      .filter((line) => line.startsWith('member-'))
      .map((line) => line.split(' ')[0]);
    expect(changes).toEqual(['member-remove', 'member-add', 'member-remove', 'member-add', 'member-promote']);
  });

  it('does not promote a learner that lags behind the leader', () => {
    const world = wholeWorld();
    world.loseAgent('etcd-2');
    world.step();
    world.until(() => world.story.some((line) => line.startsWith('start etcd-2')));
    const learner = world.member('etcd-2');
    learner.applied = 50n;
    for (let step = 0; step < 30; step += 1) world.step();
    expect(world.voters()).toHaveLength(2);
    learner.applied = world.applied;
    world.until(() => world.isWhole());
  });
});

describe('data in sandboxes', () => {
  function wholeWithSandboxes(): SmallWorld {
    const world = new SmallWorld();
    world.storage = 'sandbox';
    world.until(() => world.isWhole());
    world.story.length = 0;
    return world;
  }

  it('is lost with its task: the member is replaced at once, and nothing is left to give back', () => {
    const world = wholeWithSandboxes();
    world.end('etcd-2', 'ended');
    world.step();
    world.until(() => world.isWhole());
    expect(world.story.map((line) => line.split(' ')[0])).toEqual([
      'place',
      'prepare',
      'member-remove',
      'member-add',
      'start',
      'member-promote',
    ]);
    expect(world.record.leaving).toEqual([]);
  });

  it('may be there while somebody only says that its task is gone', () => {
    const world = wholeWithSandboxes();
    world.end('etcd-2', 'asserted', 'TASK_LOST');
    for (let step = 0; step < 20; step += 1) world.step(1_000);
    expect(world.record.seats.every((seat) => seat.lost === null)).toBe(true);
    expect(world.story).toEqual([]);
    world.until(() => world.isWhole() && world.story.length > 0, 200, 1_000);
    expect(world.voters()).toHaveLength(3);
  });

  it('is not made up for where a majority of the tasks has ended', () => {
    const world = wholeWithSandboxes();
    for (const slot of ['etcd-1', 'etcd-2']) world.end(slot, 'ended');
    for (let step = 0; step < 50; step += 1) world.step(1_000);
    expect(world.story.filter((line) => /^(relaunch|member-|start)/.test(line))).toEqual([]);
    expect(world.record.epoch).toMatchObject({ number: 1, attempt: 1, phase: 'formed' });
  });

  it('of a place that is on its way out ends with its task', () => {
    const world = wholeWithSandboxes();
    const { task, agentId } = world.seat('etcd-2');
    world.tasks.set(task, { kind: 'unreachable', state: 'TASK_UNREACHABLE', agentId });
    world.member('etcd-2').up = false;
    world.until(() => world.record.leaving.length === 1, 200, 1_000);
    world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: true });
    world.until(() => world.isWhole());
    expect(world.story).toContain(`kill ${task}`);
    expect(world.story.filter((line) => line.startsWith('release'))).toEqual([]);
  });
});

describe('an agent out of sight', () => {
  function unreachable(world: SmallWorld, slot: string): void {
    const { task, agentId } = world.seat(slot);
    world.tasks.set(task, { kind: 'unreachable', state: 'TASK_UNREACHABLE', agentId });
  }

  it('is waited for as long as told, by watched time only', () => {
    const world = wholeWorld();
    unreachable(world, 'etcd-2');
    for (let step = 0; step < 5; step += 1) {
      world.nowMs += 3_600_000;
      world.step(1_000);
    }
    expect(world.record.seats.every((seat) => seat.lost === null)).toBe(true);
    const { task, agentId } = world.seat('etcd-2');
    world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: true });
    world.step();
    expect(world.seat('etcd-2').absentMs).toBe(0);
    expect(world.story).toEqual([]);
  });

  it('is replaced in the end; a member that still serves votes until its successor is level', () => {
    const world = wholeWorld();
    const old = world.member('etcd-2');
    unreachable(world, 'etcd-2');
    let votersMax = 0;
    world.until(
      () => {
        votersMax = Math.max(votersMax, world.voters().length);
        return world.voters().length === 3 && !world.voters().includes(old.memberId ?? '');
      },
      200,
      1_000,
    );
    expect(votersMax).toBe(3);
    expect(
      world.story.filter((line) => line.startsWith('member-')).map((line) => line.split(' ')[0]),
    ).toEqual(['member-add', 'member-remove', 'member-promote']);
    world.tasks.set(old.seat.task, {
      kind: 'alive',
      state: 'TASK_RUNNING',
      agentId: old.seat.agentId,
      healthy: true,
    });
    world.until(() => world.isWhole());
    expect(world.story.slice(-2)).toEqual([`kill ${old.seat.task}`, `release ${old.seat.id}`]);
  });

  it('hands leadership over before the leader is removed, if it still serves', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-2').memberId;
    unreachable(world, 'etcd-2');
    world.until(() => world.story.some((line) => line.startsWith('member-promote')), 200, 1_000);
    const changes = world.story
      .filter((line) => /^(member|move)-/.test(line))
      .map((line) => line.split(' ')[0]);
    expect(changes).toEqual(['member-add', 'move-leader', 'member-remove', 'member-promote']);
  });

  it('is kept when it returns before the membership was touched; the successor goes', () => {
    const world = wholeWorld();
    unreachable(world, 'etcd-2');
    world.refuse.add('prepare');
    world.until(() => world.record.seats.length === 4, 200, 1_000);
    const { task, agentId, id } =
      world.record.seats.find((seat) => seat.slot === 'etcd-2' && seat.lost !== null) ?? world.seat('etcd-2');
    world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: true });
    world.until(() => world.isWhole());
    expect(world.seat('etcd-2').id).toBe(id);
    expect(world.story.filter((line) => line.startsWith('member-'))).toEqual([]);
  });
});

describe('what nothing explains', () => {
  it('removes an unstarted member that is not ours', () => {
    const world = wholeWorld();
    world.listed.push({
      id: 'dead',
      name: '',
      peerUrls: ['http://10.9.9.9:2380'],
      clientUrls: [],
      isLearner: true,
    });
    world.step();
    world.until(() => world.isWhole());
    expect(world.story).toEqual(['member-remove etcd-0 dead']);
  });

  it('reports a started member that is not ours and leaves it alone', () => {
    const world = wholeWorld();
    world.listed.push({
      id: 'f00',
      name: 'alien',
      peerUrls: ['http://10.9.9.9:2380'],
      clientUrls: [],
      isLearner: false,
    });
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.story).toEqual([]);
    expect(world.last?.blocked.map((one) => one.code)).toContain('foreign-member');
  });

  const runs = { kind: 'alive', state: 'TASK_RUNNING', agentId: 'agent-9', healthy: null } as const;

  it('kills a task that the record does not know, once every member is known to serve', () => {
    const world = wholeWorld();
    world.tasks.set('etcd-0__old', runs);
    world.member('etcd-2').up = false;
    world.step();
    expect(world.story).toEqual([]);
    expect(world.last?.blocked.map((one) => one.code)).toContain('unknown-tasks');
    world.member('etcd-2').up = true;
    world.step();
    expect(world.story).toEqual(['kill etcd-0__old']);
  });

  it('begins no cluster while tasks run under its name that the record does not know', () => {
    const world = new SmallWorld();
    world.tasks.set('etcd-0__old', runs);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.story).toEqual([]);
    expect(world.record.seats).toEqual([]);
    expect(world.last?.blocked.map((one) => one.code)).toContain('unknown-tasks');
  });

  it('keeps the volumes of members that an old copy of the record has forgotten', () => {
    const world = wholeWorld();
    const forgotten = world.seat('etcd-2');
    world.record = {
      ...world.record,
      seats: world.record.seats.map((seat) =>
        seat === forgotten ? { ...seat, id: 'seat-0', host: '10.0.0.99' } : seat,
      ),
    };
    world.record = {
      ...world.record,
      seats: world.record.seats.map((seat) =>
        seat.id === 'seat-0' && seat.data !== null
          ? { ...seat, data: { ...seat.data, memberId: 'bad' } }
          : seat,
      ),
    };
    world.strays.push({ seat: forgotten.id, slot: forgotten.slot });
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.story).not.toContain(`release ${forgotten.id}`);
    expect(world.last?.blocked.map((one) => one.code)).toContain('unknown-reservations');
  });

  it('gives back reservations that the record does not know', () => {
    const world = wholeWorld();
    world.strays.push({ seat: 'seat-99', slot: 'etcd-0' });
    world.step();
    expect(world.story).toEqual(['release seat-99']);
  });

  it('gives back what may hold a slot’s data only when another member of that slot serves', () => {
    const world = wholeWorld();
    world.member('etcd-2').up = false;
    for (let step = 0; step < 3; step += 1) world.step();
    world.story.length = 0;
    world.strays.push({ seat: 'seat-99', slot: 'etcd-2' });
    for (let step = 0; step < 3; step += 1) world.step();
    expect(world.story).not.toContain('release seat-99');
    expect(world.last?.blocked.map((one) => one.code)).toContain('volume-may-be-needed');
    world.member('etcd-2').up = true;
    world.until(() => world.story.includes('release seat-99'));
  });

  it('gives back what lies beyond the size only while every voter serves', () => {
    const world = wholeWorld();
    world.member('etcd-2').up = false;
    for (let step = 0; step < 3; step += 1) world.step();
    world.story.length = 0;
    world.strays.push({ seat: 'seat-99', slot: 'etcd-6' });
    for (let step = 0; step < 3; step += 1) world.step();
    expect(world.story).not.toContain('release seat-99');
    world.member('etcd-2').up = true;
    world.until(() => world.story.includes('release seat-99'));
  });
});

describe('taking over', () => {
  it('orders nothing but fences until a majority has taken the generation', () => {
    const world = wholeWorld();
    world.record = { ...world.record, generation: 7 };
    world.loseAgent('etcd-2');
    world.refuse.add('fence');
    for (let step = 0; step < 10; step += 1) world.step();
    expect(new Set(world.story)).toEqual(
      new Set(['place etcd-2 on host-4', 'etcd-0 refuses fence', 'etcd-1 refuses fence']),
    );
    world.refuse.clear();
    world.until(() => world.isWhole());
    expect(world.member('etcd-0').fence).toEqual({ epoch: 1, generation: 7 });
  });

  it('tells a supervisor that was silent then as soon as it answers: until then it would obey an older leader', () => {
    const world = wholeWorld();
    world.record = { ...world.record, generation: 7 };
    world.member('etcd-2').up = false;
    for (let step = 0; step < 5; step += 1) world.step();
    expect(world.member('etcd-2').fence.generation).toBeLessThan(7);
    world.member('etcd-2').up = true;
    for (let step = 0; step < 2; step += 1) world.step();
    expect(world.member('etcd-2').fence).toEqual({ epoch: 1, generation: 7 });
  });

  it('wants nothing from Mesos for a task that was not answered for, and does not wait for others', () => {
    const world = wholeWorld();
    world.end('etcd-1', 'ended');
    const { task } = world.seat('etcd-1');
    world.offered.clear();
    world.step();
    world.unanswered.add(task).add(world.seat('etcd-2').task);
    expect(placesWanted(world)).toEqual([]);
    world.unanswered.delete(task);
    expect(placesWanted(world)).toMatchObject([{ kind: 'relaunch', seat: world.seat('etcd-1').id }]);
  });

  it('seeks a new place for a slot whose agent is gone, whatever is not known of it', () => {
    const world = wholeWorld();
    world.offersFit = false;
    world.loseAgent('etcd-2');
    world.unanswered.add(world.seat('etcd-2').task);
    expect(placesWanted(world)).toMatchObject([{ kind: 'place', slot: 'etcd-2' }]);
  });

  it('counts no time as absence in which the master was not asked anew', () => {
    const world = wholeWorld();
    const seat = world.seat('etcd-2');
    world.tasks.set(seat.task, { kind: 'unreachable', state: 'TASK_UNREACHABLE', agentId: seat.agentId });
    world.step(1_000);
    expect(world.seat('etcd-2').absentMs).toBe(1_000);
    world.unanswered.add(seat.task);
    world.step(1_000);
    expect(world.seat('etcd-2').absentMs).toBe(1_000);
    world.unanswered.clear();
    world.step(1_000);
    expect(world.seat('etcd-2').absentMs).toBe(2_000);
  });
});

it('uses one address for a seat over all its tasks', () => {
  const world = wholeWorld();
  const before = peerUrlOf(world.seat('etcd-0'));
  world.end('etcd-0', 'asserted', 'TASK_LOST');
  world.offered.set(world.seat('etcd-0').id, { volume: true, complete: true });
  world.step();
  world.until(() => world.isWhole());
  expect(peerUrlOf(world.seat('etcd-0'))).toBe(before);
});

describe('a volume with the data of another cluster', () => {
  it('is left for another place, and kept', () => {
    const world = wholeWorld();
    const member = world.member('etcd-1');
    const { id } = member.seat;
    member.dataProblem = 'data-foreign';
    world.until(() => world.voters().length === 3 && world.record.seats.every((seat) => seat.id !== id));
    world.tasks.delete(member.seat.task);
    world.offered.set(id, { volume: true, complete: true });
    const decision = world.step();
    expect(world.record.leaving.map(({ seat }) => seat.id)).toContain(id);
    expect(decision.wants.filter((want) => want.kind === 'release')).toEqual([]);
    expect(decision.blocked).toContainEqual(
      expect.objectContaining({ code: 'foreign-volume', slot: 'etcd-1' }),
    );
  });
});

it('a task that runs was launched, whatever was said of a second call to launch it', () => {
  const world = new SmallWorld();
  world.step();
  const { task, agentId } = world.seat('etcd-1');
  world.end('etcd-1', 'never-ran', 'OPERATION_ERROR');
  world.step();
  expect(world.seat('etcd-1').taskEnd).not.toBeNull();
  world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: null });
  world.member('etcd-1').up = true;
  world.until(() => world.isWhole());
  expect(world.seat('etcd-1')).toMatchObject({ task, launches: 1 });
});
