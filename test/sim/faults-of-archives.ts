import type { Fault, Injection } from './fault.ts';
import { upgradeEtcd } from './faults-of-rollouts.ts';
import { loseRecord, putRecordBack, RECORD_PUT_BACK } from './faults-of-schedulers.ts';
import { fillWithHistory } from './faults-of-space.ts';
import type { SimArchive } from './sim-archive.ts';
import type { World } from './world.ts';

/*
 * What happens to the archive's store and to fulls. Half of what is done to a life with an archive is of these, so
 * their names begin alike.
 */
export const ARCHIVE_THEME = 'archive';

const isArchived = ({ archive }: World): boolean => archive !== null;
/** As long as nobody knows of one, another may rightly be begun. */
const isMade = (world: World): boolean => isArchived(world) && world.record()?.archive?.made === true;

function archiveOf({ archive }: World): SimArchive {
  if (archive === null) throw new Error('this life has no archive');
  return archive;
}

/** Half of the time somebody takes over meanwhile. */
function maybeTakenOver({ world, random, say }: Injection): void {
  if (random.chance(0.5)) return;
  say('the scheduler is killed');
  world.killScheduler('by the scenario', random.between(10, 10_000));
}

/** Nobody reaches the archive while this happens, and for a while after it. */
const awayWhile =
  (happens: (at: Injection) => Promise<void>): Fault['inject'] =>
  async (at) => {
    const { world, random, say, lasting } = at;
    const { host } = archiveOf(world);
    say('nobody reaches the archive');
    world.network.isolate(host);
    await happens(at);
    await lasting(random.between(0, 60_000), () => world.network.heal(host));
  };

