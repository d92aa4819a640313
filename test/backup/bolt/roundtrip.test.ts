import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_FLAG, readPageHeader } from '../../../src/backup/bolt/format.ts';
import { openBolt } from '../../../src/backup/bolt/reader.ts';
import { BoltWriter } from '../../../src/backup/bolt/writer.ts';
import { createMemoryFile } from '../memory-file.ts';
import { type Content, openBytes, pairsOf, readDatabase, writeDatabase } from './database.ts';

const numbered = (count: number, valueBytes: number): [Buffer, Buffer][] =>
  Array.from({ length: count }, (_, index) => {
    const key = Buffer.alloc(17, '_');
    key.writeBigUInt64BE(BigInt(index), 0);
    return [key, Buffer.alloc(valueBytes, index % 251)];
  });

const bucketPairs = fc
  .uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 60 }), {
    selector: (key) => Buffer.from(key).toString('latin1'),
    maxLength: 120,
  })
  .chain((keys) => fc.tuple(...keys.map((key) => fc.tuple(fc.constant(Buffer.from(key)), value()))))
  .map((pairs) => pairs.toSorted(([left], [right]) => Buffer.compare(left, right)));
const value = (): fc.Arbitrary<Buffer> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: fc.integer({ min: 3000, max: 20_000 }).map((bytes) => Buffer.alloc(bytes, 7)) },
  );
const content: fc.Arbitrary<Content> = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme-ascii' }), { maxLength: 5 })
  .chain((names) => fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), bucketPairs))))
  .map((buckets) => new Map(buckets));

