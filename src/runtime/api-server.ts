import { createServer, type Server } from 'node:http';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import type { Hono } from 'hono';
import { describeError } from '../base/errors.ts';
import type { ApiEnvironment } from '../framework/api-access.ts';
import { StartError } from './start-error.ts';

/** Bytes of a request's head. */
const HEAD_BYTES_MAX = 16 * 1024;
/** Milliseconds for a request's head, and for a whole request with its body. */
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Milliseconds that a connection is kept for the next request. */
const KEEP_ALIVE_MS = 5_000;
/** Connections at once; further ones are closed. */
const CONNECTIONS_MAX = 1_000;
/** Milliseconds that requests in progress have to end when the server is closed. */
const CLOSE_TIMEOUT_MS = 3_000;

export interface ApiServer {
  /** The port it listens on: the chosen one where 0 was asked for. */
  readonly port: number;
  /** No new requests; those in progress may end, then whatever is left is cut. */
  close(): Promise<void>;
}

/** Serves the API over HTTP/1.1. Rejects with a {@link StartError}. */
export async function startApiServer(
  app: () => Hono<ApiEnvironment>,
  address: { readonly listen: string; readonly port: number },
): Promise<ApiServer> {
  const listener = getRequestListener((request, bindings) =>
    app().fetch(request, {
      remoteAddress: (bindings as HttpBindings).incoming.socket.remoteAddress ?? null,
    }),
  );
  const server = createServer(
    {
      maxHeaderSize: HEAD_BYTES_MAX,
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => void listener(request, response),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, address);
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    close: async () => await close(server),
  };
}

async function listen(
  server: Server,
  { listen: host, port }: { listen: string; port: number },
): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null;
    if (code === 'EADDRINUSE') {
      throw new StartError('port-in-use', `port ${port} of ${host} is in use by another process`, {
        cause,
        hint: 'Choose another with --port (0 takes any that is free), or end the other process.',
      });
    }
    throw new StartError('cannot-listen', `cannot listen on ${host} port ${port}: ${describeError(cause)}`, {
      cause,
      hint: code === 'EACCES' ? 'Ports below 1024 are root’s: choose a higher --port.' : 'Check --listen.',
    });
  }
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS);
  await closed;
  clearTimeout(cut);
}
