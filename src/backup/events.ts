import { decodeKeyValue, type KeyValueFields } from '../etcd/key-value.ts';
import { bytesOf, decodeFields, malformed, uint64Of } from '../etcd/protobuf.ts';

/**
 * All that one revision did, as the watch told it: `mvccpb.Event` messages, byte for byte, in the order of their
 * sub-revisions. Never a part of it.
 */
export interface RevisionEvents {
  readonly revision: bigint;
  readonly events: readonly Uint8Array[];
}

/** What an archive looks at in an event. */
export interface EtcdEvent extends KeyValueFields {
  readonly type: 'put' | 'delete';
  /** The `KeyValue` message as it was received; of a delete it has key and revision only. */
  readonly keyValue: Uint8Array;
}

const PUT = 0n;
const DELETE = 1n;
const NOTHING = new Uint8Array();

/** Throws an `EtcdError` `protocol` when the bytes are no event. */
export function readEvent(bytes: Uint8Array): EtcdEvent {
  const event = decodeFields(bytes);
  const type = uint64Of(event, 1);
  const keyValue = bytesOf(event, 2).at(-1) ?? NOTHING;
  if (type !== PUT && type !== DELETE) throw malformed(`an event has the type ${type}`);
  return { type: type === PUT ? 'put' : 'delete', keyValue, ...decodeKeyValue(keyValue) };
}
