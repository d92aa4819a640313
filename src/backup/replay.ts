import { decodeFields, encodeFields, uint64Of } from '../etcd/protobuf.ts';
import type { ReplayClient, ReplayOperation } from '../etcd/replay-client.ts';
import { BUCKETS } from './backend/backend.ts';
import { BackendError } from './backend/backend-error.ts';
import { sealSnapshot } from './backend/snapshot-file.ts';
import { ENDED_LEASE_TTL_SECONDS, type SpliceBatch, UNKNOWN_LEASE_TTL_SECONDS } from './backend/splice.ts';
import type { ReadableFile, WritableFile } from './bolt/file-port.ts';
import type { BoltDatabase } from './bolt/reader.ts';
import { BoltWriter } from './bolt/writer.ts';
import { readEvent } from './events.ts';

/** A lease that ran out in the middle of a replay would take its keys, and every revision after that were another. */
const REPLAY_TTL_SECONDS = 1_000_000_000n;

/**
 * Copies a database, whatever its schema is, with other times for its leases, and seals it as a snapshot.
 * @param ttlOf what a lease is to have.
 */
export async function copyWithLeases(
  to: ReadableFile & WritableFile,
  database: BoltDatabase,
  ttlOf: (id: bigint) => bigint,
): Promise<void> {
  const writer = new BoltWriter(to, database.pageSizeBytes);
  for await (const buckets of database.root.leaves()) {
    for (let each = 0; each < buckets.count; each += 1) {
      const name = buckets.key(each);
      const bucket = await database.root.bucket(name);
      writer.begin(name, bucket?.sequence);
      for await (const leaf of bucket?.leaves() ?? []) {
        if (!name.equals(BUCKETS.lease)) writer.appendLeaf(leaf);
        for (let index = 0; name.equals(BUCKETS.lease) && index < leaf.count; index += 1) {
          const key = leaf.key(index);
          const id = key.readBigUInt64BE();
          const lease = encodeFields([
            [1, id],
            [2, ttlOf(id)],
          ]);
          writer.append(key, lease);
        }
        await writer.drain();
      }
    }
  }
  await writer.finish();
  await sealSnapshot(to);
}

/** Every lease of a database, whatever its schema is, with its time, for a replay. */
export async function leaseTimes(database: BoltDatabase): Promise<Map<bigint, bigint>> {
  const times = new Map<bigint, bigint>();
  const bucket = await database.root.bucket(BUCKETS.lease);
  for await (const leaf of bucket?.leaves() ?? []) {
    for (let index = 0; index < leaf.count; index += 1) {
      times.set(leaf.key(index).readBigUInt64BE(), uint64Of(decodeFields(leaf.value(index)), 2));
    }
  }
  return times;
}

/** What a replay begins with: a copy whose leases do not run out meanwhile. */
export async function writeReplayBase(
  to: ReadableFile & WritableFile,
  database: BoltDatabase,
): Promise<void> {
  await copyWithLeases(to, database, () => REPLAY_TTL_SECONDS);
}

/**
 * Writes into an etcd what happened after the full that it was restored from, a transaction for each revision. It has
 * to take transactions as large as any there were, and nobody else may write to it.
 * Throws a {@link BackendError} `gap` where a revision does not become the one that it was.
 * @param options.times of the leases that are there; those of the leases that are used are added.
 */
export async function replay(
  client: ReplayClient,
  batches: AsyncIterable<SpliceBatch> | Iterable<SpliceBatch>,
  options: {
    readonly after: bigint;
    readonly to: bigint;
    readonly times: Map<bigint, bigint>;
    readonly signal: AbortSignal;
  },
): Promise<{
  readonly revision: bigint;
  readonly events: number;
  readonly unknownLeases: readonly bigint[];
}> {
  const { after, to, times, signal } = options;
  const known = new Set(await client.leases(signal));
  const granted = new Map<bigint, bigint | null>();
  const unknown = new Set<bigint>();
  const use = async (id: bigint): Promise<void> => {
    if (!known.has(id)) await client.grantLease(id, REPLAY_TTL_SECONDS, signal);
    known.add(id);
    const told = granted.get(id);
    if (told !== undefined) times.set(id, told ?? ENDED_LEASE_TTL_SECONDS);
    else if (!times.has(id)) {
      unknown.add(id);
      times.set(id, UNKNOWN_LEASE_TTL_SECONDS);
    }
  };
  let [revision, count] = [after, 0];
  for await (const batch of batches) {
    for (const { id, ttlSeconds } of batch.leases) granted.set(BigInt.asUintN(64, id), ttlSeconds);
    for (const { revision: next, events } of batch.revisions) {
      if (next <= revision || next > to) continue;
      const operations = events.map(operationOf);
      for (const operation of operations) {
        if (operation.type === 'put' && operation.lease !== 0n) await use(operation.lease);
      }
      const written = await client.write(operations, signal);
      if (written !== next) {
        throw new BackendError('gap', `revision ${next} became ${written} when it was replayed`);
      }
      revision = next;
      count += events.length;
    }
  }
  if (revision < to) {
    throw new BackendError('future-revision', `the archive ends at revision ${revision}, before ${to}`);
  }
  return { revision, events: count, unknownLeases: [...unknown] };
}

function operationOf(bytes: Uint8Array): ReplayOperation {
  const { type, key, value, lease } = readEvent(bytes);
  return type === 'delete' ? { type, key } : { type, key, value, lease };
}
