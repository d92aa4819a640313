import { describe, expect, test } from 'vitest';
import { type Archive, beginEpoch, createArchive, type Epoch } from '../../src/backup/archive.ts';
import { encodeDocument, type FullDocument } from '../../src/backup/documents.ts';
import { listFulls, revisionOf } from '../../src/backup/full.ts';
import { findBounds } from '../../src/backup/log-search.ts';
import { fullDataKey, fullKey, fullName } from '../../src/backup/names.ts';
import { findLine, readLine } from '../../src/backup/restore-line.ts';
import { planRestore } from '../../src/backup/restore-plan.ts';
import {
  planRemovals,
  type RetentionPolicy,
  removalsOf,
  removePlanned,
  retain,
  whatToKeep,
} from '../../src/backup/retention.ts';
import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';
import { surveyArchive } from '../../src/backup/survey.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { clock } from '../wait.ts';
import { never, sampleRevisions, sampleWriter } from './sample-log.ts';

const DAY_MS = 86_400_000;
const put = { ifAbsent: true, signal: never };

/** Puts a full of so many bytes, as a member with this revision would have given it on that day. */
async function putFull(
  archive: Archive,
  epoch: Epoch,
  revision: bigint,
  day: number,
  etcdVersion = '3.5.30',
): Promise<string> {
  const atMs = Math.round(day * DAY_MS);
  const name = fullName(atMs, 1);
  const number = epoch.document.epoch;
  const document: FullDocument = {
    format: 'etcd-mesos full',
    version: 1,
    archiveId: archive.id,
    epoch: number,
    clusterId: epoch.document.clusterId,
    generation: 1,
    memberId: 'abc',
    etcdVersion,
    sizeBytes: 40,
    sha256: '0'.repeat(64),
    revision: String(revision),
    revisionAtLeast: String(revision),
    authRevision: '1',
    startedAtMs: atMs,
    finishedAtMs: atMs + 1000,
    reason: 'a test',
    madeFrom: null,
    lineage: null,
  };
  await archive.store.put(fullDataKey(number, name), Buffer.alloc(40), put);
  await archive.store.put(fullKey(number, name), encodeDocument(document), put);
  return name;
}

/** Sixty days of one cluster: ten revisions and a full a day, a segment for each revision. */
async function sixtyDays({ upgradeOnDay = 60 } = {}) {
  const store = createMemoryArchiveStore({ grows: false });
  const archive = await createArchive(store, { archiveId: 'a1', owner: 'etcd', atMs: 0 }, never);
  const epoch = await beginEpoch(archive, { epoch: 1, clusterId: 'abc', parent: null, atMs: 0 }, never);
  const log = await sampleWriter({ archive, epoch }, 1);
  const fulls: string[] = [];
  for (let day = 0; day < 60; day += 1) {
    const version = day < upgradeOnDay ? '3.5.30' : '3.6.16';
    fulls.push(await putFull(archive, epoch, BigInt(day * 10), day, version));
    for (let revision = BigInt(day * 10 + 1); revision <= BigInt(day * 10 + 10); revision += 1n) {
      await log.write({ atMs: day * DAY_MS, leases: [], revisions: sampleRevisions(revision, revision) });
    }
  }
  return { store, archive, epoch, fulls };
}

describe('what is kept of sixty days', () => {
  const pruned = async (policy: RetentionPolicy) => {
    const place = await sixtyDays();
    const plan = await planRemovals(place.archive, policy, 60 * DAY_MS, never);
    await removePlanned(place.archive, plan, { signal: never });
    const left = await listFulls(place.archive, place.epoch, never);
    const { runs } = await findLine(place.archive, null, never);
    return { ...place, plan, left: left.map(({ name }) => place.fulls.indexOf(name)), runs };
  };

  test('the newest fulls, and the log from the oldest of them', async () => {
    const { plan, left, runs, archive, epoch } = await pruned({ keepFulls: 5, keepMs: 0 });
    expect(left).toEqual([55, 56, 57, 58, 59]);
    expect(plan).toMatchObject({ fullsKept: 5, held: null, epochs: [], leftovers: [] });
    expect(plan.fulls).toHaveLength(55);
    expect(plan.logs).toEqual([{ epoch: 1, first: 1, last: 550 }]);
    expect(runs).toEqual([{ after: 549n, last: 600n }]);
    expect((await findBounds(archive, epoch, never))?.first).toBe(551);
    const { epochs } = await surveyArchive(archive, never);
    expect(epochs[0]?.log).toMatchObject({ base: '549', lastRevision: '600' });
  });

  test('every moment of the last days: also the full before them', async () => {
    const { left, runs } = await pruned({ keepFulls: 1, keepMs: 10.5 * DAY_MS });
    expect(left[0]).toBe(49);
    expect(left).toHaveLength(11);
    expect(runs).toEqual([{ after: 489n, last: 600n }]);
  });

  test('always one, and the end of the log', async () => {
    const { left, runs, plan } = await pruned({ keepFulls: 1, keepMs: 0 });
    expect(left).toEqual([59]);
    // Whoever takes the log over looks at its newest segments: these stay.
    expect(plan.logs).toEqual([{ epoch: 1, first: 1, last: 584 }]);
    expect(runs).toEqual([{ after: 583n, last: 600n }]);
  });

  test('all, where the policy asks for more than there is', async () => {
    const { plan } = await pruned({ keepFulls: 60, keepMs: 0 });
    expect([...removalsOf(plan)]).toEqual([]);
    const young = await pruned({ keepFulls: 1, keepMs: 60 * DAY_MS });
    expect([...removalsOf(young.plan)]).toEqual([]);
  });

  test('nothing goes for a second time', async () => {
    const { archive } = await pruned({ keepFulls: 5, keepMs: 0 });
    const options = { clock: { ...clock, wallMs: () => 60 * DAY_MS }, signal: never };
    expect(await retain(archive, { keepFulls: 5, keepMs: 0 }, options)).toBe(0);
  });
});

