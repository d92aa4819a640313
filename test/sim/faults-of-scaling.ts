import type { Fault } from './fault.ts';
import type { RandomStream } from './prng.ts';
import type { World } from './world.ts';

/** Operators who ask for more members or fewer, at whatever moment, be there hosts for them or not. */
export const SCALING_FAULTS: readonly Fault[] = [
  {
    name: 'size changed by command',
    inject: ({ world, random, say }) => {
      const size = anotherSize(world, random);
      say(`an operator asks for ${size} members`);
      world.scale(size);
      return Promise.resolve();
    },
  },
  {
    name: 'size changed and taken back',
    inject: async ({ world, random, say }) => {
      const before = world.size;
      const size = anotherSize(world, random);
      say(`an operator asks for ${size} members, and for ${before} again`);
      world.scale(size);
      await world.run(random.chance(0.5) ? random.between(1, 2_000) : random.between(1, 20_000));
      world.scale(before);
    },
  },
  {
    name: 'size changed by option',
    // Whoever adopts a cluster says how many members it had.
    possible: (world) => world.record()?.epoch.phase === 'formed',
    inject: ({ world, random, say }) => {
      const size = anotherSize(world, random);
      if (world.startWithSize(size)) say(`an operator starts the scheduler with ${size} members`);
      return Promise.resolve();
    },
  },
];

function anotherSize(world: World, random: RandomStream): number {
  return random.pick([1, 3, 5].filter((size) => size !== world.size));
}
