import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type EtcdBackend, openBackend } from '../../src/backup/backend/backend.ts';
import { BackendError } from '../../src/backup/backend/backend-error.ts';
import { compactBackend } from '../../src/backup/backend/compact.ts';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { revisionsOf } from '../../src/backup/backend/history.ts';
import { checkedDatabase } from '../../src/backup/backend/snapshot-file.ts';
import { type SpliceBatch, type SpliceResult, splice } from '../../src/backup/backend/splice.ts';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { writeReplayBase } from '../../src/backup/replay.ts';
import { createLocalFile, type LocalFile, openLocalFile } from '../../src/runtime/local-file.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import type { EtcdBinary } from '../real-etcd/binaries.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import { until } from '../wait.ts';
import {
  attached,
  expectGoesOn,
  expectSame,
  leasesOf,
  plain,
  restorableBinaries,
  withRestored,
} from './checks.ts';
import { restoreSnapshot, startLoneEtcd } from './lone-etcd.ts';
import { liveWithoutLoss } from './losses.ts';
import { replayInto } from './replay.ts';
import { recordWatch } from './watch-recorder.ts';
import { type Lived, live, observe, proofAt } from './workload.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** Histories of each version and kind. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 2);
const STEPS = 60;
const RAISE = 1_000_000_000n;

const binaries = restorableBinaries();

/** What a cluster went through, and what is left of it. */
interface Past {
  readonly full: EtcdBackend;
  readonly laterFull: EtcdBackend;
  readonly watched: readonly RevisionEvents[];
  readonly lived: Lived;
}

const cases = binaries.flatMap((binary) =>
  [false, true].flatMap((compacts) =>
    Array.from({ length: ROUNDS }, (_, round) => ({
      binary,
      compacts,
      seed: SEED + round,
      name: `etcd ${binary.version.text}, ${compacts ? 'with' : 'without'} compactions, seed ${SEED + round}`,
    })),
  ),
);

