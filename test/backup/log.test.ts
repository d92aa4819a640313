import { describe, expect, test, vi } from 'vitest';
import { beginEpoch, createArchive, listEpochs, openArchive } from '../../src/backup/archive.ts';
import type { Proof } from '../../src/backup/documents.ts';
import { ArchiveError } from '../../src/backup/errors.ts';
import { readEvent } from '../../src/backup/events.ts';
import { findLogEnd } from '../../src/backup/log-end.ts';
import { readLog } from '../../src/backup/log-reader.ts';
import { headerOf } from '../../src/backup/log-segments.ts';
import type { LogWriter } from '../../src/backup/log-writer.ts';
import { segmentKey } from '../../src/backup/names.ts';
import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { type Chance, createChance } from '../sim/prng.ts';
import { failingStore } from './failing-store.ts';
import {
  contentOf,
  never,
  sampleArchive,
  sampleRevision,
  sampleRevisions,
  sampleWriter,
  shown,
} from './sample-log.ts';

const write = async (log: LogWriter, from: bigint, to: bigint): Promise<void> =>
  await log.write({
    atMs: Number(from),
    leases: [{ id: to, ttlSeconds: 9n }],
    revisions: sampleRevisions(from, to),
  });
const proof: Proof = {
  revision: '9',
  hash: 7,
  compactRevision: '1',
  etcdVersion: '3.5.30',
  memberId: 'f',
  atMs: 3,
};

/** Each byte of a log is altered or cut off, so some thousand logs are read. */
const TEST_MS_MAX = 90_000;
vi.setConfig({ testTimeout: TEST_MS_MAX });

