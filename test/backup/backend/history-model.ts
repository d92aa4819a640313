import { BUCKETS, META } from '../../../src/backup/backend/backend.ts';
import { tombstoneOf } from '../../../src/backup/backend/key-value.ts';
import { revisionKey } from '../../../src/backup/backend/revision-key.ts';
import { BoltWriter } from '../../../src/backup/bolt/writer.ts';
import type { RevisionEvents } from '../../../src/backup/events.ts';
import { encodeFields } from '../../../src/etcd/protobuf.ts';
import type { RandomStream } from '../../sim/prng.ts';
import { createMemoryFile, type MemoryFile } from '../memory-file.ts';

/** A change of one key, as etcd stores it. */
export interface ModelRecord {
  readonly revision: bigint;
  readonly subRevision: number;
  readonly key: string;
  readonly isDelete: boolean;
  /** The stored KeyValue. */
  readonly record: Buffer;
}

/** Random changes of few keys, revision after revision from 2 on, as etcd numbers and stores them. */
export function randomHistory(random: RandomStream, revisions: number): readonly ModelRecord[] {
  const live = new Map<string, { create: bigint; version: bigint }>();
  const names = Array.from({ length: random.integer(2, 12) }, (_, index) => `key-${index}`);
  const records: ModelRecord[] = [];
  for (let revision = 2n; revision < 2n + BigInt(revisions); revision += 1n) {
    const changed = random.shuffle(names).slice(0, random.pick([1, 1, 1, 2, 5]));
    for (const [subRevision, key] of changed.entries()) {
      const known = live.get(key);
      const isDelete = known !== undefined && random.chance(0.4);
      const { create, version } = isDelete || known === undefined ? { create: revision, version: 0n } : known;
      if (isDelete) live.delete(key);
      else live.set(key, { create, version: version + 1n });
      const record = isDelete
        ? tombstoneOf(Buffer.from(key))
        : encodeFields([
            [1, key],
            [2, create],
            [3, revision],
            [4, version + 1n],
            [5, Buffer.alloc(random.pick([0, 5, 300]), Number(revision))],
            [6, random.chance(0.2) ? 77n : 0n],
          ]);
      records.push({ revision, subRevision, key, isDelete, record });
    }
  }
  return records;
}

/** The records up to a revision that a compaction leaves, as etcd 3.5.16 and later do: deletes there stay. */
export function compacted(records: readonly ModelRecord[], at: bigint): readonly ModelRecord[] {
  const kept = newestOf(records, at);
  return records.filter(
    (record) => record.revision > at || kept.has(record) || (record.isDelete && record.revision === at),
  );
}

/** What etcd's index calls `keep`: of every key that is there at the revision the record that made it so. */
export function newestOf(records: readonly ModelRecord[], at: bigint): ReadonlySet<ModelRecord> {
  const newest = new Map<string, ModelRecord>();
  for (const record of records) {
    if (record.revision > at) continue;
    if (record.isDelete) newest.delete(record.key);
    else newest.set(record.key, record);
  }
  return new Set(newest.values());
}

export interface ModelBackend {
  readonly records: readonly ModelRecord[];
  readonly scheduled?: bigint;
  readonly finished?: bigint;
  readonly buckets?: Readonly<Record<string, readonly (readonly [string | Buffer, Buffer])[]>>;
  readonly meta?: Readonly<Record<string, Buffer>>;
}

/** The database that an etcd with these records would have. */
export async function backendFile(model: ModelBackend): Promise<MemoryFile> {
  const file = createMemoryFile();
  const writer = new BoltWriter(file, 4096);
  writer.begin(BUCKETS.key);
  for (const { revision, subRevision, isDelete, record } of model.records) {
    writer.append(revisionKey(revision, subRevision, isDelete), record);
  }
  const index = Buffer.alloc(8, 0);
  index.writeBigUInt64BE(100n);
  const meta = new Map<string, Buffer>([[String(META.consistentIndex), index]]);
  if (model.scheduled !== undefined) {
    meta.set(String(META.scheduledCompactRevision), revisionKey(model.scheduled, 0, false));
  }
  if (model.finished !== undefined) {
    meta.set(String(META.finishedCompactRevision), revisionKey(model.finished, 0, false));
  }
  for (const [name, value] of Object.entries(model.meta ?? {})) meta.set(name, value);
  const buckets = { ...model.buckets, meta: [...meta] };
  for (const [name, pairs] of Object.entries(buckets)) {
    writer.begin(Buffer.from(name));
    const bytes = pairs.map(([key, value]) => [Buffer.from(key), value] as const);
    for (const [key, value] of bytes.toSorted(([left], [right]) => Buffer.compare(left, right))) {
      writer.append(key, value);
    }
  }
  await writer.finish();
  return file;
}

/** The same as a watch tells it. */
export function eventsOf(records: readonly ModelRecord[]): readonly RevisionEvents[] {
  const byRevision = Map.groupBy(records, ({ revision }) => revision);
  return [...byRevision].map(([revision, changes]) => ({
    revision,
    events: changes.map(({ isDelete, key, record }) =>
      isDelete
        ? encodeFields([
            [1, 1n],
            [
              2,
              encodeFields([
                [1, key],
                [3, revision],
              ]),
            ],
          ])
        : encodeFields([[2, record]]),
    ),
  }));
}
