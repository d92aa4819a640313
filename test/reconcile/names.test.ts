import { describe, expect, it } from 'vitest';
import type { TaskEnd } from '../../src/protocol/record.ts';
import { SmallWorld } from './small-world.ts';

/** Which members have a name task, and for how long. */

function named(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.nameShares = true;
  world.until(() => world.isWhole() && world.record.seats.every((seat) => seat.nameTask !== null));
  world.story.length = 0;
  return world;
}

const nameOf = (world: SmallWorld, slot: string): string => world.seat(slot).nameTask?.task ?? 'none';
const namesOf = (world: SmallWorld): string[] =>
  world.record.seats.flatMap((seat) => (seat.nameTask === null ? [] : [seat.slot]));

function endOf(world: SmallWorld, standing: TaskEnd['standing'], state = 'TASK_FAILED'): TaskEnd {
  return { standing, state, source: 'SOURCE_EXECUTOR', reason: '', message: '', atMs: world.nowMs };
}
function endName(world: SmallWorld, slot: string, standing: TaskEnd['standing'] = 'ended'): void {
  const end = endOf(world, standing, standing === 'asserted' ? 'TASK_GONE' : 'TASK_FAILED');
  world.tasks.set(nameOf(world, slot), { kind: 'over', end, agentId: world.seat(slot).agentId });
}

