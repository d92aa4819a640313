import { assert } from '../base/assert.ts';
import { ArchiveError } from './errors.ts';
import type { RevisionEvents } from './events.ts';

/** Revisions that follow each other without a gap, as they were taken from a member. */
export interface Batch {
  /** When the first came, by the archiver's wall clock: for a restore to a time. */
  readonly atMs: number;
  /** Leases that events here were first seen to use. */
  readonly leases: readonly LeaseGrant[];
  readonly revisions: readonly ArchivedRevision[];
}
export interface ArchivedRevision extends RevisionEvents {
  /** When it came, not before the batch's first, which is the default: what waits for its store waits together. */
  readonly atMs?: number;
}
export interface LeaseGrant {
  readonly id: bigint;
  /** What was granted; `null` where it had ended before it could be asked for: its keys go a little later. */
  readonly ttlSeconds: bigint | null;
}

const GONE = -1n;

/*
 * time f64 · leases u32 · (id u64 · ttl i64)* · first revision u64 · revisions u32
 *     · (events u32 · (length u32 · event)*)*
 * and, unless all came at that time: for each revision how many milliseconds later it came, u32
 */
const HEAD_BYTES = 12;
const LEASE_BYTES = 16;
const REVISIONS_BYTES = 12;
const LATER_BYTES = 4;
const LATER_MS_MAX = 2 ** 32 - 1;

export function encodeBatch(batch: Batch): Buffer {
  const first = batch.revisions[0]?.revision ?? 0n;
  const bytes = Buffer.allocUnsafe(batchSizeBytes(batch));
  let offset = bytes.writeDoubleLE(batch.atMs, 0);
  offset = bytes.writeUInt32LE(batch.leases.length, offset);
  for (const { id, ttlSeconds } of batch.leases) {
    offset = bytes.writeBigUInt64LE(BigInt.asUintN(64, id), offset);
    offset = bytes.writeBigInt64LE(ttlSeconds ?? GONE, offset);
  }
  offset = bytes.writeBigUInt64LE(first, offset);
  offset = bytes.writeUInt32LE(batch.revisions.length, offset);
  for (const [index, { revision, events }] of batch.revisions.entries()) {
    assert(
      revision === first + BigInt(index),
      `revision ${revision} does not follow in a batch from ${first}`,
    );
    offset = bytes.writeUInt32LE(events.length, offset);
    for (const event of events) {
      offset = bytes.writeUInt32LE(event.byteLength, offset);
      bytes.set(event, offset);
      offset += event.byteLength;
    }
  }
  if (hasTimes(batch)) {
    for (const revision of batch.revisions) offset = bytes.writeUInt32LE(laterMs(batch, revision), offset);
  }
  assert(offset === bytes.byteLength, 'a batch is as long as it was thought to be');
  return bytes;
}

export function batchSizeBytes(batch: Batch): number {
  const revisions = batch.revisions.reduce((sum, { events }) => sum + eventsSizeBytes(events), 0);
  const times = hasTimes(batch) ? batch.revisions.length * LATER_BYTES : 0;
  return HEAD_BYTES + batch.leases.length * LEASE_BYTES + REVISIONS_BYTES + revisions + times;
}

/** When a revision of a batch came. */
export const cameAtMs = (batch: Batch, revision: ArchivedRevision): number => revision.atMs ?? batch.atMs;

const laterMs = (batch: Batch, revision: ArchivedRevision): number =>
  Math.min(LATER_MS_MAX, Math.max(0, Math.round(cameAtMs(batch, revision) - batch.atMs)));
const hasTimes = (batch: Batch): boolean =>
  batch.revisions.some((revision) => laterMs(batch, revision) !== 0);

/** Bytes that a revision takes in a batch. */
export function eventsSizeBytes(events: readonly Uint8Array[]): number {
  return events.reduce((sum, event) => sum + 4 + event.byteLength, 4);
}

/** Throws an {@link ArchiveError} `corrupt` when the bytes are no batch. The events are views of `bytes`. */
export function decodeBatch(name: string, bytes: Buffer): Batch {
  let offset = 0;
  const take = (count: number): number => {
    if (count > bytes.byteLength - offset) throw noBatch(name, `it ends within byte ${offset}`);
    offset += count;
    return offset - count;
  };
  const atMs = bytes.readDoubleLE(take(8));
  if (!Number.isFinite(atMs)) throw noBatch(name, 'its time is none');
  const leases: LeaseGrant[] = [];
  for (let left = bytes.readUInt32LE(take(4)); left > 0; left -= 1) {
    const id = bytes.readBigUInt64LE(take(8));
    const ttlSeconds = bytes.readBigInt64LE(take(8));
    leases.push({ id, ttlSeconds: ttlSeconds === GONE ? null : ttlSeconds });
  }
  let revision = bytes.readBigUInt64LE(take(8));
  const revisions: ArchivedRevision[] = [];
  for (let left = bytes.readUInt32LE(take(4)); left > 0; left -= 1, revision += 1n) {
    const events: Uint8Array[] = [];
    for (let more = bytes.readUInt32LE(take(4)); more > 0; more -= 1) {
      const length = bytes.readUInt32LE(take(4));
      const start = take(length);
      events.push(bytes.subarray(start, start + length));
    }
    if (events.length === 0) throw noBatch(name, `revision ${revision} has no event`);
    revisions.push({ revision, events });
  }
  if (offset === bytes.byteLength) return { atMs, leases, revisions };
  const timed = revisions.map((each) => ({ ...each, atMs: atMs + bytes.readUInt32LE(take(LATER_BYTES)) }));
  if (offset !== bytes.byteLength) throw noBatch(name, `${bytes.byteLength - offset} bytes follow it`);
  return { atMs, leases, revisions: timed };
}

function noBatch(name: string, what: string): ArchiveError {
  return new ArchiveError('corrupt', `${name} holds a batch of revisions that is none: ${what}`);
}
