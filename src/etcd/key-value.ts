import { bytesOf, decodeFields, uint64Of } from './protobuf.ts';

/** `mvccpb.KeyValue` (`api/mvccpb/kv.proto`, 3.4 to 3.6), what etcd stores for each change of a key. */
export interface KeyValueFields {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly version: bigint;
  /** 0 where it has none. */
  readonly lease: bigint;
}

const NOTHING = new Uint8Array();

/** All fields of a KeyValue message. Throws an `EtcdError` `protocol` when the bytes are none. */
export function decodeKeyValue(message: Uint8Array): KeyValueFields {
  const fields = decodeFields(message);
  return {
    key: bytesOf(fields, 1).at(-1) ?? NOTHING,
    value: bytesOf(fields, 5).at(-1) ?? NOTHING,
    createRevision: uint64Of(fields, 2),
    modRevision: uint64Of(fields, 3),
    version: uint64Of(fields, 4),
    lease: uint64Of(fields, 6),
  };
}
