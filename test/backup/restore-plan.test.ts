import { beforeEach, describe, expect, test } from 'vitest';
import { type Archive, beginEpoch, type Epoch } from '../../src/backup/archive.ts';
import { type Full, revisionOf, takeFull } from '../../src/backup/full.ts';
import { createInbox } from '../../src/backup/inbox.ts';
import { findLogEnd } from '../../src/backup/log-end.ts';
import { findLine, readLine } from '../../src/backup/restore-line.ts';
import {
  parseTarget,
  planRestore,
  type RestoreTarget,
  rangeText,
  restorableRanges,
} from '../../src/backup/restore-plan.ts';
import type { ArchiveStore } from '../../src/backup/store-port.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { clock } from '../wait.ts';
import { createFakeMember } from './fake-member.ts';
import { never, sampleArchive, sampleRevisions, sampleWriter } from './sample-log.ts';

interface Place {
  readonly archive: Archive;
  readonly epoch: Epoch;
}

const NOW_MS = 1_000_000;
const HEAD: RestoreTarget = { kind: 'head' };
const revision = (number: number): RestoreTarget => ({ kind: 'revision', revision: BigInt(number) });
const time = (atMs: number): RestoreTarget => ({ kind: 'time', atMs });

async function full(place: Place, at: number, atMs: number): Promise<Full> {
  const member = createFakeMember();
  member.write(at - 1);
  const then = { ...clock, wallMs: () => atMs };
  const shared = { ...place, generation: 1, client: member.connect('http://m0'), clock: then };
  return await takeFull({ ...shared, reason: 'test' }, never);
}

/** A batch for each revision, the n-th after 1,000 + 10 n ms, in many segments. */
async function write(place: Place, from: number, to: number, generation = 1): Promise<void> {
  const log = await sampleWriter(place, generation, { segmentBytesMax: 5000 });
  if (log.position.lastRevision === 0n) await log.skip({ reason: 'begin', from: '1', to: `${from - 1}` });
  await add(log, from, to);
  await log.close();
}

async function add(log: Awaited<ReturnType<typeof sampleWriter>>, from: number, to: number): Promise<void> {
  for (let at = BigInt(from); at <= BigInt(to); at += 1n) {
    await log.write({ atMs: 1000 + 10 * Number(at), leases: [], revisions: sampleRevisions(at, at) });
  }
}

async function planned({ archive }: Place, target: RestoreTarget, epoch: number | null = null) {
  const plan = await planRestore(archive, target, { epoch, nowMs: NOW_MS, signal: never });
  return { revision: plan.revision, atMs: plan.atMs, fulls: plan.fulls.map(revisionOf) };
}

async function ranges({ archive }: Place, epoch: number | null = null): Promise<string[]> {
  const found = await restorableRanges(archive, await findLine(archive, epoch, never), never);
  return found.map((range) => `${range.from}@${range.fromMs}-${range.to}@${range.toMs} of ${range.fulls}`);
}

