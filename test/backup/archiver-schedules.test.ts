import { expect, test } from 'vitest';
import type { ArchiverStatus } from '../../src/backup/archiver.ts';
import { listFulls } from '../../src/backup/full.ts';
import { END_MS_MAX } from '../../src/backup/lifetime.ts';
import type { ArchiveStore } from '../../src/backup/store-port.ts';
import { scheduleOf } from '../../src/protocol/schedule.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance } from '../sim/prng.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import { type Place, type Run, type RunOptions, start } from './archiver-run.ts';
import { createFakeMember, type FakeMember } from './fake-member.ts';
import { contentOf, never, sampleArchive, sampleRevisions, shown } from './sample-log.ts';

/** What an archiver does by the clock and by counting, on a clock that a test moves. */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

interface World {
  readonly clock: VirtualClock;
  readonly place: Place;
  readonly member: FakeMember;
  readonly store: ReturnType<typeof createMemoryArchiveStore>;
  begin(options?: RunOptions): Run;
  fulls(): Promise<readonly string[]>;
}

async function createWorld({ grows = true } = {}): Promise<World> {
  const clock = createVirtualClock({ settleTurns: 4 });
  const store = createMemoryArchiveStore({ grows });
  const place = await sampleArchive(store);
  const member = createFakeMember();
  return {
    clock,
    place,
    member,
    store,
    begin: (options = {}) => start(member, place, { clock, ...options }),
    fulls: async () =>
      (await listFulls(place.archive, place.epoch, never)).map(({ document }) => document.reason),
  };
}

const has = async (
  { clock }: World,
  run: Run,
  look: (status: ArchiverStatus) => boolean,
  limitMs = MINUTE_MS,
): Promise<ArchiverStatus> => {
  await clock.runUntil(() => look(run.archiver.status()), limitMs);
  return run.archiver.status();
};
const hasFull = ({ lastFull }: ArchiverStatus): boolean => lastFull !== null;

test('a full is taken by the schedule, and after a restart when its time has passed meanwhile', async () => {
  const world = await createWorld();
  const fullSchedule = scheduleOf('17 3 * * *');
  const first = world.begin({ fullSchedule });
  // The clock begins at midnight, 2026-01-01.
  const { nextFullAtMs } = await has(world, first, hasFull);
  expect(nextFullAtMs).toBe(Date.UTC(2026, 0, 1, 3, 17));
  await world.clock.advance(3 * HOUR_MS);
  expect(await world.fulls()).toHaveLength(1);
  await world.clock.advance(HOUR_MS);
  expect((await world.fulls()).slice(1)).toEqual(['scheduled']);
  expect(first.archiver.status().nextFullAtMs).toBe(Date.UTC(2026, 0, 2, 3, 17));
  await first.stop();

  const early = world.begin({ fullSchedule, generation: 2 });
  await has(world, early, hasFull);
  await world.clock.advance(HOUR_MS);
  expect(await world.fulls()).toHaveLength(2);
  await early.stop();
  await world.clock.advance(30 * HOUR_MS);
  const late = world.begin({ fullSchedule, generation: 3 });
  await world.clock.advance(MINUTE_MS);
  expect((await world.fulls()).slice(2)).toEqual(['scheduled']);
  await late.stop();
});

test('a clock that was ahead while a full was taken puts no later one off', async () => {
  const world = await createWorld();
  const fullSchedule = scheduleOf('17 3 * * *');
  const ahead = { ...world.clock, wallMs: () => world.clock.wallMs() + 1000 * 24 * HOUR_MS };
  const first = world.begin({ fullSchedule, clock: ahead });
  await has(world, first, hasFull);
  await first.stop();
  const second = world.begin({ fullSchedule, generation: 2 });
  const { nextFullAtMs } = await has(world, second, hasFull);
  expect(nextFullAtMs).toBe(Date.UTC(2026, 0, 1, 3, 17));
  await world.clock.advance(4 * HOUR_MS);
  expect(await world.fulls()).toHaveLength(2);
  await second.stop();
});

