import { expect, test } from 'vitest';
import { type Archive, beginEpoch, type Epoch } from '../../src/backup/archive.ts';
import { openBackend } from '../../src/backup/backend/backend.ts';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { checkedDatabase } from '../../src/backup/backend/snapshot-file.ts';
import { splice } from '../../src/backup/backend/splice.ts';
import type { Proof } from '../../src/backup/documents.ts';
import { dropFull, type Full, listFulls, takeFull } from '../../src/backup/full.ts';
import { findLogEnd } from '../../src/backup/log-end.ts';
import { fullDataKey, segmentKey } from '../../src/backup/names.ts';
import { type DraftFile, restoreArchive, verifyNewest } from '../../src/backup/restore.ts';
import { planRestore, type RestoreTarget } from '../../src/backup/restore-plan.ts';
import { readWhole } from '../../src/backup/store-port.ts';
import { surveyArchive, verifyArchive } from '../../src/backup/survey.ts';
import { synthesizeFull } from '../../src/backup/synthesis.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { clock } from '../wait.ts';
import { createFakeMember } from './fake-member.ts';
import { recordedHashes, recordedSnapshot } from './fixtures.ts';
import { createMemoryFile, type MemoryFile } from './memory-file.ts';
import { never, sampleArchive, sampleRevisions, sampleWriter } from './sample-log.ts';

interface Place {
  readonly archive: Archive;
  readonly epoch: Epoch;
}

const SNAPSHOT = recordedSnapshot('3.5.30');
const backendOf = async (snapshot: Buffer) =>
  await openBackend(await checkedDatabase(createMemoryFile(snapshot)));
const RECORDED = await backendOf(SNAPSHOT);
const BASE = RECORDED.revision;
const HEAD = BASE + 40n;

/** A snapshot of what the recorded etcd and the sample revisions after it come to. */
async function snapshotAt(revision: bigint): Promise<Buffer> {
  const file = createMemoryFile();
  const batches = [{ revisions: sampleRevisions(BASE + 1n, revision), leases: [] }];
  await splice(file, { full: RECORDED, batches, revision });
  return file.bytes;
}

async function proofAt(revision: bigint, more: Partial<Proof> = {}): Promise<Proof> {
  const { hash } = await hashKv(await backendOf(await snapshotAt(revision)));
  const { compactRevision } = RECORDED;
  return {
    revision: String(revision),
    hash,
    compactRevision: String(compactRevision),
    etcdVersion: '3.5.16',
    memberId: 'f',
    atMs: 1,
    ...more,
  };
}

async function full(place: Place, snapshot: Buffer): Promise<Full> {
  const member = createFakeMember();
  member.snapshot = async function* () {
    yield await Promise.resolve(snapshot);
  };
  const shared = { ...place, generation: 1, client: member.connect('http://m0'), clock, reason: 'test' };
  return await takeFull(shared, never);
}

/** An archive whose log goes on from the recorded etcd, with proofs behind some revisions. */
async function archived(proofs: readonly Proof[], to = HEAD): Promise<Place> {
  const place = await sampleArchive(createMemoryArchiveStore({ grows: true }));
  await full(place, SNAPSHOT);
  const log = await sampleWriter(place, 1, { segmentBytesMax: 6000 });
  await log.skip({ reason: 'begin', from: '1', to: String(BASE) });
  for (let at = BASE + 1n; at <= to; at += 1n) {
    await log.write({ atMs: Number(at), leases: [], revisions: sampleRevisions(at, at) });
    // A proof comes a little later than its revision.
    for (const proof of proofs.filter(({ revision }) => BigInt(revision) + 2n === at)) await log.prove(proof);
  }
  await log.close();
  return place;
}

/** Files in memory; says which are left. */
function memoryFiles() {
  const open = new Set<MemoryFile>();
  const newFile = async (): Promise<DraftFile> => {
    const file = createMemoryFile();
    open.add(file);
    return await Promise.resolve({
      get sizeBytes() {
        return file.sizeBytes;
      },
      readAt: file.readAt,
      writeAt: file.writeAt,
      discard: async () => {
        open.delete(file);
        await Promise.resolve();
      },
    });
  };
  return { newFile, left: () => [...open] };
}

