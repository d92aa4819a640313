import { describe, expect, it } from 'vitest';
import { type EtcdBackend, META, openBackend } from '../../../src/backup/backend/backend.ts';
import { compactBackend } from '../../../src/backup/backend/compact.ts';
import { hashKv } from '../../../src/backup/backend/hash-kv.ts';
import { listKeys } from '../../../src/backup/backend/history.ts';
import { revisionKey } from '../../../src/backup/backend/revision-key.ts';
import { checkedDatabase } from '../../../src/backup/backend/snapshot-file.ts';
import { type SpliceBatch, type SpliceOptions, splice } from '../../../src/backup/backend/splice.ts';
import { encodeFields } from '../../../src/etcd/protobuf.ts';
import { createChance, type RandomStream } from '../../sim/prng.ts';
import { pairsOf, readDatabase } from '../bolt/database.ts';
import { createMemoryFile } from '../memory-file.ts';
import { backendFile, compacted, eventsOf, type ModelRecord, randomHistory } from './history-model.ts';

type Pair = readonly [Buffer, Buffer];
const stored = (records: readonly ModelRecord[]): readonly Pair[] =>
  records.map(({ revision, subRevision, isDelete, record }) => [
    revisionKey(revision, subRevision, isDelete),
    record,
  ]);
const lease = (id: bigint, ttlSeconds: bigint): Pair => {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(id);
  return [
    key,
    encodeFields([
      [1, id],
      [2, ttlSeconds],
    ]),
  ];
};
const upTo = (records: readonly ModelRecord[], revision: bigint) =>
  records.filter((record) => record.revision <= revision);

function batchesOf(records: readonly ModelRecord[], random: RandomStream): readonly SpliceBatch[] {
  const revisions = [...eventsOf(records)];
  const batches: SpliceBatch[] = [];
  while (revisions.length > 0) {
    const leases = random.chance(0.5) ? [{ id: 77n, ttlSeconds: 60n }] : [];
    batches.push({ revisions: revisions.splice(0, random.integer(0, 9)), leases });
  }
  return batches;
}

async function spliced(options: SpliceOptions) {
  const file = createMemoryFile();
  const result = await splice(file, options);
  expect(result.sizeBytes).toBe(file.sizeBytes);
  return { result, backend: await openBackend(await checkedDatabase(file)) };
}

