import { describe, expect, test } from 'vitest';
import { createChance } from './prng.ts';
import { createWorld, type World } from './world.ts';

const WITHIN_MS = 10 * 60_000;
const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);

/** One life that ends with an uninstall at a bad moment; what is left of the service at its end. */
async function farewell(
  seed: number,
): Promise<{ readonly left: readonly string[]; readonly plan: readonly string[] }> {
  const random = createChance(seed).stream('farewell');
  const size = random.pick([1, 3, 3, 5]);
  const hosts = size + random.integer(1, 2);
  const world = createWorld({ seed, size, hosts, latencyMs: random.pick([0.3, 1, 5]), debug: false });
  const plan: string[] = [`${size} members on ${hosts} hosts`];
  const say = (text: string) => plan.push(text);
  try {
    world.startScheduler();
    if (random.chance(0.7)) {
      await world.runUntil('the cluster is whole', () => world.unrest().length === 0, WITHIN_MS);
      world.startWriter();
      await world.run(random.between(0, 10_000));
      world.stopWriter();
    } else {
      await world.run(random.between(100, 8_000));
      say('it is not formed yet');
    }
    if (world.record()?.epoch.phase === 'formed') expect(world.leftovers().length).toBeGreaterThan(size);
    const lost = await disturb(world, random.pick(['nothing', 'gone', 'away', 'back'] as const), say);
    const by = random.pick(['environment', 'operator'] as const);
    if (random.chance(0.7)) planCrash(world, by, random, say);
    say(`uninstalling, by ${by}`);
    // A scheduler that dies before it has stored what it was told was never told.
    const ask = () => {
      if (world.record() !== null && world.record()?.uninstall === null) world.uninstall(by);
    };
    ask();
    await world.run(random.between(1_000, 20_000));
    if (lost?.returns === true) world.startAgent(lost.host);
    await world.runUntil(
      'uninstalled',
      () => {
        ask();
        return world.uninstalled;
      },
      WITHIN_MS,
    );
    await world.run(30_000);
    return {
      left: world.leftovers().filter((text) => lost === null || lost.returns || !text.startsWith(lost.host)),
      plan,
    };
  } finally {
    world.end();
  }
}

/** What happens to one of its hosts before: `returns` if its agent comes back while it is uninstalled. */
async function disturb(
  world: World,
  what: 'nothing' | 'gone' | 'away' | 'back',
  say: (text: string) => void,
): Promise<{ readonly host: string; readonly returns: boolean } | null> {
  const [host] = world.seatHosts();
  if (what === 'nothing' || host === undefined) return null;
  say(`${host}: ${what}`);
  if (what === 'gone') {
    await world.markGone(world.loseHost(host));
    return { host, returns: false };
  }
  world.reboot(host);
  return { host, returns: what === 'back' };
}

function planCrash(
  world: World,
  by: 'environment' | 'operator',
  random: {
    integer(min: number, max: number): number;
    pick<T>(of: readonly T[]): T;
    between(a: number, b: number): number;
  },
  say: (text: string) => void,
): void {
  // An operator's word is in the record alone: a scheduler that is started after the record is gone begins anew.
  const kinds = [
    'save',
    'call ACCEPT',
    'call KILL',
    'any',
    ...(by === 'environment' ? ['clear', 'call TEARDOWN'] : []),
  ];
  const plan = {
    kind: random.pick(kinds),
    nth: random.integer(1, 3),
    when: random.pick(['before', 'sent', 'after'] as const),
    downMs: random.between(10, 5_000),
  };
  say(`the scheduler will be killed ${plan.when} its call ${plan.nth} of kind ${plan.kind}`);
  world.planCrash(plan);
}

describe('an uninstall', () => {
  test.each(SEEDS)('leaves nothing, seed %i', async (seed) => {
    const { left, plan } = await farewell(seed);
    expect(left, plan.join('\n')).toEqual([]);
  });
});
