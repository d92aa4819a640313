import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBackend } from '../../src/backup/backend/backend.ts';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { checkedDatabase } from '../../src/backup/backend/snapshot-file.ts';
import { splice } from '../../src/backup/backend/splice.ts';
import type { Batch } from '../../src/backup/batch.ts';
import { listFulls, revisionOf } from '../../src/backup/full.ts';
import { readLog } from '../../src/backup/log-reader.ts';
import { fullDataKey, fullKey } from '../../src/backup/names.ts';
import { writeReplayBase } from '../../src/backup/replay.ts';
import { RestoreError } from '../../src/backup/restore-error.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import { createLocalFile } from '../../src/runtime/local-file.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import { contentOf, never, shown } from '../backup/sample-log.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import type { ArchivedPlace } from './archiving.ts';
import {
  attached,
  expectGoesOn,
  expectSame,
  leasesOf,
  plain,
  restorableBinaries,
  restoreTo,
  withRestored,
} from './checks.ts';
import { type ArchivedLife, copyOfMemory, liveArchived } from './life.ts';
import { modelAt } from './model.ts';
import { replayInto } from './replay.ts';
import { scaled } from './scale.ts';
import { observe, proofAt } from './workload.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** Histories of each version and kind. */
const ROUNDS = Number(process.env['ROUNDS'] ?? scaled(1));
const STEPS = 60;
/** Ways in which one archive is cut. */
const CUTS = 12;
/** Revisions that are restored of each archive, besides those that somebody has looked at. */
const REVISIONS = 4;

const binaries = restorableBinaries();
const cases = binaries.flatMap((binary) =>
  [true, false].flatMap((isContinuous) =>
    [false, true].flatMap((compacts) =>
      Array.from({ length: ROUNDS }, (_, round) => ({
        binary,
        isContinuous,
        compacts,
        seed: SEED + round,
        name:
          `etcd ${binary.version.text}, ${isContinuous ? 'continuous' : 'segments'}, ` +
          `${compacts ? 'with' : 'without'} compactions, seed ${SEED + round}`,
      })),
    ),
  ),
);

