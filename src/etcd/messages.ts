import type { AlarmName, EtcdMember, EtcdStatus, KeySizes, KeyValue, KvHash } from './port.ts';
import {
  bytesOf,
  decodeFields,
  encodeFields,
  type ProtoField,
  type ProtoFields,
  textOf,
  textsOf,
  uint64Of,
} from './protobuf.ts';

/** A unary method with its codec. Field numbers are those of etcd's `api/etcdserverpb/rpc.proto`, 3.4 to 3.6. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly encode: (request: Request) => Buffer;
  readonly decode: (bytes: Uint8Array) => Response;
}

export interface EtcdAlarm {
  readonly memberId: string;
  readonly alarm: string;
}

/** By their numbers. */
const ALARMS: readonly string[] = ['NONE', 'NOSPACE', 'CORRUPT'];

export const statusMethod: UnaryMethod<null, EtcdStatus> = {
  path: '/etcdserverpb.Maintenance/Status',
  encode: () => encodeFields([]),
  decode: decodeStatus,
};
/** A count of one key that nobody writes: the cheapest read that goes through the leader. */
export const confirmMethod: UnaryMethod<null, 'answered'> = {
  path: '/etcdserverpb.KV/Range',
  encode: () =>
    encodeFields([
      [1, new Uint8Array([0])],
      [3, 1n],
      [9, true],
    ]),
  // grpc-js takes a null for "no message came".
  decode: () => 'answered',
};
/** `linearizable` stays unset, so 3.5 and later answer from local state as 3.4 always does. */
export const memberListMethod: UnaryMethod<null, readonly EtcdMember[]> = {
  path: '/etcdserverpb.Cluster/MemberList',
  encode: () => encodeFields([]),
  decode: (bytes) => bytesOf(decodeFields(bytes), 2).map(decodeMember),
};
export const memberAddMethod: UnaryMethod<{ peerUrl: string; isLearner: boolean }, EtcdMember> = {
  path: '/etcdserverpb.Cluster/MemberAdd',
  encode: (request) =>
    encodeFields([
      [1, request.peerUrl],
      [2, request.isLearner],
    ]),
  decode: (bytes) => decodeMember(bytesOf(decodeFields(bytes), 2).at(-1) ?? new Uint8Array()),
};
export const memberRemoveMethod = idMethod('/etcdserverpb.Cluster/MemberRemove');
export const memberPromoteMethod = idMethod('/etcdserverpb.Cluster/MemberPromote');
export const moveLeaderMethod = idMethod('/etcdserverpb.Maintenance/MoveLeader');
/** Action GET (0) for all members and alarms (0). */
export const alarmMethod: UnaryMethod<null, readonly EtcdAlarm[]> = {
  path: '/etcdserverpb.Maintenance/Alarm',
  encode: () => encodeFields([]),
  decode: (bytes) =>
    bytesOf(decodeFields(bytes), 2)
      .map(decodeFields)
      .map((alarm) => ({ memberId: hexOf(uint64Of(alarm, 1)), alarm: alarmName(uint64Of(alarm, 2)) })),
};

/** Action DEACTIVATE (2). */
export const disarmMethod: UnaryMethod<{ memberId: string; alarm: AlarmName }, 'answered'> = {
  path: '/etcdserverpb.Maintenance/Alarm',
  encode: ({ memberId, alarm }) =>
    encodeFields([
      [1, 2n],
      [2, BigInt(`0x${memberId}`)],
      [3, BigInt(ALARMS.indexOf(alarm))],
    ]),
  decode: () => 'answered',
};
export const defragmentMethod: UnaryMethod<null, 'answered'> = {
  path: '/etcdserverpb.Maintenance/Defragment',
  encode: () => encodeFields([]),
  decode: () => 'answered',
};
export const compactMethod: UnaryMethod<{ revision: string; physical: boolean }, 'answered'> = {
  path: '/etcdserverpb.KV/Compact',
  encode: ({ revision, physical }) =>
    encodeFields([
      [1, BigInt(revision)],
      [2, physical],
    ]),
  decode: () => 'answered',
};
/** Revision 0 stands for the present one; the answer says which that is. */
export const hashKvMethod: UnaryMethod<string, KvHash & { readonly presentRevision: string }> = {
  path: '/etcdserverpb.Maintenance/HashKV',
  encode: (revision) => encodeFields([[1, BigInt(revision)]]),
  decode: (bytes) => {
    const fields = decodeFields(bytes);
    return {
      hash: Number(uint64Of(fields, 2)),
      compactRevision: compactRevisionOf(uint64Of(fields, 3)),
      presentRevision: uint64Of(headerOf(fields), 3).toString(),
    };
  },
};
/** Serializable, from that key to the last. */
export const keySizesMethod: UnaryMethod<{ from: Uint8Array; countMax: number }, KeySizes> = {
  path: '/etcdserverpb.KV/Range',
  encode: ({ from, countMax }) =>
    encodeFields([
      [1, from],
      [2, new Uint8Array([0])],
      [3, BigInt(countMax)],
      [7, true],
    ]),
  decode: (bytes) => {
    const fields = decodeFields(bytes);
    const keys = bytesOf(fields, 2).map((pair) => {
      const of = decodeFields(pair);
      // A copy: a view would hold the page with all its values.
      const key = Uint8Array.from(bytesOf(of, 1).at(-1) ?? []);
      return { key, bytes: key.length + (bytesOf(of, 5).at(-1)?.length ?? 0) };
    });
    return { keys, more: uint64Of(fields, 3) !== 0n };
  },
};

