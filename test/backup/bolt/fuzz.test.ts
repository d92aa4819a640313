import { expect, it } from 'vitest';
import { BoltError } from '../../../src/backup/bolt/bolt-error.ts';
import { openBolt } from '../../../src/backup/bolt/reader.ts';
import { createChance, type RandomStream } from '../../sim/prng.ts';
import { RECORDED_VERSIONS, recordedSnapshot } from '../fixtures.ts';
import { createMemoryFile } from '../memory-file.ts';
import { altered } from './alteration.ts';
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