export const ARCHIVE_FAULTS: readonly Fault[] = [
  {
    name: `${ARCHIVE_THEME} away`,
    possible: isArchived,
    inject: async (at) => {
      const { world, random, say, lasting } = at;
      const { host } = archiveOf(world);
      const durationMs = random.pick([random.between(10, 5_000), random.between(5_000, 90_000)]);
      say(`nobody reaches the archive for ${(durationMs / 1000).toFixed(1)} s`);
      world.network.isolate(host);
      maybeTakenOver(at);
      await lasting(durationMs, () => world.network.heal(host));
    },
  },
  {
    name: `${ARCHIVE_THEME} away from the scheduler`,
    possible: isArchived,
    inject: async ({ world, random, say, lasting }) => {
      const { host } = archiveOf(world);
      const { schedulerHost } = world;
      const isUnheard = random.chance(0.5);
      say(`the scheduler ${isUnheard ? 'does not hear from' : 'does not reach'} the archive`);
      if (isUnheard) world.network.cutOneWay(host, schedulerHost);
      else world.network.cut(host, schedulerHost);
      await lasting(random.between(10, 40_000), () => world.network.heal(host));
    },
  },
  {
    name: `${ARCHIVE_THEME} away, and the record lost`,
    possible: isArchived,
    inject: awayWhile(loseRecord),
  },
  {
    name: `${ARCHIVE_THEME} away, and the database full`,
    possible: isArchived,
    inject: awayWhile(fillWithHistory),
  },
  {
    // Of several generations ago: those since have written to the archive.
    name: `${ARCHIVE_THEME} kept, and the ${RECORD_PUT_BACK}`,
    possible: isArchived,
    inject: async (at) => {
      const { world, random, say } = at;
      say('the scheduler is killed again and again');
      for (let count = random.integer(2, 3); count > 0; count -= 1) {
        world.killScheduler('by the scenario', 100);
        await world.run(random.between(2_000, 5_000));
      }
      await putRecordBack(at, random.integer(5, 50));
    },
  },
  {
    name: `${ARCHIVE_THEME} has no room`,
    possible: isArchived,
    inject: async (at) => {
      const { world, random, say, lasting } = at;
      const archive = archiveOf(world);
      say('the archive has no room');
      archive.fillUp(true);
      maybeTakenOver(at);
      await lasting(random.between(100, 60_000), () => archive.fillUp(false));
    },
  },
  {
    name: `${ARCHIVE_THEME} fulls fail`,
    possible: isArchived,
    inject: async ({ world, random, say, lasting }) => {
      const archive = archiveOf(world);
      const failure = random.pick(['broken', 'altered'] as const);
      say(`fulls fail: what comes is ${failure}`);
      archive.setSnapshots({ durationMs: random.between(10, 5_000), failure });
      world.askForFull();
      await lasting(random.between(100, 60_000), () => archive.setSnapshots(null));
    },
  },
  {
    name: `${ARCHIVE_THEME} fulls are slow`,
    possible: isArchived,
    inject: async ({ world, random, say, lasting }) => {
      const archive = archiveOf(world);
      const durationMs = random.between(5_000, 60_000);
      say(`a full takes ${Math.round(durationMs / 1000)} s`);
      archive.setSnapshots({ durationMs, failure: null });
      world.askForFull();
      await lasting(random.between(100, 60_000), () => archive.setSnapshots(null));
    },
  },
  {
    name: `${ARCHIVE_THEME} spoils a full`,
    possible: isArchived,
    inject: async ({ world, say }) => {
      say('the next full does not read as it was written');
      archiveOf(world).spoilNextFull();
      world.askForFull();
      await world.run(1_000);
    },
  },
  {
    name: `${ARCHIVE_THEME} waited for by an upgrade`,
    possible: isArchived,
    inject: async (at) => {
      const { world, random, say } = at;
      const archive = archiveOf(world);
      const way = random.pick(['free', 'away', 'fulls fail', 'full spoiled'] as const);
      if (way !== 'free') say(`the archive: ${way}`);
      if (way === 'away') world.network.isolate(archive.host);
      if (way === 'fulls fail')
        archive.setSnapshots({ durationMs: random.between(10, 5_000), failure: 'broken' });
      if (way === 'full spoiled') archive.spoilNextFull();
      await upgradeEtcd(at);
      if (way === 'away') world.network.heal(archive.host);
      if (way === 'fulls fail') archive.setSnapshots(null);
    },
  },
  {
    name: `${ARCHIVE_THEME} has a full before an upgrade`,
    possible: isArchived,
    inject: async (at) => {
      const { world, random, say } = at;
      await upgradeEtcd(at, async () => {
        say('an operator asks for a full');
        world.askForFull();
        await world.run(random.between(3_000, 10_000));
      });
    },
  },
  {
    name: `${ARCHIVE_THEME} replaced`,
    possible: isMade,
    inject: async (at) => {
      const { world, random, say } = at;
      const archive = archiveOf(world);
      for (const by of random.shuffle(['another', 'nothing'] as const)) {
        // One that has opened an archive takes it for what it was.
        world.killScheduler('by the scenario', random.between(1_000, 5_000), 'all');
        await world.run(1_000);
        say(`where the archive was there is ${by === 'another' ? "another cluster's" : 'nothing'}`);
        archive.replace(by);
        // The next leads when the session of the one before is over.
        await world.run(random.between(15_000, 60_000));
      }
      say('the archive is where it was');
      archive.putBack();
    },
  },
  {
    name: `${ARCHIVE_THEME} write in hand`,
    possible: isArchived,
    inject: async ({ world, random, say }) => {
      const downMs = random.between(100, 40_000);
      say(
        `the scheduler will stand still for ${(downMs / 1000).toFixed(1)} s with its next write to the archive in hand`,
      );
      world.planCrash({ kind: 'any archive', nth: random.integer(1, 3), when: 'held', downMs });
      await world.run(random.between(downMs, downMs + 10_000));
    },
  },
];

/** Nobody knows of a cluster yet, and the archive's place is away or holds what was once: none may be begun over it. */
export async function startOverArchive(
  world: World,
  random: Injection['random'],
  say: Injection['say'],
): Promise<void> {
  const archive = archiveOf(world);
  const isForeign = random.chance(0.5);
  if (isForeign) {
    say("another cluster's archive is there");
    archive.replace('another');
  }
  const isAway = !isForeign || random.chance(0.3);
  if (isAway) {
    say('nobody reaches the archive');
    world.network.isolate(archive.host);
  }
  world.startScheduler();
  await world.run(random.between(1_000, 40_000));
  if (isAway) world.network.heal(archive.host);
  if (isForeign && isAway) await world.run(random.between(1_000, 40_000));
  if (isForeign) say('it is taken away');
  archive.putBack();
}
