import type { BoltBucket } from '../bolt/reader.ts';
import type { BoltWriter } from '../bolt/writer.ts';
import { BUCKETS, type EtcdBackend } from './backend.ts';
import { BackendError } from './backend-error.ts';

/** Of the cluster that was, not of its data: a restored one has others. */
const LEFT_EMPTY: readonly Buffer[] = [BUCKETS.members, BUCKETS.membersRemoved, BUCKETS.alarm];
/** Users, their roles, and the version that all members had agreed on. */
const COPIED: readonly Buffer[] = [BUCKETS.auth, BUCKETS.authUsers, BUCKETS.authRoles, BUCKETS.cluster];

/** Writes what stays the same whatever happens to the keys, and empties what belongs to the old cluster. */
export async function copySettings(
  backend: EtcdBackend,
  writer: BoltWriter,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const name of [...COPIED, ...LEFT_EMPTY]) {
    const bucket = await backend.database.root.bucket(name);
    if (bucket === null) continue;
    writer.begin(name, bucket.sequence);
    if (COPIED.includes(name)) await copyBucket(bucket, writer, { signal });
  }
}

/** Appends the pairs of a bucket to the one that the writer has open. */
export async function copyBucket(
  bucket: BoltBucket,
  writer: BoltWriter,
  options: {
    /** Throws for a key that cannot be. */
    readonly check?: (key: Buffer) => void;
    /** Which pairs are copied, by their place. Default: all. */
    readonly keeps?: (key: Buffer, ordinal: number) => boolean;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { check, keeps, signal } = options;
  let ordinal = 0;
  for await (const leaf of bucket.leaves()) {
    signal?.throwIfAborted();
    if (leaf.hasBuckets) throw new BackendError('malformed', 'a bucket of etcd’s holds a bucket');
    for (let index = 0; check !== undefined && index < leaf.count; index += 1) check(leaf.key(index));
    if (keeps === undefined) writer.appendLeaf(leaf);
    for (let index = 0; keeps !== undefined && index < leaf.count; index += 1, ordinal += 1) {
      if (keeps(leaf.key(index), ordinal)) writer.append(leaf.key(index), leaf.value(index));
    }
    await writer.drain();
  }
}

/** Writes the bucket `meta` with some of its values changed, or new. */
export async function writeMeta(
  backend: EtcdBackend,
  writer: BoltWriter,
  changes: Readonly<Record<string, Buffer>>,
): Promise<void> {
  const values = new Map<string, Buffer>();
  const bucket = await backend.database.root.bucket(BUCKETS.meta);
  for await (const leaf of bucket?.leaves() ?? []) {
    for (let index = 0; index < leaf.count; index += 1)
      values.set(String(leaf.key(index)), leaf.value(index));
  }
  for (const [name, value] of Object.entries(changes)) values.set(name, value);
  writer.begin(BUCKETS.meta, bucket?.sequence);
  const pairs = [...values].map(([name, value]) => [Buffer.from(name), value] as const);
  for (const [key, value] of pairs.toSorted(([left], [right]) => Buffer.compare(left, right))) {
    writer.append(key, value);
  }
}
