import { expect, it } from 'vitest';
import { openBackend } from '../../../src/backup/backend/backend.ts';
import { BackendError } from '../../../src/backup/backend/backend-error.ts';
import { compactBackend } from '../../../src/backup/backend/compact.ts';
import { hashKv } from '../../../src/backup/backend/hash-kv.ts';
import { listKeys, lookUp, revisionsOf } from '../../../src/backup/backend/history.ts';
import { splice } from '../../../src/backup/backend/splice.ts';
import { BoltError } from '../../../src/backup/bolt/bolt-error.ts';
import { encodeFields } from '../../../src/etcd/protobuf.ts';
import { createChance, type RandomStream } from '../../sim/prng.ts';
import { altered } from '../bolt/alteration.ts';
import { RECORDED_VERSIONS, recordedSnapshot } from '../fixtures.ts';
import { createMemoryFile } from '../memory-file.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const RUNS = Number(process.env['RUNS'] ?? 300);
const HASH_BYTES = 32;

it(
  `what is made of an altered backend is made, or refused with a clear error (${RUNS} times)`,
  async () => {
    console.log(`seed ${SEED}; again: SEED=${SEED} RUNS=${RUNS} npx vitest run --project unit backend/fuzz`);
    const random = createChance(SEED).stream('alterations');
    const bases = RECORDED_VERSIONS.map((version) => recordedSnapshot(version).subarray(0, -HASH_BYTES));
    const outcomes = new Map<string, number>();
    for (let run = 1; run <= RUNS; run += 1) {
      const base = random.pick(bases);
      const bytes = random.chance(0.5) ? altered(base, random) : withAlteredRecord(base, random);
      for (const use of USES) {
        const outcome = await use(bytes).catch((error: unknown) => {
          if (error instanceof BoltError || error instanceof BackendError) return error.code;
          throw new Error(`run ${run} of seed ${SEED}, ${use.name}`, { cause: error });
        });
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    console.log([...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', '));
    for (const outcome of ['done', 'malformed', 'schema-unknown', 'corrupt']) {
      expect(outcomes.get(outcome), outcome).toBeGreaterThan(RUNS / 100);
    }
  },
  20_000 + RUNS * 20,
);

/** A byte of what the pages hold, so that the pages themselves stay what they are: nearly all else is found there. */
function withAlteredRecord(base: Buffer, random: RandomStream): Buffer {
  const bytes = Buffer.from(base);
  const word = random.pick([
    '_',
    'leased',
    't/',
    'Rev',
    'consistent_index',
    'storageVersion',
    'lease',
    'meta',
    'm0',
  ]);
  const places: number[] = [];
  for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1)) places.push(at);
  if (places.length === 0) return bytes;
  const at = random.pick(places) + random.integer(-9, 12);
  bytes[at] = random.integer(0, 255);
  return bytes;
}

const open = async (bytes: Buffer) => await openBackend(createMemoryFile(bytes));

const USES: readonly ((bytes: Buffer) => Promise<'done'>)[] = [
  async function describing(bytes) {
    const backend = await open(bytes);
    await backend.members();
    await backend.alarms();
    for await (const _ of backend.leases());
    return 'done';
  },
  async function reading(bytes) {
    const backend = await open(bytes);
    await listKeys(backend, { from: Buffer.of() });
    await lookUp(backend, Buffer.from('a'), 8n);
    for await (const _ of revisionsOf(backend, { from: backend.compactRevision + 1n }));
    return 'done';
  },
  async function hashing(bytes) {
    await hashKv(await open(bytes), { compactRevision: 9n });
    return 'done';
  },
  async function splicing(bytes) {
    const full = await open(bytes);
    const revision = full.revision + 1n;
    const record = encodeFields([
      [1, 'k'],
      [2, revision],
      [3, revision],
      [4, 1n],
      [6, 5n],
    ]);
    const revisions = [{ revision, events: [encodeFields([[2, record]])] }];
    await splice(createMemoryFile(), { full, batches: [{ revisions, leases: [] }], revision: null });
    return 'done';
  },
  async function compacting(bytes) {
    await compactBackend(createMemoryFile(), await open(bytes), 12n);
    return 'done';
  },
];
