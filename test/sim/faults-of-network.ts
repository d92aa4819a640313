import type { Fault, Injection } from './fault.ts';
import type { Weather } from './network.ts';

/** What happens to who reaches whom, and to messages. */
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
    inject: async ({ world, random, host, say, lasting }) => {
      say(`nobody reaches ${host} for a while`);
      world.network.isolate(host);
      await lasting(random.between(100, 20_000), () => world.network.heal(host));
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
  {
    name: 'members apart',
    inject: async ({ world, random, host, seats, say, lasting }) => {
      const other = random.pick(seats.length === 0 ? world.hosts : seats);
      say(`${host} and ${other} do not reach each other`);
      world.network.cut(host, other);
      await lasting(random.between(100, 30_000), () => world.network.heal(host));
    },
  },
  { name: 'one way', inject: muteOneWay },
  {
    name: 'connections reset',
    inject: async ({ world, random, say }) => {
      const times = random.integer(1, 8);
      say(`the scheduler's connections to the master break ${times} times`);
      for (let count = 0; count < times; count += 1) {
        world.resetConnections();
        await world.run(random.between(1, 4_000));
      }
    },
  },
  {
    name: 'weather',
    inject: async (at) => {
      startWeather(at);
      await at.lasting(at.random.between(5_000, 60_000), () => at.world.network.setWeather(null));
    },
  },
];

/** Messages between schedulers, master and supervisors are lost, late, or arrive twice. */
export function startWeather({ world, random, say }: Pick<Injection, 'world' | 'random' | 'say'>): void {
  const weather: Weather = {
    lost: random.pick([0, 0.02, 0.1, 0.3]),
    twice: random.pick([0, 0.05, 0.2]),
    late: random.pick([0, 0.05, 0.3]),
    lateMs: random.pick([300, 3_000, 15_000]),
  };
  const parts = (['lost', 'twice', 'late'] as const).map((what) => `${weather[what] * 100} % ${what}`);
  say(`of the messages ${parts.join(', ')}, by up to ${weather.lateMs} ms`);
  world.network.setWeather(weather);
}

/** What one sends to another does not arrive; the other way all goes on, and connections seem to stand. */
async function muteOneWay({ world, random, host, seats, say, lasting }: Injection): Promise<void> {
  const { schedulerHost, masterHost } = world;
  const all = seats.length === 0 ? world.hosts : seats;
  const [from, to] = random.pick<readonly [string, readonly string[]]>([
    [schedulerHost, all],
    [schedulerHost, [host]],
    [schedulerHost, [masterHost]],
    [masterHost, [schedulerHost]],
    [masterHost, [host]],
    [host, [schedulerHost]],
    [host, [masterHost]],
    [host, world.hosts.filter((other) => other !== host)],
  ]);
  say(`what ${from} sends does not arrive at ${to.join(', ')}`);
  for (const one of to) world.network.cutOneWay(from, one);
  await lasting(random.between(100, 40_000), () => {
    for (const one of to) world.network.heal(one);
  });
}
