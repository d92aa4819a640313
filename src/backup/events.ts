import { bytesOf, decodeFields, malformed, uint64Of } from '../etcd/protobuf.ts';

/**
 * All that one revision did, as the watch told it: `mvccpb.Event` messages, byte for byte, in the order of their
 * sub-revisions. Never a part of it.
 */
export interface RevisionEvents {
  readonly revision: bigint;
  readonly events: readonly Uint8Array[];
}

/** What an archive looks at in an event (`api/mvccpb/kv.proto`, 3.4 to 3.6). */
export interface EtcdEvent {
  readonly type: 'put' | 'delete';
  /** The `KeyValue` message as it was received; of a delete it has key and revision only. */
  readonly keyValue: Uint8Array;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly version: bigint;
  /** 0 where it has none. */
  readonly lease: bigint;
}

const PUT = 0n;
const DELETE = 1n;
const NOTHING = new Uint8Array();

/** Throws an `EtcdError` `protocol` when the bytes are no event. */
export function readEvent(bytes: Uint8Array): EtcdEvent {
  const event = decodeFields(bytes);
  const type = uint64Of(event, 1);
  const keyValue = bytesOf(event, 2).at(-1) ?? NOTHING;
  const fields = decodeFields(keyValue);
  if (type !== PUT && type !== DELETE) throw malformed(`an event has the type ${type}`);
  return {
    type: type === PUT ? 'put' : 'delete',
    keyValue,
    key: bytesOf(fields, 1).at(-1) ?? NOTHING,
    value: bytesOf(fields, 5).at(-1) ?? NOTHING,
    createRevision: uint64Of(fields, 2),
    modRevision: uint64Of(fields, 3),
    version: uint64Of(fields, 4),
    lease: uint64Of(fields, 6),
  };
}