describe('the way back from an upgrade of etcd', () => {
  const policy = { keepFulls: 3, keepMs: 0 };
  const nowMs = 60 * DAY_MS;
  const indexes = ({ left, fulls }: { left: readonly { name: string }[]; fulls: readonly string[] }) =>
    left.map(({ name }) => fulls.indexOf(name));

  test('is the newest full of before: it stays by itself, however old', async () => {
    const { archive, epoch, fulls } = await sixtyDays({ upgradeOnDay: 30 });
    const plan = await planRemovals(archive, policy, nowMs, never);
    expect(plan).toMatchObject({ wayBack: fulls[29], fullsKept: 4 });
    await removePlanned(archive, plan, { signal: never });
    expect(indexes({ left: await listFulls(archive, epoch, never), fulls })).toEqual([29, 57, 58, 59]);
    // The log does not stay for it.
    const { runs } = await findLine(archive, null, never);
    expect(runs).toEqual([{ after: 569n, last: 600n }]);
    const back = await planRestore(
      archive,
      { kind: 'time', atMs: 29 * DAY_MS + 1000 },
      { nowMs, signal: never },
    );
    expect(back).toMatchObject({ revision: 290n, fulls: [{ name: fulls[29] }] });
    expect([...removalsOf(await planRemovals(archive, policy, nowMs, never))]).toEqual([]);
  });

  test('is no answer for a time after it whose log is gone', async () => {
    const { archive } = await sixtyDays({ upgradeOnDay: 30 });
    await removePlanned(archive, await planRemovals(archive, policy, nowMs, never), { signal: never });
    const ask = async (day: number) =>
      await planRestore(archive, { kind: 'time', atMs: day * DAY_MS }, { nowMs, signal: never });
    await expect(ask(40)).rejects.toMatchObject({ code: 'unreachable' });
    expect(await ask(58.5)).toMatchObject({ revision: 590n });
  });

  test('gives way to that of the next upgrade, and counts as any other while the policy keeps it', async () => {
    const young = await planRemovals((await sixtyDays({ upgradeOnDay: 58 })).archive, policy, nowMs, never);
    expect(young).toMatchObject({ wayBack: null, fullsKept: 3 });
    const { archive, epoch, fulls } = await sixtyDays({ upgradeOnDay: 30 });
    fulls.push(await putFull(archive, epoch, 600n, 60, '3.7.0'));
    const plan = await planRemovals(archive, { ...policy, keepFulls: 1 }, nowMs + DAY_MS, never);
    expect(plan).toMatchObject({ wayBack: fulls[59], fullsKept: 2 });
  });
});