describe('a splice', () => {
  it('is the store itself, at any revision, from any full and any batches', async () => {
    const random = createChance(11).stream('histories');
    for (let run = 0; run < 80; run += 1) {
      const records = randomHistory(random, random.integer(2, 40));
      const last = Number(records.at(-1)?.revision);
      const fullAt = BigInt(random.integer(2, last));
      const compactAt = BigInt(random.integer(1, Number(fullAt)));
      const target = random.chance(0.3) ? null : BigInt(random.integer(Number(fullAt), last));
      const wanted = compacted(upTo(records, target ?? BigInt(last)), compactAt);
      const from = BigInt(random.integer(2, Number(fullAt) + 1));
      const full = await openBackend(
        await backendFile({
          records: compacted(upTo(records, fullAt), compactAt),
          scheduled: compactAt,
          finished: compactAt,
        }),
      );
      const batches = batchesOf(
        records.filter(({ revision }) => revision >= from),
        random,
      );
      const { result, backend } = await spliced({ full, batches, revision: target });
      expect(result.revision, `run ${run}`).toBe(target ?? BigInt(last));
      expect(backend).toMatchObject({ revision: result.revision, compactRevision: compactAt });
      expect(await pairsOf(backend.keys)).toEqual(stored(wanted));
    }
  });

  const records = randomHistory(createChance(12).stream('histories'), 30);
  const settings = {
    auth: [['authRevision', Buffer.from('0000000000000005', 'hex')]],
    authUsers: [['root', Buffer.from('a user')]],
    authRoles: [],
    cluster: [['clusterVersion', Buffer.from('3.5.0')]],
    members: [['8e9e05c52164694d', Buffer.from('{}')]],
    members_removed: [['8e9e05c52164694e', Buffer.from('removed')]],
    alarm: [
      [
        encodeFields([
          [1, 5n],
          [2, 1n],
        ]),
        Buffer.of(),
      ],
    ],
  } as const;
  const fullWith = async (
    buckets: Readonly<Record<string, readonly (readonly [string | Buffer, Buffer])[]>>,
  ) => await openBackend(await backendFile({ records: upTo(records, 10n), buckets, scheduled: 3n }));
  const batches = [{ revisions: eventsOf(records).slice(9), leases: [] }];

  it('keeps users, roles, the cluster’s version and the log’s place, and leaves members and alarms out', async () => {
    const full = await fullWith(settings);
    expect(await full.alarms()).toEqual([{ memberId: '5', alarm: 'NOSPACE' }]);
    const { backend } = await spliced({ full, batches, revision: null });
    const [before, after] = [await readDatabase(full.database), await readDatabase(backend.database)];
    for (const name of ['auth', 'authUsers', 'authRoles', 'cluster', 'meta']) {
      expect(after.get(name), name).toEqual(before.get(name));
    }
    for (const name of ['members', 'members_removed', 'alarm']) expect(after.get(name), name).toEqual([]);
    expect([...after.keys()].toSorted()).toEqual([...before.keys(), 'lease'].toSorted());
  });

  it('keeps the full’s leases as they are, and adds those that its events use', async () => {
    const using = (id: bigint) =>
      encodeFields([
        [
          2,
          encodeFields([
            [1, 'k'],
            [2, 11n],
            [3, 11n],
            [4, 1n],
            [6, id],
          ]),
        ],
      ]);
    const events = [5n, 6n, 8n, 9n, 12n].map(using);
    // What it kept of a lease's time while it ran is kept as well.
    const running = [
      lease(9n, 90n)[0],
      encodeFields([
        [1, 9n],
        [2, 90n],
        [3, 44n],
      ]),
    ] as const;
    const full = await fullWith({ lease: [lease(7n, 70n), lease(8n, 80n), running] });
    const leases = [
      { id: 5n, ttlSeconds: 50n },
      { id: 8n, ttlSeconds: 88n },
      { id: 12n, ttlSeconds: null },
      { id: 13n, ttlSeconds: 130n },
    ];
    const { result, backend } = await spliced({
      full,
      batches: [{ revisions: [{ revision: 11n, events }], leases }],
      revision: 11n,
    });
    expect(result.unknownLeases).toEqual([6n]);
    const found = (await readDatabase(backend.database)).get('lease');
    expect(found).toEqual([
      lease(5n, 50n),
      lease(6n, 300n),
      lease(7n, 70n),
      lease(8n, 88n),
      running,
      lease(12n, 1n),
    ]);
  });

  it('goes on from a raised revision, compacted there', async () => {
    const full = await fullWith({});
    const { result, backend } = await spliced({ full, batches, revision: 20n, raiseTo: 1_000_000_020n });
    expect(result).toMatchObject({ revision: 20n, headRevision: 1_000_000_020n });
    expect(backend).toMatchObject({
      revision: 1_000_000_020n,
      compactRevision: 1_000_000_020n,
      finishedCompactRevision: 0n,
    });
    const now = await listKeys(backend, { from: Buffer.of() });
    const { backend: plain } = await spliced({ full, batches, revision: 20n });
    expect(now).toEqual(await listKeys(plain, { from: Buffer.of() }));
    expect(now.length).toBeGreaterThan(0);
  });

  it('of a full alone is possible', async () => {
    const full = await fullWith({});
    for (const revision of [null, 10n]) {
      const { result } = await spliced({ full, batches: [], revision });
      expect(result).toMatchObject({ revision: 10n, eventsSpliced: 0 });
    }
  });

  const all = eventsOf(records);
  const bad = encodeFields([
    [
      2,
      encodeFields([
        [1, 'k'],
        [3, 12n],
      ]),
    ],
  ]);
  it.for([
    ['a gap behind the full', { revisions: all.slice(10) }, 'gap'],
    ['a gap within', { revisions: [...all.slice(9, 12), ...all.slice(13)] }, 'gap'],
    [
      'a gap before the revision',
      { revisions: [...all.slice(9, 10), ...all.slice(25)], revision: 20n },
      'gap',
    ],
    ['a revision twice', { revisions: [...all.slice(9, 11), ...all.slice(10)] }, 'gap'],
    ['an end before the revision', { revisions: all.slice(9, 12), revision: 20n }, 'future-revision'],
    ['a full after the revision', { revisions: all, revision: 9n }, 'compacted'],
    ['an event of another revision', { revisions: [{ revision: 11n, events: [bad] }] }, 'malformed'],
    ['no event', { revisions: [{ revision: 11n, events: [Buffer.of(0xff)] }] }, 'malformed'],
    ['a raise to before the end', { revisions: all, raiseTo: 20n }, 'future-revision'],
  ] as const)('refuses %s', async ([_, { revisions, ...options }, code]) => {
    await expect(
      splice(createMemoryFile(), {
        full: await fullWith({}),
        batches: [{ revisions, leases: [] }],
        revision: null,
        ...options,
      }),
    ).rejects.toMatchObject({ code });
  });

  it('ends when it is told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    const aborted = splice(createMemoryFile(), { full: await fullWith({}), batches, revision: null, signal });
    await expect(aborted).rejects.toThrow('enough');
  });
});

describe('a compaction of a backend', () => {
  const compactedAt = async (backend: EtcdBackend, revision: bigint): Promise<EtcdBackend> => {
    const file = createMemoryFile();
    await compactBackend(file, backend, revision);
    return await openBackend(await checkedDatabase(file));
  };

  it('leaves what etcd’s leaves, and every hash from there on', async () => {
    const random = createChance(13).stream('histories');
    for (let run = 0; run < 40; run += 1) {
      const records = randomHistory(random, random.integer(2, 40));
      const last = Number(records.at(-1)?.revision);
      const whole = await openBackend(await backendFile({ records, buckets: { lease: [lease(3n, 9n)] } }));
      const at = BigInt(random.integer(1, last));
      const short = await compactedAt(whole, at);
      expect(await pairsOf(short.keys)).toEqual(stored(compacted(records, at)));
      expect(short).toMatchObject({
        revision: BigInt(last),
        compactRevision: at,
        finishedCompactRevision: at,
      });
      for (const revision of [at, BigInt(last)]) {
        expect(await hashKv(short, { revision })).toEqual(
          await hashKv(whole, { revision, compactRevision: at }),
        );
      }
      expect((await readDatabase(short.database)).get('lease')).toEqual([lease(3n, 9n)]);
    }
  });

  it('is refused where it was compacted already, or is not yet', async () => {
    const records = randomHistory(createChance(14).stream('histories'), 10);
    const backend = await openBackend(
      await backendFile({
        records,
        meta: { [String(META.scheduledCompactRevision)]: revisionKey(5n, 0, false) },
      }),
    );
    await expect(compactedAt(backend, 5n)).rejects.toMatchObject({ code: 'compacted' });
    await expect(compactedAt(backend, 12n)).rejects.toMatchObject({ code: 'future-revision' });
  });
});
