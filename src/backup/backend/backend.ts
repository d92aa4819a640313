import { decodeFields, uint64Of } from '../../etcd/protobuf.ts';
import type { ReadableFile } from '../bolt/file-port.ts';
import { nameText } from '../bolt/format.ts';
import { type BoltBucket, type BoltDatabase, openBolt } from '../bolt/reader.ts';
import { BackendError } from './backend-error.ts';
import { checkRevisionKey, revisionOf } from './revision-key.ts';

/** The buckets of etcd's backend, as 3.4 to 3.6 have them. */
export const BUCKETS = {
  /** The records of all revisions. */
  key: Buffer.from('key'),
  lease: Buffer.from('lease'),
  /** Where the log stands, compactions, the version of all this. */
  meta: Buffer.from('meta'),
  alarm: Buffer.from('alarm'),
  cluster: Buffer.from('cluster'),
  members: Buffer.from('members'),
  membersRemoved: Buffer.from('members_removed'),
  auth: Buffer.from('auth'),
  authUsers: Buffer.from('authUsers'),
  authRoles: Buffer.from('authRoles'),
} as const;
const KNOWN_BUCKETS: ReadonlySet<string> = new Set(Object.values(BUCKETS).map(String));

/** Keys of the bucket `meta`. */
export const META = {
  consistentIndex: Buffer.from('consistent_index'),
  scheduledCompactRevision: Buffer.from('scheduledCompactRev'),
  finishedCompactRevision: Buffer.from('finishedCompactRev'),
  /** From 3.5. */
  term: Buffer.from('term'),
  /** From 3.5. */
  confState: Buffer.from('confState'),
  /** From 3.6. */
  storageVersion: Buffer.from('storageVersion'),
} as const;
const KNOWN_META: ReadonlySet<string> = new Set(Object.values(META).map(String));

/** The minor of etcd whose layout the file has. All three lay the bucket `key` out alike. */
export type BackendSchema = '3.4' | '3.5' | '3.6';

/** What an etcd member keeps beside its log: its store with all revisions since the last compaction, leases, users. */
export interface EtcdBackend {
  readonly database: BoltDatabase;
  readonly schema: BackendSchema;
  /** The newest revision: what the store's own header would say. 1 where nothing was ever written. */
  readonly revision: bigint;
  /** The last compaction that was ordered; records before it may still be there. 0 without any. */
  readonly compactRevision: bigint;
  /** The last compaction that was carried out to its end. 0 without any. */
  readonly finishedCompactRevision: bigint;
  /** Index of the last entry of the log that is in it. */
  readonly consistentIndex: bigint;
  /** It rises with every change of users, roles and their permissions. */
  readonly authRevision: bigint;
  /** The records of all revisions, by revision and sub-revision. */
  readonly keys: BoltBucket;
  /** By id. */
  leases(): AsyncGenerator<StoredLease, void, undefined>;
  members(): Promise<readonly StoredMember[]>;
  alarms(): Promise<readonly StoredAlarm[]>;
}
export interface StoredLease {
  readonly id: bigint;
  /** As it was granted; after a restore a lease has all of it again. */
  readonly ttlSeconds: bigint;
}
export interface StoredMember {
  /** Hex without leading zeros, as etcd prints it. */
  readonly id: string;
  /** As etcd keeps it, JSON. */
  readonly description: string;
}
export interface StoredAlarm {
  readonly memberId: string;
  readonly alarm: 'NOSPACE' | 'CORRUPT' | 'unknown';
}

/**
 * Reads what a backend says of itself. Throws a BoltError for what is no whole database, a {@link BackendError}
 * `schema-unknown` for one that an etcd of 3.4 to 3.6 does not write and `malformed` for one that contradicts itself.
 * @param file the database alone: a snapshot without its trailing hash.
 */
export async function openBackend(file: ReadableFile): Promise<EtcdBackend> {
  const database = await openBolt(file);
  const buckets = await bucketsOf(database);
  const keys = buckets.get('key');
  const meta = await pairsOf(buckets.get('meta'), 'meta');
  // Of a 3.4 to which nobody has written yet, "meta" is empty.
  if (keys === undefined || !buckets.has('meta')) {
    throw unknownSchema('it has no bucket "key" or no bucket "meta"');
  }
  for (const name of meta.keys()) {
    if (!KNOWN_META.has(name)) throw unknownSchema(`its bucket "meta" has the key ${JSON.stringify(name)}`);
  }
  const scheduled = compactionOf(meta, META.scheduledCompactRevision);
  const finished = compactionOf(meta, META.finishedCompactRevision);
  const compactRevision = scheduled > finished ? scheduled : finished;
  const last = await keys.last();
  if (last !== null) checkRevisionKey(last.key);
  const newest = last === null ? 1n : revisionOf(last.key);
  return {
    database,
    schema: schemaOf(meta),
    // A compaction may have taken the newest record: a delete's.
    revision: newest > compactRevision ? newest : compactRevision,
    compactRevision,
    finishedCompactRevision: finished,
    consistentIndex: uint64In(meta, META.consistentIndex),
    authRevision: uint64In(await pairsOf(buckets.get('auth'), 'auth'), AUTH_REVISION),
    keys,
    leases: () => leasesOf(buckets.get('lease')),
    members: async () =>
      [...(await pairsOf(buckets.get('members'), 'members'))].map(([id, description]) => ({
        id,
        description: description.toString(),
      })),
    alarms: async () => [...(await pairsOf(buckets.get('alarm'), 'alarm')).keys()].map(decodeAlarm),
  };
}

