import { encodeFields } from '../src/etcd/protobuf.ts';

const VALUE_BYTES = 1000;

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