async function restored(
  { archive }: Place,
  target: RestoreTarget = { kind: 'head' },
  options: { raiseBy?: bigint; acceptsMismatch?: boolean; proofsMax?: number } = {},
) {
  const files = memoryFiles();
  const plan = await planRestore(archive, target, { nowMs: 1e15, signal: never });
  try {
    const { report } = await restoreArchive({
      archive,
      plan,
      newFile: files.newFile,
      signal: never,
      ...options,
    });
    const [file, ...others] = files.left();
    expect(others).toEqual([]);
    return { report, bytes: file?.bytes ?? expect.fail('there is no result') };
  } catch (error) {
    expect(files.left(), 'what is left of a restore that failed').toEqual([]);
    throw error;
  }
}

async function alter({ archive }: Place, key: string, at: number): Promise<void> {
  const { store } = archive;
  const bytes = await readWhole(store, key, { bytesMax: 1e9, signal: never });
  const place = at < 0 ? bytes.length + at : at;
  bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place);
  await store.put(key, bytes, { ifAbsent: false, signal: never });
}

test('any revision is what a full and the log come to, proven by every hash that was told up to it', async () => {
  const proofs = [await proofAt(BASE + 10n), await proofAt(BASE + 20n), await proofAt(BASE + 30n)];
  const early = { ...(await proofAt(BASE + 15n)), compactRevision: '0' };
  const place = await archived([...proofs, early]);
  for (const [after, agreeing] of [
    [0n, 0],
    [9n, 0],
    [10n, 1],
    [29n, 2],
    [40n, 3],
  ] as const) {
    const { report, bytes } = await restored(place, { kind: 'revision', revision: BASE + after });
    expect(bytes.equals(await snapshotAt(BASE + after)), `${after}`).toBe(true);
    expect(report).toMatchObject({
      revision: `${BASE + after}`,
      headRevision: `${BASE + after}`,
      passedOver: [],
    });
    expect(report.proofs).toMatchObject({ agreeing, disagreeing: [] });
    expect(report.proofs.notComparable.length).toBe(after >= 15n ? 1 : 0);
  }
  const { report } = await restored(place);
  expect(report).toMatchObject({
    epoch: 1,
    clusterId: 'abc',
    full: { epoch: 1, revision: String(BASE) },
    atMs: Number(HEAD),
    proofs: { newestAgreeing: String(BASE + 30n) },
  });
});

test('of many hashes no more are compared than are asked for, evenly, and the newest always', async () => {
  const proofs = await Promise.all([5n, 10n, 15n, 20n, 25n, 30n].map((after) => proofAt(BASE + after)));
  const place = await archived(proofs);
  const { report } = await restored(place, { kind: 'head' }, { proofsMax: 2 });
  expect(report.proofs).toMatchObject({ agreeing: 2, leftOut: 4, newestAgreeing: String(BASE + 30n) });
});

test('hashes that an etcd told of what the full has are compared too', async () => {
  const told = Object.entries(recordedHashes('3.5.30')).flatMap(([revision, recorded]) =>
    recorded === null || revision === '0' || BigInt(revision) <= RECORDED.compactRevision
      ? []
      : [{ revision, ...recorded, etcdVersion: '3.5.30', memberId: 'f', atMs: 1 }],
  );
  expect(told.length).toBeGreaterThan(1);
  const place = await sampleArchive(createMemoryArchiveStore({ grows: true }));
  const log = await sampleWriter(place, 1, { segmentBytesMax: 6000 });
  await log.skip({ reason: 'begin', from: '1', to: '1' });
  for (let at = 2n; at <= BASE + 5n; at += 1n) {
    await log.write({ atMs: 1, leases: [], revisions: sampleRevisions(at, at) });
    for (const proof of told.filter(({ revision }) => BigInt(revision) + 2n === at)) await log.prove(proof);
  }
  await log.close();
  await full(place, SNAPSHOT);
  const { report } = await restored(place);
  expect(report.proofs).toMatchObject({ agreeing: told.length, disagreeing: [], notComparable: [] });
});

test('raised, it has the same, goes on far ahead, and is proven all the same', async () => {
  const place = await archived([await proofAt(BASE + 10n)]);
  const { report, bytes } = await restored(place, { kind: 'head' }, { raiseBy: 1_000_000n });
  expect(report).toMatchObject({
    revision: String(HEAD),
    headRevision: String(HEAD + 1_000_000n),
    proofs: { agreeing: 1 },
  });
  const backend = await backendOf(Buffer.from(bytes));
  expect([backend.revision, backend.compactRevision]).toEqual([HEAD + 1_000_000n, HEAD + 1_000_000n]);
});

