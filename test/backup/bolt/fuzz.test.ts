import { expect, it } from 'vitest';
import { BoltError } from '../../../src/backup/bolt/bolt-error.ts';
import { decodeMeta, encodeMeta } from '../../../src/backup/bolt/format.ts';
import { openBolt } from '../../../src/backup/bolt/reader.ts';
import { createChance, type RandomStream } from '../../sim/prng.ts';
import { RECORDED_VERSIONS, recordedSnapshot } from '../fixtures.ts';
import { createMemoryFile } from '../memory-file.ts';
import { pairsOf, writeDatabase } from './database.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** `npm run fuzz:backend` does a million. */
const RUNS = Number(process.env['RUNS'] ?? 4000);

it(
  `is read, or refused with a clear error, however it was altered (${RUNS} times)`,
  async () => {
    console.log(`seed ${SEED}; again: SEED=${SEED} RUNS=${RUNS} npx vitest run --project unit bolt/fuzz`);
    const random = createChance(SEED).stream('alterations');
    const bases = [...RECORDED_VERSIONS.map(recordedSnapshot), await branched()];
    const outcomes = new Map<string, number>();
    for (let run = 1; run <= RUNS; run += 1) {
      const bytes = altered(random.pick(bases), random);
      const outcome = await readAll(bytes, random).catch((error: unknown) => {
        if (error instanceof BoltError && error.message !== '') return error.code;
        throw new Error(`run ${run} of seed ${SEED}`, { cause: error });
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    console.log([...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', '));
    // An alteration that no read notices, or that every one does, would say little of the paths between.
    for (const outcome of ['read', 'corrupt', 'truncated', 'not-a-database']) {
      expect(outcomes.get(outcome), outcome).toBeGreaterThan(RUNS / 1000);
    }
  },
  20_000 + RUNS * 5,
);

/** Three levels of pages, some of them long. */
async function branched(): Promise<Buffer> {
  const pairs = Array.from({ length: 400 }, (_, index): [Buffer, Buffer] => [
    Buffer.from(`key ${String(index).padStart(10, '0')}`),
    Buffer.alloc(index % 97 === 0 ? 3000 : index % 40, index),
  ]);
  return (
    await writeDatabase(
      new Map([
        ['key', pairs],
        ['lease', pairs.slice(0, 3)],
      ]),
      1024,
    )
  ).bytes;
}

const SPECIAL = [0, 1, 2, 3, 7, 15, 16, 17, 255, 4096, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff];

function altered(base: Buffer, random: RandomStream): Buffer {
  let bytes = Buffer.from(base);
  const pageSize = decodeMeta(bytes)?.pageSizeBytes ?? expect.fail('the base is no database');
  const pages = Math.floor(bytes.length / pageSize);
  const page = () => random.integer(0, pages - 1) * pageSize;
  const times = random.pick([1, 1, 1, 2, 5]);
  for (let time = 0; time < times; time += 1) {
    switch (random.integer(0, 7)) {
      case 0:
        bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
        break;
      case 1: // a field of a page's header
        bytes.writeUInt16LE(random.pick(SPECIAL) & 0xffff, page() + random.pick([0, 8, 10, 12, 14]));
        break;
      case 2: // a field of one of the first elements of a page
        bytes.writeUInt32LE(
          random.pick([...SPECIAL, random.integer(0, pages)]),
          page() + 16 + random.integer(0, 40) * 4,
        );
        break;
      case 3:
        bytes.copyWithin(page(), page(), bytes.length);
        break;
      case 4:
        bytes = bytes.subarray(0, random.integer(0, bytes.length));
        if (bytes.length < pages * pageSize) return bytes;
        break;
      case 5: // a root or a size that is not there, with the right checksum
        for (const index of [0, 1]) {
          const meta = decodeMeta(bytes.subarray(index * pageSize));
          if (meta === null) continue;
          const changes = random.pick([
            { rootPage: random.pick([...SPECIAL, random.integer(0, pages)]) },
            { highWater: random.pick([...SPECIAL, random.integer(0, pages)]) },
          ]);
          encodeMeta({ ...meta, ...changes }, index).copy(bytes, index * pageSize);
        }
        break;
      case 6: // a page that is a copy of another, under its own number
        copyUnderItsNumber(bytes, page(), page(), pageSize);
        break;
      default:
        bytes.fill(random.integer(0, 255), random.integer(0, bytes.length - 1));
    }
  }
  return bytes;
}

function copyUnderItsNumber(bytes: Buffer, from: number, to: number, pageSize: number): void {
  bytes.copyWithin(to, from, from + pageSize);
  bytes.writeBigUInt64LE(BigInt(to / pageSize), to);
}

/** Through every door, and counts: what an altered file says must not make the reader read it over and over. */
async function readAll(bytes: Buffer, random: RandomStream): Promise<'read'> {
  const file = createMemoryFile(bytes);
  const database = await openBolt(file);
  let records = 0;
  for await (const leaf of database.root.leaves()) {
    for (let index = 0; index < leaf.count; index += 1) {
      if (!leaf.isBucket(index)) continue;
      const bucket = (await database.root.bucket(leaf.key(index))) ?? expect.fail('a bucket is gone');
      const from = Buffer.from([random.integer(0, 255)]);
      const pairs = [...(await pairsOf(bucket)), ...(await pairsOf(bucket, from))];
      records += pairs.length;
      const [key] = pairs.at(-1) ?? [];
      if (key !== undefined) await bucket.get(key);
      await bucket.last();
    }
  }
  expect(records).toBeLessThan(bytes.length);
  expect(file.bytesRead).toBeLessThan(1000 + 40 * bytes.length);
  return 'read';
}
