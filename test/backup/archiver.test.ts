import { describe, expect, test } from 'vitest';
import { listFulls, verifyFull } from '../../src/backup/full.ts';
import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance } from '../sim/prng.ts';
import { clock, until } from '../wait.ts';
import { type Place, type Run, start } from './archiver-run.ts';
import { failingStore } from './failing-store.ts';
import { createFakeMember, type FakeMember } from './fake-member.ts';
import { contentOf, never, sampleArchive, sampleRevisions, shown } from './sample-log.ts';

const archived = async (member: FakeMember, { archiver }: Run): Promise<void> =>
  void (await until(
    `revision ${member.revision} is archived`,
    20_000,
    () => archiver.status().archivedRevision === member.revision,
  ));

/** It goes on after the one revision that a new etcd has. */
const followed = async ({ archiver }: Run): Promise<void> =>
  void (await until('it follows', 20_000, () => archiver.status().archivedRevision === 1n));

/** Everything from revision 2 on, which is a new etcd's first, is there. */
const expectAll = async (place: Place, member: FakeMember): Promise<void> => {
  const { revisions } = await contentOf(place);
  expect(shown(revisions)).toEqual(shown(sampleRevisions(2n, member.revision)));
};

describe.for([
  ['with objects that grow', true],
  ['with whole objects only', false],
] as const)('an archiver on a store %s', ([, grows]) => {
  const setUp = async () => {
    const store = createMemoryArchiveStore({ grows });
    return { store, place: await sampleArchive(store), member: createFakeMember() };
  };

  test('archives what was and what comes, with a full, and goes on where the last one was', async () => {
    const { place, member } = await setUp();
    member.write(30);
    const first = start(member, place, { limits: { segmentMs: 20 } });
    await until('it follows', 5_000, () => first.archiver.status().archivedRevision === 31n);
    await until('there is a full', 5_000, () => first.archiver.status().lastFull);
    // What was before is in the full.
    expect(first.archiver.status()).toMatchObject({
      state: 'following',
      archivedRevision: 31n,
      fullWanted: null,
    });
    member.write(20);
    await archived(member, first);
    await first.stop();
    expect(first.archiver.status().state).toBe('ended');
    member.write(10);
    const second = start(member, place, { generation: 2 });
    await archived(member, second);
    await second.stop();
    const { revisions, gaps } = await contentOf(place);
    expect(shown(revisions)).toEqual(shown(sampleRevisions(32n, 61n)));
    expect(gaps).toEqual([{ reason: 'begin', from: '1', to: '31' }]);
    const fulls = await listFulls(place.archive, place.epoch, never);
    expect(fulls.map(({ document }) => document.revision)).toEqual(['31']);
    for (const full of fulls) await verifyFull(place.archive, full, never);
  });

  test('loses nothing when the watch breaks again and again', async () => {
    const { place, member } = await setUp();
    const run = start(member, place);
    await followed(run);
    for (let round = 0; round < 30; round += 1) {
      member.write(1 + (round % 12));
      if (round % 3 === 0) member.breakAll();
      if (round % 5 === 0) await clock.sleep(3);
    }
    await archived(member, run);
    await run.stop();
    await expectAll(place, member);
  });

  test('records what was compacted before it was read, and takes a full that has it', async () => {
    const { place, member } = await setUp();
    const first = start(member, place);
    await followed(first);
    member.write(10);
    await archived(member, first);
    await first.stop();
    member.write(30);
    member.compact(36n);
    const second = start(member, place, { generation: 2 });
    await archived(member, second);
    await until(
      'the full is taken',
      5_000,
      () => second.archiver.status().lastFull?.document.generation === 2,
    );
    await second.stop();
    const { gaps, revisions } = await contentOf(place);
    expect(gaps.at(-1)).toEqual({ reason: 'compacted', from: '12', to: '36' });
    expect(shown(revisions)).toEqual(shown([...sampleRevisions(2n, 11n), ...sampleRevisions(37n, 41n)]));
    expect(second.archiver.status().gaps).toEqual([{ reason: 'compacted', from: '12', to: '36' }]);
    const [, full] = await listFulls(place.archive, place.epoch, never);
    expect(BigInt(full?.document.revision ?? 0)).toBeGreaterThanOrEqual(36n);
  });

  test('a full that a gap asks for is taken by the next archiver when this one ends before', async () => {
    const { place, member } = await setUp();
    const first = start(member, place);
    await until('there is a full', 5_000, () => first.archiver.status().lastFull);
    member.write(5);
    await archived(member, first);
    await first.stop();
    member.write(20);
    member.compact(20n);
    const { snapshot } = member;
    // biome-ignore lint/correctness/useYield: it fails before there is anything
    member.snapshot = async function* () {
      await Promise.resolve();
      throw new ArchiveStoreError('unavailable', 'as the test wants it');
    };
    const second = start(member, place, { generation: 2 });
    await archived(member, second);
    expect(second.archiver.status().fullWanted).toContain('compacted');
    await second.stop();
    member.snapshot = snapshot;
    const third = start(member, place, { generation: 3 });
    await until('there is a full', 5_000, () => third.archiver.status().lastFull?.document.generation === 3);
    await third.stop();
    expect(await listFulls(place.archive, place.epoch, never)).toHaveLength(2);
  });

  test('records revisions that a member leaves out', async () => {
    const { place, member } = await setUp();
    const run = start(member, place);
    await followed(run);
    let eaten = false;
    member.tell = (whole) => {
      const isToBeEaten = !eaten && whole.events.length > 0;
      eaten ||= isToBeEaten;
      return isToBeEaten ? [] : [whole];
    };
    member.write(1);
    await until('it was told nothing', 5_000, () => eaten);
    member.write(5);
    await archived(member, run);
    await until('the full is taken', 5_000, () => run.archiver.status().fullWanted === null);
    await run.stop();
    const { gaps, revisions } = await contentOf(place);
    expect(gaps.at(-1)).toEqual({ reason: 'lost', from: '2', to: '2' });
    expect(shown(revisions)).toEqual(shown(sampleRevisions(3n, 7n)));
  });

  test('an older archiver ends as soon as it sees the newer one, and nothing is lost between them', async () => {
    const { place, member } = await setUp();
    const old = start(member, place, { generation: 1 });
    await followed(old);
    member.write(5);
    await archived(member, old);
    const young = start(member, place, { generation: 2 });
    await until('it follows', 5_000, () => young.archiver.status().state === 'following');
    member.write(5);
    await archived(member, young);
    await expect(old.archiver.ended).rejects.toMatchObject({ code: 'fenced' });
    expect(old.archiver.status().state).toBe('ended');
    await expect(old.archiver.fullNow('test')).rejects.toThrow();
    const again = start(member, place, { generation: 1 });
    await expect(again.archiver.ended).rejects.toMatchObject({ code: 'fenced' });
    await young.stop();
    await expectAll(place, member);
  });

  test('bears a store that fails, says so, and does not read more than it can hold', async () => {
    const { place, member, store } = await setUp();
    let isAway = false;
    const random = createChance(3).stream('store');
    const failing = failingStore(store, () => isAway || random.chance(0.05));
    const run = start(member, place, {
      store: failing,
      limits: { waitingBytesMax: 5_000, batchBytesMax: 2_000 },
    });
    await followed(run);
    isAway = true;
    member.write(500);
    await until('it says so', 5_000, () => run.archiver.status().state === 'away');
    await until('it is full', 5_000, () => run.archiver.status().waitingBytes >= 5_000);
    const { waitingBytes, lagMs, problem } = run.archiver.status();
    expect(waitingBytes).toBeLessThan(10_000);
    expect(lagMs).toBeGreaterThan(0);
    expect(problem).toContain('as the test wants it');
    isAway = false;
    await archived(member, run);
    await run.stop();
    await expectAll(place, member);
  });

  test('knows of a store that hangs that it is away, and goes on when it answers', async () => {
    const { place, member, store } = await setUp();
    const gate = { held: null as Promise<void> | null };
    const { growing, put } = store;
    const hanging: ArchiveStore = {
      ...store,
      put: async (...args) => {
        await gate.held;
        return await put(...args);
      },
      growing:
        growing === null
          ? null
          : {
              create: async (...args) => {
                const object = await growing.create(...args);
                return {
                  close: object.close,
                  append: async (bytes) => {
                    await gate.held;
                    await object.append(bytes);
                  },
                };
              },
            },
    };
    const run = start(member, place, { store: hanging, limits: { silenceMsMax: 50 } });
    await followed(run);
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.held = promise;
    member.write(5);
    await until('it is away', 5_000, () => run.archiver.status().state === 'away');
    expect(run.archiver.status().problem).toContain('it has not answered for 0.05 s');
    gate.held = null;
    resolve();
    await archived(member, run);
    expect(run.archiver.status().state).toBe('following');
    await run.stop();
    await expectAll(place, member);
  });

  test('takes a full when it is asked, one at a time, and none that is damaged', async () => {
    const { place, member } = await setUp();
    const run = start(member, place);
    await until('there is a full', 5_000, () => run.archiver.status().lastFull);
    const { snapshot } = member;
    member.snapshot = async function* () {
      let isFirst = true;
      for await (const piece of snapshot()) {
        const altered = Buffer.from(piece);
        if (isFirst) altered[100] = (altered[100] ?? 0) ^ 1;
        isFirst = false;
        yield altered;
      }
    };
    await expect(run.archiver.fullNow('test')).rejects.toMatchObject({
      code: 'corrupt',
    });
    // Whole, and of an earlier time than the member said it was.
    const earlier = createFakeMember();
    member.write(3);
    member.snapshot = earlier.snapshot;
    await expect(run.archiver.fullNow('test')).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/has revision 1, and 4 was told/),
    });
    expect(await listFulls(place.archive, place.epoch, never)).toHaveLength(1);
    member.snapshot = snapshot;
    const [one, other] = await Promise.all([run.archiver.fullNow('one'), run.archiver.fullNow('two')]);
    expect(one).toBe(other);
    expect(one.document.reason).toBe('one');
    await run.stop();
  });

  test('writes proofs, and the leases with what they were granted', async () => {
    const { place, member } = await setUp();
    const run = start(member, place, { limits: { proofMs: 5 } });
    await followed(run);
    member.write(9);
    await archived(member, run);
    await until('there is a proof', 5_000, async () => (await contentOf(place)).kinds.includes('proof'));
    await run.stop();
    const leases = (await contentOf(place)).leases.toSorted((left, right) => Number(left.id - right.id));
    expect(leases).toEqual([
      { id: 4n, ttlSeconds: 8n },
      { id: 8n, ttlSeconds: null },
    ]);
  });
});

