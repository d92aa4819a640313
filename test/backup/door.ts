import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type Archive, listEpochs, openArchive } from '../../src/backup/archive.ts';
import { openBackend } from '../../src/backup/backend/backend.ts';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { checkedDatabase } from '../../src/backup/backend/snapshot-file.ts';
import { ArchiveError } from '../../src/backup/errors.ts';
import { listFulls, takeFull, verifyFull } from '../../src/backup/full.ts';
import { findLogEnd } from '../../src/backup/log-end.ts';
import { restoreArchive } from '../../src/backup/restore.ts';
import { RestoreError } from '../../src/backup/restore-error.ts';
import { planRestore } from '../../src/backup/restore-plan.ts';
import { ArchiveStoreError } from '../../src/backup/store-port.ts';
import { surveyArchive, verifyArchive } from '../../src/backup/survey.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import { clock } from '../wait.ts';
import { createFakeMember } from './fake-member.ts';
import { createMemoryFile } from './memory-file.ts';
import { contentOf, never, sampleArchive, sampleRevisions, sampleWriter, shown } from './sample-log.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** With so many alterations and more it is seen that they were of all kinds of consequence. */
const MANY_RUNS = 300;

/** What a read of an archive gave. */
interface Reading {
  readonly name: string;
  readonly value: unknown;
}

/**
 * Tests that whatever is altered in an archive, by however little, each read of it gives what was written, a
 * beginning of that which is said to be none more, or an error of an archive's.
 * @param project of vitest in which they are, for who runs one again.
 */
export function testDoor(project: string, runs: number): void {
  describe.for([
    ['with objects that grow', true],
    ['with whole objects only', false],
  ] as const)('through the door of an archive on a store %s', ([, grows]) => {
    test(
      `no altered byte is read (${runs} alterations)`,
      async () => {
        const store = createMemoryArchiveStore({ grows });
        await fill(store);
        const whole = new Map(store.objects);
        const written = await readAll(store);
        const verified = await verifyArchive(await opened(store), { signal: never });
        expect(verified.problems).toEqual([]);
        const random = createChance(SEED).stream(`door ${grows}`);
        const outcomes = { same: 0, shorter: 0, refused: 0 };
        for (let run = 1; run <= runs; run += 1) {
          store.objects.clear();
          for (const [key, bytes] of whole) store.objects.set(key, bytes);
          const what = alter(store, random);
          try {
            const outcome = await compare(store, written, verified);
            outcomes[outcome] += 1;
          } catch (error) {
            const again = `SEED=${SEED} RUNS=${run} npx vitest run --project ${project} door`;
            throw new Error(`${what}; again: ${again}`, { cause: error });
          }
        }
        console.log(`of ${runs} alterations: ${JSON.stringify(outcomes)}`);
        if (runs < MANY_RUNS) return;
        expect(outcomes.refused).toBeGreaterThan(runs / 4);
        expect(outcomes.shorter).toBeGreaterThan(runs / 100);
      },
      20_000 + runs * 500,
    );
  });
}

/** A log of several segments and writers with a gap, and two fulls; small, so that each byte has its turn. */
async function fill(store: MemoryArchiveStore): Promise<void> {
  const place = await sampleArchive(store);
  const member = createFakeMember();
  for (const generation of [1, 2]) {
    // The first full is one that the log goes on from, the second has all.
    member.write(generation === 1 ? 4 : 36);
    const log = await sampleWriter(place, generation, { segmentBytesMax: 1_500 });
    const from = log.position.lastRevision + 1n;
    for (const start of [from, from + 5n, from + 10n]) {
      await log.write({
        atMs: Number(start),
        leases: [{ id: start, ttlSeconds: 9n }],
        revisions: sampleRevisions(start, start + 4n),
      });
    }
    if (generation === 2) await log.skip({ reason: 'compacted', from: '31', to: '35' });
    await log.prove({
      revision: String(from),
      hash: 7,
      compactRevision: '1',
      etcdVersion: '3.5.30',
      memberId: 'f',
      atMs: 3,
    });
    await log.close();
    const options = { ...place, generation, client: member.connect('http://m0'), clock, reason: 'test' };
    await takeFull(options, never);
  }
}

const opened = async (store: MemoryArchiveStore) =>
  await openArchive(store, { archiveId: null, owner: 'etcd' }, never);

/** Every way to read it, each by itself; a way that is refused gives that. */
async function readAll(store: MemoryArchiveStore): Promise<readonly Reading[]> {
  const readings: Reading[] = [];
  const read = async <T>(name: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      const value = await work();
      readings.push({ name, value });
      return value;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      readings.push({ name, value: REFUSED });
      return null;
    }
  };
  const archive = await read('archive', async () => {
    const { id, owner, createdAtMs } = await opened(store);
    return { id, owner, createdAtMs };
  });
  if (archive === null) return readings;
  const place = { store, ...archive, damage: null };
  // Whether it was read, or made again from what other objects say, is the same.
  const epochs = await read('epochs', async () =>
    (await listEpochs(place, never)).map((epoch) => ({ ...epoch, damage: null })),
  );
  await read('survey', async () => await surveyArchive(place, never));
  for (const revision of RESTORED) {
    await read(`${RESTORED_TO} ${revision}`, async () => await restored(place, revision));
  }
  for (const epoch of epochs ?? []) {
    const at = { archive: place, epoch };
    const name = `epoch ${epoch.document.epoch}`;
    await read(`${name}, end`, async () => {
      const { position, header } = await findLogEnd(place, epoch, never);
      return { position, header };
    });
    await read(`${name}, log`, async () => {
      const { revisions, gaps, leases, kinds } = await contentOf(at);
      return {
        isWhole: !kinds.includes('rest'),
        revisions: shown(revisions),
        gaps,
        leases: leases.map(String),
      };
    });
    const fulls = await read(`${name}, fulls`, async () => await listFulls(place, epoch, never));
    for (const full of fulls ?? []) {
      await read(`${name}, full ${full.name}`, async () => {
        await verifyFull(place, full, never);
        return full;
      });
    }
  }
  return readings;
}

