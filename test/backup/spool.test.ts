import { expect, test } from 'vitest';
import { listFulls } from '../../src/backup/full.ts';
import type { ArchiveStore } from '../../src/backup/store-port.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance } from '../sim/prng.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import { type Place, type Run, type RunOptions, start } from './archiver-run.ts';
import { failingStore } from './failing-store.ts';
import { createFakeMember, type FakeMember } from './fake-member.ts';
import { contentOf, never, sampleArchive, sampleRevisions, shown } from './sample-log.ts';

/** An archiver whose store is away, on a clock that a test moves. */
const MINUTE_MS = 60_000;

interface World {
  readonly clock: VirtualClock;
  readonly place: Place;
  readonly member: FakeMember;
  readonly spool: MemoryArchiveStore;
  isAway: boolean;
  begin(options?: RunOptions): Run;
}

const spoolIn =
  (store: ArchiveStore, bytesMax = 1e6) =>
  async () =>
    await Promise.resolve({ store, bytesMax });

async function createWorld({ spoolBytesMax = 1e6 } = {}): Promise<World> {
  const clock = createVirtualClock({ settleTurns: 4 });
  const store = createMemoryArchiveStore();
  const place = await sampleArchive(store);
  const member = createFakeMember();
  const spool = createMemoryArchiveStore();
  const world: World = {
    clock,
    place,
    member,
    spool,
    isAway: false,
    begin: (options = {}) => {
      const { limits, ...more } = options;
      return start(member, place, {
        clock,
        store: failingStore(store, () => world.isAway),
        spool: spoolIn(spool, spoolBytesMax),
        limits: { waitingBytesMax: 5_000, batchBytesMax: 2_000, ...limits },
        ...more,
      });
    },
  };
  return world;
}

/** Up to date, and not before its full is there. */
const level = async ({ clock, member }: World, { archiver }: Run): Promise<void> => {
  await clock.runUntil(() => {
    const { archivedRevision, fullWanted, lastFull } = archiver.status();
    return archivedRevision === member.revision && fullWanted === null && lastFull !== null;
  }, 20 * MINUTE_MS);
};
/** So many minutes of writes, a compaction of all there is after each. */
const writeAndCompact = async ({ clock, member }: World, minutes: number): Promise<void> => {
  for (let minute = 0; minute < minutes; minute += 1) {
    for (let second = 0; second < 60; second += 10) {
      member.write(20);
      await clock.advance(10_000);
    }
    member.compact(member.revision);
  }
};
const expectAll = async ({ place, member }: World): Promise<void> => {
  const { revisions, gaps } = await contentOf(place);
  expect(gaps).toEqual([{ reason: 'begin', from: '1', to: '1' }]);
  expect(shown(revisions)).toEqual(shown(sampleRevisions(2n, member.revision)));
};

test('a store that is away for ten minutes while all is compacted every minute: nothing is lost', async () => {
  const world = await createWorld();
  const run = world.begin();
  await level(world, run);
  world.isAway = true;
  await writeAndCompact(world, 10);
  const { state, spooledBytes, waitingBytes, lagMs, archivedRevision } = run.archiver.status();
  expect({ state, archivedRevision }).toEqual({ state: 'away', archivedRevision: 1n });
  expect(run.archiver.status().seenRevision).toBe(world.member.revision);
  expect(spooledBytes).toBeGreaterThan(10_000);
  expect(waitingBytes).toBeLessThan(6_000);
  expect(lagMs).toBeGreaterThan(9.5 * MINUTE_MS);
  world.isAway = false;
  await level(world, run);
  expect(run.archiver.status()).toMatchObject({ state: 'following', spooledBytes: 0, lagMs: 0, gaps: [{}] });
  expect(world.spool.objects.size).toBe(0);
  await run.stop();
  await expectAll(world);
  expect((await contentOf(world.place)).kinds.filter((kind) => kind === 'proof').length).toBeGreaterThan(2);
});

test('a spool that is too small: what is lost is a gap, and a full has it', async () => {
  const world = await createWorld({ spoolBytesMax: 20_000 });
  const run = world.begin();
  await level(world, run);
  world.isAway = true;
  await writeAndCompact(world, 10);
  expect(run.archiver.status().spooledBytes).toBeLessThanOrEqual(20_000);
  expect(run.archiver.status().seenRevision).toBeLessThan(world.member.revision);
  world.isAway = false;
  await level(world, run);
  await run.stop();
  const { revisions, gaps } = await contentOf(world.place);
  const [, gap] = gaps;
  expect(gap).toMatchObject({ reason: 'compacted' });
  const [from, to] = [BigInt(gap?.from ?? 0), BigInt(gap?.to ?? 0)];
  expect(shown(revisions)).toEqual(
    shown([...sampleRevisions(2n, from - 1n), ...sampleRevisions(to + 1n, world.member.revision)]),
  );
  const fulls = await listFulls(world.place.archive, world.place.epoch, never);
  expect(BigInt(fulls.at(-1)?.document.revision ?? 0)).toBeGreaterThanOrEqual(to);
});

