import type { Clock } from '../base/ports.ts';
import { type EtcdEndpoint, openChannel } from './client.ts';
import { headerOf, type UnaryMethod } from './messages.ts';
import { EtcdError } from './port.ts';
import { bytesOf, decodeFields, encodeFields, textOf, uint64Of } from './protobuf.ts';

/** What of an etcd a replay needs: to write whole revisions, and leases under ids that are given. */
export interface ReplayClient {
  /** One transaction of all of them; resolves with its revision. */
  write(operations: readonly ReplayOperation[], signal: AbortSignal): Promise<bigint>;
  grantLease(id: bigint, ttlSeconds: bigint, signal: AbortSignal): Promise<void>;
  /** Ids of all leases. */
  leases(signal: AbortSignal): Promise<readonly bigint[]>;
  close(): void;
}
export type ReplayOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array; readonly lease: bigint }
  | { readonly type: 'delete'; readonly key: Uint8Array };

/** A revision may be large. */
const WRITE_MS_MAX = 600_000;

/** Of exactly one member that nobody else writes to. */
export function createReplayClient(endpoint: EtcdEndpoint, clock: Clock): ReplayClient {
  // A revision may be as large as the transaction that made it.
  const { call, close } = openChannel(endpoint, clock, { 'grpc.max_send_message_length': -1 });
  return {
    write: (operations, signal) => call(writeMethod, operations, signal, WRITE_MS_MAX),
    grantLease: async (id, ttlSeconds, signal) =>
      void (await call(grantMethod, { id, ttlSeconds }, signal, WRITE_MS_MAX)),
    leases: (signal) => call(leasesMethod, null, signal, WRITE_MS_MAX),
    close,
  };
}

const writeMethod: UnaryMethod<readonly ReplayOperation[], bigint> = {
  path: '/etcdserverpb.KV/Txn',
  encode: (operations) =>
    encodeFields(operations.map((operation) => [2, encodeOperation(operation)] as const)),
  decode: (bytes) => uint64Of(headerOf(decodeFields(bytes)), 3),
};

function encodeOperation(operation: ReplayOperation): Buffer {
  if (operation.type === 'delete') return encodeFields([[3, encodeFields([[1, operation.key]])]]);
  const { key, value, lease } = operation;
  const put = encodeFields([
    [1, key],
    [2, value],
    [3, lease],
  ]);
  return encodeFields([[2, put]]);
}

const grantMethod: UnaryMethod<{ readonly id: bigint; readonly ttlSeconds: bigint }, 'granted'> = {
  path: '/etcdserverpb.Lease/LeaseGrant',
  encode: ({ id, ttlSeconds }) =>
    encodeFields([
      [1, ttlSeconds],
      [2, BigInt.asUintN(64, id)],
    ]),
  decode: (bytes) => {
    const refusal = textOf(decodeFields(bytes), 4);
    if (refusal !== '') throw new EtcdError('other', `LeaseGrant: ${refusal}`);
    return 'granted';
  },
};

const leasesMethod: UnaryMethod<null, readonly bigint[]> = {
  path: '/etcdserverpb.Lease/LeaseLeases',
  encode: () => encodeFields([]),
  decode: (bytes) => bytesOf(decodeFields(bytes), 2).map((lease) => uint64Of(decodeFields(lease), 1)),
};
