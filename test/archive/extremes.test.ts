import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IRequestOp } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { listKeys } from '../../src/backup/backend/history.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { until } from '../wait.ts';
import { type ArchivedPlace, archiveEtcd, placeIn } from './archiving.ts';
import { restorableBinaries, restoreTo, withRestored } from './checks.ts';
import { type LoneEtcd, startLoneEtcd } from './lone-etcd.ts';
import { type LiveProof, proofAt } from './workload.ts';

/** More changes in a revision than any of etcd's defaults, and than one answer of a watch holds. */
const MANY = 12_000;
const MANY_FROM = Buffer.from('many/');
const MANY_TO = Buffer.from('many0');
/** Of a value: eight times etcd's default. */
const LARGE_BYTES = 12 * 1024 * 1024;
/** Leases whose ids are as far from each other as they can be; the last was told of before the full alone. */
const LEASES = { '9223372036854775807': 7200, '1': 5400, '-5': 3600 } as const;
const EARLY = '-5';

const keyText = (key: Uint8Array): string => Buffer.from(key).toString('hex');
const many = (valueBytes: number): IRequestOp[] =>
  Array.from({ length: MANY }, (_, at) => ({
    request_put: { key: Buffer.from(`many/${at}`), value: Buffer.alloc(valueBytes, at) },
  }));

/** What is done before the full, and after it, in revisions of their own. */
const BEFORE: readonly ((etcd: LoneEtcd) => Promise<unknown>)[] = [
  async ({ theirs }) => await theirs.kv.put({ key: Buffer.of(0), value: Buffer.of() }),
  async ({ theirs }) => await theirs.kv.put({ key: Buffer.alloc(40_000, 0xff), value: Buffer.from('long') }),
  async ({ theirs }) => await theirs.kv.txn({ success: many(1) }),
  async ({ theirs }) => {
    await theirs.leaseClient.leaseGrant({ ID: EARLY, TTL: LEASES[EARLY] });
    await theirs.kv.put({ key: Buffer.from('early'), value: Buffer.of(), lease: EARLY });
    await theirs.auth.roleAdd({ name: 'root' });
    await theirs.auth.userAdd({ name: 'root', password: 'secret' });
    await theirs.auth.userGrantRole({ user: 'root', role: 'root' });
  },
];
const AFTER: readonly ((etcd: LoneEtcd) => Promise<unknown>)[] = [
  async ({ theirs }) => await theirs.kv.put({ key: Buffer.of(0xff), value: Buffer.alloc(LARGE_BYTES, 7) }),
  ...Object.entries(LEASES).map(([lease, TTL]) => async ({ theirs }: LoneEtcd) => {
    if (lease !== EARLY) await theirs.leaseClient.leaseGrant({ ID: lease, TTL });
    await theirs.kv.put({ key: Buffer.from(`leased/${lease}`), value: Buffer.of(), lease });
  }),
  async ({ theirs }) => await theirs.kv.deleteRange({ key: MANY_FROM, range_end: MANY_TO }),
  async ({ theirs }) => await theirs.kv.txn({ success: many(1000) }),
  async ({ theirs }) => await theirs.kv.deleteRange({ key: Buffer.from('early') }),
];

describe.for(restorableBinaries())(
  'what is as large or as odd as it can be, of etcd $version.text',
  (binary) => {
    let directory = '';
    let place: ArchivedPlace;
    const proofs: LiveProof[] = [];

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-extremes-'));
      const data = join(directory, 'data');
      await mkdir(data);
      const etcd = await startLoneEtcd(binary, data, { more: ['--max-txn-ops=20000'] });
      const over = new AbortController();
      const act = async (work: (etcd: LoneEtcd) => Promise<unknown>): Promise<bigint> => {
        await work(etcd);
        const { revision } = await etcd.ours.status(AbortSignal.timeout(10_000));
        proofs.push((await proofAt(etcd.ours, BigInt(revision))) ?? expect.fail('nothing was compacted'));
        return BigInt(revision);
      };
      try {
        const { clusterId } = await etcd.ours.status(AbortSignal.timeout(10_000));
        place = await placeIn(createMemoryArchiveStore({ grows: false }), clusterId);
        const archiver = archiveEtcd(place, etcd.url, { limits: { segmentMs: 30 } }, over.signal);
        await until('there is a full', 30_000, () => archiver.status().lastFull);
        for (const work of BEFORE) await act(work);
        await archiver.fullNow('test');
        let last = 0n;
        for (const work of AFTER) last = await act(work);
        await until('all is archived', 60_000, () => archiver.status().archivedRevision >= last);
        over.abort();
        await archiver.ended;
        expect(archiver.status().gaps).toMatchObject([{ reason: 'begin' }]);
      } finally {
        over.abort();
        await etcd.stop();
      }
    }, 180_000);
    afterAll(async () => await rm(directory, { recursive: true, force: true }));

    test('every revision has the hash that etcd told of it', async () => {
      expect(proofs).toHaveLength(BEFORE.length + AFTER.length);
      for (const proof of proofs) {
        const { backend, report, draft } = await restoreTo(place.archive, proof.revision, directory);
        expect(report).toMatchObject({ unknownLeases: [], passedOver: [], proofs: { disagreeing: [] } });
        expect((await hashKv(backend, proof)).hash, `at ${proof.revision}`).toBe(proof.hash);
        await draft.discard();
      }
    });

    test('etcd starts on the last, with every key and lease', async () => {
      const { backend, draft } = await restoreTo(place.archive, null, directory);
      const keys = (await listKeys(backend, { from: Buffer.of() })).map(({ key }) => keyText(key));
      expect(keys).toHaveLength(MANY + 3 + Object.keys(LEASES).length);
      expect(keys).toEqual(expect.arrayContaining(['00', 'ff', keyText(Buffer.alloc(40_000, 0xff))]));
      const file = join(directory, 'restored.db');
      await draft.keepAs(file);
      const proof = proofs.at(-1) ?? expect.fail('there is one');
      await withRestored(binary, file, join(directory, 'restored'), async ({ ours, theirs }) => {
        expect(await proofAt(ours, proof.revision)).toEqual(proof);
        for (const [ID, ttl] of Object.entries(LEASES)) {
          const told = await theirs.leaseClient.leaseTimeToLive({ ID, keys: true });
          expect(told, `lease ${ID}`).toMatchObject({ grantedTTL: String(ttl) });
          expect(told.keys.map(String)).toEqual([`leased/${ID}`]);
          await theirs.leaseClient.leaseRevoke({ ID });
        }
        const { count } = await theirs.kv.range({
          key: Buffer.of(0),
          range_end: Buffer.of(0),
          count_only: true,
        });
        expect(Number(count)).toBe(MANY + 3);
        // Users come along: with them switched on it wants to know who asks.
        await theirs.auth.authEnable();
        await expect(theirs.auth.authenticate({ name: 'root', password: 'wrong' })).rejects.toThrow(
          'password',
        );
        expect(await theirs.auth.authenticate({ name: 'root', password: 'secret' })).toMatchObject({
          token: expect.stringMatching(/./),
        });
      });
    });
  },
);
