import { bytesOf, decodeFields, encodeFields, uint64Of } from '../../etcd/protobuf.ts';
import { BackendError } from './backend-error.ts';

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

/** Tag of the field `key`, which is the first of every KeyValue that etcd stores. */
const KEY_TAG = 0x0a;
const LENGTH_BYTES_MAX = 5;
const NOTHING = new Uint8Array();

/**
 * The key of a stored KeyValue, a view of it: all that most scans look at. Empty for the record that marks a raised
 * revision. Throws a {@link BackendError} `malformed`.
 */
export function keyOf(record: Buffer): Buffer {
  if (record.length === 0) return record;
  let length = 0;
  for (let index = 0, factor = 1; index < LENGTH_BYTES_MAX; index += 1, factor *= 128) {
    const byte = record[1 + index] ?? 0;
    length += (byte & 0x7f) * factor;
    if (byte >= 0x80) continue;
    const [start, end] = [2 + index, 2 + index + length];
    if (record[0] === KEY_TAG && end <= record.length) return record.subarray(start, end);
    break;
  }
  throw new BackendError('malformed', 'a record of the bucket "key" does not begin with its key');
}

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

/** All fields of a stored KeyValue. Throws a {@link BackendError} `malformed`. */
export function fieldsOf(record: Uint8Array): KeyValueFields {
  try {
    return decodeKeyValue(record);
  } catch (cause) {
    throw new BackendError('malformed', 'a record of the bucket "key" is no KeyValue', { cause });
  }
}

/** What etcd stores for a delete. */
export const tombstoneOf = (key: Uint8Array): Buffer => encodeFields([[1, key]]);