describe.for(cases)('$name', ({ binary, compacts, seed }) => {
  let directory: string;
  let past: Past;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
    console.log(`seed ${seed}; again: SEED=${seed} ROUNDS=1 npm run test:archive`);
    const random = createChance(seed).stream(`history ${compacts}`);
    past = await liveWithoutLoss(binary, async (attempt) => {
      const lived = await runPast(binary, join(directory, `past-${attempt}`), random, compacts);
      return { ...lived, loss: await lossOf(lived) };
    });
  });
  const files: LocalFile[] = [];
  afterEach(async () => {
    for (const file of files.splice(0)) await file.close();
  });
  afterAll(async () => await rm(directory, { recursive: true, force: true }));

  async function spliced(
    name: string,
    batches: AsyncIterable<SpliceBatch> | Iterable<SpliceBatch>,
    revision: bigint | null,
    raiseTo?: bigint,
  ): Promise<{ path: string; result: SpliceResult; backend: EtcdBackend }> {
    const path = join(directory, name);
    await rm(path, { force: true });
    const file = await createLocalFile(path);
    files.push(file);
    const raise = raiseTo === undefined ? {} : { raiseTo };
    const result = await splice(file, { full: past.full, batches, revision, ...raise });
    return { path, result, backend: await openBackend(await checkedDatabase(file)) };
  }

  test('spliced to any revision it is what etcd showed there, with the hashes that it told', async () => {
    const later = past.lived.observations.filter(({ revision }) => revision >= past.full.revision);
    let compared = 0;
    for (const seen of later) {
      const { result, backend } = await spliced('at.db', watched(past), seen.revision);
      expect(result).toMatchObject({ revision: seen.revision, unknownLeases: [] });
      await expectSame(backend, seen);
      for (const proof of past.lived.proofs) {
        const isIn = proof.revision >= past.full.revision && proof.revision <= seen.revision;
        if (!isIn || proof.compactRevision < past.full.compactRevision) continue;
        expect(await hashKv(backend, proof), `proof at ${proof.revision}`).toMatchObject({
          hash: proof.hash,
        });
        compared += 1;
      }
    }
    expect(later.length).toBeGreaterThan(2);
    expect(past.watched.some(({ events }) => events.length > 50)).toBe(true);
    expect(compared).toBeGreaterThan(0);
  });

  // A compaction takes with the records what shows that some of them are missing.
  if (!compacts) {
    test('a change that the watch left out is found: by the next hash, and a whole revision at once', async () => {
      const proof = past.lived.proofs.at(-1);
      const after = past.watched.filter(({ revision }) => revision > past.full.revision);
      const at = after.findIndex(({ events }) => events.length > 1);
      const [lossy = expect.fail('no revision had several changes')] = after.slice(at);
      const without = (index: number) => ({ ...lossy, events: lossy.events.toSpliced(index, 1) });
      for (const index of [0, lossy.events.length - 1]) {
        const { backend } = await spliced(
          'lossy.db',
          [{ revisions: after.with(at, without(index)), leases: [] }],
          null,
        );
        expect((await hashKv(backend, proof)).hash).not.toBe(proof?.hash);
      }
      const gap = spliced('gap.db', [{ revisions: after.toSpliced(at, 1), leases: [] }], null);
      await expect(gap).rejects.toMatchObject({ code: 'gap' });
    });

    test('what a later full has of the same revisions is the same, and splices alike', async () => {
      const from = past.full.revision + 1n;
      const told: RevisionEvents[] = [];
      for await (const revision of revisionsOf(past.laterFull, { from })) told.push(revision);
      expect(told.length).toBeGreaterThan(0);
      const leases = [...past.lived.granted].map(([id, ttlSeconds]) => ({ id, ttlSeconds }));
      const { backend } = await spliced('later.db', [{ revisions: told, leases }], null);
      expect((await hashKv(backend)).hash).toBe(
        (await hashKv(past.laterFull, { compactRevision: past.full.compactRevision })).hash,
      );
      expect(told).toEqual(past.watched.filter(({ revision }) => revision >= from));
    });
  }

  test('etcd restores it with the check of its hash, and goes on from it in every way', async () => {
    const seen = past.lived.observations.findLast(({ keys }) => keys.some(({ lease }) => lease !== '0'));
    if (seen === undefined || seen.revision < past.full.revision) throw new Error('no lease was ever seen');
    const { path, backend } = await spliced('restore.db', watched(past), seen.revision);
    await withRestored(binary, path, join(directory, 'restored'), async (etcd) => {
      expect(plain(await observe(etcd.theirs))).toEqual(plain(seen));
      const proof = await proofAt(etcd.ours, seen.revision);
      expect(await hashKv(backend, { revision: seen.revision })).toMatchObject({ hash: proof?.hash });
      expect(await leasesOf(etcd, seen)).toEqual(attached(seen, past.lived.granted));

      // What etcd makes of it by a compaction, ours makes of the file.
      const compactRevision =
        seen.revision - 3n > past.full.compactRevision ? seen.revision - 3n : seen.revision;
      const compacted = createMemoryFile();
      await compactBackend(compacted, backend, compactRevision);
      await etcd.ours.compact(String(compactRevision), true, AbortSignal.timeout(10_000));
      expect(await hashKv(await openBackend(await checkedDatabase(compacted)))).toEqual(
        await proofAt(etcd.ours, seen.revision),
      );

      await expectGoesOn(etcd, seen);
    });
  });

  test('replayed through an etcd, transaction by transaction, it has the same hash', async () => {
    const { result, backend } = await spliced('whole.db', watched(past), null);
    const { revision, compactRevision } = past.full;
    const base = await createLocalFile(join(directory, 'base.db'));
    files.push(base);
    await writeReplayBase(base, past.full.database);
    await withRestored(binary, join(directory, 'base.db'), join(directory, 'replayed'), async (etcd) => {
      await replayInto(etcd, watched(past), { after: revision, to: result.revision });
      const proof = await proofAt(etcd.ours, result.revision);
      expect(proof).toEqual(await hashKv(backend, { compactRevision }));
    });
  });

  test('raised, it goes on far ahead, and a watch from before is told that it was compacted', async () => {
    const seen = past.lived.observations.at(-1) ?? { revision: 0n, keys: [] };
    const raiseTo = seen.revision + RAISE;
    const { path, backend } = await spliced('raised.db', watched(past), seen.revision, raiseTo);
    expect(backend.revision).toBe(raiseTo);
    await withRestored(binary, path, join(directory, 'raised'), async (etcd) => {
      const now = await observe(etcd.theirs);
      expect(now.revision).toBe(raiseTo);
      expect(plain({ ...now, revision: seen.revision })).toEqual(plain(seen));
      const written = await etcd.theirs.kv.put({ key: Buffer.from('after'), value: Buffer.from('more') });
      expect(BigInt(written.header.revision)).toBe(raiseTo + 1n);
      const watch = recordWatch(etcd.url, seen.revision + 1n);
      await until('the watch is cancelled', 10_000, () => {
        try {
          watch.revisions();
          return false;
        } catch (error) {
          return /cancelled/.test(String(error));
        }
      });
      watch.close();
      const before = etcd.theirs.kv.range({ key: Buffer.from('after'), revision: String(seen.revision) });
      await expect(before).rejects.toThrow('compacted');
    });
  });
});