test('a result that a hash disproves is refused with what is known of the version, or taken on demand', async () => {
  const place = await archived([
    await proofAt(BASE + 10n),
    await proofAt(BASE + 20n, { hash: 1, etcdVersion: '3.4.23' }),
  ]);
  await expect(restored(place)).rejects.toMatchObject({
    code: 'disproved',
    message: expect.stringMatching(/etcd 3\.4\.23, told the hash 1, .* may lose a delete event .*#18089/),
    hint: expect.stringContaining(`Up to revision ${BASE + 10n} it is proven`),
  });
  await restored(place, { kind: 'revision', revision: BASE + 19n });
  const { report, bytes } = await restored(place, { kind: 'head' }, { acceptsMismatch: true });
  expect(bytes.equals(await snapshotAt(HEAD))).toBe(true);
  expect(report.proofs).toMatchObject({ agreeing: 1, disagreeing: [{ proof: { hash: 1 } }] });
  expect(await verified(place)).toMatchObject({
    revision: String(HEAD),
    proofsCompared: 2,
    lost: { from: String(BASE + 11n), to: String(BASE + 20n) },
    problems: [expect.stringContaining('told the hash 1')],
  });
});

test('a full that is damaged, or disproved, gives way to the one before it', async () => {
  const place = await archived([await proofAt(HEAD - 4n)]);
  const newer = await full(place, await snapshotAt(BASE + 20n));
  expect((await restored(place)).report.full).toMatchObject({ name: newer.name });
  const key = fullDataKey(1, newer.name);
  for (const at of [5000, -5]) {
    await alter(place, key, at);
    const { report, bytes } = await restored(place);
    expect(report).toMatchObject({
      full: { revision: String(BASE) },
      passedOver: [{ full: newer.name, why: expect.stringContaining(key) }],
    });
    expect(bytes.equals(await snapshotAt(HEAD))).toBe(true);
    expect((await verified(place)).problems).toEqual([expect.stringContaining(`full ${newer.name}`)]);
    await alter(place, key, at);
  }
  // A member whose data were not those of the cluster.
  const wrong = createMemoryFile();
  const revisions = sampleRevisions(BASE + 1n, BASE + 30n).map(({ revision, events }) => ({
    revision,
    events: events.slice(0, 1),
  }));
  await splice(wrong, { full: RECORDED, batches: [{ revisions, leases: [] }], revision: null });
  const corrupt = await full(place, wrong.bytes);
  const { report } = await restored(place);
  expect(report).toMatchObject({
    full: { name: newer.name },
    passedOver: [{ full: corrupt.name, why: expect.stringContaining('what was restored has') }],
    proofs: { agreeing: 1, disagreeing: [] },
  });
});

test('a full is made of another and the log, and is as good as one of a member', async () => {
  const place = await archived([await proofAt(BASE + 20n)]);
  const [base] = await listFulls(place.archive, place.epoch, never);
  const files = memoryFiles();
  const shared = { archive: place.archive, newFile: files.newFile, epoch: null, clock, signal: never };
  const made = await synthesizeFull(shared);
  expect(files.left()).toEqual([]);
  expect(made.report?.proofs).toMatchObject({ agreeing: 1, disagreeing: [] });
  expect(made.full.document).toMatchObject({
    revision: String(HEAD),
    memberId: base?.document.memberId,
    authRevision: base?.document.authRevision,
    madeFrom: base?.name,
  });
  // There is nothing more to make it of.
  expect(await synthesizeFull(shared)).toEqual({ full: made.full, report: null });
  // Alone it brings all that both brought; and the log goes on from it.
  await dropFull(place.archive, base ?? expect.fail('there is no full'), never);
  const log = await sampleWriter(place, 2);
  for (let at = HEAD + 1n; at <= HEAD + 5n; at += 1n) {
    await log.write({ atMs: Number(at), leases: [], revisions: sampleRevisions(at, at) });
  }
  await log.close();
  for (const revision of [HEAD, HEAD + 3n]) {
    const { report, bytes } = await restored(place, { kind: 'revision', revision });
    expect(report.full.name).toBe(made.full.name);
    const [mine, whole] = [await backendOf(bytes), await backendOf(await snapshotAt(revision))];
    expect(await hashKv(mine)).toEqual(await hashKv(whole));
  }
  await expect(restored(place, { kind: 'revision', revision: HEAD - 1n })).rejects.toMatchObject({
    code: 'unreachable',
  });
});

test('no full is made that a hash disproves', async () => {
  const place = await archived([{ ...(await proofAt(BASE + 20n)), hash: 1 }]);
  const shared = { archive: place.archive, newFile: memoryFiles().newFile, epoch: null, clock };
  await expect(synthesizeFull({ ...shared, signal: never })).rejects.toMatchObject({ code: 'disproved' });
  expect(await listFulls(place.archive, place.epoch, never)).toHaveLength(1);
});

test('a log that is damaged ends what can be restored, and says where', async () => {
  const place = await archived([]);
  await alter(place, segmentKey(1, 3), -200);
  await expect(restored(place)).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringMatching(
      /^the log cannot be read beyond revision \d+: .*log\/000000000\/000000000003/,
    ),
  });
  const { problems, revision } = await verified(place);
  expect([revision, problems.length]).toEqual(['0', 1]);
  const last = BigInt(/beyond revision (\d+)/.exec(problems[0] ?? '')?.[1] ?? 0);
  const { bytes } = await restored(place, { kind: 'revision', revision: last });
  expect(bytes.equals(await snapshotAt(last))).toBe(true);
});

