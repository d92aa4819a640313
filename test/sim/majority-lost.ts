import type { RandomStream } from './prng.ts';
import type { World } from './world.ts';

/** How long nothing may come of it. */
const WATCHED_MS = 4 * 60_000;
/** By then the scheduler knows and says so. */
const SAID_WITHIN_MS = 60_000;

/**
 * A majority of the disks of a whole cluster is gone for good. Until there is a way back from that, it is said, and
 * whoever is left is left alone: nothing ends, nothing is destroyed, nothing begins. Throws where that does not hold;
 * the checkers see to the rest. The last of a life.
 */
export async function loseMajority(
  world: World,
  random: RandomStream,
  say: (text: string) => void,
): Promise<void> {
  const seats = random.shuffle(world.seatHosts());
  const lost = seats.slice(0, random.integer(Math.floor(seats.length / 2) + 1, seats.length));
  const left = seats.filter((host) => !lost.includes(host));
  say(`the disks of ${lost.join(', ')} are lost for good`);
  const before = world.etcds();
  const agents = lost.map((host) => world.loseHost(host));
  if (random.chance(0.5)) for (const agent of agents) await world.markGone(agent);
  if (random.chance(0.5)) world.killScheduler('while the majority is lost', random.between(10, 5_000));
  await world.runUntil('it is said that the quorum is lost', () => isSaid(world, left), SAID_WITHIN_MS);
  await world.run(WATCHED_MS);
  if (!isSaid(world, left)) throw new Error('it is not said any more that the quorum is lost');
  const after = world.etcds();
  const begun = after.filter((one) => !before.includes(one));
  if (begun.length > 0)
    throw new Error(`without a quorum there are etcds that were not there: ${begun.join(', ')}`);
  const ended = before.filter((one) => left.some((host) => one.endsWith(host)) && !after.includes(one));
  if (ended.length > 0) throw new Error(`without a quorum members were ended: ${ended.join(', ')}`);
}

/** Where a member is left to tell; else nobody knows. */
function isSaid(world: World, left: readonly string[]): boolean {
  const state = world.health()?.state;
  return left.length > 0 ? state === 'quorum-lost' : state === 'unknown';
}