describe('a name task', () => {
  it('is wanted beside every voter that serves, under an id of its own', () => {
    const world = named();
    expect(namesOf(world)).toEqual(['etcd-0', 'etcd-1', 'etcd-2']);
    for (const seat of world.record.seats) expect(seat.nameTask?.task).toMatch(`${seat.slot}-client__`);
    world.step();
    expect(world.last?.wants).toEqual([]);
  });

  it('is not wanted before the cluster has formed, nor for a learner', () => {
    const world = new SmallWorld();
    world.nameShares = true;
    world.until(() => {
      if (world.record.epoch.phase !== 'formed') expect(namesOf(world)).toEqual([]);
      return world.record.epoch.phase === 'formed';
    });
    world.until(() => namesOf(world).length === 3);
    world.refuse.add('member-promote');
    world.loseAgent('etcd-0');
    world.until(() => world.listed.some((member) => member.isLearner && member.name !== ''));
    for (let step = 0; step < 10; step += 1) world.step();
    expect(namesOf(world)).toEqual(['etcd-1', 'etcd-2']);
    world.refuse.clear();
    world.until(() => world.isWhole() && namesOf(world).length === 3);
  });

  it('is killed at once when the task of its member is over, and comes back with it', () => {
    const world = named();
    const before = nameOf(world, 'etcd-1');
    world.end('etcd-1', 'ended');
    world.step();
    expect(world.story).toContain(`kill ${before}`);
    world.until(() => namesOf(world).length === 3 && nameOf(world, 'etcd-1') !== before);
    expect(world.isWhole()).toBe(true);
  });

  it('never costs its member anything when it ends', () => {
    const world = named();
    const before = structuredClone(world.record.seats);
    world.nowMs += 60_000;
    endName(world, 'etcd-1');
    world.until(() => nameOf(world, 'etcd-1') !== before[1]?.nameTask?.task);
    const without = (seats: typeof before) => seats.map(({ nameTask: _, ...rest }) => rest);
    expect(without(world.record.seats)).toEqual(without(before));
    expect(world.story).toEqual([`name ${world.seat('etcd-1').id}`]);
  });

  it('that ends soon after its launch is not launched again for half a minute', () => {
    const world = named();
    endName(world, 'etcd-1', 'never-ran');
    const endedAtMs = world.nowMs;
    world.until(() => world.story.length > 0, 400);
    expect(world.nowMs - endedAtMs).toBeGreaterThanOrEqual(30_000);
    expect(world.nowMs - endedAtMs).toBeLessThan(31_000);
  });

  it('outlives an election, and not a member that has not served for long', () => {
    const world = named();
    world.member('etcd-2').phase = 'backing-off';
    world.notServingMs = 14_999;
    world.step();
    expect(world.story).toEqual([]);
    const before = nameOf(world, 'etcd-2');
    world.notServingMs = 0;
    world.member('etcd-2').phase = 'running';
    world.step();
    expect(nameOf(world, 'etcd-2')).toBe(before);
    world.notServingMs = 15_000;
    world.step();
    expect(world.story.filter((line) => line.includes('-client__'))).toContain(`kill ${before}`);
  });

  it('is waited for longer where an election may take longer', () => {
    const world = named();
    for (const seat of world.record.seats) seat.pinned.etcd.electionTimeoutMs = 10_000;
    world.notServingMs = 49_999;
    world.step();
    expect(world.story).toEqual([]);
    world.notServingMs = 50_000;
    world.step();
    expect(world.story).toHaveLength(3);
  });

  it('stays while its supervisor is out of our reach, unless its agent finds the port closed', () => {
    const world = named();
    world.silentMs = 60_000;
    world.member('etcd-2').up = false;
    world.step();
    expect(world.story).toEqual([]);
    const task = nameOf(world, 'etcd-2');
    const { agentId } = world.seat('etcd-2');
    world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: false });
    world.step();
    expect(world.story).toEqual([`kill ${task}`]);
  });

  it('that is only said to be gone is kept in mind, and replaced where its share is offered', () => {
    const world = named();
    const before = nameOf(world, 'etcd-0');
    world.nameShares = false;
    endName(world, 'etcd-0', 'asserted');
    world.step();
    expect(nameOf(world, 'etcd-0')).toBe(before);
    expect(world.last?.wants).toMatchObject([{ kind: 'name', seat: world.seat('etcd-0').id }]);
    world.nameShares = true;
    world.step();
    expect(nameOf(world, 'etcd-0')).not.toBe(before);
  });

  it('is not launched again while nobody was told what became of the last', () => {
    const world = named();
    endName(world, 'etcd-0', 'asserted');
    world.unanswered.add(nameOf(world, 'etcd-0'));
    world.step();
    expect(world.last?.wants).toEqual([]);
  });

  it('holds up the return of a leaving place until it has ended', () => {
    const world = named();
    const [seat] = world.record.seats;
    if (seat?.nameTask == null) throw new Error('no name');
    world.record = {
      ...world.record,
      seats: world.record.seats.slice(1),
      leaving: [{ seat, reason: 'moves', sinceMs: world.nowMs }],
    };
    world.tasks.set(seat.task, { kind: 'over', end: endOf(world, 'ended'), agentId: seat.agentId });
    world.offered.set(seat.id, { volume: true, complete: true });
    world.step();
    expect(world.story).toContain(`kill ${seat.nameTask.task}`);
    expect(world.story).not.toContain(`release ${seat.id}`);
    world.step();
    expect(world.story).toContain(`release ${seat.id}`);
  });

  it('is given up with the service, before its place is', () => {
    const world = named();
    const names = world.record.seats.map((seat) => seat.nameTask?.task);
    world.record = {
      ...world.record,
      uninstall: { askedAtMs: 0, by: 'operator', confirmed: true, skipped: [] },
    };
    world.until(() => world.last?.givenUp === true);
    expect(world.record).toMatchObject({ seats: [], leaving: [] });
    const at = (line: string) => world.story.indexOf(line);
    for (const name of names) expect(at(`kill ${name}`)).toBeGreaterThanOrEqual(0);
    const firstRelease = world.story.findIndex((line) => line.startsWith('release '));
    expect(Math.max(...names.map((name) => at(`kill ${name}`)))).toBeLessThan(firstRelease);
  });

  it('that the record does not know is killed, though a member is ill; it never passes for a member', () => {
    const world = named();
    world.member('etcd-2').up = false;
    const alive = { kind: 'alive', state: 'TASK_RUNNING', agentId: 'agent-9', healthy: null } as const;
    world.tasks.set('etcd-1-client__stranger', alive);
    world.step();
    expect(world.story).toContain('kill etcd-1-client__stranger');
    const young = new SmallWorld();
    young.tasks.set('etcd-1-client__stranger', alive);
    young.until(() => young.isWhole());
  });
});
