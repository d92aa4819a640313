import {
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { Clock } from '../base/ports.ts';
import { askHashKv, type EtcdEndpoint, openChannel } from './client.ts';
import { etcdErrorOf } from './error-texts.ts';
import { headerOf, hexOf, statusMethod, type UnaryMethod } from './messages.ts';
import { EtcdError, type StreamClient, type WatchAnswer } from './port.ts';
import { bytesOf, decodeFields, encodeFields, textOf, uint64Of } from './protobuf.ts';

/**
 * Bytes that may be under way: with HTTP/2's own 64 KiB a snapshot waits for the network after every second piece.
 * It bounds what a slow reader has to hold.
 */
const FLOW_CONTROL_BYTES = 4 * 1024 * 1024;

const SNAPSHOT_PATH = '/etcdserverpb.Maintenance/Snapshot';
const WATCH_PATH = '/etcdserverpb.Watch/Watch';

/** As key and as range end: every key there is. */
const EVERY_KEY = new Uint8Array([0]);

/** A client of exactly one member. Connects at the first call. */
export function createStreamClient(endpoint: EtcdEndpoint, clock: Clock): StreamClient {
  const { client, call, closed, close } = openChannel(endpoint, clock, {
    'grpc-node.flow_control_window': FLOW_CONTROL_BYTES,
    // One revision may be as large as its transaction, whatever --max-request-bytes allows.
    'grpc.max_receive_message_length': -1,
  });
  return {
    status: (signal) => call(statusMethod, null, signal),
    snapshot: (signal) =>
      answersOf('Snapshot', [signal, closed], () =>
        client.makeServerStreamRequest(
          SNAPSHOT_PATH,
          () => encodeFields([]),
          decodeBlob,
          null,
          new Metadata(),
          {},
        ),
      ),
    watchAll: (startRevision, signal) => {
      const answers = answersOf('Watch', [signal, closed], () => {
        // Without it a member that has lost its leader keeps silent.
        const metadata = new Metadata();
        metadata.set('hasleader', 'true');
        const stream: ClientDuplexStream<Buffer, WatchAnswer> = client.makeBidiStreamRequest(
          WATCH_PATH,
          (request: Buffer) => request,
          decodeWatchAnswer,
          metadata,
          {},
        );
        stream.write(watchRequest(startRevision));
        return stream;
      });
      return untilCancelled(answers);
    },
    // grpc-js takes a null for "no message came".
    leaseTtl: async (leaseId, signal) => (await call(leaseTtlMethod, leaseId, signal)).grantedSeconds,
    hashKv: (revision, signal) => askHashKv(call, revision, signal),
    authRevision: async (signal) => {
      try {
        return (await call(authStatusMethod, null, signal)).authRevision;
      } catch (error) {
        const cause = error instanceof EtcdError ? (error.cause as ServiceError | undefined) : undefined;
        if (cause?.code === status.UNIMPLEMENTED) return null;
        throw error;
      }
    },
    close,
  };
}

/** WatchRequest.create_request: all keys, with progress, in fragments. */
function watchRequest(startRevision: bigint): Buffer {
  const create = encodeFields([
    [1, EVERY_KEY],
    [2, EVERY_KEY],
    [3, startRevision],
    [4, true],
    [8, true],
  ]);
  return encodeFields([[1, create]]);
}

const leaseTtlMethod: UnaryMethod<bigint, { readonly grantedSeconds: bigint | null }> = {
  path: '/etcdserverpb.Lease/LeaseTimeToLive',
  encode: (leaseId) => encodeFields([[1, leaseId]]),
  decode: (bytes) => {
    const fields = decodeFields(bytes);
    // TTL is -1 for a lease that is not there.
    const isGone = BigInt.asIntN(64, uint64Of(fields, 3)) < 0n;
    return { grantedSeconds: isGone ? null : uint64Of(fields, 4) };
  },
};

const authStatusMethod: UnaryMethod<null, { readonly authRevision: bigint }> = {
  path: '/etcdserverpb.Auth/AuthStatus',
  encode: () => encodeFields([]),
  decode: (bytes) => ({ authRevision: uint64Of(decodeFields(bytes), 3) }),
};

function decodeBlob(bytes: Buffer): Uint8Array {
  return bytesOf(decodeFields(bytes), 3).at(-1) ?? new Uint8Array();
}

function decodeWatchAnswer(bytes: Buffer): WatchAnswer {
  const fields = decodeFields(bytes);
  const header = headerOf(fields);
  return {
    clusterId: hexOf(uint64Of(header, 1)),
    memberId: hexOf(uint64Of(header, 2)),
    revision: uint64Of(header, 3),
    created: uint64Of(fields, 3) !== 0n,
    cancelled: uint64Of(fields, 4) !== 0n,
    compactRevision: uint64Of(fields, 5),
    cancelReason: textOf(fields, 6),
    isFragment: uint64Of(fields, 7) !== 0n,
    events: bytesOf(fields, 11),
  };
}

/** After a cancelled watch the stream stays open for others. */
async function* untilCancelled(
  answers: AsyncIterable<WatchAnswer>,
): AsyncGenerator<WatchAnswer, void, undefined> {
  for await (const answer of answers) {
    yield answer;
    if (answer.cancelled) return;
  }
}

/** What a stream answers, one at a time: a reader that is slow slows the member down. */
async function* answersOf<Answer>(
  name: string,
  signals: readonly AbortSignal[],
  open: () => ClientReadableStream<Answer>,
): AsyncGenerator<Answer, void, undefined> {
  if (signals.some((signal) => signal.aborted)) throw new EtcdError('aborted', `${name}: aborted`);
  const stream = open();
  const cancel = (): void => stream.cancel();
  // What is said after somebody has left is nobody's concern.
  stream.on('error', () => undefined);
  for (const signal of signals) signal.addEventListener('abort', cancel, { once: true });
  try {
    for await (const answer of stream) yield answer as Answer;
  } catch (error) {
    if (error instanceof EtcdError) throw error;
    const { code, details } = error as ServiceError;
    throw etcdErrorOf(name, code, details ?? '', error);
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', cancel);
    stream.cancel();
  }
}