describe.for(cases)('an archived history: $name', ({ binary, isContinuous, compacts, seed }) => {
  let directory: string;
  let life: ArchivedLife;
  let random: RandomStream;

  beforeAll(async () => {
    console.log(`seed ${seed}; again: SEED=${seed} ROUNDS=1 npx vitest run --project archive history`);
    random = createChance(seed).stream(`history ${isContinuous} ${compacts}`);
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
    life = await liveArchived({ binary, directory, random, steps: STEPS, compacts, isContinuous });
  });
  afterAll(async () => await rm(directory, { recursive: true, force: true }));

  const restored = async ({ archive }: ArchivedPlace, revision: bigint | null) =>
    await restoreTo(archive, revision, directory);

  /** The first revision that an archive can give: what was before is in no full. */
  const firstRestorable = async ({ archive, epoch }: ArchivedPlace): Promise<bigint> => {
    const fulls = await listFulls(archive, epoch, never);
    return revisionOf(fulls[0] ?? expect.fail('there is no full'));
  };

  test('the archive has every revision as a watch of its own told it', async () => {
    const { revisions, gaps } = await contentOf(life.place);
    expect(gaps.map(({ reason }) => reason)).toEqual(['begin']);
    const from = BigInt(gaps[0]?.to ?? 0) + 1n;
    const last = revisions.at(-1)?.revision ?? 0n;
    expect(shown(revisions)).toEqual(
      shown(life.watched.filter(({ revision }) => revision >= from && revision <= last)),
    );
    expect(last).toBeGreaterThanOrEqual(life.lived.observations.at(-1)?.revision ?? 0n);
    expect(revisions.some(({ events }) => events.length > 128)).toBe(true);
    const { problems } = await verifyArchive(life.place.archive, { signal: never });
    expect(problems).toEqual([]);
  });

  test('restored to any archived revision it is what etcd had there, to the last field and hash', async () => {
    const first = await firstRestorable(life.place);
    const { observations, proofs, granted } = life.lived;
    const seen = [...observations, ...life.looks].filter(({ revision }) => revision >= first);
    expect(seen.length).toBeGreaterThan(2);
    const head = observations.at(-1)?.revision ?? 0n;
    const others = Array.from({ length: REVISIONS }, () =>
      BigInt(random.integer(Number(first), Number(head))),
    );
    let compared = 0;
    for (const revision of new Set([...seen.map((one) => one.revision), ...others])) {
      const { backend, report, draft } = await restored(life.place, revision);
      expect(report).toMatchObject({ revision: String(revision), unknownLeases: [], passedOver: [] });
      expect(report.proofs.disagreeing).toEqual([]);
      compared += report.proofs.agreeing;
      await expectSame(backend, modelAt(life.watched, revision));
      for (const one of seen.filter((each) => each.revision === revision)) await expectSame(backend, one);
      for (const proof of [...proofs, ...life.proofs]) {
        if (proof.revision > revision || proof.compactRevision < backend.compactRevision) continue;
        if (proof.revision < backend.compactRevision) continue;
        expect((await hashKv(backend, proof)).hash, `hash at ${proof.revision}`).toBe(proof.hash);
        compared += 1;
      }
      for await (const { id, ttlSeconds } of backend.leases()) {
        const told = granted.get(id);
        if (ttlSeconds > 1n) expect(told, `lease ${id}`).toBe(ttlSeconds);
      }
      await draft.discard();
    }
    expect(compared).toBeGreaterThan(5);
  });

  test('cut anywhere, it is a beginning of itself, and what is left is restored exactly', async () => {
    const whole = await contentOf(life.place);
    for (let cut = 0; cut < CUTS; cut += 1) {
      const { place, what } = await cutAnywhere(life.place, random);
      const { revisions } = await contentOf(place);
      expect(shown(revisions), what).toEqual(shown(whole.revisions.slice(0, revisions.length)));
      const fulls = (await listFulls(place.archive, place.epoch, never)).map(revisionOf);
      try {
        const { backend, report, draft } = await restored(place, null);
        await expectSame(backend, modelAt(life.watched, BigInt(report.revision)));
        expect(report.proofs.disagreeing, what).toEqual([]);
        // Nothing that could be had is left out: the log goes on from every full that it reaches.
        const last = revisions.at(-1)?.revision ?? 0n;
        const reachable = fulls.some((revision) => revision <= last) ? last : 0n;
        const most = fulls.reduce((one, other) => (one > other ? one : other), reachable);
        expect(BigInt(report.revision), what).toBe(most);
        await draft.discard();
      } catch (error) {
        if (!(error instanceof RestoreError)) throw new Error(what, { cause: error });
        expect(error.code, what).toBe('unreachable');
        expect(fulls, `${what}: ${error.message}`).toEqual([]);
      }
    }
  });

  test('etcd restores it, has what was there, its leases too, and goes on in every way', async () => {
    const first = await firstRestorable(life.place);
    const seen = life.lived.observations.findLast(({ keys }) => keys.some(({ lease }) => lease !== '0'));
    if (seen === undefined || seen.revision < first) throw new Error('no lease was ever seen');
    const { backend, draft } = await restored(life.place, seen.revision);
    const file = join(directory, 'restored.db');
    const proofOf = await hashKv(backend);
    await draft.keepAs(file);
    await withRestored(binary, file, join(directory, 'restored'), async (etcd) => {
      expect(plain(await observe(etcd.theirs))).toEqual(plain(seen));
      expect(await proofAt(etcd.ours, seen.revision)).toEqual(proofOf);
      expect(await leasesOf(etcd, seen)).toEqual(attached(seen, life.lived.granted));
      await expectGoesOn(etcd, seen);
    });
  });

  test('replayed through an etcd it has the same hash', async () => {
    const { archive, epoch } = life.place;
    const first = await firstRestorable(life.place);
    const base = await restored(life.place, first);
    const path = join(directory, 'base.db');
    const file = await createLocalFile(path);
    await writeReplayBase(file, base.backend.database);
    await file.close();
    const batches: Batch[] = [];
    for await (const item of readLog(archive, epoch, { from: first + 1n, signal: never })) {
      if (item.kind === 'batch') batches.push(item.batch);
    }
    const spliced = createMemoryFile();
    const { revision } = await splice(spliced, { full: base.backend, batches, revision: null });
    await withRestored(binary, path, join(directory, 'replayed'), async (etcd) => {
      await replayInto(etcd, batches, { after: first, to: revision });
      const { compactRevision } = base.backend;
      const backend = await openBackend(await checkedDatabase(spliced));
      expect(await proofAt(etcd.ours, revision)).toEqual(await hashKv(backend, { compactRevision }));
    });
    await base.draft.discard();
  });
});

/**
 * What a crash leaves, or a store that lost its newest objects: the log ends within a segment (only where they grow) or
 * after one, and of the fulls some of the newer ones are gone, or lack their description.
 */
async function cutAnywhere(
  { archive, epoch }: ArchivedLife['place'],
  random: RandomStream,
): Promise<{ readonly place: ArchivedPlace; readonly what: string }> {
  const store = copyOfMemory(archive.store);
  const segments = [...store.objects.keys()].filter((key) => key.includes('/log/')).toSorted();
  const last = random.integer(0, segments.length - 1);
  for (const key of segments.slice(last + 1)) store.objects.delete(key);
  const key = segments[last] ?? expect.fail('there is no log');
  const bytes = store.objects.get(key) ?? Buffer.alloc(0);
  const left = store.growing === null ? bytes.byteLength : random.integer(0, bytes.byteLength);
  store.objects.set(key, bytes.subarray(0, left));
  const fulls = await listFulls(archive, epoch, never);
  const kept = random.integer(0, fulls.length);
  for (const { name } of fulls.slice(kept)) {
    store.objects.delete(fullKey(epoch.document.epoch, name));
    if (random.chance(0.5)) store.objects.delete(fullDataKey(epoch.document.epoch, name));
  }
  const what = `cut after ${left} of ${bytes.byteLength} bytes of ${key}, ${kept} of ${fulls.length} fulls`;
  return { place: { archive: { ...archive, store }, epoch }, what };
}
