import { beforeEach, describe, expect, test } from 'vitest';
import { type Archive, beginEpoch, type Epoch, loadEpoch, openArchive } from '../../src/backup/archive.ts';
import { encodeDocument } from '../../src/backup/documents.ts';
import { type Full, takeFull } from '../../src/backup/full.ts';
import {
  ARCHIVE_KEY,
  epochKey,
  epochPrefix,
  fullDataKey,
  fullKey,
  segmentKey,
} from '../../src/backup/names.ts';
import { damagedAfter } from '../../src/backup/restore.ts';
import { planRestore } from '../../src/backup/restore-plan.ts';
import { planRemovals } from '../../src/backup/retention.ts';
import { findFull, surveyArchive, verifyArchive } from '../../src/backup/survey.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { clock } from '../wait.ts';
import { createFakeMember } from './fake-member.ts';
import { never, sampleArchive, sampleRevisions, sampleWriter } from './sample-log.ts';

let store: MemoryArchiveStore;
let archive: Archive;
let fulls: readonly Full[] = [];

/** Two fulls, and a log from the first of them on in four segments. */
beforeEach(async () => {
  store = createMemoryArchiveStore({ grows: false });
  const place: { archive: Archive; epoch: Epoch } = await sampleArchive(store);
  archive = place.archive;
  const member = createFakeMember();
  const take = async (wallMs: number): Promise<Full> => {
    member.write(10);
    const then = { ...clock, wallMs: () => wallMs };
    const client = member.connect('http://m0');
    return await takeFull({ ...place, generation: 1, client, clock: then, reason: 'a test' }, never);
  };
  const first = await take(1000);
  const log = await sampleWriter(place, 1, { segmentBytesMax: 1 });
  await log.skip({ reason: 'begin', from: '1', to: '11' });
  for (let at = 12n; at <= 15n; at += 1n) {
    await log.write({ atMs: Number(at), leases: [], revisions: sampleRevisions(at, at) });
  }
  await log.close();
  fulls = [first, await take(2000)];
});

const problems = async () => (await verifyArchive(archive, { signal: never })).problems;
const nameOf = (at: number): string => fulls[at]?.name ?? '';

function forgetAllBut(isKept: (key: string) => boolean): void {
  for (const key of [...store.objects.keys()]) if (!isKept(key)) store.objects.delete(key);
}

function flip(key: string): void {
  const bytes = Buffer.from(store.objects.get(key) ?? []);
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  store.objects.set(key, bytes);
}

describe('a full whose description is damaged', () => {
  const said = (name: string) => `${fullKey(1, name)} is not what was written: it does not end with its hash`;

  test('takes nothing else with it', async () => {
    flip(fullKey(1, nameOf(1)));
    const { epochs } = await surveyArchive(archive, never);
    expect(epochs).toMatchObject([
      {
        fulls: [{ name: nameOf(0) }],
        damaged: [{ name: nameOf(1), problem: said(nameOf(1)) }],
        restorable: [{ from: '11', to: '15' }],
      },
    ]);
    const plan = await planRestore(archive, { kind: 'head' }, { nowMs: 3000, signal: never });
    expect(plan).toMatchObject({ revision: 15n, fulls: [{ name: nameOf(0) }] });
    expect(damagedAfter(plan)).toEqual([{ full: nameOf(1), why: said(nameOf(1)) }]);
    await expect(findFull(archive, nameOf(1), never)).rejects.toThrow(said(nameOf(1)));
    expect(await findFull(archive, nameOf(0), never)).toMatchObject({ name: nameOf(0) });
    expect(await problems()).toEqual([{ object: fullKey(1, nameOf(1)), problem: said(nameOf(1)) }]);
  });

  test('is not passed by where a later one is used', async () => {
    flip(fullKey(1, nameOf(0)));
    const plan = await planRestore(archive, { kind: 'head' }, { nowMs: 3000, signal: never });
    expect(plan).toMatchObject({ revision: 21n, fulls: [{ name: nameOf(1) }] });
    expect(damagedAfter(plan)).toEqual([]);
  });

  test('is named where nothing else is there to restore from', async () => {
    for (const { name } of fulls) flip(fullKey(1, name));
    const plan = planRestore(archive, { kind: 'revision', revision: 12n }, { nowMs: 3000, signal: never });
    await expect(plan).rejects.toThrow(`no full backup can be used: ${said(nameOf(0))}; ${said(nameOf(1))}`);
  });

  test('keeps everything from being removed', async () => {
    flip(fullKey(1, nameOf(0)));
    const policy = { keepFulls: 1, keepMs: 0 };
    await expect(planRemovals(archive, policy, 1e12, never)).rejects.toMatchObject({
      message: said(nameOf(0)),
      hint: expect.stringContaining(`remove ${fullKey(1, nameOf(0))} and the data beside it`),
    });
  });
});

describe('an epoch whose document is damaged', () => {
  const said = (number: number) =>
    `${epochKey(number)} is not what was written: it does not end with its hash`;
  const begin = async (epoch: number) => {
    const parent = { epoch: 1, forkRevision: '15', logEnd: null };
    await beginEpoch(archive, { epoch, clusterId: 'abc', parent, atMs: 3 }, never);
  };
  const planned = async (epoch: number | null) =>
    await planRestore(archive, { kind: 'head' }, { epoch, nowMs: 3000, signal: never });

  test('is not passed over for an older one, unless that is named', async () => {
    await begin(2);
    flip(epochKey(2));
    for (const epoch of [null, 2]) {
      await expect(planned(epoch)).rejects.toMatchObject({
        code: 'unreachable',
        message: said(2),
        hint: 'Name another epoch with --epoch; there are: 1.',
      });
    }
    expect(await planned(1)).toMatchObject({ revision: 21n });
    expect(await problems()).toMatchObject([{ object: epochKey(2), problem: said(2) }]);
  });

  test('takes no later one with it, which has fulls of its own', async () => {
    await begin(2);
    const place = { archive, epoch: (await loadEpoch(archive, 2, never)) ?? expect.fail('it was begun') };
    const member = createFakeMember();
    member.write(30);
    const client = member.connect('http://m0');
    await takeFull({ ...place, generation: 2, client, clock, reason: 'a test' }, never);
    forgetAllBut((key) => !key.startsWith(epochPrefix(1)) || key === epochKey(1));
    flip(epochKey(1));
    expect(await planned(null)).toMatchObject({ revision: 31n });
    expect(await surveyArchive(archive, never)).toMatchObject({
      epochs: [{ document: { epoch: 2 } }],
      damaged: [{ object: epochKey(1), problem: said(1) }],
    });
  });
});

