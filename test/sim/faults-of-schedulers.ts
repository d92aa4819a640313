import type { Fault, Injection } from './fault.ts';
import type { World } from './world.ts';

/** What happens to the scheduler and to what it keeps. */
export const SCHEDULER_FAULTS: readonly Fault[] = [
  {
    name: 'scheduler killed',
    inject: async ({ world, random, say }) => {
      const downMs = random.between(10, 40_000);
      say(`the scheduler is killed for ${Math.round(downMs / 1000)} s`);
      world.killScheduler('by the scenario', downMs);
    },
  },
  {
    name: 'scheduler cut off',
    inject: async ({ world, random, say, lasting }) => {
      const { schedulerHost } = world;
      say('the scheduler reaches nobody');
      world.network.isolate(schedulerHost);
      await lasting(random.between(100, 30_000), () => world.network.heal(schedulerHost));
    },
  },
  {
    name: 'scheduler cut off from members',
    inject: async ({ world, random, seats, say, lasting }) => {
      const { schedulerHost } = world;
      const apart = random.shuffle(seats).slice(0, random.integer(1, Math.max(1, seats.length)));
      say(`the scheduler reaches the master, and not ${apart.join(', ')}`);
      for (const host of apart) world.network.cut(schedulerHost, host);
      await lasting(random.between(100, 40_000), () => world.network.heal(schedulerHost));
    },
  },
  {
    name: 'scheduler cut off from the master',
    inject: async ({ world, random, say, lasting }) => {
      const isSilent = random.chance(0.5);
      say(`the scheduler reaches the members, and not the master${isSilent ? ', and nobody tells it' : ''}`);
      const { schedulerHost, masterHost } = world;
      if (isSilent) {
        world.network.cutOneWay(schedulerHost, masterHost);
        world.network.cutOneWay(masterHost, schedulerHost);
      } else world.network.cut(schedulerHost, masterHost);
      await lasting(random.between(100, 60_000), () => world.network.heal(schedulerHost));
    },
  },
  {
    name: 'scheduler paused',
    inject: async ({ world, random, say, lasting }) => {
      const durationMs = random.pick([random.between(10, 3_000), random.between(3_000, 60_000)]);
      say(`the scheduler stands still for ${(durationMs / 1000).toFixed(1)} s`);
      await lasting(durationMs, world.pauseScheduler());
    },
  },
];

const hasZooKeeper = (world: World): boolean => world.zooKeeperHost !== null;

/** What happens to what two schedulers share. */
export const ZOOKEEPER_FAULTS: readonly Fault[] = [
  {
    name: 'session lost',
    possible: hasZooKeeper,
    inject: async ({ world, random, say }) => {
      const times = random.integer(1, 3);
      say(`the session of the scheduler that leads is lost, ${times} times`);
      for (let count = 0; count < times; count += 1) {
        world.expireSession();
        await world.run(random.between(1, 10_000));
      }
    },
  },
  {
    name: 'zookeeper away',
    possible: hasZooKeeper,
    inject: async ({ world, random, say, lasting }) => {
      const durationMs = random.pick([random.between(10, 8_000), random.between(8_000, 90_000)]);
      say(`nobody reaches ZooKeeper for ${(durationMs / 1000).toFixed(1)} s`);
      world.network.isolate(world.zooKeeperHost ?? '');
      await lasting(durationMs, () => world.network.heal(world.zooKeeperHost ?? ''));
    },
  },
  {
    name: 'leader cut off from zookeeper',
    possible: hasZooKeeper,
    inject: async ({ world, random, say, lasting }) => {
      const { schedulerHost } = world;
      say('the scheduler that leads does not reach ZooKeeper');
      world.network.cut(schedulerHost, world.zooKeeperHost ?? '');
      await lasting(random.between(100, 40_000), () => world.network.heal(schedulerHost));
    },
  },
  {
    name: 'paused with an order in hand',
    possible: hasZooKeeper,
    inject: async ({ world, random, storage, host, say }) => {
      // Longer than its session: another leads and speaks to everybody before it goes on.
      const downMs = random.between(13_000, 40_000);
      const seconds = (downMs / 1000).toFixed(1);
      say(`the scheduler will stand still for ${seconds} s with its next order signed and not sent`);
      world.planCrash({ kind: 'any order', nth: 1, when: 'held', downMs });
      // Something that takes an order.
      if (storage === 'sandbox' || random.chance(0.5)) {
        say('an operator has all members defragmented');
        world.tell({ kind: 'defragment', slot: null, by: 'operator', force: false });
      } else {
        say(`the supervisor on ${host} is killed`);
        world.killSupervisor(host, { orphan: false });
      }
      await world.run(random.between(downMs, downMs + 10_000));
    },
  },
];

export const RECORD_PUT_BACK = 'record put back';

const RECORD_LOST = ['while all runs', 'while all hosts are down', 'and the framework torn down'] as const;

export const RECORD_FAULTS: readonly Fault[] = [
  { name: 'record lost', inject: loseRecord },
  {
    name: RECORD_PUT_BACK,
    inject: async (at) =>
      await putRecordBack(at, at.random.pick([at.random.integer(1, 5), at.random.integer(1, 50)])),
  },
];

/** That of so many saves ago. */
export async function putRecordBack({ world, random, say }: Injection, saves: number): Promise<void> {
  say(`the record of ${saves} saves ago is put back`);
  world.rollBackRecord(saves);
  await world.run(random.between(0, 10_000));
}

export async function loseRecord({ world, random, storage, seats, say }: Injection): Promise<void> {
  // With its tasks a sandbox is gone: nothing would be left to be adopted.
  const picked = storage === 'sandbox' ? random.pick(['while all runs'] as const) : random.pick(RECORD_LOST);
  // Of a framework that was removed, on hosts that are all down, a master shows nothing: that is a first start.
  const how = picked === 'while all hosts are down' && world.isTornDown ? 'while all runs' : picked;
  say(`the record is lost ${how}`);
  // Where tasks are said to be on agents that nobody sees, and none runs elsewhere, nothing is adopted.
  await world.markWipedGone();
  world.killScheduler('for good, as it seems', 10_000, 'all');
  if (how === 'and the framework torn down') await world.tearDown();
  if (how === 'while all hosts are down') for (const seatHost of seats) world.reboot(seatHost);
  // What was ordered is carried out before nobody knows why it was.
  await world.run(5_000);
  await world.wipeRecord();
  await world.run(random.between(0, 10_000));
  for (const other of world.hosts) if (!world.isGone(other)) world.startAgent(other);
}
