import { describe, expect, it } from 'vitest';
import { META, openBackend } from '../../../src/backup/backend/backend.ts';
import { crc32c } from '../../../src/backup/backend/crc32c.ts';
import { hashKv } from '../../../src/backup/backend/hash-kv.ts';
import { revisionKey } from '../../../src/backup/backend/revision-key.ts';
import { survivorsOf } from '../../../src/backup/backend/survivors.ts';
import { createChance } from '../../sim/prng.ts';
import { writeDatabase } from '../bolt/database.ts';
import { backendFile, compacted, type ModelRecord, newestOf, randomHistory } from './history-model.ts';

/** etcd's own way, over what is left after a compaction. */
function oracle(left: readonly ModelRecord[], revision: bigint, compactRevision: bigint): number {
  const keep = newestOf(left, revision);
  return left
    .filter((record) => record.revision <= revision)
    .filter((record) => record.revision > compactRevision || keep.size === 0 || keep.has(record))
    .filter((record) => !(record.isDelete && record.revision === compactRevision))
    .reduce(
      (crc, { revision: at, subRevision, isDelete, record }) =>
        crc32c(record, crc32c(revisionKey(at, subRevision, isDelete), crc)),
      crc32c(Buffer.from('key')),
    );
}

describe('HashKV', () => {
  it('is etcd’s for any history and compaction, from a backend that was compacted there or not', async () => {
    const random = createChance(7).stream('histories');
    for (let run = 0; run < 60; run += 1) {
      const records = randomHistory(random, random.integer(1, 40));
      const last = records.at(-1)?.revision ?? 1n;
      const at = BigInt(random.integer(1, Number(last)));
      const whole = await openBackend(await backendFile({ records }));
      const left = compacted(records, at);
      const short = await openBackend(await backendFile({ records: left, scheduled: at, finished: at }));
      expect(short.revision).toBe(last);
      for (let revision = at; revision <= last; revision += 1n) {
        const expected = { hash: oracle(left, revision, at), revision, compactRevision: at };
        expect(await hashKv(whole, { revision, compactRevision: at }), `run ${run}`).toEqual(expected);
        expect(await hashKv(short, { revision }), `run ${run}, compacted`).toEqual(expected);
      }
      expect((await hashKv(whole)).hash).toBe(oracle(records, last, 0n));
      expect((await hashKv(whole, { compactRevision: -1n })).hash).toBe(oracle(records, last, 0n));
    }
  });

  it('needs no more keys in memory than it may', async () => {
    const records = randomHistory(createChance(8).stream('histories'), 60);
    const { keys } = await openBackend(await backendFile({ records }));
    const at = { compactRevision: 40n, revision: 55n };
    const [roomy, tight] = [await survivorsOf(keys, at), await survivorsOf(keys, { ...at, keyBytesMax: 20 })];
    expect(roomy.count).toBe(records.filter(({ revision }) => revision <= 40n).length);
    for (let ordinal = 0; ordinal < roomy.count; ordinal += 1) {
      expect(tight.isKept(ordinal)).toBe(roomy.isKept(ordinal));
      expect(tight.isNewest(ordinal)).toBe(roomy.isNewest(ordinal));
    }
    expect(tight).toMatchObject({ count: roomy.count, anyNewest: roomy.anyNewest });
  });
});

describe('a backend', () => {
  const records = randomHistory(createChance(9).stream('histories'), 5);

  it('whose newest record a compaction took still has its revision', async () => {
    for (const marks of [{ scheduled: 9n }, { scheduled: 9n, finished: 9n }, { finished: 9n }]) {
      const backend = await openBackend(await backendFile({ records, ...marks }));
      expect(backend).toMatchObject({ revision: 9n, compactRevision: 9n });
    }
    expect((await openBackend(await backendFile({ records: [] }))).revision).toBe(1n);
  });

  it('of an etcd 3.4 to which nobody has written yet is at revision 1, without any mark', async () => {
    const empty = await writeDatabase(
      new Map([
        ['key', []],
        ['meta', []],
      ]),
    );
    expect(await openBackend(empty)).toMatchObject({ revision: 1n, compactRevision: 0n, schema: '3.4' });
    const without = openBackend(await writeDatabase(new Map([['key', []]])));
    await expect(without).rejects.toMatchObject({ code: 'schema-unknown' });
  });

  it.for([
    ['a bucket', { buckets: { keyIndex: [] } }, 'schema-unknown'],
    ['a mark', { meta: { newMark: Buffer.of(1) } }, 'schema-unknown'],
    ['a version', { meta: { storageVersion: Buffer.from('3.7.0') } }, 'schema-unknown'],
    ['half an index', { meta: { consistent_index: Buffer.of(1) } }, 'malformed'],
    ['a compaction', { meta: { scheduledCompactRev: Buffer.of(1, 2) } }, 'malformed'],
  ] as const)('with %s that no etcd of 3.4 to 3.6 writes is refused', async ([_, part, code]) => {
    await expect(openBackend(await backendFile({ records, ...part }))).rejects.toMatchObject({ code });
  });

  it('is told apart by version', async () => {
    const schemaWith = async (meta: Readonly<Record<string, Buffer>>) =>
      (await openBackend(await backendFile({ records, meta }))).schema;
    const term = { [String(META.term)]: Buffer.alloc(8) };
    expect(await schemaWith({})).toBe('3.4');
    expect(await schemaWith(term)).toBe('3.5');
    expect(await schemaWith({ ...term, storageVersion: Buffer.from('3.6.0') })).toBe('3.6');
  });
});