describe('a full that cannot be restored from', () => {
  const policy = { keepFulls: 2, keepMs: 0 };

  test('does not count: its data is gone, or cut', async () => {
    const { store, archive, fulls } = await sixtyDays();
    store.objects.delete(fullDataKey(1, fulls[59] ?? ''));
    store.objects.set(fullDataKey(1, fulls[58] ?? ''), Buffer.alloc(39));
    const { fulls: gone } = await planRemovals(archive, policy, 60 * DAY_MS, never);
    const names = gone.map(({ name }) => fulls.indexOf(name));
    expect(names).toEqual([...Array.from({ length: 56 }, (_, day) => day), 58, 59]);
  });

  test('holds everything, where there is none from which the log goes on to its end', async () => {
    const { archive, epoch } = await sixtyDays();
    const log = await sampleWriter({ archive, epoch }, 2);
    await log.skip({ reason: 'lost', from: '601', to: '650' });
    for (const to of [650n, 655n]) {
      if (to > 650n) await log.write({ atMs: 1, leases: [], revisions: sampleRevisions(651n, to) });
      const plan = await planRemovals(archive, policy, 60 * DAY_MS, never);
      expect([...removalsOf(plan)]).toEqual([]);
      expect(plan.held).toContain('goes on to its end');
    }
    await putFull(archive, epoch, 650n, 60);
    expect((await planRemovals(archive, policy, 60 * DAY_MS, never)).fulls).toHaveLength(59);
  });

  test('is removed a day after it was begun, when it was never complete', async () => {
    const { store, archive } = await sixtyDays();
    const leftover = (day: number): string => fullDataKey(1, fullName(day * DAY_MS, 2));
    for (const day of [10, 58.9, 59.5]) await store.put(leftover(day), Buffer.alloc(7), put);
    const plan = await planRemovals(archive, { keepFulls: 100, keepMs: 0 }, 60 * DAY_MS, never);
    expect([...removalsOf(plan)]).toEqual([leftover(10), leftover(58.9)]);
  });
});

/** Epochs that part from each other, fulls at random, gaps, and what an old writer added after his epoch had ended. */
async function randomArchive(random: RandomStream) {
  const store = createMemoryArchiveStore({ grows: random.chance(0.5) });
  const archive = await createArchive(store, { archiveId: 'a1', owner: 'etcd', atMs: 0 }, never);
  let day = 0;
  let minor = 4;
  const ends: { epoch: Epoch; first: bigint; last: bigint; logEnd: Position }[] = [];
  for (let number = 1; number <= random.integer(1, 4); number += 1) {
    const from = ends.length === 0 ? null : random.pick(ends);
    const fork = from === null ? 0n : BigInt(random.integer(Number(from.first), Number(from.last)));
    const parent =
      from === null
        ? null
        : { epoch: from.epoch.document.epoch, forkRevision: String(fork), logEnd: from.logEnd };
    const birth = { epoch: number, clusterId: `c${number}`, parent, atMs: Math.round(day * DAY_MS) };
    const epoch = await beginEpoch(archive, birth, never);
    const segmentBytesMax = random.integer(500, 3000);
    const log = await sampleWriter({ archive, epoch }, number, { segmentBytesMax });
    let last = fork;
    const takeFull = async (revision: bigint, atDay: number): Promise<string> =>
      await putFull(archive, epoch, revision, atDay, `3.${minor}.30`);
    for (let step = random.integer(5, 60); step > 0; step -= 1) {
      day += random.between(0, 1);
      if (minor < 6 && random.chance(0.02)) minor += 1;
      const count = BigInt(random.integer(1, 9));
      if (random.chance(0.04)) {
        await log.skip({ reason: 'lost', from: String(last + 1n), to: String(last + count) });
        last += count;
        await takeFull(last, day - 0.001);
      }
      const revisions = sampleRevisions(last + 1n, last + count);
      await log.write({ atMs: day * DAY_MS, leases: [], revisions });
      last += count;
      // A member may lag.
      const behind = last - BigInt(random.integer(0, 4));
      if (random.chance(0.15)) await takeFull(behind > fork ? behind : last, day);
    }
    await log.close();
    if (random.chance(0.9)) await takeFull(last, day + 0.01);
    const { sequence, hash, lastRevision } = log.position;
    ends.push({ epoch, first: fork + 1n, last, logEnd: { sequence, hash, lastRevision: `${lastRevision}` } });
  }
  return { store, archive, nowMs: Math.round((day + 1) * DAY_MS) };
}
interface Position {
  sequence: number;
  hash: string;
  lastRevision: string;
}

/** What can be restored of each epoch that is there, with the name of the full that it begins with. */
async function restorable(archive: Archive): Promise<ReadonlyMap<string, bigint>> {
  const found = new Map<string, bigint>();
  for (let number = 1; number <= 4; number += 1) {
    const line = await findLine(archive, number, never).catch(() => null);
    if (line === null) continue;
    for (const full of line.fulls) {
      const revision = revisionOf(full);
      const run = line.runs.find(({ after, last }) => after <= revision && revision <= last);
      found.set(`${number} ${full.name}`, run?.last ?? revision);
    }
  }
  return found;
}

/** Reads what a restore of the newest epoch to its head reads, from its oldest full on. */
async function assertReadable(archive: Archive, from: bigint): Promise<void> {
  const line = await findLine(archive, null, never);
  let next = from + 1n;
  for await (const item of readLine(archive, line, from + 1n, never)) {
    if (item.kind === 'segment' && item.header.gap !== null) next = BigInt(item.header.gap.to) + 1n;
    if (item.kind !== 'batch') continue;
    for (const { revision } of item.batch.revisions) {
      if (revision < next) continue;
      expect(revision).toBe(next);
      next += 1n;
    }
  }
  expect(next).toBe(line.head + 1n);
}