test('what an archiver that ended had spooled is written by the next one', async () => {
  const world = await createWorld();
  const first = world.begin();
  await level(world, first);
  world.isAway = true;
  await writeAndCompact(world, 3);
  // The last of it is in memory alone.
  world.member.write(3);
  await world.clock.advance(10);
  await world.clock.during(first.stop());
  world.member.compact(world.member.revision);
  world.isAway = false;
  const second = world.begin({ generation: 2 });
  await level(world, second);
  await second.stop();
  await expectAll(world);
  expect(world.spool.objects.size).toBe(0);
});

test('what a crash left of a spool, cut or altered anywhere, is used up to there or not at all', async () => {
  const random = createChance(5).stream('spool');
  for (let round = 0; round < 40; round += 1) {
    const world = await createWorld();
    const first = world.begin();
    await level(world, first);
    world.isAway = true;
    world.member.write(100);
    await world.clock.advance(random.integer(0, 20_000));
    world.member.write(200);
    await world.clock.advance(random.integer(0, 20_000));
    const left = new Map([...world.spool.objects].map(([key, bytes]) => [key, Buffer.from(bytes)]));
    await world.clock.during(first.stop());
    world.spool.objects.clear();
    for (const [key, bytes] of left) world.spool.objects.set(key, bytes);
    const key = random.pick([...left.keys()]);
    const bytes = left.get(key) ?? Buffer.alloc(0);
    const at = random.integer(0, bytes.byteLength - 1);
    if (round % 3 === 0) world.spool.objects.set(key, bytes.subarray(0, at));
    else if (round % 3 === 1) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
    else if (round % 2 === 0) world.spool.objects.delete(key);
    world.isAway = false;
    const second = world.begin({ generation: 2 });
    await level(world, second);
    await second.stop();
    await expectAll(world);
  }
});

test('what is altered in the spool while it lies there is not archived but had from the member again', async () => {
  const world = await createWorld();
  const run = world.begin();
  await level(world, run);
  world.isAway = true;
  world.member.write(300);
  await world.clock.advance(MINUTE_MS);
  for (const bytes of world.spool.objects.values()) {
    const middle = Math.floor(bytes.byteLength / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 4;
  }
  world.isAway = false;
  await level(world, run);
  await run.stop();
  await expectAll(world);
});

test('another archive’s spool is of no use', async () => {
  const world = await createWorld();
  const first = world.begin();
  await level(world, first);
  world.isAway = true;
  await writeAndCompact(world, 1);
  await world.clock.during(first.stop());
  expect(world.spool.objects.size).toBeGreaterThan(0);
  const place = await sampleArchive(createMemoryArchiveStore(), 'b2');
  const other = { ...(await createWorld()), place, spool: world.spool };
  other.member.write(5);
  const run = start(other.member, place, { clock: other.clock, spool: spoolIn(world.spool) });
  await level(other, run);
  expect(world.spool.objects.size).toBe(0);
  expect(run.archiver.status().problem).toContain('0000000001 was of epoch 1 of archive a1 and is dropped');
  await run.stop();
});

test('garbage in the spool is told of, and neither trusted nor kept where it may be taken for a file of it', async () => {
  for (const name of ['0000000001', '0000000002', '0000000900', 'notes.txt']) {
    const world = await createWorld();
    const first = world.begin();
    await level(world, first);
    world.isAway = true;
    world.member.write(200);
    await world.clock.advance(MINUTE_MS);
    await world.clock.during(first.stop());
    expect([...world.spool.objects.keys()]).toEqual(['0000000001']);
    world.spool.objects.set(name, Buffer.from('garbage'.repeat(name.endsWith('2') ? 1 : 100)));
    world.isAway = false;
    const second = world.begin({ generation: 2 });
    await level(world, second);
    expect(second.archiver.status().problem).toMatch(new RegExp(`^the spool memory: .*${name}`));
    await second.stop();
    await expectAll(world);
    expect([...world.spool.objects.keys()]).toEqual(name === 'notes.txt' ? [name] : []);
  }
});

test.for(['unavailable', 'full'] as const)(
  'a spool whose disk is %s now and then, and a store too: nothing is lost',
  async (code) => {
    const world = await createWorld();
    const random = createChance(8).stream(code);
    let share = 0;
    const run = world.begin({
      spool: spoolIn(failingStore(world.spool, () => random.chance(share), code)),
    });
    await level(world, run);
    share = 0.2;
    for (let round = 0; round < 12; round += 1) {
      world.isAway = round % 2 === 0;
      world.member.write(60);
      await world.clock.advance(random.integer(0, MINUTE_MS));
    }
    world.isAway = false;
    await level(world, run);
    await run.stop();
    await expectAll(world);
  },
);

test('a disk that takes nothing: the member waits as without a spool, and it is said', async () => {
  const world = await createWorld();
  let isFull = false;
  const run = world.begin({
    spool: spoolIn(failingStore(world.spool, () => isFull, 'full')),
  });
  await level(world, run);
  [world.isAway, isFull] = [true, true];
  world.member.write(500);
  await world.clock.advance(MINUTE_MS);
  expect(run.archiver.status().waitingBytes).toBeGreaterThan(4_900);
  expect(run.archiver.status().waitingBytes).toBeLessThan(10_000);
  expect(run.archiver.status().problem).toContain('the spool takes nothing: as the test wants it');
  world.isAway = false;
  await world.clock.runUntil(() => run.archiver.status().state === 'following', MINUTE_MS);
  await level(world, run);
  await run.stop();
  await expectAll(world);
});
