import type { Fault } from './fault.ts';

/** What happens to who reaches whom. */
export const NETWORK_FAULTS: readonly Fault[] = [
  {
    name: 'agent out of sight',
    inject: async ({ world, random, host, say }) => {
      say(`the master does not reach the agent on ${host} for longer than the timeout`);
      world.cutFromMaster(host);
      await world.run(world.unreachableTimeoutMs + random.between(2_000, 20_000));
      world.network.heal(host);
    },
  },
  {
    name: 'host cut off',
    inject: async ({ world, random, host, say }) => {
      say(`nobody reaches ${host} for longer than the timeout`);
      world.network.isolate(host);
      await world.run(world.unreachableTimeoutMs + random.between(2_000, 20_000));
      world.network.heal(host);
    },
  },
  {
    name: 'host cut off shortly',
    inject: async ({ world, random, host, say }) => {
      say(`nobody reaches ${host} for a while`);
      world.network.isolate(host);
      await world.run(random.between(100, 20_000));
      world.network.heal(host);
    },
  },
  {
    name: 'agent restarted',
    inject: async ({ world, random, host, say }) => {
      say(`the agent's process on ${host} is restarted`);
      world.stopAgent(host);
      await world.run(random.between(10, 5_000));
      world.startAgent(host);
    },
  },
];