const AUTH_REVISION = Buffer.from('authRevision');
const COMPACTION_BYTES = 17;
/** Buckets that hold no records of users' are small; one that is not was not written by etcd. */
const SMALL_BUCKET_PAIRS_MAX = 100_000;

async function bucketsOf(database: BoltDatabase): Promise<ReadonlyMap<string, BoltBucket>> {
  const buckets = new Map<string, BoltBucket>();
  for await (const leaf of database.root.leaves()) {
    for (let index = 0; index < leaf.count; index += 1) {
      const name = leaf.key(index);
      if (!KNOWN_BUCKETS.has(name.toString('latin1')))
        throw unknownSchema(`it has a bucket ${nameText(name)}`);
      const bucket = await database.root.bucket(name);
      if (bucket !== null) buckets.set(name.toString('latin1'), bucket);
    }
  }
  return buckets;
}

/** A small bucket, its keys as latin1. */
async function pairsOf(bucket: BoltBucket | undefined, name: string): Promise<ReadonlyMap<string, Buffer>> {
  const pairs = new Map<string, Buffer>();
  if (bucket === undefined) return pairs;
  for await (const leaf of bucket.leaves()) {
    for (let index = 0; index < leaf.count; index += 1) {
      pairs.set(leaf.key(index).toString('latin1'), Buffer.from(leaf.value(index)));
    }
    if (pairs.size > SMALL_BUCKET_PAIRS_MAX) {
      throw new BackendError(
        'malformed',
        `the bucket "${name}" has more than ${SMALL_BUCKET_PAIRS_MAX} keys`,
      );
    }
  }
  return pairs;
}

function schemaOf(meta: ReadonlyMap<string, Buffer>): BackendSchema {
  const version = meta.get(String(META.storageVersion))?.toString();
  if (version !== undefined && !/^3\.6\.\d+$/.test(version)) {
    throw unknownSchema(`its storage version is ${JSON.stringify(version)}`);
  }
  if (version !== undefined) return '3.6';
  return meta.has(String(META.term)) || meta.has(String(META.confState)) ? '3.5' : '3.4';
}

function compactionOf(meta: ReadonlyMap<string, Buffer>, key: Buffer): bigint {
  const value = meta.get(String(key));
  if (value === undefined) return 0n;
  if (value.length !== COMPACTION_BYTES)
    throw malformed(`${nameText(key)} of the bucket "meta" is no revision`);
  checkRevisionKey(value);
  return revisionOf(value);
}

function uint64In(pairs: ReadonlyMap<string, Buffer>, key: Buffer): bigint {
  const value = pairs.get(String(key));
  if (value === undefined) return 0n;
  if (value.length !== 8) throw malformed(`${nameText(key)} has ${value.length} bytes instead of 8`);
  return value.readBigUInt64BE(0);
}

async function* leasesOf(bucket: BoltBucket | undefined): AsyncGenerator<StoredLease, void, undefined> {
  if (bucket === undefined) return;
  for await (const leaf of bucket.leaves()) {
    for (let index = 0; index < leaf.count; index += 1) yield decodeLease(leaf.value(index));
  }
}

/** `leasepb.Lease`. */
function decodeLease(value: Buffer): StoredLease {
  const fields = decoded(value, 'lease');
  return { id: BigInt.asIntN(64, uint64Of(fields, 1)), ttlSeconds: BigInt.asIntN(64, uint64Of(fields, 2)) };
}

const ALARMS: readonly StoredAlarm['alarm'][] = ['unknown', 'NOSPACE', 'CORRUPT'];

/** `etcdserverpb.AlarmMember`, which is all in the key. */
function decodeAlarm(key: string): StoredAlarm {
  const fields = decoded(Buffer.from(key, 'latin1'), 'alarm');
  return {
    memberId: uint64Of(fields, 1).toString(16),
    alarm: ALARMS[Number(uint64Of(fields, 2))] ?? 'unknown',
  };
}

function decoded(bytes: Buffer, bucket: string) {
  try {
    return decodeFields(bytes);
  } catch (cause) {
    throw new BackendError('malformed', `a record of the bucket "${bucket}" is not what it holds`, { cause });
  }
}

const malformed = (what: string): BackendError => new BackendError('malformed', what);

function unknownSchema(what: string): BackendError {
  return new BackendError('schema-unknown', `no etcd of 3.4 to 3.6 writes such a backend: ${what}`, {
    hint: 'Restore it with the etcdutl of the etcd that wrote it, and take a newer etcd-mesos for that version.',
  });
}
