import { describe, expect, test } from 'vitest';
import { createChance } from './prng.ts';
import { createWorld, type World } from './world.ts';

const WITHIN_MS = 15 * 60_000;
const SIZES = [1, 3, 5];
const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);

/** A member moves from an agent that is to be maintained; meanwhile all tasks are ended, and all may be forgotten. */
async function interrupt(size: number, seed: number, isForgotten: boolean): Promise<readonly string[]> {
  const random = createChance(seed).stream('interrupted move');
  const world = createWorld({
    seed,
    size,
    hosts: size + 2,
    latencyMs: random.pick([0.3, 1, 5]),
    debug: false,
  });
  const isWhole = () => world.schedulerRuns && world.unrest().length === 0;
  try {
    world.startScheduler();
    await world.runUntil('the cluster is whole', isWhole, WITHIN_MS);
    world.startWriter();
    await world.run(random.between(1_000, 10_000));
    await world.announceMaintenance([{ host: random.pick(world.seatHosts()), inMs: 60_000 }]);
    await world.runUntil('a slot has two places', () => doubles(world) > 0, WITHIN_MS);
    await world.run(random.between(0, 12_000));
    const places = doubles(world);
    const { intent = null } = world.record() ?? {};
    if (isForgotten) world.killScheduler('for good, as it seems', 10_000);
    await world.tearDown();
    if (isForgotten) {
      // What was ordered is carried out before nobody knows why it was.
      await world.run(5_000);
      await world.wipeRecord();
    }
    if (random.chance(0.5)) await world.announceMaintenance([]);
    const [late] = world.hosts.filter(() => random.chance(0.2));
    if (late !== undefined) {
      world.reboot(late);
      await world.run(random.between(1_000, 40_000));
      world.startAgent(late);
    }
    await world.runUntil('the cluster is whole again', isWhole, WITHIN_MS);
    await world.run(15_000);
    return [...world.unrest(), ...(places === 0 && intent !== null ? ['a move without a place'] : [])];
  } finally {
    world.end();
  }
}

/** Slots that have two places. */
function doubles(world: World): number {
  const { seats = [] } = world.record() ?? {};
  return seats.length - new Set(seats.map(({ slot }) => slot)).size;
}

describe.each(SIZES)('a cluster of %i', (size) => {
  test.each(SEEDS)(
    'outlives that its framework is removed in the middle of a move, seed %i',
    async (seed) => {
      expect(await interrupt(size, seed, false)).toEqual([]);
    },
  );

  test.each(SEEDS)('is adopted when its record is lost as well, seed %i', async (seed) => {
    expect(await interrupt(size, seed, true)).toEqual([]);
  });
});