test('a full is taken after so many bytes of log, and what is old is removed after it', async () => {
  const world = await createWorld();
  let calls = 0;
  const retain = () => {
    calls += 1;
    return calls === 1 ? Promise.reject(new Error('as the test wants it')) : Promise.resolve();
  };
  const run = world.begin({ retain, limits: { logBytesPerFull: 20_000 } });
  await has(world, run, hasFull);
  expect((await has(world, run, ({ problem }) => problem !== null)).problem).toContain(
    'what is old was not removed: as the test wants it',
  );
  world.member.write(50);
  await world.clock.advance(MINUTE_MS);
  expect(await world.fulls()).toHaveLength(1);
  while ((await world.fulls()).length === 1) {
    world.member.write(50);
    await world.clock.advance(MINUTE_MS);
  }
  expect((await world.fulls()).at(-1)).toMatch(/^\d+ bytes of log since the newest one$/);
  await world.clock.advance(MINUTE_MS);
  expect(await world.fulls()).toHaveLength(2);
  expect(calls).toBe(2);
  expect(run.archiver.status().problem).toBeNull();
  await run.stop();
});

test('a full that is asked to be verified is read back, and one that reads otherwise does not count', async () => {
  const world = await createWorld();
  const run = world.begin();
  expect((await has(world, run, hasFull)).lastFull?.verifiedAtMs).toBeNull();
  await world.clock.advance(MINUTE_MS);
  const full = await world.clock.during(run.archiver.fullNow('test', { verify: true }));
  expect(run.archiver.status().lastFull).toEqual({ ...full, verifiedAtMs: world.clock.wallMs() });
  await world.clock.advance(MINUTE_MS);
  const { put } = world.store;
  world.store.put = async (key, content, options) => {
    const stored = await put(key, content, options);
    const bytes = world.store.objects.get(key);
    if (key.endsWith('/data') && bytes !== undefined) bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    return stored;
  };
  const failing = run.archiver.fullNow('damaged', { verify: true });
  await expect(world.clock.during(failing)).rejects.toMatchObject({ code: 'corrupt' });
  expect(await world.fulls()).not.toContain('damaged');
  expect([...world.store.objects.keys()].filter((key) => key.endsWith('/data'))).toHaveLength(2);
  expect(run.archiver.status().lastFull).toMatchObject({ name: full.name });
  await run.stop();
});

test('a change of users or roles leads to a full, also one that nobody saw being made', async () => {
  const world = await createWorld();
  const first = world.begin();
  await has(world, first, hasFull);
  world.member.authRevision = 4n;
  await world.clock.advance(MINUTE_MS);
  expect((await world.fulls()).slice(1)).toEqual(['users or roles were changed: auth revision 4']);
  await world.clock.advance(10 * MINUTE_MS);
  expect(await world.fulls()).toHaveLength(2);
  await first.stop();
  world.member.authRevision = 6n;
  const second = world.begin({ generation: 2 });
  await world.clock.advance(MINUTE_MS);
  expect((await world.fulls()).slice(2)).toEqual(['users or roles were changed: auth revision 6']);
  world.member.authRevision = null;
  await world.clock.advance(10 * MINUTE_MS);
  expect(await world.fulls()).toHaveLength(3);
  await second.stop();
});

test('the archive is verified by its schedule; what a proof shows to be lost becomes a gap and a full', async () => {
  const world = await createWorld();
  let found: { from: string; to: string } | null = null;
  const run = world.begin({
    verification: {
      schedule: scheduleOf('0 * * * *'),
      run: () =>
        Promise.resolve({
          revision: '21',
          proofsCompared: 3,
          problems: found === null ? [] : ['a hash differs'],
          lost: found,
        }),
    },
  });
  await has(world, run, hasFull);
  world.member.write(20);
  await world.clock.advance(HOUR_MS);
  expect(run.archiver.status().lastVerification).toMatchObject({
    atMs: Date.UTC(2026, 0, 1, 1),
    revision: '21',
    proofsCompared: 3,
    problems: [],
  });
  expect(await world.fulls()).toHaveLength(1);
  found = { from: '5', to: '9' };
  await world.clock.advance(HOUR_MS);
  expect((await world.fulls()).slice(1)).toEqual(['revisions 5 to 9 are not in the log: lost']);
  expect(run.archiver.status()).toMatchObject({ gaps: [{}, { reason: 'lost', ...found }], fullWanted: null });
  expect(run.archiver.status().lastFull?.verifiedAtMs).not.toBeNull();
  world.member.write(3);
  await has(world, run, ({ archivedRevision }) => archivedRevision === world.member.revision);
  await run.stop();
  const { gaps, revisions } = await contentOf(world.place);
  expect(gaps.at(-1)).toEqual({ reason: 'lost', ...found });
  expect(revisions.map(({ revision }) => revision)).toEqual(
    Array.from({ length: 23 }, (_, at) => BigInt(at + 2)),
  );
});

