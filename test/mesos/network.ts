import { type HttpTransport, HttpTransportError, type Logger } from '../../src/base/ports.ts';
import { encodeRecord } from '../../src/mesos/record-io.ts';
import {
  type ByteStream,
  createByteStream,
  createMemoryTransport,
  type MemoryHandler,
  type MemoryRequest,
  type MemoryResponse,
} from '../sim/memory-transport.ts';

/** Servers in memory by their origin, as `http://m1:5050`; where none is, connections are refused. */
export interface Network {
  readonly transport: HttpTransport;
  /** All requests that reached a server, in order. */
  readonly requests: readonly MemoryRequest[];
  serve(origin: string, handler: MemoryHandler): void;
  stop(origin: string): void;
}

export function createNetwork(): Network {
  const servers = new Map<string, MemoryHandler>();
  const requests: MemoryRequest[] = [];
  const transport = createMemoryTransport((request) => {
    const { origin } = new URL(request.url);
    const handler = servers.get(origin);
    if (handler === undefined) {
      throw new HttpTransportError('connect-failed', `no connection to ${origin}`);
    }
    requests.push(request);
    return handler(request);
  });
  return {
    transport,
    requests,
    serve: (origin, handler) => void servers.set(origin, handler),
    stop: (origin) => void servers.delete(origin),
  };
}

/** A subscription's stream from its master's side. */
export interface ServedStream extends ByteStream {
  send(...events: readonly object[]): void;
}

export function createServedStream(): ServedStream {
  const stream = createByteStream();
  return {
    ...stream,
    get left() {
      return stream.left;
    },
    [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    send: (...events) => {
      for (const event of events) stream.push(encodeRecord(JSON.stringify(event)));
    },
  };
}

export function streamAnswer(stream: ByteStream, streamId = 'stream-1'): MemoryResponse {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'mesos-stream-id': streamId },
    body: stream,
  };
}

export const subscribedEvent = (frameworkId = 'F-0000', heartbeatSeconds = 15): object => ({
  type: 'SUBSCRIBED',
  subscribed: {
    framework_id: { value: frameworkId },
    heartbeat_interval_seconds: heartbeatSeconds,
    master_info: { id: 'M1', hostname: 'm1', port: 5050 },
  },
});

export interface RecordedLog extends Logger {
  readonly lines: readonly { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[];
}

export function createRecordedLog(): RecordedLog {
  const lines: RecordedLog['lines'][number][] = [];
  const write = (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    lines.push({ event, fields });
  };
  const log: RecordedLog = { lines, debug: write, info: write, warn: write, error: write, child: () => log };
  return log;
}