describe.for([
  ['with objects that grow', true],
  ['with whole objects only', false],
] as const)('an archive %s', ([, grows]) => {
  let store: ArchiveStore;
  let place: Place;
  beforeEach(async () => {
    store = createMemoryArchiveStore({ grows });
    place = await sampleArchive(store);
  });

  test('gives every revision from its oldest full on, beginning with the newest one before it', async () => {
    await full(place, 10, 50);
    await write(place, 11, 60);
    await full(place, 30, 60_000);
    expect(await planned(place, HEAD)).toEqual({ revision: 60n, atMs: 1600, fulls: [30n, 10n] });
    expect(await planned(place, revision(30))).toEqual({ revision: 30n, atMs: 1300, fulls: [30n, 10n] });
    expect(await planned(place, revision(29))).toEqual({ revision: 29n, atMs: 1290, fulls: [10n] });
    expect(await planned(place, revision(10))).toMatchObject({ revision: 10n, fulls: [10n] });
    expect(await ranges(place)).toEqual(['10@50-60@1600 of 2']);
  });

  test('gives the last revision that had come by a time, wherever its segments begin', async () => {
    await full(place, 10, 50);
    await write(place, 11, 40);
    await write(place, 41, 60, 2);
    for (let at = 11; at <= 60; at += 7) {
      for (const late of [0, 9]) {
        expect(await planned(place, time(1000 + 10 * at + late)), `${at} and ${late} ms`).toMatchObject({
          revision: BigInt(at),
        });
      }
    }
    expect(await planned(place, time(NOW_MS))).toMatchObject({ revision: 60n });
    expect(await planned(place, time(60))).toMatchObject({ revision: 10n });
    await expect(planned(place, time(49))).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('nothing was archived by then'),
    });
    await expect(planned(place, time(NOW_MS + 1))).rejects.toMatchObject({ code: 'bad-target' });
  });

  test('gives the last revision that had come by a time, also of what waited together for its store', async () => {
    await full(place, 10, 50);
    await write(place, 11, 20);
    const inbox = createInbox({ bytesMax: 1e6, batchBytesMax: 1e6 });
    for (let at = 21; at <= 60; at += 2) {
      const atMs = 1000 + 10_000 * at;
      inbox.putRevisions({ atMs, leases: [], revisions: sampleRevisions(BigInt(at), BigInt(at + 1)) });
    }
    const waited = inbox.peek();
    if (waited?.kind !== 'batch') throw new Error('it is one batch');
    const log = await sampleWriter(place, 2);
    // Of what waits some may be written already.
    await log.write({ ...waited.batch, revisions: waited.batch.revisions.slice(0, 3) });
    await log.write(waited.batch);
    await log.close();
    for (const at of [21, 23, 41, 59]) {
      const atMs = 1000 + 10_000 * at;
      expect(await planned(place, time(atMs))).toMatchObject({ revision: BigInt(at + 1), atMs });
      expect(await planned(place, time(atMs + 9_999))).toMatchObject({ revision: BigInt(at + 1), atMs });
    }
    expect(await ranges(place)).toEqual(['10@50-60@591000 of 1']);
  });

  test('goes on over no gap that was found after a later one', async () => {
    await full(place, 10, 50);
    const log = await sampleWriter(place, 1);
    await log.skip({ reason: 'begin', from: '1', to: '10' });
    await add(log, 11, 40);
    await log.skip({ reason: 'lost', from: '31', to: '35' });
    await add(log, 41, 50);
    await log.skip({ reason: 'lost', from: '15', to: '20' });
    await add(log, 51, 60);
    await log.close();
    await full(place, 36, 1360);
    expect(await ranges(place)).toEqual(['10@50-14@1140 of 1', '36@1360-60@1600 of 1']);
    await expect(planned(place, revision(25))).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('says what lies in a gap or outside, and what can be had', async () => {
    await full(place, 10, 50);
    const log = await sampleWriter(place, 1);
    await log.skip({ reason: 'begin', from: '1', to: '10' });
    await add(log, 11, 20);
    await log.skip({ reason: 'compacted', from: '21', to: '29' });
    await add(log, 30, 35);
    // Revision 35 lacks a part.
    await log.skip({ reason: 'lost', from: '35', to: '35' });
    await add(log, 36, 50);
    await log.close();
    await full(place, 40, 1405);
    await full(place, 25, 1250);
    expect(await ranges(place)).toEqual([
      '10@50-20@1200 of 1',
      '25@1250-25@1250 of 1',
      '40@1400-50@1500 of 1',
    ]);
    expect(await planned(place, revision(25))).toMatchObject({ fulls: [25n] });
    expect(await planned(place, HEAD)).toMatchObject({ revision: 50n, fulls: [40n] });
    for (const [at, why] of [
      [9, 'in a gap of the log, and in no full backup'],
      [21, 'in a gap of the log'],
      [32, 'no full backup is there from which the log goes on to it'],
      [35, 'in a gap of the log'],
      [39, 'no full backup is there from which the log goes on to it'],
      [51, 'the archive ends at revision 50'],
    ] as const) {
      await expect(planned(place, revision(at)), `${at}`).rejects.toMatchObject({
        code: 'unreachable',
        message: expect.stringMatching(new RegExp(`^revision ${at} of epoch 1 cannot be restored: .*${why}`)),
        hint: expect.stringContaining('40 (1970-01-01T00:00:01.400Z) to 50 (1970-01-01T00:00:01.500Z)'),
      });
    }
  });

  test('follows an epoch to what it came from, up to where it parted', async () => {
    await full(place, 10, 50);
    await write(place, 11, 60);
    const fork = async (epoch: number, parent: number, at: number, logEnd: 'now' | null = 'now') => {
      const of = parent === 1 ? place.epoch : second;
      const { position } = await findLogEnd(place.archive, of, never);
      const used = { ...position, lastRevision: String(position.lastRevision) };
      const past = { epoch: parent, forkRevision: String(at), logEnd: logEnd === null ? null : used };
      return await beginEpoch(place.archive, { epoch, clusterId: 'abc', parent: past, atMs: 9 }, never);
    };
    let second = place.epoch;
    second = await fork(2, 1, 50);
    // Nothing of its own yet.
    expect(await planned(place, HEAD)).toMatchObject({ revision: 50n, fulls: [10n] });
    // What an old writer adds later, and a full of it, are not its past.
    await write(place, 61, 70, 7);
    await full(place, 65, 1650);
    const log = await sampleWriter({ ...place, epoch: second }, 2);
    for (let at = 51n; at <= 80n; at += 1n) {
      await log.write({ atMs: 5000 + Number(at), leases: [], revisions: sampleRevisions(at, at) });
    }
    await log.close();
    expect(await planned(place, HEAD)).toMatchObject({ revision: 80n, atMs: 5080, fulls: [10n] });
    expect(await planned(place, time(4000))).toMatchObject({ revision: 50n });
    expect(await planned(place, HEAD, 1)).toMatchObject({ revision: 70n, fulls: [65n, 10n] });
    expect(await planned(place, revision(55), 1)).toMatchObject({ atMs: 1550 });
    expect(await planned(place, revision(55), 2)).toMatchObject({ atMs: 5055 });
    const line = await findLine(place.archive, 2, never);
    const read: bigint[] = [];
    const times = new Set<number>();
    for await (const item of readLine(place.archive, line, 11n, never)) {
      if (item.kind !== 'batch') continue;
      read.push(...item.batch.revisions.map((each) => each.revision));
      if (item.position.lastRevision > 50n) times.add(item.batch.atMs);
    }
    expect(read).toEqual(Array.from({ length: 70 }, (_, index) => BigInt(index + 11)));
    expect(Math.min(...times)).toBe(5051);
    // One that parted from there before the second did, and a third whose parent's log was not used at all.
    const third = await fork(3, 2, 40);
    expect(await planned(place, HEAD, 3)).toMatchObject({ revision: 40n, fulls: [10n] });
    await full({ ...place, epoch: third }, 90, 9000);
    expect(await planned(place, HEAD, 3)).toMatchObject({ revision: 90n, fulls: [90n] });
    await fork(4, 2, 40, null);
    expect(await planned(place, HEAD, 4)).toMatchObject({ revision: 40n });
    await expect(planned(place, HEAD, 9)).rejects.toMatchObject({
      code: 'bad-target',
      hint: 'It has: 1, 2, 3, 4.',
    });
  });
});

