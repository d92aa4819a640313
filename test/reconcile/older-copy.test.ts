import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { SmallWorld } from './small-world.ts';

/** A whole cluster, and what its record was before the first of its members was told to start. */
function born(): { world: SmallWorld; preparing: ClusterRecord; go: ClusterRecord } {
  const world = new SmallWorld();
  let preparing = world.record;
  let go = world.record;
  for (let step = 0; step < 60 && !world.isWhole(); step += 1) {
    const { phase } = world.record.epoch;
    if (phase === 'preparing' && world.record.seats.length === 3) preparing = world.record;
    if (phase === 'go') go = world.record;
    world.step();
  }
  expect([preparing.seats.length, preparing.epoch.phase, go.epoch.phase]).toEqual([3, 'preparing', 'go']);
  return { world, preparing, go };
}

const clusterIdsOf = (world: SmallWorld) =>
  new Set([...world.members.values()].map(({ identity }) => identity?.clusterId));

describe('a record that is an older copy', () => {
  it('of before the start is read from the volumes, and nothing is prepared again', () => {
    const { world, preparing } = born();
    const before = clusterIdsOf(world);
    world.record = preparing;
    world.story.length = 0;
    world.step();
    world.until(() => world.isWhole());
    expect(world.record.epoch).toMatchObject({
      phase: 'formed',
      source: { kind: 'adopted' },
      number: 1,
      clusterId: [...before][0],
    });
    expect(world.story.filter((line) => /prepare|bootstrap|add|remove/.test(line))).toEqual([]);
    expect(clusterIdsOf(world)).toEqual(before);
  });

  it('of the start itself forms the cluster that is there', () => {
    const { world, go } = born();
    world.record = go;
    world.step();
    world.until(() => world.isWhole());
    expect(world.record.epoch).toMatchObject({ phase: 'formed', source: { kind: 'bootstrap' } });
  });

  it('of an attempt that failed is read from the volumes of the one that came after', () => {
    const { world, go } = born();
    for (const one of world.members.values()) {
      if (one.identity !== null) one.identity = { ...one.identity, attempt: go.epoch.attempt + 1 };
    }
    world.record = go;
    world.step();
    world.until(() => world.isWhole());
    expect(world.record.epoch).toMatchObject({ source: { kind: 'adopted' }, attempt: go.epoch.attempt + 1 });
  });

  it('takes a generation above all that the supervisors have taken', () => {
    const { world } = born();
    for (const one of world.members.values()) one.fence = { epoch: 1, generation: 7 };
    expect(world.record.generation).toBeLessThan(7);
    world.step();
    expect(world.record.generation).toBe(8);
    world.until(() => [...world.members.values()].every(({ fence }) => fence.generation === 8));
  });

  it('takes up the task that was launched on a place since', () => {
    const { world } = born();
    const before = world.record;
    const [first] = before.seats;
    const end = { standing: 'ended', state: 'TASK_FAILED', source: '', reason: '', message: '' } as const;
    const over = { kind: 'over', end: { ...end, atMs: 0 }, agentId: first?.agentId ?? '' } as const;
    world.tasks.set(first?.task ?? '', over);
    world.offered.set(first?.id ?? '', { volume: true, complete: true });
    world.until(() => world.record.seats[0]?.task !== first?.task);
    world.until(() => world.isWhole());
    const relaunched = world.record.seats[0]?.task;
    expect(relaunched).not.toBe(first?.task);
    world.record = { ...before, generation: world.record.generation };
    world.offered.clear();
    world.story.length = 0;
    world.step();
    world.until(() => world.isWhole());
    expect(world.record.seats[0]?.task).toBe(relaunched);
    expect(world.story.filter((line) => /kill|launch/.test(line))).toEqual([]);
  });

  it('is told from one that is new by a start of this attempt alone', () => {
    const { world } = born();
    expect(world.record).toMatchObject({ generation: 1, epoch: { source: { kind: 'bootstrap' } } });
  });
});