describe('a document that is lost or damaged is made again from what other objects say', () => {
  const head = async () =>
    await planRestore(archive, { kind: 'head' }, { nowMs: 3000, signal: never }).then(
      ({ revision, fulls: [full], line }) => ({ revision, full: full?.name, hash: line.epoch.hash }),
    );
  const revision = { kind: 'revision', revision: 13n } as const;
  const reopened = async () => await openArchive(store, { archiveId: 'a1', owner: 'etcd' }, never);
  const losses = [
    ['lost', (key: string) => void store.objects.delete(key), /^[a-z0-9/.]+ is not there; /],
    ['damaged', flip, / does not end with its hash; /],
  ] as const;
  const documents = [ARCHIVE_KEY, epochKey(1)];
  const cases = losses.flatMap(([what, lose, why]) =>
    documents.map((key) => [what, key, lose, why] as const),
  );

  test.each(cases)('%s: %s', async (_, key, lose, why) => {
    const [before, content] = [await head(), store.objects.get(key)];
    lose(key);
    archive = await reopened();
    expect(await head()).toEqual(before);
    // From the first full on, along the log.
    expect(await planRestore(archive, revision, { nowMs: 3000, signal: never })).toMatchObject({
      revision: 13n,
    });
    expect(await problems()).toEqual([{ object: key, problem: expect.stringMatching(why) }]);
    await expect(openArchive(store, { archiveId: 'a1', owner: 'other' }, never)).rejects.toMatchObject({
      code: 'other-owner',
    });
    // As the next leader does.
    const isLost = !store.objects.has(key);
    await beginEpoch(archive, { epoch: 1, clusterId: 'abc', parent: null, atMs: 99 }, never);
    if (isLost) expect(store.objects.get(key)).toEqual(content);
    else expect(store.objects.get(key)).not.toEqual(content);
    expect(await head()).toEqual(before);
  });

  test('both, where nothing but the log tells', async () => {
    const { hash } = await head();
    for (const { name } of fulls) store.objects.delete(fullKey(1, name));
    for (const key of documents) store.objects.delete(key);
    archive = await reopened();
    expect(await loadEpoch(archive, 1, never)).toMatchObject({ hash });
  });

  test('with the epoch that it came from', async () => {
    const parent = { logEnd: null, forkRevision: '15', epoch: 1 };
    const epoch = await beginEpoch(archive, { epoch: 2, clusterId: 'abd', parent, atMs: 3 }, never);
    await (await sampleWriter({ archive, epoch }, 2)).close();
    store.objects.delete(epochKey(2));
    expect(await loadEpoch(archive, 2, never)).toMatchObject({ document: epoch.document, hash: epoch.hash });
  });

  test('but not what an emptied place never had', async () => {
    forgetAllBut(() => false);
    await expect(reopened()).rejects.toMatchObject({ code: 'missing' });
  });
});

describe('verifying tells what is missing', () => {
  test('in the midst of a log', async () => {
    expect(await problems()).toEqual([]);
    store.objects.delete(segmentKey(1, 2));
    const after = 'what segment 3 and later ones have cannot be restored';
    expect(await problems()).toEqual([{ object: segmentKey(1, 2), problem: `is not there: ${after}` }]);
    store.objects.delete(segmentKey(1, 3));
    expect(await problems()).toMatchObject([
      { problem: expect.stringMatching('^and all up to segment 3 are') },
    ]);
  });

  test('but not what retention has removed from the beginning of a log', async () => {
    store.objects.delete(segmentKey(1, 1));
    expect(await problems()).toEqual([]);
  });

  test('of an epoch that an earlier release has written: the document without which nobody sees it', async () => {
    const [full] = fulls;
    const document = encodeDocument({ ...full?.document, lineage: undefined });
    forgetAllBut((key) => [ARCHIVE_KEY, fullDataKey(1, nameOf(0))].includes(key));
    store.objects.set(fullKey(1, nameOf(0)), document);
    expect(await problems()).toMatchObject([
      { object: epochKey(1), problem: expect.stringMatching('^is not there') },
    ]);
    await expect(
      planRestore(archive, { kind: 'head' }, { nowMs: 3000, signal: never }),
    ).rejects.toMatchObject({
      code: 'unreachable',
      hint: expect.stringContaining('epoch.json'),
    });
  });

  test('but not what a full that was never complete has left of an epoch that is gone', async () => {
    forgetAllBut((key) => [ARCHIVE_KEY, fullDataKey(1, nameOf(0))].includes(key));
    expect(await problems()).toEqual([{ object: store.place, problem: 'nothing was archived yet' }]);
  });

  test('where nothing was archived', async () => {
    forgetAllBut((key) => key === ARCHIVE_KEY);
    archive = await openArchive(store, { archiveId: null, owner: null }, never);
    expect(await problems()).toEqual([{ object: store.place, problem: 'nothing was archived yet' }]);
  });
});
