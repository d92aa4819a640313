import { describe, expect, test } from 'vitest';
import type { Batch } from '../../src/backup/batch.ts';
import { ArchiveError } from '../../src/backup/errors.ts';
import { readEvent } from '../../src/backup/events.ts';
import { ArchiveStoreError } from '../../src/backup/store-port.ts';
import { encodeFields } from '../../src/etcd/protobuf.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { type Chance, createChance } from '../sim/prng.ts';
import { interleave } from './interleave.ts';
import { contentOf, sampleArchive, sampleWriter } from './sample-log.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** With so many runs and more it is seen that much has happened in them. */
const MANY_RUNS = 100;
const STEPS = 300;
const AT_ONCE_MAX = 4;

/**
 * Tests of several archivers over one store, of several generations, any of which may stand still, fail or die
 * anywhere.
 * @param project of vitest in which they are, for who runs one again.
 */
export function testArchiversAtOnce(project: string, runs: number): void {
  describe.for([
    ['with objects that grow', true],
    ['with whole objects only', false],
  ] as const)('archivers of all generations at once, on a store %s', ([, grows]) => {
    test(
      `leave one log, with all that was told to be durable, as it was told (${runs} runs)`,
      async () => {
        const total = { durable: 0, fenced: 0, read: 0 };
        for (let seed = SEED; seed < SEED + runs; seed += 1) {
          try {
            const counts = await randomRun(createChance(seed), grows);
            total.durable += counts.durable;
            total.fenced += counts.fenced;
            total.read += counts.read;
          } catch (error) {
            const again = `SEED=${seed} RUNS=1 npx vitest run --project ${project} archivers-at-once`;
            throw new Error(`seed ${seed}, grows ${grows}; again: ${again}`, { cause: error });
          }
        }
        if (runs < MANY_RUNS) return;
        expect(total.durable).toBeGreaterThan(runs * 10);
        expect(total.fenced).toBeGreaterThan(runs / 2);
        expect(total.read).toBeGreaterThan(runs / 2);
      },
      20_000 + runs * 500,
    );
  });
}

async function randomRun(chance: Chance, grows: boolean) {
  const random = chance.stream('interleaving');
  const memory = createMemoryArchiveStore({ grows });
  const place = await sampleArchive(memory);
  const run = interleave(memory, random);
  /** Who said first that he had made the revision durable. */
  const toldBy = new Map<bigint, string>();
  const living = new Set<string>();
  const counts = { durable: 0, fenced: 0, read: 0 };
  const faults: unknown[] = [];
  let [started, generation] = [0, 0];

  const seenBy = (actor: string) => ({ ...place, archive: { ...place.archive, store: run.storeOf(actor) } });
  const archive = async (actor: string, mine: number): Promise<void> => {
    const options = { writer: actor, segmentBytesMax: random.pick([700, 2000, 1e6]) };
    const log = await sampleWriter(seenBy(actor), mine, options);
    for (;;) {
      const from = log.position.lastRevision + 1n;
      const to = from + BigInt(random.integer(0, 3));
      await persist(async () => await log.write(batchBy(actor, from, to)));
      for (let revision = from; revision <= to; revision += 1n) {
        const other = toldBy.get(revision);
        if (other !== undefined) throw new Error(`${actor} told of ${revision}, which ${other} had told of`);
        toldBy.set(revision, actor);
        counts.durable += 1;
      }
      if (random.chance(0.05)) await persist(async () => await log.close());
    }
  };
  const look = async (actor: string): Promise<void> => {
    const told = [...toldBy];
    await assertTold(seenBy(actor), told);
    counts.read += 1;
  };
  const begin = (actor: string, work: Promise<void>): void => {
    living.add(actor);
    work
      .catch((error: unknown) => {
        if (error instanceof ArchiveError && error.code === 'fenced') counts.fenced += 1;
        else if (!(error instanceof ArchiveStoreError)) faults.push(error);
      })
      .finally(() => living.delete(actor));
  };

  for (let step = 0; step < STEPS; step += 1) {
    if (living.size < AT_ONCE_MAX && random.chance(0.05)) {
      started += 1;
      const actor = `actor-${started}`;
      if (random.chance(0.3)) begin(actor, look(actor));
      else {
        // Mostly the next one; now and then one that has slept, or a second of the same.
        if (random.chance(0.8)) generation += 1;
        begin(actor, archive(actor, Math.max(1, generation - (random.chance(0.2) ? 1 : 0))));
      }
    }
    if (random.chance(0.01) && living.size > 0) {
      const victim = random.pick([...living]);
      run.kill(victim);
      living.delete(victim);
    }
    run.failing = step % 100 < 30 ? 0.03 : 0;
    await run.step();
    if (faults.length > 0) throw faults[0];
  }
  await assertTold(place, [...toldBy]);
  return counts;
}

/** As an archiver does: until it is done, or it is fenced. */
async function persist(work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!(error instanceof ArchiveStoreError)) throw error;
    }
  }
}

/** The log is in one piece, and has of everybody what he told of. */
async function assertTold(
  place: Parameters<typeof contentOf>[0],
  told: readonly (readonly [bigint, string])[],
): Promise<void> {
  const { revisions } = await contentOf(place);
  const byRevision = new Map(
    revisions.map(({ revision, events }) => [
      revision,
      events.map((event) => String(readEvent(event).value)).join(),
    ]),
  );
  expect([...byRevision.keys()]).toEqual(revisions.map((_, index) => BigInt(index) + 1n));
  expect(told.map(([revision]) => [revision, byRevision.get(revision)])).toEqual(told);
}

/** Revisions that say who wrote them: no two archivers write the same. */
function batchBy(actor: string, from: bigint, to: bigint): Batch {
  const revisions = [];
  for (let revision = from; revision <= to; revision += 1n) {
    const record = encodeFields([
      [1, 'key'],
      [2, revision],
      [3, revision],
      [4, 1n],
      [5, actor],
    ]);
    revisions.push({ revision, events: [encodeFields([[2, record]])] });
  }
  return { atMs: Number(from), leases: [], revisions };
}
