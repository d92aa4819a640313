import type { Etcd3, IKeyValue, IRequestOp } from 'etcd3';
import { type EtcdClient, EtcdError } from '../../src/etcd/port.ts';
import type { RandomStream } from '../sim/prng.ts';
import { clock, until } from '../wait.ts';
import type { LoneEtcd } from './lone-etcd.ts';

/** What a store held at a revision, by etcd's own word. */
export interface Observation {
  readonly revision: bigint;
  readonly keys: readonly IKeyValue[];
}
/** What HashKV answered. */
export interface LiveProof {
  readonly hash: number;
  readonly revision: bigint;
  readonly compactRevision: bigint;
}
export interface Lived {
  readonly observations: readonly Observation[];
  readonly proofs: readonly LiveProof[];
  /** Every lease that was granted, by id. */
  readonly granted: ReadonlyMap<bigint, bigint>;
}

const ALL = { key: Buffer.of(0), range_end: Buffer.of(0) };
const WRITERS = 3;
/** A lease that is to run out while it is looked at; etcd makes it two where its elections take long. */
const SHORT_TTL_SECONDS = 2n;
/** etcd's own limit on the operations of a transaction. */
const OPERATIONS_MAX = 128;

/** Writes at random, several at once, until all have done their steps; looks at the store now and then. */
export async function live(
  { theirs, ours }: LoneEtcd,
  random: RandomStream,
  options: {
    readonly steps: number;
    readonly compacts: boolean;
    readonly atHalf: () => Promise<void>;
    /** Awaited before a compaction: a watch that is not so far yet would end. Default: nobody watches. */
    readonly watched?: (revision: bigint) => Promise<void>;
  },
): Promise<Lived> {
  const observations: Observation[] = [];
  const proofs: LiveProof[] = [];
  const granted = new Map<bigint, bigint>();
  const writers = Array.from({ length: WRITERS }, async (_, number) => {
    for (let step = 0; step < options.steps; step += 1) await act(theirs, random, granted, number);
  });
  const keeper = (async () => {
    const halfStep = random.integer(2, 10);
    let compactedAt = 1n;
    for (let look = 0; look < 14; look += 1) {
      await clock.sleep(random.integer(1, 30));
      if (look === halfStep) await options.atHalf();
      const seen = await observe(theirs);
      observations.push(seen);
      const proof = await proofAt(ours, seen.revision);
      if (proof !== null) proofs.push(proof);
      if (look % 6 === 3) await theirs.maintenance.defragment();
      if (options.compacts && look % 4 === 1) {
        const at = seen.revision - BigInt(random.integer(0, 20));
        if (at <= compactedAt) continue;
        compactedAt = at;
        await options.watched?.(at);
        await compact(ours, at, random.chance(0.5));
      }
    }
  })();
  await Promise.all([...writers, keeper]);
  // Once for sure: more changes in a revision than a transaction may have.
  await revokeWith(theirs, 3, 100, random, granted);
  for (const [id] of [...granted].filter(([, ttlSeconds]) => ttlSeconds <= SHORT_TTL_SECONDS)) {
    await until(`lease ${id} is over`, 20_000, async () => {
      const { TTL } = await theirs.leaseClient.leaseTimeToLive({ ID: String(id) });
      return TTL === '-1';
    });
  }
  observations.push(await observe(theirs));
  const proof = await proofAt(ours, observations.at(-1)?.revision ?? 0n);
  if (proof !== null) proofs.push(proof);
  return { observations, proofs, granted };
}

/** What somebody has compacted already stays so. */
async function compact(etcd: EtcdClient, revision: bigint, isPhysical: boolean): Promise<void> {
  try {
    await etcd.compact(String(revision), isPhysical, AbortSignal.timeout(10_000));
  } catch (error) {
    if (!(error instanceof EtcdError && error.code === 'compacted')) throw error;
  }
}

export async function observe(etcd: Etcd3): Promise<Observation> {
  const { header, kvs } = await etcd.kv.range(ALL);
  return { revision: BigInt(header.revision), keys: kvs };
}

/** `null` where it was compacted. */
export async function observeAt(etcd: Etcd3, revision: bigint): Promise<Observation | null> {
  try {
    const { kvs } = await etcd.kv.range({ ...ALL, revision: String(revision) });
    return { revision, keys: kvs };
  } catch (error) {
    if (/compacted/.test(String(error))) return null;
    throw error;
  }
}

