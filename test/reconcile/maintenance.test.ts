import { expect, it } from 'vitest';
import type { Seat } from '../../src/protocol/record.ts';
import { SmallWorld } from './small-world.ts';

function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.until(() => world.isWhole());
  world.story.length = 0;
  return world;
}

const seatOf = (world: SmallWorld, slot: string): Seat =>
  world.record.seats.find((seat) => seat.slot === slot) as Seat;
const announce = (world: SmallWorld, ...slots: readonly string[]): void => {
  for (const slot of slots) world.maintenance.set(seatOf(world, slot).agentId, world.nowMs + 60_000);
};

it('a member moves before its agent goes, and votes until its successor is ready to', () => {
  const world = wholeWorld();
  const before = seatOf(world, 'etcd-1');
  announce(world, 'etcd-1');
  world.step();
  expect(seatOf(world, 'etcd-1').lost).toMatchObject({
    cause: 'maintenance',
    message: expect.stringContaining('is under maintenance from') as string,
  });
  world.until(() => world.record.intent === null && world.record.seats.length === 3 && world.isWhole());
  expect(seatOf(world, 'etcd-1').id).not.toBe(before.id);
  const changes = world.story.filter((line) => line.startsWith('member-')).map((line) => line.split(' ')[0]);
  expect(changes).toEqual(['member-add', 'member-remove', 'member-promote']);
});

it('an only member moves too', () => {
  const world = wholeWorld(1);
  const before = seatOf(world, 'etcd-0').id;
  announce(world, 'etcd-0');
  world.until(() => world.isWhole() && world.record.seats.every((seat) => seat.id !== before));
  expect(world.voters()).toHaveLength(1);
});

it('of several agents that will go one is left at a time', () => {
  const world = wholeWorld();
  const old = new Set(world.record.seats.map((seat) => seat.id));
  announce(world, 'etcd-0', 'etcd-1', 'etcd-2');
  world.until(() => {
    expect(world.record.seats.filter((seat) => seat.lost !== null).length).toBeLessThanOrEqual(1);
    return world.isWhole() && world.record.seats.every((seat) => !old.has(seat.id));
  });
});

it('stays when the maintenance is cancelled before the member list was touched', () => {
  const world = wholeWorld();
  const before = seatOf(world, 'etcd-1').id;
  announce(world, 'etcd-1');
  world.step();
  world.maintenance.clear();
  world.until(() => world.isWhole() && world.record.seats.length === 3);
  expect(seatOf(world, 'etcd-1')).toMatchObject({ id: before, lost: null });
  expect(world.story.filter((line) => line.startsWith('member-'))).toEqual([]);
});

it('nobody is moved while another is down, and one that was about to be stays', () => {
  const world = wholeWorld();
  announce(world, 'etcd-1');
  world.step();
  const other = seatOf(world, 'etcd-2');
  world.agentsGone.add(other.agentId);
  world.step();
  expect(seatOf(world, 'etcd-2').lost?.cause).toBe('agent-gone');
  expect(seatOf(world, 'etcd-1').lost).toBeNull();
});
