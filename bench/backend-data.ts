import type { SpliceBatch } from '../src/backup/backend/splice.ts';
import { encodeFields } from '../src/etcd/protobuf.ts';

const VALUE_BYTES = 1000;
const BATCH_REVISIONS = 1000;

/** A KeyValue as etcd stores it: of key `index`, created with its own revision. */
export function keyValue(index: number, revision: bigint, version: bigint): Buffer {
  return encodeFields([
    [1, `bench/${String(index).padStart(10, '0')}`],
    [2, BigInt(index + 2)],
    [3, revision],
    [4, version],
    [5, Buffer.alloc(VALUE_BYTES, index % 251)],
  ]);
}

/** A log in which each of the first `events` keys is written once more, one after the other. */
export function* batchesAfter(revision: bigint, events: number): Generator<SpliceBatch> {
  for (let from = 0; from < events; from += BATCH_REVISIONS) {
    const revisions = Array.from({ length: Math.min(BATCH_REVISIONS, events - from) }, (_, offset) => {
      const next = revision + BigInt(from + offset + 1);
      return { revision: next, events: [encodeFields([[2, keyValue(from + offset, next, 2n)]])] };
    });
    yield { revisions, leases: [] };
  }
}
