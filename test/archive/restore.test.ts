import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBackend } from '../../src/backup/backend/backend.ts';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { checkedDatabase, sealSnapshot } from '../../src/backup/backend/snapshot-file.ts';
import { openBolt } from '../../src/backup/bolt/reader.ts';
import { BoltWriter } from '../../src/backup/bolt/writer.ts';
import { encodeDocument } from '../../src/backup/documents.ts';
import { listFulls } from '../../src/backup/full.ts';
import { fullDataKey, fullKey } from '../../src/backup/names.ts';
import type { RestoreTarget } from '../../src/backup/restore-plan.ts';
import { type RestoreOutcome, type RestoreRequest, restoreTo } from '../../src/runtime/archive-restore.ts';
import { findStartPrograms, startNewest } from '../../src/runtime/archive-start.ts';
import { verifyNewestWithin } from '../../src/runtime/draft-files.ts';
import { openLocalFile } from '../../src/runtime/local-file.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import { never } from '../backup/sample-log.ts';
import { restoreProgram } from '../real-etcd/binaries.ts';
import { createChance } from '../sim/prng.ts';
import { clock } from '../wait.ts';
import { attached, expectSame, leasesOf, plain, restorableBinaries } from './checks.ts';
import { type ArchivedLife, copyOfMemory, liveArchived } from './life.ts';
import { startLoneEtcd } from './lone-etcd.ts';
import { observe } from './workload.ts';

const STEPS = 40;
const RAISE = 1_000_000_000n;