test('an archive with nothing in it says so', async () => {
  const place = await sampleArchive(createMemoryArchiveStore({ grows: true }));
  await expect(planned(place, HEAD)).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining('there is no full backup'),
  });
  expect(await ranges(place)).toEqual([]);
});

test('a target is read as it was meant, or not at all', () => {
  expect(parseTarget('head')).toEqual({ kind: 'head' });
  expect(parseTarget('007')).toEqual({ kind: 'revision', revision: 7n });
  const atMs = Date.UTC(2026, 1, 28, 10, 0, 0);
  for (const text of ['2026-02-28T10:00:00Z', '2026-02-28 10:00Z', '2026-02-28T11:00:00.000+01:00']) {
    expect(parseTarget(text), text).toEqual({ kind: 'time', atMs });
  }
  expect(() => parseTarget('2026-02-28T10:00')).toThrow('does not say in which time zone');
  for (const text of ['', 'HEAD', '0', '-1', '1.5', '99999999999999999999', '9223372036854775808', 'now']) {
    expect(() => parseTarget(text), text).toThrow('is nothing to restore to');
  }
  for (const text of ['2026-02-30T10:00Z', '2026-02-28T25:00Z', '2026-02-28', '2026-02-28T10:00CET']) {
    expect(() => parseTarget(text), text).toThrow('is nothing to restore to');
  }
});

test('a range is told with its times', () => {
  expect(rangeText({ from: 1n, to: 1n, fromMs: null, toMs: null, fulls: 1 })).toBe('1');
  expect(rangeText({ from: 1n, to: 2n, fromMs: 0, toMs: null, fulls: 1 })).toBe(
    '1 (1970-01-01T00:00:00.000Z) to 2',
  );
});
