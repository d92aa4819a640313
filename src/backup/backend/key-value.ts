import { decodeKeyValue, type KeyValueFields } from '../../etcd/key-value.ts';
import { encodeFields } from '../../etcd/protobuf.ts';
import { BackendError } from './backend-error.ts';

/** Tag of the field `key`, which is the first of every KeyValue that etcd stores. */
const KEY_TAG = 0x0a;
const LENGTH_BYTES_MAX = 5;

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