describe.for(restorableBinaries())('an archive of etcd $version.text', (binary) => {
  let directory = '';
  let life: ArchivedLife;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-restore-'));
    const random = createChance(7).stream('restore');
    const shared = { binary, directory, random, compacts: false, isContinuous: false };
    life = await liveArchived({ ...shared, steps: STEPS });
  });
  afterAll(async () => await rm(directory, { recursive: true, force: true }));

  const restored = async (
    name: string,
    target: RestoreTarget,
    {
      archive = life.place.archive,
      raiseBy = null,
      method = 'auto',
    }: Partial<Pick<RestoreRequest, 'archive' | 'raiseBy' | 'method'>> = {},
  ): Promise<RestoreOutcome> =>
    await restoreTo(
      {
        archive,
        target,
        epoch: null,
        raiseBy,
        acceptsMismatch: false,
        proofsMax: null,
        method,
        programs: { etcdutl: restoreProgram(binary), etcd: binary.path },
        output: {
          kind: 'data-directory',
          directory: join(directory, name),
          name: 'm0',
          initialCluster: 'm0=http://127.0.0.1:2380',
          token: 't',
          peerUrls: 'http://127.0.0.1:2380',
        },
      },
      { onProgress: () => undefined, signal: never },
    );

  test('becomes a data directory on which etcd goes on, far ahead, with leases and all', async () => {
    const seen = life.lived.observations.at(-1) ?? expect.fail('nobody looked');
    const outcome = await restored(
      'raised',
      { kind: 'revision', revision: seen.revision },
      { raiseBy: RAISE },
    );
    expect(outcome).toMatchObject({
      revision: String(seen.revision),
      headRevision: String(seen.revision + RAISE),
      program: { version: binary.version.text },
    });
    expect((await readdir(directory)).filter((name) => name.startsWith('.'))).toEqual([]);
    const etcd = await startLoneEtcd(binary, join(directory, 'raised'));
    try {
      const now = await observe(etcd.theirs);
      expect(now.revision).toBe(seen.revision + RAISE);
      expect(plain({ ...now, revision: seen.revision })).toEqual(plain(seen));
      expect(await leasesOf(etcd, seen)).toEqual(attached(seen, life.lived.granted));
      const { header } = await etcd.theirs.kv.put({ key: Buffer.from('after'), value: Buffer.from('x') });
      expect(BigInt(header.revision)).toBe(now.revision + 1n);
    } finally {
      await etcd.stop();
    }
  });

  test('replayed through an etcd, revision by revision, it is the same to the last field', async () => {
    const seen = life.lived.observations.at(-1) ?? expect.fail('nobody looked');
    const target = { kind: 'revision', revision: seen.revision } as const;
    const spliced = await restored('spliced', target);
    const replayed = await restored('replayed', target, { method: 'replay' });
    expect(replayed).toMatchObject({ method: 'replay', revision: spliced.revision });
    expect(replayed.proofs.agreeing).toBeGreaterThan(0);
    const [left, right] = [await contentOf('spliced'), await contentOf('replayed')];
    expect(right.hash).toEqual(left.hash);
    expect(right.leases).toEqual(left.leases);
    await expectSame(right.backend, seen);
    for (const { database } of [left, right]) await database.close();
  });

  test('where a full has a bucket that nobody knows, it is replayed without being asked', async () => {
    const store = copyOfMemory(life.place.archive.store);
    const archive = { ...life.place.archive, store };
    for (const full of await listFulls(archive, life.place.epoch, never)) {
      const bytes = await withUnknownBucket(store.objects.get(fullDataKey(1, full.name)));
      store.objects.set(fullDataKey(1, full.name), bytes);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const document = { ...full.document, revision: null, sizeBytes: bytes.byteLength, sha256 };
      store.objects.set(fullKey(1, full.name), encodeDocument(document));
    }
    const seen = life.lived.observations.at(-1) ?? expect.fail('nobody looked');
    const target = { kind: 'revision', revision: seen.revision } as const;
    await expect(restored('never', target, { archive, method: 'splice' })).rejects.toMatchObject({
      code: 'schema-unknown',
    });
    const outcome = await restored('unknown', target, { archive });
    expect(outcome).toMatchObject({ method: 'replay', revision: String(seen.revision) });
    await expect(restored('raised-too', target, { archive, raiseBy: 5n })).rejects.toThrow(
      'cannot be raised',
    );
  });

  const contentOf = async (name: string) => {
    const database = await openLocalFile(join(directory, name, 'member', 'snap', 'db'));
    const backend = await openBackend(database);
    const leases: string[] = [];
    for await (const { id, ttlSeconds } of backend.leases()) leases.push(`${id} ${ttlSeconds}`);
    return { database, backend, hash: await hashKv(backend), leases };
  };

  test('is verified, also by an etcd that is started on it', async () => {
    const verified = await verifyNewestWithin(directory, life.place.archive, clock, never);
    expect(Number(verified.revision)).toBeGreaterThan(1);
    const programs = await findStartPrograms({ etcd: binary.path, etcdutl: restoreProgram(binary) });
    const started = await startNewest(life.place.archive, programs, {
      within: directory,
      onProgress: () => undefined,
      signal: never,
    });
    expect(started).toMatchObject({
      revision: verified.revision,
      etcdVersion: binary.version.text,
      problems: [],
    });
    expect(started.keys).toBeGreaterThan(10);
    const left = (await readdir(directory)).filter((name) => /scratch|^\./.test(name));
    expect(left).toEqual([]);
  });
});

/** A snapshot with a bucket more than any etcd of today has. */
async function withUnknownBucket(snapshot: Uint8Array | undefined): Promise<Buffer> {
  const database = await openBolt(await checkedDatabase(createMemoryFile(snapshot)));
  const file = createMemoryFile();
  const writer = new BoltWriter(file, database.pageSizeBytes);
  for await (const buckets of database.root.leaves()) {
    for (let each = 0; each < buckets.count; each += 1) {
      const bucket = await database.root.bucket(buckets.key(each));
      writer.begin(buckets.key(each), bucket?.sequence);
      for await (const leaf of bucket?.leaves() ?? []) writer.appendLeaf(leaf);
    }
  }
  writer.begin(Buffer.from('zone'));
  writer.append(Buffer.from('a'), Buffer.from('b'));
  await writer.finish();
  await sealSnapshot(file);
  return file.bytes;
}