test('a full that was there before the gap asks for it is not taken once more', async () => {
  const place = await sampleArchive(createMemoryArchiveStore());
  const member = createFakeMember();
  let full: unknown = null;
  const connect: FakeMember['connect'] = (url) => {
    const client = member.connect(url);
    const watchAll: typeof client.watchAll = async function* (from, signal) {
      await until('there is a full', 5_000, () => full);
      yield* client.watchAll(from, signal);
    };
    return { ...client, watchAll };
  };
  member.tell = (answer) => {
    // The first is compacted away from under the watch, behind what the full has.
    if (!answer.created) return [answer];
    member.tell = (whole) => [whole];
    return [{ ...answer, cancelled: true, compactRevision: member.revision }];
  };
  const run = start(member, place, { connect });
  full = await until('there is a full', 5_000, () => run.archiver.status().lastFull);
  await until('the gap is there', 5_000, () => run.archiver.status().gaps.length === 2);
  expect(run.archiver.status().fullWanted).toBeNull();
  member.write(1);
  await archived(member, run);
  await run.stop();
  expect(await listFulls(place.archive, place.epoch, never)).toHaveLength(1);
});

test('a member that is behind the archive is not followed', async () => {
  const place = await sampleArchive(createMemoryArchiveStore());
  const ahead = createFakeMember();
  const first = start(ahead, place);
  await followed(first);
  ahead.write(20);
  await archived(ahead, first);
  await first.stop();
  const behind = createFakeMember();
  behind.write(3);
  const second = start(behind, place, { generation: 2 });
  await until('it says so', 5_000, () =>
    second.archiver.status().problem?.includes('revision 4, the archive at 21'),
  );
  expect(second.archiver.status().state).toBe('no-member');
  behind.write(20);
  await until('it has caught up', 10_000, () => second.archiver.status().archivedRevision === 24n);
  await second.stop();
});

test('an etcd that wants to know who asks is not followed, and it is said why', async () => {
  const member = createFakeMember();
  const cancelReason = 'rpc error: code = InvalidArgument desc = etcdserver: user name is empty';
  member.tell = (answer) => [{ ...answer, cancelled: true, cancelReason }];
  const run = start(member, await sampleArchive(createMemoryArchiveStore()));
  await until('it is said', 20_000, () => {
    const { state, problem } = run.archiver.status();
    return state === 'no-member' && problem?.includes('etcd’s authentication is on');
  });
  await run.stop();
});