const REFUSED = Symbol('refused');
const RESTORED_TO = 'restored to';
/** What the first full has, what the log adds to it, and what only the second full has. */
const RESTORED = [5n, 29n, 41n];

/** What stands for all that a restore has made. */
async function restored(archive: Archive, revision: bigint): Promise<unknown> {
  const plan = await planRestore(
    archive,
    { kind: 'revision', revision },
    { nowMs: clock.wallMs(), signal: never },
  );
  let result = createMemoryFile();
  const newFile = async () => {
    result = createMemoryFile();
    return await Promise.resolve(Object.assign(result, { discard: async () => await Promise.resolve() }));
  };
  // The proofs here are of no store.
  await restoreArchive({ archive, plan, newFile, acceptsMismatch: true, signal: never });
  return await hashKv(await openBackend(await checkedDatabase(result)));
}

function isRefusal(error: unknown): boolean {
  const isRefused = error instanceof ArchiveError || error instanceof RestoreError;
  if (isRefused && error.message !== '') return true;
  return error instanceof ArchiveStoreError && error.code === 'not-found';
}

/** Throws where anything was read that had not been written. */
async function compare(
  store: MemoryArchiveStore,
  written: readonly Reading[],
  verified: Awaited<ReturnType<typeof verifyArchive>>,
): Promise<'same' | 'shorter' | 'refused'> {
  const readings = await readAll(store);
  let outcome: 'same' | 'shorter' | 'refused' = readings.length < written.length ? 'shorter' : 'same';
  for (const { name, value } of readings) {
    if (value === REFUSED) {
      // It may be for want of a full that is gone.
      if (!name.startsWith(RESTORED_TO)) outcome = 'refused';
      else if (outcome === 'same') outcome = 'shorter';
      continue;
    }
    const original = written.find((reading) => reading.name === name)?.value;
    if (isDeepStrictEqual(value, original)) continue;
    expectBeginning(name, value, original);
    if (outcome === 'same') outcome = 'shorter';
  }
  if (readings.some(({ name, value }) => name === 'archive' && value === REFUSED)) return outcome;
  const { problems, epochs } = await verifyArchive(await opened(store), { signal: never });
  // What is gone without a trace, as a full or the last segment, is not known to have been there.
  if (outcome === 'refused') expect(problems).not.toEqual([]);
  if (problems.length === 0 && outcome === 'same') expect(epochs).toEqual(verified.epochs);
  return outcome;
}

/** A log may be cut short and a full be gone; whatever is there is what was written. */
function expectBeginning(name: string, value: unknown, original: unknown): void {
  if (name.endsWith(', log')) {
    const [found, whole] = [value as LogReading, original as LogReading];
    expect(found.revisions).toEqual(whole.revisions.slice(0, found.revisions.length));
    expect(found.leases).toEqual(whole.leases.slice(0, found.leases.length));
    expect(found.gaps).toEqual(whole.gaps.slice(0, found.gaps.length));
  } else if (name.endsWith(', end')) {
    const [found, whole] = [value as EndReading, original as EndReading];
    expect(found.position.lastRevision).toBeLessThanOrEqual(whole.position.lastRevision);
  } else if (name.endsWith(', fulls') || name === 'epochs') {
    expect(original).toEqual(expect.arrayContaining([...(value as readonly unknown[])]));
  } else {
    expect(name).toBe('survey');
  }
}
interface LogReading {
  readonly revisions: readonly string[];
  readonly leases: readonly string[];
  readonly gaps: readonly unknown[];
}
interface EndReading {
  readonly position: { readonly lastRevision: bigint };
}

/** Changes one thing; says what. */
function alter({ objects }: MemoryArchiveStore, random: RandomStream): string {
  const key = random.pick([...objects.keys()]);
  const bytes = Buffer.from(objects.get(key) ?? '');
  const at = random.integer(0, bytes.byteLength - 1);
  const other = random.integer(0, bytes.byteLength - 1);
  const otherKey = random.pick([...objects.keys()]);
  switch (random.integer(0, 8)) {
    case 0:
    case 1:
    case 2:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
      objects.set(key, bytes);
      return `a bit of byte ${at} of ${key}`;
    case 3:
      [bytes[at], bytes[other]] = [bytes[other] ?? 0, bytes[at] ?? 0];
      objects.set(key, bytes);
      return `bytes ${at} and ${other} of ${key} exchanged`;
    case 4:
      objects.set(key, bytes.subarray(0, at));
      return `${key} cut at ${at}`;
    case 5:
      objects.set(key, bytes.fill(random.integer(0, 255), at));
      return `${key} overwritten from ${at}`;
    case 6:
      objects.set(
        key,
        Buffer.concat([bytes.subarray(0, at), Buffer.of(random.integer(0, 255)), bytes.subarray(at)]),
      );
      return `a byte more at ${at} of ${key}`;
    case 7: {
      const exchanged = objects.get(otherKey) ?? bytes;
      objects.set(otherKey, bytes);
      objects.set(key, exchanged);
      return `${key} and ${otherKey} exchanged`;
    }
    default:
      objects.delete(key);
      return `${key} gone`;
  }
}
