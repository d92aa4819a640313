import type { ClusterRecord } from '../../src/protocol/record.ts';
import { type Fault, type Injection, ON_VOLUMES } from './fault.ts';
import type { RandomStream } from './prng.ts';
import type { World } from './world.ts';

/** What hits a change of the membership in its middle, where chance alone would seldom strike. */
export const MOVE_FAULTS: readonly Fault[] = [
  { name: 'record lost around a move', on: ON_VOLUMES, inject: loseRecord },
  { name: 'hosts cut off in a move', inject: cutHostsOff },
];

/**
 * Nobody knows then which of two places holds the slot's member, and the disk of the old one comes back: in the middle
 * of the move, or when it is over and the old place is a removed member's, which the cluster's own list alone can tell.
 */
async function loseRecord({ world, random, host, say }: Injection): Promise<void> {
  const isOver = random.chance(0.6);
  const isOld = isOver && random.chance(0.6);
  const moment = isOver ? 'has been' : 'is being';
  const loss = isOld ? 'an older record is put back' : 'the record is lost';
  say(`${host} is down until its member ${moment} replaced, then ${loss}, and the host is back`);
  // Where tasks are said to be on agents that nobody sees, and none runs elsewhere, nothing is adopted.
  await world.markWipedGone();
  world.reboot(host);
  const limitMs = world.unreachableTimeoutMs + 40_000;
  await waitFor({ world, random, limitMs }, (record) => record.intent?.committed === true);
  if (isOver) await waitFor({ world, random, limitMs }, (record) => record.intent === null);
  world.killScheduler('for good, as it seems', 10_000, 'all');
  await world.run(random.between(0, 5_000));
  if (isOld) world.rollBackRecord(random.integer(2, 15));
  else await world.wipeRecord();
  // Found at once, or once the others have been taken over.
  if (isOver) await world.run(random.between(0, 45_000));
  world.startAgent(host);
  await world.run(random.between(0, 10_000));
}

/** The learner of a move is held up, and another voter is away when it has caught up at last. */
async function cutHostsOff({ world, random, host, seats, say, lasting }: Injection): Promise<void> {
  const others = seats.filter((other) => other !== host);
  if (others.length === 0) return;
  const other = random.pick(others);
  say(`maintenance of ${host} is announced; while its member moves, the new one and ${other} are cut off`);
  await world.announceMaintenance([{ host, inMs: random.between(0, 30_000) }]);
  const isListed = ({ intent }: ClusterRecord) => intent?.add != null && intent.add.memberId !== null;
  if (!(await waitFor({ world, random, limitMs: 60_000 }, isListed))) return;
  const learner = learnerHost(world.record());
  if (learner !== null) world.network.isolate(learner);
  world.network.isolate(other);
  await world.run(random.between(6_000, 10_000));
  if (learner !== null) world.network.heal(learner);
  await lasting(random.between(5_000, 15_000), () => world.network.heal(other));
}

function learnerHost(record: ClusterRecord | null): string | null {
  return record?.seats.find(({ id }) => id === record.intent?.add?.seat)?.host ?? null;
}

/** Whether the stored record came to say so in time. */
async function waitFor(
  {
    world,
    random,
    limitMs,
  }: { readonly world: World; readonly random: RandomStream; readonly limitMs: number },
  condition: (record: ClusterRecord) => boolean,
): Promise<boolean> {
  const untilMs = world.clock.monotonicMs() + limitMs;
  while (world.clock.monotonicMs() < untilMs) {
    const record = world.record();
    if (record !== null && condition(record)) return true;
    await world.run(random.between(20, 300));
  }
  return false;
}