test('proofs are taken while something comes, after a full and at the end, and more often than compactions', async () => {
  const world = await createWorld();
  const proofs = async () => (await contentOf(world.place)).kinds.filter((kind) => kind === 'proof').length;
  const run = world.begin();
  await has(world, run, ({ lastProof }) => lastProof?.revision === '1');
  await world.clock.advance(HOUR_MS);
  expect(await proofs()).toBe(1);
  world.member.write(3);
  await world.clock.advance(2 * MINUTE_MS);
  expect(await proofs()).toBe(2);
  world.member.write(3);
  await world.clock.advance(2 * MINUTE_MS);
  expect(await proofs()).toBe(2);
  await world.clock.during(run.archiver.fullNow('test'));
  await world.clock.advance(2_000);
  expect(await proofs()).toBe(3);
  // Compactions of all there is, each before the next proof.
  for (let minute = 0; minute < 20; minute += 1) {
    world.member.write(3);
    await world.clock.advance(MINUTE_MS);
    world.member.compact(world.member.revision);
  }
  expect(await proofs()).toBeGreaterThan(3 + 20 / 2);
  world.member.write(1);
  await has(world, run, ({ archivedRevision }) => archivedRevision === world.member.revision);
  await run.stop();
  expect(run.archiver.status().lastProof?.revision).toBe(String(world.member.revision));
  expect((await contentOf(world.place)).kinds.slice(-2)).toEqual(['proof', 'end']);
});

test('an archiver that is told to end, whenever that is, writes what had come and leaves a log that reads', async () => {
  const random = createChance(11).stream('ends');
  for (const grows of [true, false]) {
    for (let round = 0; round < 15; round += 1) {
      const world = await createWorld({ grows });
      const run = world.begin({ limits: { segmentMs: random.pick([0, 1000]), proofMs: 500 } });
      const endMs = random.integer(0, 5_000);
      for (let passedMs = 0; passedMs < endMs; passedMs += 100) {
        world.member.write(random.integer(0, 5));
        await world.clock.advance(100);
      }
      const before = run.archiver.status();
      const startedMs = world.clock.monotonicMs();
      await world.clock.during(run.stop());
      expect(world.clock.monotonicMs() - startedMs).toBeLessThanOrEqual(END_MS_MAX);
      const { state, archivedRevision, waitingBytes } = run.archiver.status();
      expect({ state, waitingBytes }).toEqual({ state: 'ended', waitingBytes: 0 });
      expect(archivedRevision).toBeGreaterThanOrEqual(before.seenRevision);
      const { revisions, gaps } = await contentOf(world.place);
      const first = BigInt(gaps[0]?.to ?? 0) + 1n;
      expect(shown(revisions)).toEqual(shown(sampleRevisions(first, archivedRevision)));
    }
  }
});

test('a store that hangs keeps nobody from ending', async () => {
  const world = await createWorld();
  let hangs = false;
  const { growing } = world.store;
  const store: ArchiveStore = {
    ...world.store,
    growing: {
      create: async (key, first, signal) => {
        const object = await growing?.create(key, first, signal);
        if (object === undefined) throw new Error('it grows');
        return {
          close: object.close,
          append: async (bytes) => {
            if (hangs) await world.clock.sleep(HOUR_MS);
            await object.append(bytes);
          },
        };
      },
    },
  };
  const run = world.begin({ store });
  await has(world, run, hasFull);
  hangs = true;
  world.member.write(5);
  await world.clock.advance(MINUTE_MS);
  expect(run.archiver.status().lagMs).toBeGreaterThan(MINUTE_MS / 2);
  const startedMs = world.clock.monotonicMs();
  await world.clock.during(run.stop());
  expect(world.clock.monotonicMs() - startedMs).toBeLessThan(2 * END_MS_MAX);
});