export const putMethod: UnaryMethod<{ key: string; value: string }, { readonly revision: string }> = {
  path: '/etcdserverpb.KV/Put',
  encode: (request) =>
    encodeFields([
      [1, request.key],
      [2, request.value],
    ]),
  decode: (bytes) => ({ revision: uint64Of(headerOf(decodeFields(bytes)), 3).toString() }),
};
export const rangeMethod: UnaryMethod<
  { readonly from: string; readonly to: string; readonly countMax: number },
  readonly KeyValue[]
> = {
  path: '/etcdserverpb.KV/Range',
  encode: (request) =>
    encodeFields([
      [1, request.from],
      [2, request.to],
      [3, BigInt(request.countMax)],
    ]),
  decode: (bytes) =>
    bytesOf(decodeFields(bytes), 2)
      .map(decodeFields)
      .map((pair) => ({
        key: textOf(pair, 1),
        value: textOf(pair, 5),
        modRevision: uint64Of(pair, 3).toString(),
      })),
};

/** etcd prints ids as hex without leading zeros. */
export const hexOf = (id: bigint): string => id.toString(16);

function idMethod(path: string): UnaryMethod<string, 'answered'> {
  return {
    path,
    encode: (memberId) => encodeFields([[1, BigInt(`0x${memberId}`)] satisfies ProtoField]),
    decode: () => 'answered',
  };
}

function decodeStatus(bytes: Uint8Array): EtcdStatus {
  const fields = decodeFields(bytes);
  const header = headerOf(fields);
  const leader = uint64Of(fields, 4);
  return {
    version: textOf(fields, 2),
    clusterId: hexOf(uint64Of(header, 1)),
    memberId: hexOf(uint64Of(header, 2)),
    leaderId: leader === 0n ? null : hexOf(leader),
    isLearner: uint64Of(fields, 10) !== 0n,
    raftTerm: uint64Of(fields, 6).toString(),
    raftIndex: uint64Of(fields, 5).toString(),
    raftAppliedIndex: uint64Of(fields, 7).toString(),
    revision: uint64Of(header, 3).toString(),
    dbSizeBytes: Number(uint64Of(fields, 3)),
    dbSizeInUseBytes: Number(uint64Of(fields, 9)),
    errors: textsOf(fields, 8),
  };
}

function decodeMember(bytes: Uint8Array): EtcdMember {
  const fields = decodeFields(bytes);
  return {
    id: hexOf(uint64Of(fields, 1)),
    name: textOf(fields, 2),
    peerUrls: [...textsOf(fields, 3)],
    clientUrls: [...textsOf(fields, 4)],
    isLearner: uint64Of(fields, 5) !== 0n,
  };
}

export function headerOf(fields: ProtoFields): ProtoFields {
  return decodeFields(bytesOf(fields, 1).at(-1) ?? new Uint8Array());
}

function alarmName(alarm: bigint): string {
  return ALARMS[Number(alarm)] ?? `ALARM_${alarm}`;
}

/** A store that was never compacted says -1. */
function compactRevisionOf(value: bigint): string {
  const signed = BigInt.asIntN(64, value);
  return (signed < 0n ? 0n : signed).toString();
}
