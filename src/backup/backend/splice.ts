import { encodeFields } from '../../etcd/protobuf.ts';
import type { ReadableFile, WritableFile } from '../bolt/file-port.ts';
import { BoltWriter } from '../bolt/writer.ts';
import { type EtcdEvent, type RevisionEvents, readEvent } from '../events.ts';
import { BUCKETS, type EtcdBackend, META } from './backend.ts';
import { BackendError } from './backend-error.ts';
import { tombstoneOf } from './key-value.ts';
import { checkRevisionKey, REVISION_MAX, revisionKey } from './revision-key.ts';
import { copyBucket, copySettings, writeMeta } from './rewrite.ts';
import { sealSnapshot } from './snapshot-file.ts';

/** What is put on top of a full. */
export interface SpliceBatch {
  /** Each follows the one before it; those that the full has already may come first, or be left out. */
  readonly revisions: readonly RevisionEvents[];
  /** Leases that the events use and the full may not have. */
  readonly leases: readonly SplicedLease[];
}
export interface SplicedLease {
  readonly id: bigint;
  /** As it was granted; `null` where it had ended before it could be asked for. */
  readonly ttlSeconds: bigint | null;
}

export interface SpliceOptions {
  readonly full: EtcdBackend;
  readonly batches: AsyncIterable<SpliceBatch> | Iterable<SpliceBatch>;
  /** The last revision of the result, not before the full's; `null`: the last one that the batches have. */
  readonly revision: bigint | null;
  /**
   * The revision from which the restored store goes on, compacted there, so that every watch and every cached list
   * from before begins anew. Later than `revision`. Default: it goes on where it was.
   */
  readonly raiseTo?: bigint;
  /** Looked at between pages; what it aborts with is thrown. */
  readonly signal?: AbortSignal;
}

export interface SpliceResult {
  /** The last revision whose changes are in it. */
  readonly revision: bigint;
  /** What the store's header will say: `revision`, or what it was raised to. */
  readonly headRevision: bigint;
  readonly eventsSpliced: number;
  /** Of the whole file, its trailing hash included. */
  readonly sizeBytes: number;
  /** Leases that keys were attached to and that nobody told of; they got {@link UNKNOWN_LEASE_TTL_SECONDS}. */
  readonly unknownLeases: readonly bigint[];
}

/** For a lease whose keys are there and whose time nobody knows: long enough to be kept alive by its holder. */
export const UNKNOWN_LEASE_TTL_SECONDS = 300n;
/** etcd makes of it the shortest it has. */
export const ENDED_LEASE_TTL_SECONDS = 1n;

/**
 * Writes a snapshot that etcd's own restore accepts: a full and all that happened after it, up to a revision. Events
 * are whole records, so they become those of the bucket `key` as they are, and the result is the same in every field
 * as what the cluster held. What belonged to the old cluster, its members and alarms, is left out; users, roles and
 * leases are kept. Memory does not grow with the size of the full; with the number of leases in the events it does.
 *
 * Throws a {@link BackendError}: `gap` where revisions do not follow each other, `future-revision` where the batches
 * end before `revision`, `compacted` where the full is later than it, `malformed` for what is no event.
 * @param target an empty file; half written where this throws.
 */
export async function splice(
  target: ReadableFile & WritableFile,
  options: SpliceOptions,
): Promise<SpliceResult> {
  const { full, raiseTo, signal } = options;
  const writer = new BoltWriter(target, full.database.pageSizeBytes);
  await copySettings(full, writer, signal);
  const { revision, eventsSpliced, uses, granted } = await spliceKeys(writer, options);
  const unknownLeases = await writeLeases(writer, full, uses, granted);
  await writeMeta(
    full,
    writer,
    raiseTo === undefined ? {} : { [String(META.scheduledCompactRevision)]: revisionKey(raiseTo, 0, false) },
  );
  await writer.finish();
  await sealSnapshot(target);
  const headRevision = raiseTo ?? revision;
  return { revision, headRevision, eventsSpliced, sizeBytes: target.sizeBytes, unknownLeases };
}

interface SplicedKeys {
  readonly revision: bigint;
  readonly eventsSpliced: number;
  /** Leases that the events use. */
  readonly uses: ReadonlySet<bigint>;
  /** What the batches said of leases. */
  readonly granted: ReadonlyMap<bigint, bigint | null>;
}

