import type { HttpRequest, HttpResponse, HttpTransport } from '../../src/base/ports.ts';
import { HttpTransportError } from '../../src/base/ports.ts';

/** What a server in memory sees of a request. */
export interface MemoryRequest extends Omit<HttpRequest, 'signal'> {
  /** Aborts when the client has gone away, whether before the head or in the middle of the body. */
  readonly gone: AbortSignal;
}
export interface MemoryResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
}
/** To refuse the connection, throw `new HttpTransportError('connect-failed', …)`. */
export type MemoryHandler = (request: MemoryRequest) => MemoryResponse | Promise<MemoryResponse>;

/** An {@link HttpTransport} whose every request is answered by `handler` in this process. */
export function createMemoryTransport(handler: MemoryHandler): HttpTransport {
  return {
    async request(request) {
      const { signal, ...rest } = request;
      if (signal.aborted) throw abortedError(request, signal);
      const gone = new AbortController();
      const aborted = rejectionOnAbort(request, () => gone.abort());
      try {
        const response = await Promise.race([
          Promise.resolve().then(() => handler({ ...rest, gone: gone.signal })),
          aborted.promise,
        ]);
        return {
          status: response.status,
          headers: response.headers ?? {},
          body: bodyOf(request, response, aborted, gone),
        } satisfies HttpResponse;
      } catch (error) {
        aborted.dispose();
        throw error;
      }
    },
  };
}

/** A body that its server writes as it goes. */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  /** No effect after `end`, `fail` or once the reader has left. */
  push(chunk: Uint8Array | string): void;
  end(): void;
  /** Breaks the connection: the reader gets all that was pushed before, then the error. */
  fail(error?: Error): void;
  /** The reader has left. */
  readonly left: boolean;
}

export function createByteStream(): ByteStream {
  const chunks: Uint8Array[] = [];
  let ending: { readonly error: Error | null } | null = null;
  let left = false;
  let wake = (): void => {};
  const finish = (error: Error | null): void => {
    ending ??= { error };
    wake();
  };
  return {
    get left() {
      return left;
    },
    push(chunk) {
      if (ending !== null || left) return;
      chunks.push(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk);
      wake();
    },
    end: () => finish(null),
    fail: (error = new HttpTransportError('connection-lost', 'the connection was reset')) => finish(error),
    // Written by hand: a generator that awaits hears of its reader's leaving only after the next chunk.
    [Symbol.asyncIterator]: () => ({
      async next() {
        for (;;) {
          const chunk = chunks.shift();
          if (chunk !== undefined) return { done: false, value: chunk };
          if (ending?.error) throw ending.error;
          if (ending !== null || left) return { done: true, value: undefined };
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      },
      async return() {
        left = true;
        wake();
        return { done: true, value: undefined };
      },
    }),
  };
}

interface AbortRejection {
  /** Rejects when the request's signal aborts. */
  readonly promise: Promise<never>;
  readonly dispose: () => void;
}

function rejectionOnAbort(request: HttpRequest, onAbort: () => void): AbortRejection {
  let listener = (): void => {};
  const promise = new Promise<never>((_resolve, reject) => {
    listener = () => {
      onAbort();
      reject(abortedError(request, request.signal));
    };
  });
  promise.catch(() => {});
  request.signal.addEventListener('abort', listener, { once: true });
  return { promise, dispose: () => request.signal.removeEventListener('abort', listener) };
}

async function* bodyOf(
  request: HttpRequest,
  response: MemoryResponse,
  aborted: AbortRejection,
  gone: AbortController,
): AsyncGenerator<Uint8Array> {
  const iterator = iterableOf(response.body)[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      if (request.signal.aborted) throw abortedError(request, request.signal);
      const next = await Promise.race([iterator.next(), aborted.promise]);
      if (next.done === true) {
        ended = true;
        return;
      }
      yield next.value;
    }
  } finally {
    aborted.dispose();
    if (!ended) {
      gone.abort();
      iterator.return?.(undefined).catch(() => {});
    }
  }
}

function iterableOf(body: MemoryResponse['body']): AsyncIterable<Uint8Array> {
  if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array)) return body;
  const stream = createByteStream();
  if (body !== undefined && body.length > 0) stream.push(body);
  stream.end();
  return stream;
}

function abortedError(request: HttpRequest, signal: AbortSignal): HttpTransportError {
  return new HttpTransportError('aborted', `${request.method} ${request.url} was given up`, {
    cause: signal.reason,
  });
}