describe.for([
  ['with objects that grow', true],
  ['with whole objects only', false],
] as const)('a log in a store %s', ([, grows]) => {
  test('gives back what was written, over segments, writers and gaps', async () => {
    const store = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(store);
    const first = await sampleWriter(place, 1);
    expect(first.position.lastRevision).toBe(0n);
    for (let revision = 1n; revision <= 200n; revision += 10n) await write(first, revision, revision + 9n);
    await first.prove(proof);
    await first.close();
    const second = await sampleWriter(place, 2);
    expect(second.position.lastRevision).toBe(200n);
    expect(second.foundEnd.rest).toBeNull();
    await write(second, 201n, 210n);
    await second.skip({ reason: 'compacted', from: '211', to: '250' });
    // At once: also where whoever wrote it ends before anything follows.
    expect((await contentOf(place)).gaps).toEqual([{ reason: 'compacted', from: '211', to: '250' }]);
    await write(second, 251n, 260n);
    expect(second.position.lastRevision).toBe(260n);

    const { revisions, kinds, gaps } = await contentOf(place);
    expect(shown(revisions)).toEqual(shown([...sampleRevisions(1n, 210n), ...sampleRevisions(251n, 260n)]));
    expect(kinds.filter((kind) => kind === 'proof')).toHaveLength(1);
    expect(gaps).toEqual([{ reason: 'compacted', from: '211', to: '250' }]);
    for (const from of [1n, 15n, 100n, 200n, 201n, 230n, 251n, 260n, 999n]) {
      const some = await contentOf(place, from);
      const wanted = revisions.filter(({ revision }) => revision >= from);
      expect(shown(some.revisions.filter(({ revision }) => revision >= from))).toEqual(shown(wanted));
      expect(some.revisions.length - wanted.length).toBeLessThan(60);
    }
  });

  test('whoever reads it lets go of all that he has opened, wherever he stops', async () => {
    const store = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(store);
    for (let generation = 1; generation <= 4; generation += 1) {
      const log = await sampleWriter(place, generation, { segmentBytesMax: 1_000 });
      const from = log.position.lastRevision + 1n;
      if (generation !== 2) await write(log, from, from + 9n);
      if (generation !== 3) await log.close();
    }
    let open = 0;
    const counting: ArchiveStore = {
      ...store,
      read: async function* (key, options) {
        open += 1;
        try {
          yield* store.read(key, options);
        } finally {
          open -= 1;
        }
      },
    };
    const archive = { ...place.archive, store: counting };
    const { kinds } = await contentOf({ ...place, archive });
    expect(open).toBe(0);
    for (let stop = 1; stop <= kinds.length; stop += 1) {
      let items = 0;
      for await (const _ of readLog(archive, place.epoch, { signal: never })) {
        items += 1;
        if (items === stop) break;
      }
      expect(open).toBe(0);
    }
    await findLogEnd(archive, place.epoch, never);
    expect(open).toBe(0);
  });

  test('where what is old is removed while it is read, it says so or has all', async () => {
    const written = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(written);
    const log = await sampleWriter(place, 1, { segmentBytesMax: 900 });
    for (let from = 1n; from <= 91n; from += 10n) await write(log, from, from + 9n);
    await log.close();
    const all = await contentOf(place);
    const firstLeft = 5;
    const ways = { whole: 0, later: 0, missing: 0 };
    for (const from of [undefined, 15n]) {
      for (let at = 1, isOver = false; !isOver; at += 1) {
        const store = createMemoryArchiveStore({ grows });
        for (const [key, bytes] of written.objects) store.objects.set(key, bytes);
        let calls = 0;
        const removing = failingStore(store, () => {
          calls += 1;
          for (let n = 1; calls === at && n < firstLeft; n += 1) store.objects.delete(segmentKey(1, n));
          return false;
        });
        const archive = { ...place.archive, store: removing };
        try {
          const { revisions } = await contentOf({ ...place, archive }, from);
          const wanted = all.revisions.slice(-revisions.length);
          expect(shown(revisions)).toEqual(shown(wanted));
          const first = revisions[0]?.revision ?? 0n;
          if (first <= (from ?? 1n)) ways.whole += 1;
          else {
            // It began after they were gone.
            const header = await headerOf(archive, place.epoch, firstLeft, never);
            expect(String(first)).toBe(header?.firstRevision);
            ways.later += 1;
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'missing' });
          ways.missing += 1;
        }
        isOver = calls < at;
      }
    }
    expect(Math.min(...Object.values(ways)), JSON.stringify(ways)).toBeGreaterThan(0);
  });

  test('an older generation is refused, at once and in the middle', async () => {
    const place = await sampleArchive(createMemoryArchiveStore({ grows }));
    const old = await sampleWriter(place, 1);
    await write(old, 1n, 10n);
    const young = await sampleWriter(place, 2);
    await expect(write(old, 11n, 20n)).rejects.toMatchObject({ code: 'fenced' });
    await expect(old.prove(proof)).rejects.toMatchObject({ code: 'fenced' });
    await expect(old.skip({ reason: 'lost', from: '11', to: '12' })).rejects.toMatchObject({
      code: 'fenced',
    });
    await expect(sampleWriter(place, 1)).rejects.toMatchObject({ code: 'fenced' });
    await expect(sampleWriter(place, 2, { writer: 'another' })).rejects.toMatchObject({ code: 'fenced' });
    await write(young, 11n, 12n);
    expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, 12n)));
    const again = await sampleWriter(place, 2);
    expect(again.position.lastRevision).toBe(12n);
  });

  test('what an old writer adds after another has said that he goes on lets no older one in', async () => {
    const place = await sampleArchive(createMemoryArchiveStore({ grows }));
    const old = await sampleWriter(place, 1, { segmentBytesMax: 1e9 });
    await write(old, 1n, 10n);
    const young = await sampleWriter(place, 3);
    await expect(write(old, 11n, 20n)).rejects.toMatchObject({ code: 'fenced' });
    await expect(sampleWriter(place, 2)).rejects.toMatchObject({ code: 'fenced' });
    await write(young, 11n, 12n);
  });

  test('whoever cannot take it over lets go of what he has begun', async () => {
    const store = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(store);
    await write(await sampleWriter(place, 1), 1n, 10n);
    let open = 0;
    let isAway = false;
    const { growing } = store;
    const failing: ArchiveStore = {
      ...store,
      put: async (...args) => {
        isAway = true;
        return await store.put(...args);
      },
      head: async (...args) => {
        if (isAway) throw new ArchiveStoreError('unavailable', 'as the test wants it');
        return await store.head(...args);
      },
      growing: growing && {
        create: async (...args) => {
          const object = await growing.create(...args);
          [isAway, open] = [true, open + 1];
          const close = async (): Promise<void> => {
            open -= 1;
            await object.close();
          };
          return { append: async (bytes) => await object.append(bytes), close };
        },
      },
    };
    const taken = sampleWriter({ ...place, archive: { ...place.archive, store: failing } }, 2);
    await expect(taken).rejects.toMatchObject({ code: 'unavailable' });
    expect(isAway).toBe(true);
    expect(open).toBe(0);
  });

  test('no altered byte is read: it is found, whichever it is', async () => {
    const store = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(store);
    const log = await sampleWriter(place, 1, { segmentBytesMax: 900 });
    for (let revision = 1n; revision <= 20n; revision += 10n) await write(log, revision, revision + 9n);
    await log.close();
    const whole = shown((await contentOf(place)).revisions);
    const keys = [...store.objects.keys()].filter((key) => key.includes('/log/'));
    const last = keys.at(-1);
    let unnoticed = 0;
    for (const key of keys) {
      const bytes = store.objects.get(key) ?? Buffer.alloc(0);
      for (let at = 0; at < bytes.byteLength; at += 1) {
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
        store.objects.set(key, altered);
        try {
          const { revisions, kinds } = await contentOf(place);
          // Only what comes last may be cut short, and that is said.
          expect(shown(revisions)).toEqual(whole.slice(0, revisions.length));
          if (key !== last || kinds.at(-1) !== 'rest') unnoticed += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(ArchiveError);
        }
      }
      store.objects.set(key, bytes);
    }
    expect(unnoticed).toBe(0);
  });

  test('a segment that is gone, or of another archive, is found', async () => {
    const store = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(store);
    const log = await sampleWriter(place, 1, { segmentBytesMax: 1500 });
    for (let revision = 1n; revision <= 90n; revision += 10n) await write(log, revision, revision + 9n);
    await log.close();
    const [, second = '', third = ''] = [...store.objects.keys()].filter((key) => key.includes('/log/'));
    const bytes = store.objects.get(third) ?? Buffer.alloc(0);
    store.objects.set(third, store.objects.get(second) ?? bytes);
    await expect(contentOf(place)).rejects.toMatchObject({ code: 'corrupt' });
    store.objects.set(third, bytes);
    expect((await contentOf(place)).revisions).toHaveLength(90);
  });

  test.for([
    ['nothing', 'missing', createMemoryArchiveStore],
    [
      'another archive',
      'other-archive',
      async () => {
        const store = createMemoryArchiveStore();
        await sampleArchive(store, 'b2');
        return store;
      },
    ],
  ] as const)('where %s is in its place by now, no segment is begun', async ([, code, other]) => {
    const store = createMemoryArchiveStore({ grows });
    const log = await sampleWriter(await sampleArchive(store), 1);
    await write(log, 1n, 2n);
    const { objects } = await other();
    store.objects.clear();
    for (const [key, bytes] of objects) store.objects.set(key, bytes);
    await expect(log.skip({ from: '3', to: '4', reason: 'lost' })).rejects.toMatchObject({ code });
    expect(store.objects).toEqual(objects);
  });

  test('whatever fails and whoever is paused, nothing that was said to be durable is lost or altered', async () => {
    const runs = 40;
    const firstSeed = 1;
    for (let seed = firstSeed; seed < firstSeed + runs; seed += 1) {
      try {
        await randomWriters(createChance(seed), grows);
      } catch (error) {
        throw new Error(`seed ${seed}, grows ${grows}`, { cause: error });
      }
    }
  });
});