async function spliceKeys(writer: BoltWriter, options: SpliceOptions): Promise<SplicedKeys> {
  const { full, batches, raiseTo, signal } = options;
  const end = options.revision ?? REVISION_MAX;
  if (end < full.revision) {
    throw new BackendError(
      'compacted',
      `revision ${end} is wanted, and the full has ${full.revision} already`,
      { hint: 'Begin with an older full.' },
    );
  }
  writer.begin(BUCKETS.key);
  await copyBucket(full.keys, writer, { check: checkRevisionKey, signal });
  const uses = new Set<bigint>();
  const granted = new Map<bigint, bigint | null>();
  let [revision, eventsSpliced] = [full.revision, 0];
  for await (const batch of batches) {
    signal?.throwIfAborted();
    if (revision === end) break;
    for (const { id, ttlSeconds } of batch.leases) granted.set(id, ttlSeconds);
    for (const { revision: next, events } of batch.revisions) {
      if (revision === end) break;
      if (next <= revision && eventsSpliced === 0) continue;
      if (next !== revision + 1n) throw gap(revision, next);
      for (const [subRevision, bytes] of events.entries()) {
        const event = checkedEvent(bytes, next);
        const isDelete = event.type === 'delete';
        writer.append(
          revisionKey(next, subRevision, isDelete),
          isDelete ? tombstoneOf(event.key) : event.keyValue,
        );
        if (event.lease !== 0n) uses.add(event.lease);
      }
      revision = next;
      eventsSpliced += events.length;
      await writer.drain();
    }
  }
  if (options.revision !== null && revision < options.revision) {
    throw new BackendError('future-revision', `the archive ends at revision ${revision}, before ${end}`);
  }
  if (raiseTo !== undefined) raise(writer, revision, raiseTo);
  return { revision, eventsSpliced, uses, granted };
}

/** As etcd's own restore does it: a record of nothing, with the revision that is wanted. */
function raise(writer: BoltWriter, revision: bigint, raiseTo: bigint): void {
  if (raiseTo <= revision || raiseTo > REVISION_MAX) {
    throw new BackendError(
      'future-revision',
      `the revision is ${revision} and cannot be raised to ${raiseTo}`,
    );
  }
  writer.append(revisionKey(raiseTo, 0, false), new Uint8Array());
}

function checkedEvent(bytes: Uint8Array, revision: bigint): EtcdEvent {
  let event: EtcdEvent;
  try {
    event = readEvent(bytes);
  } catch (cause) {
    throw new BackendError('malformed', `revision ${revision} has what is no event`, { cause });
  }
  if (event.modRevision !== revision || event.key.length === 0) {
    throw new BackendError('malformed', `revision ${revision} has an event of revision ${event.modRevision}`);
  }
  return event;
}

/** Those of the full as they are and those that the events use, in order of their ids. Gives those nobody told of. */
async function writeLeases(
  writer: BoltWriter,
  full: EtcdBackend,
  uses: ReadonlySet<bigint>,
  granted: ReadonlyMap<bigint, bigint | null>,
): Promise<readonly bigint[]> {
  const unknown = new Set([...uses].filter((id) => !granted.has(id)));
  if (unknown.size > 0) for await (const { id } of full.leases()) unknown.delete(BigInt.asUintN(64, id));
  const added = [...uses]
    .filter((id) => granted.has(id) || unknown.has(id))
    .map((id) => ({
      key: leaseKey(id),
      value: encodeFields([
        [1, id],
        [2, ttlOf(id, granted)],
      ]),
    }))
    .toSorted((left, right) => Buffer.compare(left.key, right.key));
  let next = 0;
  /** Adds those before the key, or all; says whether the next one has this very key. */
  const addBefore = (key: Buffer | null): boolean => {
    for (let lease = added[next]; lease !== undefined; lease = added[next]) {
      const order = key === null ? -1 : Buffer.compare(lease.key, key);
      if (order >= 0) return order === 0;
      writer.append(lease.key, lease.value);
      next += 1;
    }
    return false;
  };
  writer.begin(BUCKETS.lease);
  const bucket = await full.database.root.bucket(BUCKETS.lease);
  if (bucket !== null) {
    // One that was granted anew under an old id is written with the next key, in the old one's place.
    await copyBucket(bucket, writer, { keeps: (key) => !addBefore(key) });
  }
  addBefore(null);
  return [...unknown];
}

function ttlOf(id: bigint, granted: ReadonlyMap<bigint, bigint | null>): bigint {
  const ttlSeconds = granted.get(id);
  return ttlSeconds === undefined ? UNKNOWN_LEASE_TTL_SECONDS : (ttlSeconds ?? ENDED_LEASE_TTL_SECONDS);
}

function leaseKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(id);
  return key;
}

function gap(last: bigint, next: bigint): BackendError {
  return new BackendError('gap', `revision ${next} follows ${last}: what was between them is not there`, {
    hint: 'Restore to the revision before the gap, or begin with a full from after it.',
  });
}
