import { expect, it } from 'vitest';
import type { TaskEnd } from '../../src/protocol/record.ts';
import { SmallWorld } from './small-world.ts';

/** The only member moves to another agent until the supervisors refuse an order of this kind. */
function moveUntil(kind: string, done: (world: SmallWorld) => boolean): SmallWorld {
  const world = new SmallWorld(1);
  world.until(() => world.isWhole());
  world.refuse.add(kind);
  world.maintenance.set(world.seat('etcd-0').agentId, world.nowMs);
  world.until(() => done(world));
  return world;
}

/** The framework is removed: every task ends, and every volume is on offer. */
function endAll(world: SmallWorld): void {
  for (const { id, task, agentId } of world.record.seats) {
    const how = { state: 'TASK_UNKNOWN', source: 'SOURCE_MASTER', reason: '', message: '' };
    const end: TaskEnd = { ...how, standing: 'ended', atMs: world.nowMs };
    world.tasks.set(task, { kind: 'over', end, agentId });
    const member = world.members.get(id);
    if (member !== undefined) member.up = false;
    world.offered.set(id, { volume: true, complete: true });
  }
  world.refuse.clear();
  world.story.length = 0;
  world.last = null;
}

const hasLearner = (world: SmallWorld): boolean => world.members.get('seat-2')?.phase === 'running';

it('a member whose successor was listed and never started is started again', () => {
  const world = moveUntil('start', (one) => one.listed.length === 2);
  world.step();
  const first = world.members.get('seat-1')?.memberId;
  endAll(world);
  world.until(() => world.isWhole(), 100);
  expect(world.story.find((line) => line.startsWith('start'))).toBe(`start etcd-0 ${first}`);
  expect(world.voters()).toHaveLength(1);
});

it('a member that is about to be removed is started when its successor finds no leader', () => {
  const world = moveUntil('member-promote', hasLearner);
  endAll(world);
  world.members.set('seat-2', { ...world.members.get('seat-2'), servesPeers: true } as never);
  const isUp = (): boolean => world.members.get('seat-1')?.phase === 'running';
  for (let step = 0; step < 20; step += 1) world.step();
  expect(isUp()).toBe(false);
  expect(world.last?.blocked.map(({ code }) => code)).toContain('member-in-doubt');
  world.notServingMs = 10_000;
  world.until(isUp);
  world.until(() => world.isWhole(), 100);
});

it('a member that was removed is not started when its successor leads', () => {
  const world = moveUntil(
    'nothing',
    (one) => one.voters().length === 1 && one.record.seats[0]?.lost !== null,
  );
  world.until(() => world.listed.every(({ id }) => id !== world.members.get('seat-1')?.memberId));
  const removed = world.members.get('seat-1');
  if (removed !== undefined) removed.phase = 'stopped';
  endAll(world);
  world.until(() => world.isWhole(), 100);
  expect(removed?.phase).toBe('stopped');
  expect(world.record.seats.map(({ id }) => id)).toEqual(['seat-2']);
});

it('a member whose successor is gone for good is led by a new scheduler', () => {
  const world = moveUntil('member-promote', hasLearner);
  endAll(world);
  world.offered.delete('seat-2');
  world.agentsGone.add('agent-2');
  world.maintenance.clear();
  world.record = { ...world.record, generation: world.record.generation + 1 };
  world.until(() => world.isWhole(), 100);
  expect(world.story.find((line) => line.startsWith('start'))).toContain('start etcd-0');
  expect(world.record.seats.map(({ id }) => id)).not.toContain('seat-2');
  expect(world.voters()).toHaveLength(1);
});