/** Writers of rising generations over a store that fails, each of them going on after it was followed. */
async function randomWriters(chance: Chance, grows: boolean): Promise<void> {
  const random = chance.stream('log');
  const roll = (below: number): number => Math.floor(random.next() * below);
  const memory = createMemoryArchiveStore({ grows });
  await sampleArchive(memory);
  let failing = 0;
  const store = failingStore(memory, () => random.next() < failing);
  const place = await sampleArchive(store);
  const writers: LogWriter[] = [];
  let durable = 0n;
  let generation = 0;
  for (let step = 0; step < 60; step += 1) {
    failing = roll(3) === 0 ? 0.3 : 0;
    if (writers.length === 0 || roll(8) === 0) {
      generation += 1;
      const opened = await sampleWriter(place, generation, { segmentBytesMax: 600 + roll(3000) }).catch(
        tolerated,
      );
      if (opened !== null) {
        expect(opened.position.lastRevision).toBeGreaterThanOrEqual(durable);
        writers.push(opened);
      }
    } else {
      const at = roll(3) === 0 ? roll(writers.length) : writers.length - 1;
      const log = writers[at];
      if (log === undefined) continue;
      const from = log.position.lastRevision + 1n;
      const to = from + BigInt(roll(6));
      const done = await write(log, from, to).then(() => true, tolerated);
      if (done !== null && to > durable) durable = to;
    }
  }
  failing = 0;
  const { revisions } = await contentOf(place);
  expect(BigInt(revisions.length)).toBeGreaterThanOrEqual(durable);
  expect(shown(revisions)).toEqual(shown(sampleRevisions(1n, BigInt(revisions.length))));
  const end = await findLogEnd(place.archive, place.epoch, never);
  expect(end.position.lastRevision).toBe(BigInt(revisions.length));
}

function tolerated(error: unknown): null {
  if (error instanceof ArchiveStoreError) return null;
  if (error instanceof ArchiveError && error.code === 'fenced') return null;
  throw error;
}