async function runPast(
  binary: EtcdBinary,
  dataDirectory: string,
  random: RandomStream,
  compacts: boolean,
): Promise<Past> {
  await mkdir(dataDirectory);
  const etcd = await startLoneEtcd(binary, dataDirectory);
  const watch = recordWatch(etcd.url, 2n);
  try {
    let full: Buffer | null = null;
    const atHalf = async () => {
      full = await etcd.snapshot();
    };
    const watchedTo = async (revision: bigint) => {
      await until(`the watch has told of revision ${revision}`, 20_000, () => {
        return watch.revisions().length > 0 && watch.lastRevision >= revision;
      });
    };
    const lived = await live(etcd, random, { steps: STEPS, compacts, atHalf, watched: watchedTo });
    // Leases of a second may still run out; what they do comes after all that was looked at.
    const last = lived.observations.at(-1)?.revision ?? 0n;
    await watchedTo(last);
    if (full === null) throw new Error('no full was taken');
    return {
      full: await open(full),
      laterFull: await open(await etcd.snapshot()),
      watched: watch.revisions().filter(({ revision }) => revision <= last),
      lived,
    };
  } finally {
    watch.close();
    await etcd.stop();
  }
}

/** What the watch has left out, as a missing revision or the newest hash shows; `null`: nothing. */
async function lossOf(past: Past): Promise<string | null> {
  const proof = past.lived.proofs.at(-1) ?? expect.fail('nobody told a hash');
  const file = createMemoryFile();
  try {
    await splice(file, { full: past.full, batches: watched(past), revision: proof.revision });
  } catch (error) {
    if (error instanceof BackendError && error.code === 'gap') return error.message;
    throw error;
  }
  const { hash } = await hashKv(await openBackend(await checkedDatabase(file)), proof);
  return hash === proof.hash ? null : `the hash at ${proof.revision} differs`;
}

const open = async (snapshot: Buffer): Promise<EtcdBackend> =>
  await openBackend(await checkedDatabase(createMemoryFile(snapshot)));

function* watched({ watched, lived }: Past): Generator<SpliceBatch> {
  const leases = [...lived.granted].map(([id, ttlSeconds]) => ({ id, ttlSeconds }));
  for (let from = 0; from < watched.length; from += 7) {
    yield { revisions: watched.slice(from, from + 7), leases };
  }
}

test('a snapshot of each version is restored by the programs of the others that may', async () => {
  expect(binaries.length).toBeGreaterThan(0);
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
  for (const binary of binaries) {
    await mkdir(join(directory, 'data'));
    const etcd = await startLoneEtcd(binary, join(directory, 'data'));
    await etcd.theirs.kv.put({ key: Buffer.from('a'), value: Buffer.from('1') });
    const full = await open(await etcd.snapshot());
    await etcd.stop();
    const path = join(directory, 'spliced.db');
    const file = await createLocalFile(path);
    await splice(file, { full, batches: [], revision: null });
    await file.close();
    for (const newer of binaries.filter(({ version }) => version.minor >= binary.version.minor)) {
      await restoreSnapshot(newer, path, join(directory, 'restored'));
      const database = await openLocalFile(join(directory, 'restored', 'member', 'snap', 'db'));
      expect((await openBackend(database)).revision).toBe(full.revision);
      await database.close();
      await rm(join(directory, 'restored'), { recursive: true });
    }
    await rm(join(directory, 'data'), { recursive: true });
    await rm(path);
  }
  await rm(directory, { recursive: true });
});