test('every full is restored to its log’s end and compared, where all of an archive is verified', async () => {
  const place = await archived([await proofAt(BASE + 10n), await proofAt(BASE + 20n, { hash: 1 })]);
  const newer = await full(place, await snapshotAt(BASE + 15n));
  const damaged = await full(place, await snapshotAt(BASE + 16n));
  await alter(place, fullDataKey(1, damaged.name), 5000);
  const files = memoryFiles();
  const { epochs, problems } = await verifyArchive(place.archive, { newFile: files.newFile, signal: never });
  expect(files.left()).toEqual([]);
  expect(epochs[0]?.restorable).toMatchObject([
    { toRevision: String(HEAD), proofs: { agreeing: 1 } },
    { full: newer.name, toRevision: String(HEAD), proofs: { agreeing: 1 } },
  ]);
  expect(problems.map(({ problem }) => problem)).toEqual([
    expect.stringContaining('told the hash 1'),
    expect.stringContaining('told the hash 1'),
    expect.stringContaining(damaged.name),
  ]);
  const survey = await surveyArchive(place.archive, never);
  expect(survey.epochs[0]?.restorable).toMatchObject([
    { from: String(BASE), to: String(HEAD), toMs: Number(HEAD) },
  ]);
});

test('an epoch without a full of its own is verified with that of the one it came from', async () => {
  const place = await archived([]);
  const { position } = await findLogEnd(place.archive, place.epoch, never);
  const logEnd = { ...position, lastRevision: String(position.lastRevision) };
  const parent = { epoch: 1, forkRevision: String(HEAD), logEnd };
  const epoch = await beginEpoch(place.archive, { epoch: 2, clusterId: 'abc', parent, atMs: 3 }, never);
  const log = await sampleWriter({ ...place, epoch }, 2);
  await log.write({ atMs: 1, leases: [], revisions: sampleRevisions(HEAD + 1n, HEAD + 9n) });
  await log.prove(await proofAt(HEAD + 9n));
  await log.prove(await proofAt(HEAD + 9n, { hash: 2, memberId: 'e' }));
  await log.close();
  const { newFile } = memoryFiles();
  const { problems } = await verifyArchive(place.archive, { newFile, signal: never });
  expect(problems).toMatchObject([{ problem: expect.stringContaining('told the hash 2') }]);
});

async function verified({ archive }: Place) {
  const files = memoryFiles();
  const result = await verifyNewest(archive, { newFile: files.newFile, nowMs: 1e15, signal: never });
  expect(files.left()).toEqual([]);
  return result;
}

test('an archive that is sound verifies, one without a full does not', async () => {
  const proof = await proofAt(BASE + 10n);
  expect(await verified(await archived([proof]))).toEqual({
    revision: String(HEAD),
    proofsCompared: 1,
    problems: [],
    lost: null,
  });
  const empty = await sampleArchive(createMemoryArchiveStore({ grows: true }));
  expect(await verified(empty)).toMatchObject({
    revision: '0',
    problems: [expect.stringContaining('there is no full backup')],
  });
});