/** `null` where a compaction was faster. */
export async function proofAt(etcd: EtcdClient, revision: bigint): Promise<LiveProof | null> {
  try {
    const { hash, compactRevision } = await etcd.hashKv(String(revision), AbortSignal.timeout(10_000));
    return { hash, revision, compactRevision: BigInt(compactRevision) };
  } catch (error) {
    if (error instanceof EtcdError && error.code === 'compacted') return null;
    throw error;
  }
}

const bytes = (random: RandomStream, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, () => random.integer(0, 255)));

function anyKey(random: RandomStream): Buffer {
  if (random.chance(0.1)) return Buffer.concat([Buffer.from('bin/'), bytes(random, random.integer(1, 3))]);
  return Buffer.from(`${random.pick(['a', 'b', 'ä/🦉'])}/${random.integer(0, 40)}`);
}

const anyValue = (random: RandomStream): Buffer => bytes(random, random.pick([0, 1, 20, 20, 20, 300, 6000]));

async function act(
  etcd: Etcd3,
  random: RandomStream,
  granted: Map<bigint, bigint>,
  writer: number,
): Promise<void> {
  const put = (key: Buffer, lease = '0'): IRequestOp => ({
    request_put: { key, value: anyValue(random), lease },
  });
  switch (random.integer(0, 11)) {
    case 0: {
      const key = anyKey(random);
      await etcd.kv.deleteRange({ key });
      return;
    }
    case 1: // a prefix
      await etcd.kv.deleteRange({ key: Buffer.from('b/1'), range_end: Buffer.from('b/2') });
      return;
    case 2: {
      // Many keys, to the limit; puts and deletes of different keys, or etcd refuses.
      const count = random.pick([2, 10, OPERATIONS_MAX]);
      const success = Array.from({ length: count }, (_, index): IRequestOp => {
        const key = Buffer.from(`t/${index}`);
        return random.chance(0.3) ? { request_delete_range: { key } } : put(key);
      });
      await etcd.kv.txn({ success });
      return;
    }
    case 3: {
      // One that writes nothing, by its condition, and one within another.
      const compare = [{ key: Buffer.from('nothing'), target: 'Version' as const, version: '1' }];
      const inner: IRequestOp = { request_txn: { success: [put(Buffer.from('nested'))] } };
      await etcd.kv.txn({
        compare,
        success: [put(anyKey(random))],
        failure: random.chance(0.5) ? [inner] : [],
      });
      return;
    }
    case 4:
      await lease(etcd, random, granted, writer);
      return;
    default:
      await etcd.kv.put({ key: anyKey(random), value: anyValue(random) });
  }
}

/** A lease with some keys, that stays, is revoked or runs out. */
async function lease(
  etcd: Etcd3,
  random: RandomStream,
  granted: Map<bigint, bigint>,
  writer: number,
): Promise<void> {
  const ttlSeconds = random.pick([1, 3600, 7200]);
  const { ID, TTL } = await etcd.leaseClient.leaseGrant({ TTL: ttlSeconds });
  granted.set(BigInt(ID), BigInt(TTL));
  const count = random.pick([1, 3, 100]);
  const success = leasedPuts(random, ID, `l/${writer}/${ttlSeconds}`, count);
  try {
    await etcd.kv.txn({ success });
  } catch (error) {
    // On a slow machine the shortest may be over already.
    if (/lease not found/.test(String(error))) return;
    throw error;
  }
  if (ttlSeconds > 1 && random.chance(0.5)) await etcd.leaseClient.leaseRevoke({ ID });
}

const leasedPuts = (random: RandomStream, lease: string, prefix: string, count: number): IRequestOp[] =>
  Array.from({ length: count }, (_, index) => ({
    request_put: { key: Buffer.from(`${prefix}/${index}`), value: anyValue(random), lease },
  }));

/** Ends a lease with the keys of several transactions. */
async function revokeWith(
  etcd: Etcd3,
  transactions: number,
  count: number,
  random: RandomStream,
  granted: Map<bigint, bigint>,
): Promise<void> {
  const { ID, TTL } = await etcd.leaseClient.leaseGrant({ TTL: 7200 });
  granted.set(BigInt(ID), BigInt(TTL));
  for (let at = 0; at < transactions; at += 1) {
    await etcd.kv.txn({ success: leasedPuts(random, ID, `many/${at}`, count) });
  }
  await etcd.leaseClient.leaseRevoke({ ID });
}
