import type { Fault } from './fault.ts';

const HOUR_MS = 3_600_000;

/** Wall clocks that jump at a bad moment; that they jump at all is the scenario's. */
export const CLOCK_FAULTS: readonly Fault[] = [
  {
    name: 'clock jump in an absence',
    inject: async ({ world, random, host, say }) => {
      const jumpMs = random.integer(-6 * HOUR_MS, 6 * HOUR_MS);
      const minutes = Math.round(jumpMs / 60_000);
      say(
        `the master does not reach the agent on ${host} for a while, in which clocks jump by ${minutes} minutes`,
      );
      world.cutFromMaster(host);
      await world.run(random.between(9_000, 18_000));
      world.clock.jumpWall(jumpMs);
      await world.run(random.between(100, 5_000));
      world.network.heal(host);
    },
  },
];
