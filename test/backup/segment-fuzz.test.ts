import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type * as z from 'zod';
import {
  archiveDocumentSchema,
  decodeDocument,
  encodeDocument,
  epochDocumentSchema,
} from '../../src/backup/documents.ts';
import { ArchiveError } from '../../src/backup/errors.ts';
import { createFrameDecoder, createFrameEncoder, type Frame } from '../../src/backup/frames.ts';
import { readSegment } from '../../src/backup/segment.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import { sampleArchive, sampleRevisions, sampleWriter } from './sample-log.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const RUNS = Number(process.env['RUNS'] ?? 4000);
const again = `SEED=${SEED} RUNS=${RUNS} npx vitest run --project unit backup/segment-fuzz`;

/*
 * What has the right hash may still be what nobody ever wrote, as from a writer with a defect: the hashes here are made
 * anew after the alteration, so that all behind them is reached.
 */

test(
  `a segment is read, or refused with a clear error, whatever its frames hold (${RUNS} times)`,
  async () => {
    const random = createChance(SEED).stream('segments');
    const bases = await sampleSegments();
    const outcomes = new Map<string, number>();
    for (let run = 1; run <= RUNS; run += 1) {
      const frames = alteredFrames(random.pick(bases), random);
      const outcome = await readAll(encoded(frames, random.chance(0.5)), random).catch(refusal(run));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    console.log([...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', '));
    for (const outcome of ['read', 'corrupt']) {
      expect(outcomes.get(outcome), outcome).toBeGreaterThan(RUNS / 100);
    }
  },
  20_000 + RUNS * 5,
);

test(
  `a document is read, or refused with a clear error, whatever stands in it (${RUNS} times)`,
  async () => {
    const random = createChance(SEED).stream('documents');
    const outcomes = new Map<string, number>();
    for (let run = 1; run <= RUNS; run += 1) {
      const { schema, document } = random.pick(DOCUMENTS);
      const bytes = alteredDocument(document, random);
      const outcome = await Promise.resolve()
        .then(() => {
          decodeDocument(schema, 'document', bytes);
          return 'read';
        })
        .catch(refusal(run));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    console.log([...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', '));
    for (const outcome of ['read', 'corrupt', 'unsupported']) {
      expect(outcomes.get(outcome), outcome).toBeGreaterThan(RUNS / 500);
    }
  },
  20_000 + RUNS * 5,
);

const refusal =
  (run: number) =>
  (error: unknown): string => {
    if (error instanceof ArchiveError && error.message !== '') return error.code;
    throw new Error(`run ${run}; again: ${again}`, { cause: error });
  };

interface Part {
  readonly kind: Frame['kind'];
  readonly payload: Buffer;
}

/** The frames of segments as they are written: with batches, proofs, gaps and ends. */
async function sampleSegments(): Promise<readonly (readonly Part[])[]> {
  const store = createMemoryArchiveStore();
  const log = await sampleWriter(await sampleArchive(store), 1, { segmentBytesMax: 2_500 });
  for (let from = 1n; from < 60n; from += 10n) {
    await log.write({
      atMs: 1,
      leases: [{ id: from, ttlSeconds: null }],
      revisions: sampleRevisions(from, from + 9n),
    });
    const proof = { revision: String(from), hash: 7, compactRevision: '1', etcdVersion: '3.5.30' };
    await log.prove({ ...proof, memberId: 'f', atMs: 3 });
  }
  await log.skip({ reason: 'lost', from: '61', to: '62' });
  await log.close();
  const segments = [...store.objects].filter(([key]) => key.includes('/log/'));
  return segments.map(([key, bytes]) => [...createFrameDecoder(key).push(bytes)]);
}

function encoded(frames: readonly Part[], compress: boolean): Buffer {
  const encoder = createFrameEncoder({ compress });
  return Buffer.concat(frames.map(({ kind, payload }) => encoder.encode(kind, payload)));
}

function alteredFrames(base: readonly Part[], random: RandomStream): readonly Part[] {
  const frames = [...base];
  const at = random.integer(0, frames.length - 1);
  const frame = frames[at] ?? expect.fail('a segment has frames');
  switch (random.integer(0, 7)) {
    case 0: // frames that are there twice, or not at all, or in another order
      return random.chance(0.5) ? frames.toSpliced(at, 0, random.pick(frames)) : frames.toSpliced(at, 1);
    case 1:
      return random.shuffle(frames);
    case 2: // under another kind
      return frames.with(at, { ...frame, kind: random.pick(['header', 'batch', 'proof', 'end']) });
    default: {
      const payload =
        frame.kind === 'batch' ? alteredBytes(frame.payload, random) : alteredJson(frame, random);
      return frames.with(at, { ...frame, payload });
    }
  }
}

const SPECIAL = [0, 1, 0x7f, 0x80, 0xff];

function alteredBytes(base: Buffer, random: RandomStream): Buffer {
  const bytes = Buffer.from(base);
  const at = random.integer(0, bytes.byteLength - 1);
  switch (random.integer(0, 4)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    case 2:
      return bytes.fill(random.pick(SPECIAL), at, Math.min(bytes.byteLength, at + random.pick([2, 4, 8])));
    default:
      bytes[at] = random.integer(0, 255);
      return bytes;
  }
}

const VALUES = [null, true, '', 'x', '-1', '18446744073709551616', '1e3', 0, -1, 1.5, 2, 1e300, [], {}, [{}]];

/** One member is another value, or gone, or there is one more; now and then it is no JSON. */
function alteredJson({ payload }: { payload: Buffer }, random: RandomStream): Buffer {
  if (random.chance(0.2)) return alteredBytes(payload, random);
  const json = JSON.parse(payload.toString()) as Record<string, unknown>;
  alterMember(json, random);
  return Buffer.from(JSON.stringify(json));
}

function alterMember(json: Record<string, unknown>, random: RandomStream): void {
  const name = random.pick([...Object.keys(json), 'more']);
  const inner = json[name];
  if (typeof inner === 'object' && inner !== null && random.chance(0.7)) {
    alterMember(inner as Record<string, unknown>, random);
  } else if (random.chance(0.2)) delete json[name];
  else json[name] = random.pick(VALUES);
}

const POSITION = { sequence: 3, hash: 'ab'.repeat(32), lastRevision: '9' };
const DOCUMENTS: readonly { readonly schema: z.ZodType; readonly document: object }[] = [
  {
    schema: archiveDocumentSchema,
    document: { format: 'etcd-mesos archive', version: 1, archiveId: 'a1', owner: 'etcd', createdAtMs: 1 },
  },
  {
    schema: epochDocumentSchema,
    document: {
      format: 'etcd-mesos epoch',
      version: 1,
      archiveId: 'a1',
      epoch: 2,
      clusterId: 'abc',
      parent: { epoch: 1, forkRevision: '9', logEnd: POSITION },
      createdAtMs: 1,
    },
  },
];

/** With its hash made anew, but for those that are cut or filled. */
function alteredDocument(base: object, random: RandomStream): Buffer {
  const whole = encodeDocument(base);
  if (random.chance(0.1)) return whole;
  if (random.chance(0.2)) return alteredBytes(whole, random);
  const json = structuredClone(base) as Record<string, unknown>;
  alterMember(json, random);
  if (random.chance(0.8)) return encodeDocument(json);
  const head = alteredBytes(encodeDocument(json).subarray(0, -69), random);
  return Buffer.from(
    `${head.toString('latin1')}${createHash('sha256').update(head).digest('hex')}"\n}\n`,
    'latin1',
  );
}

async function readAll(bytes: Buffer, random: RandomStream): Promise<string> {
  const cut = random.integer(0, bytes.byteLength);
  const parts = [bytes.subarray(0, cut), bytes.subarray(cut)];
  for await (const _ of readSegment('segment', inParts(parts)));
  return 'read';
}

async function* inParts(parts: readonly Buffer[]): AsyncGenerator<Buffer, void, undefined> {
  await Promise.resolve();
  yield* parts;
}