test('a segment that grows is good up to wherever a crash cut it', async () => {
  const store = createMemoryArchiveStore();
  const place = await sampleArchive(store);
  const log = await sampleWriter(place, 1, { segmentBytesMax: 1e6 });
  const ends: { bytes: number; revision: bigint }[] = [];
  const key = segmentKey(1, 1);
  const sizeOf = (): number => store.objects.get(key)?.byteLength ?? 0;
  ends.push({ bytes: sizeOf(), revision: 0n });
  for (let revision = 1n; revision <= 6n; revision += 2n) {
    await write(log, revision, revision + 1n);
    ends.push({ bytes: sizeOf(), revision: revision + 1n });
  }
  const bytes = store.objects.get(key) ?? Buffer.alloc(0);
  for (let cut = ends[0]?.bytes ?? 0; cut <= bytes.byteLength; cut += 1) {
    for (const torn of [bytes.subarray(0, cut), Buffer.concat([bytes.subarray(0, cut), Buffer.alloc(64)])]) {
      store.objects.clear();
      const again = await sampleArchive(store);
      store.objects.set(key, torn);
      const durable = ends.findLast((end) => end.bytes <= cut)?.revision ?? 0n;
      const next = await sampleWriter(again, 2);
      expect(next.position.lastRevision).toBe(durable);
      await write(next, durable + 1n, durable + 2n);
      expect(shown((await contentOf(again)).revisions)).toEqual(shown(sampleRevisions(1n, durable + 2n)));
    }
  }
});

test('a segment of which nothing can be read is stepped over, and what it held is written anew', async () => {
  const store = createMemoryArchiveStore({ grows: false });
  const place = await sampleArchive(store);
  const log = await sampleWriter(place, 1);
  await write(log, 1n, 10n);
  await write(log, 11n, 20n);
  store.objects.set(segmentKey(1, 3), Buffer.alloc(100));
  expect((await contentOf(place)).kinds.at(-1)).toBe('rest');
  const next = await sampleWriter(place, 2);
  expect(next.position.lastRevision).toBe(10n);
  await write(next, 11n, 21n);
  expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, 21n)));
});

describe('an archive', () => {
  test('is one cluster’s, and never another’s in its place', async () => {
    const store = createMemoryArchiveStore();
    await expect(openArchive(store, { archiveId: null, owner: null }, never)).rejects.toMatchObject({
      code: 'missing',
    });
    await expect(openArchive(store, { archiveId: 'a1', owner: 'etcd' }, never)).rejects.toMatchObject({
      code: 'missing',
      hint: expect.stringContaining('a1'),
    });
    const { archive } = await sampleArchive(store);
    await sampleArchive(store);
    expect(archive.id).toBe('a1');
    const as = async (archiveId: string, owner: string) =>
      await createArchive(store, { archiveId, owner, atMs: 5 }, never);
    await expect(as('a2', 'etcd')).rejects.toMatchObject({ code: 'other-archive' });
    await expect(as('a1', 'other')).rejects.toMatchObject({ code: 'other-owner' });
    await expect(openArchive(store, { archiveId: null, owner: 'other' }, never)).rejects.toMatchObject({
      code: 'other-owner',
    });
    const birth = { epoch: 1, clusterId: 'def', parent: null, atMs: 2 };
    await expect(beginEpoch(archive, birth, never)).rejects.toMatchObject({ code: 'other-owner' });
  });

  test('lists its epochs, each with what it came from', async () => {
    const { archive, epoch } = await sampleArchive(createMemoryArchiveStore());
    const log = await sampleWriter({ archive, epoch }, 1);
    await write(log, 1n, 10n);
    const { position } = log;
    const logEnd = { ...position, lastRevision: String(position.lastRevision) };
    const parent = { epoch: 1, forkRevision: '10', logEnd };
    const second = await beginEpoch(archive, { epoch: 2, clusterId: 'def', parent, atMs: 9 }, never);
    expect((await listEpochs(archive, never)).map(({ document }) => document.epoch)).toEqual([1, 2]);
    expect(second.document.parent).toEqual(parent);
    const next = await sampleWriter({ archive, epoch: second }, 2);
    expect(next.position.lastRevision).toBe(10n);
  });

  test('of a newer release is refused, not guessed at', async () => {
    const store = createMemoryArchiveStore();
    await sampleArchive(store);
    const text = store.objects.get('archive.json')?.toString() ?? '';
    store.objects.set('archive.json', Buffer.from(text.replace('"version": 1', '"version": 2')));
    await expect(openArchive(store, { archiveId: null, owner: null }, never)).rejects.toMatchObject({
      code: 'unsupported',
    });
  });
});

test('an event is read in every field', () => {
  const [event = new Uint8Array()] = sampleRevision(44n).events;
  expect(readEvent(event)).toMatchObject({
    type: 'put',
    createRevision: 43n,
    modRevision: 44n,
    version: 2n,
    lease: 44n,
  });
  const [deletion = new Uint8Array()] = sampleRevision(45n).events;
  expect(readEvent(deletion)).toMatchObject({ type: 'delete', modRevision: 45n, version: 0n, lease: 0n });
});