function copyOf(store: MemoryArchiveStore): MemoryArchiveStore {
  const copy = createMemoryArchiveStore({ grows: store.growing !== null });
  for (const [key, bytes] of store.objects) copy.objects.set(key, bytes);
  return copy;
}

test.for(Array.from({ length: 20 }, (_, seed) => seed))(
  'after any removal of archive %i all that is kept can be restored as before',
  async (seed) => {
    const random = createChance(seed).stream('archive');
    const { store, archive, nowMs } = await randomArchive(random);
    const policy = { keepFulls: random.integer(1, 6), keepMs: Math.round(random.between(0, 30) * DAY_MS) };
    const before = await restorable(archive);
    const plan = await planRemovals(archive, policy, nowMs, never);
    const gone = new Set(plan.fulls.map(({ name }) => name));
    const keys = [...removalsOf(plan)];
    const stops = new Set([
      0,
      keys.length,
      ...Array.from({ length: 4 }, () => random.integer(0, keys.length)),
    ]);
    for (const stop of [...stops].toSorted((left, right) => left - right)) {
      const place = { ...archive, store: copyOf(store) };
      for (const key of keys.slice(0, stop)) await place.store.remove(key, never);
      const left = await restorable(place);
      for (const [name, last] of before) {
        const [epoch = '', full = ''] = name.split(' ');
        if (gone.has(full) || plan.epochs.includes(Number(epoch))) continue;
        const what = `${name} after ${stop} removals of ${keys.length}`;
        if (full !== plan.wayBack) expect(left.get(name), what).toBe(last);
        // Of itself alone.
        else expect(left.has(name), what).toBe(true);
      }
      const line = await findLine(place, null, never);
      for (const { name, document } of line.fulls) {
        expect(place.store.objects.has(fullDataKey(document.epoch, name)), `${name} has its data`).toBe(true);
      }
      const oldest = line.fulls.find(({ name }) => name !== plan.wayBack);
      if (oldest !== undefined) await assertReadable(place, revisionOf(oldest));
      // Whoever begins anew, after a crash, ends at the same.
      await retain(place, policy, { clock: { ...clock, wallMs: () => nowMs }, signal: never });
      const whole = copyOf(store);
      for (const key of keys) await whole.remove(key, never);
      expect([...place.store.objects.keys()].toSorted()).toEqual([...whole.objects.keys()].toSorted());
    }
  },
);

test('a store that hangs is not waited for without an end, whatever it was asked for', async () => {
  const { store, archive } = await sixtyDays();
  const policy = { keepFulls: 58, keepMs: 0 };
  const keysBefore = store.objects.size;
  let isOver = false;
  for (let at = 1; !isOver; at += 97) {
    let calls = 0;
    const hanging = hangingStore(store, () => {
      calls += 1;
      return calls >= at;
    });
    const virtual = createVirtualClock({ startMs: 60 * DAY_MS, settleTurns: 5 });
    const outcome = retain({ ...archive, store: hanging }, policy, { clock: virtual, signal: never }).then(
      () => 'done',
      (error: unknown) => error,
    );
    const result = await virtual.during(outcome, 3 * 60_000);
    isOver = result === 'done';
    if (!isOver) expect(result).toMatchObject({ code: 'unavailable' });
  }
  // What one of them began the next has ended.
  expect(store.objects.size).toBeLessThan(keysBefore);
});

/** A store that does nothing and never answers where it `hangs`; where it looks for one object it can be given up. */
function hangingStore(store: MemoryArchiveStore, hangs: () => boolean): ArchiveStore {
  const maybe = async (heeded?: AbortSignal): Promise<void> =>
    await new Promise((resolve, reject) => {
      const giveUp = (): void => reject(new ArchiveStoreError('aborted', 'given up'));
      if (hangs()) heeded?.addEventListener('abort', giveUp);
      else resolve();
    });
  return {
    ...store,
    head: async (key, signal) => {
      await maybe(signal);
      return await store.head(key, signal);
    },
    remove: async (key, signal) => {
      await maybe();
      await store.remove(key, signal);
    },
    async *read(key, options) {
      await maybe();
      for await (const part of store.read(key, options)) {
        yield part;
        await maybe();
      }
    },
    async *list(prefix, options) {
      for await (const object of store.list(prefix, options)) {
        yield object;
        await maybe();
      }
    },
  };
}

test('no policy keeps nothing', () => {
  expect(() => whatToKeep([], { keepFulls: 0, keepMs: 0 }, 0)).toThrow('something is kept');
});