describe('what the bulk writer writes the reader reads', () => {
  it('for any buckets, keys, values and page sizes', async () => {
    await fc.assert(
      fc.asyncProperty(content, fc.constantFrom(1024, 4096, 65_536), async (wanted, pageSizeBytes) => {
        const file = await writeDatabase(wanted, pageSizeBytes);
        const database = await openBolt(file);
        expect(database.sizeBytes).toBe(file.sizeBytes);
        const found = await readDatabase(database);
        expect(new Map([...found].toSorted())).toEqual(new Map([...wanted].toSorted()));
      }),
      { numRuns: 60 },
    );
  });

  it('with two children at least in every branch page, without which bbolt cannot delete', async () => {
    // Pages of 1 KiB with a record each: around the counts at which a second branch page and a level more begin.
    for (const count of [2, 26, 27, 28, 29, 30, 31, 53, 54, 55, 56, 700, 727, 728, 729, 730, 755, 756]) {
      const { bytes } = await writeDatabase(new Map([['key', numbered(count, 800)]]), 1024);
      const bucket = await (await openBytes(bytes)).root.bucket(Buffer.from('key'));
      expect((await pairsOf(bucket ?? expect.fail('the bucket is missing'))).length).toBe(count);
      const branches = Array.from({ length: bytes.length / 1024 }, (_, page) => page * 1024)
        .map((offset) => readPageHeader(bytes.subarray(offset)))
        .filter(({ flags }) => flags === PAGE_FLAG.branch);
      expect(branches.length).toBeGreaterThan(0);
      for (const branch of branches) expect(branch.count, `of ${count}`).toBeGreaterThan(1);
    }
  });

  it('and what it takes over from another database, page by page where they are full', async () => {
    await fc.assert(
      fc.asyncProperty(bucketPairs, bucketPairs, async (pairs, more) => {
        const [first] = pairs.map(([key]) => Buffer.concat([Buffer.of(0), key]));
        const last = pairs.map(([key]) => key).at(-1);
        const before = first === undefined ? [] : [[first, Buffer.alloc(0)] as const];
        const after = more.filter(([key]) => last !== undefined && Buffer.compare(key, last) > 0);
        const source = await openBolt(await writeDatabase(new Map([['key', pairs]]), 1024));
        const file = createMemoryFile();
        const writer = new BoltWriter(file, 1024);
        writer.begin(Buffer.from('copy'));
        const ownBefore = before.filter(([key]) => Buffer.compare(key, pairs[0]?.[0] ?? Buffer.of()) < 0);
        for (const [key, value] of ownBefore) writer.append(key, value);
        for await (const leaf of (await source.root.bucket(Buffer.from('key')))?.leaves() ?? [])
          writer.appendLeaf(leaf);
        for (const [key, value] of after) writer.append(key, value);
        await writer.finish();
        expect((await readDatabase(await openBolt(file))).get('copy')).toEqual([
          ...ownBefore,
          ...pairs,
          ...after,
        ]);
      }),
      { numRuns: 60 },
    );
  });

  it('from any key on, and each by its name, and the last', async () => {
    const pairs = numbered(5000, 50);
    const database = await openBolt(await writeDatabase(new Map([['key', pairs]])));
    const bucket = (await database.root.bucket(Buffer.from('key'))) ?? expect.fail('the bucket is missing');
    for (const index of [0, 1, 63, 64, 2500, 4999]) {
      const [key = Buffer.of(), stored] = pairs[index] ?? [];
      expect(await bucket.get(key)).toEqual(stored);
      expect((await pairsOf(bucket, key)).length).toBe(5000 - index);
      const between = Buffer.concat([key, Buffer.of(0)]);
      expect(await bucket.get(between)).toBeNull();
      expect((await pairsOf(bucket, between)).length).toBe(4999 - index);
    }
    expect(await bucket.last()).toEqual({ key: pairs.at(-1)?.[0], value: pairs.at(-1)?.[1] });
    expect(await pairsOf(bucket, Buffer.alloc(18, 0xff))).toEqual([]);
  });

  it('with no bucket at all, and with empty ones', async () => {
    expect(await readDatabase(await openBolt(await writeDatabase(new Map())))).toEqual(new Map());
    const empty = new Map([
      ['alarm', []],
      ['key', []],
    ]);
    const database = await openBolt(await writeDatabase(empty));
    expect(await readDatabase(database)).toEqual(empty);
    expect(await (await database.root.bucket(Buffer.from('key')))?.last()).toBeNull();
    expect(await database.root.bucket(Buffer.from('nothing'))).toBeNull();
  });

  it('in the newest transaction whose meta page is whole', async () => {
    const { bytes } = await writeDatabase(new Map([['key', numbered(3, 10)]]));
    for (const broken of [0, 4096]) {
      const altered = Buffer.from(bytes);
      altered.fill(0x55, broken, broken + 80);
      expect((await readDatabase(await openBytes(altered))).get('key')?.length).toBe(3);
      expect((await openBytes(altered)).transaction).toBe(broken === 0 ? 1n : 0n);
    }
    const altered = Buffer.from(bytes);
    for (const broken of [0, 4096]) altered.fill(0x55, broken, broken + 80);
    await expect(openBytes(altered)).rejects.toMatchObject({ code: 'not-a-database' });
  });
});

describe('the reader refuses', () => {
  it.for([
    ['an empty file', Buffer.alloc(0), 'not-a-database'],
    ['a short file', Buffer.alloc(40, 1), 'not-a-database'],
    ['a text', Buffer.alloc(10_000, 'etcd'), 'not-a-database'],
  ] as const)('%s', async ([_, bytes, code]) => {
    await expect(openBytes(bytes)).rejects.toMatchObject({ code });
  });

  it('a file that was cut off', async () => {
    const { bytes } = await writeDatabase(new Map([['key', numbered(300, 100)]]));
    const cut = bytes.subarray(0, bytes.length - 4096);
    await expect(openBytes(cut)).rejects.toMatchObject({ code: 'truncated' });
  });
});

describe('the bulk writer', () => {
  it('asserts the order of keys, and that a bucket is new', () => {
    const writer = new BoltWriter(createMemoryFile(), 4096);
    expect(() => writer.append(Buffer.of(1), Buffer.of())).toThrow('bucket');
    writer.begin(Buffer.from('key'));
    writer.append(Buffer.of(2), Buffer.of());
    expect(() => writer.append(Buffer.of(2), Buffer.of())).toThrow('order');
    expect(() => writer.append(Buffer.of(1), Buffer.of())).toThrow('order');
    expect(() => writer.append(Buffer.of(), Buffer.of())).toThrow('bytes');
    expect(() => writer.begin(Buffer.from('key'))).toThrow('new bucket');
  });
});
