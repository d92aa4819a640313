import { Readable } from 'node:stream';
import { getCACertificates } from 'node:tls';
import { Agent, type Dispatcher, errors, request as send } from 'undici';
import { describeError } from '../base/errors.ts';
import type { HttpRequest, HttpResponse, HttpTransport } from '../base/ports.ts';
import { HttpTransportError } from '../base/ports.ts';
import type { Relay } from '../framework/api-standby.ts';

/** Milliseconds to connect, TLS included: an address where nothing answers fails no later. */
const CONNECT_TIMEOUT_MS = 5000;
/** Milliseconds that an idle connection is kept for the next request. */
const KEEP_ALIVE_MS = 4000;
/** Connections to one server; further requests wait for one to become free. */
const CONNECTIONS_MAX = 64;

/** A real transport holds connections until it is closed. */
export interface ClosableHttpTransport extends HttpTransport {
  /** As `request`, with any method and a body that is sent as it comes. */
  readonly relay: Relay;
  /** Ends all connections, those in use too. */
  close(): Promise<void>;
}

export interface HttpTransportOptions {
  /** Certificates of CAs, PEM, that are trusted beside those of the system. Default none. */
  readonly ca?: string | null;
}

const trusting = (ca: string | null): { readonly ca?: string[] } =>
  ca === null ? {} : { ca: [...getCACertificates('default'), ca] };

/**
 * HTTP/1.1 over a pool of connections of its own. Nothing is retried and no time limit but the one on connecting
 * is set here: how long a head or a body may take is the caller's to say, by the request's signal.
 */
export function createHttpTransport(options: HttpTransportOptions = {}): ClosableHttpTransport {
  const agent = new Agent({
    allowH2: false,
    bodyTimeout: 0,
    headersTimeout: 0,
    connect: { timeout: CONNECT_TIMEOUT_MS, ...trusting(options.ca ?? null) },
    connections: CONNECTIONS_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    pipelining: 1,
  });
  const exchange = async (
    request: Sent,
    method: Dispatcher.HttpMethod,
    body: string | Readable | null,
  ): Promise<HttpResponse> => {
    try {
      const response = await send(request.url, {
        dispatcher: agent,
        method,
        headers: { ...request.headers },
        body,
        signal: request.signal,
      });
      return {
        status: response.statusCode,
        headers: joinRepeated(response.headers),
        body: typedErrors(request, response.body),
      };
    } catch (error) {
      throw transportErrorOf(request, error);
    }
  };
  return {
    request: async (request) => await exchange(request, request.method, request.body ?? null),
    relay: async (request) => {
      const body = request.body === null ? null : Readable.from(request.body);
      return await exchange(request, request.method as Dispatcher.HttpMethod, body);
    },
    close: async () => {
      await agent.destroy();
    },
  };
}

type Sent = Pick<HttpRequest, 'url' | 'headers' | 'signal'> & { readonly method: string };

async function* typedErrors(request: Sent, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw transportErrorOf(request, error, true);
  }
}

function joinRepeated(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return joined;
}

/** Codes of failures in which no byte of ours can have reached a server. */
const CONNECT_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EACCES',
  'EPROTO',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function transportErrorOf(request: Sent, error: unknown, afterHead = false): HttpTransportError {
  const what = `${request.method} ${request.url}`;
  if (request.signal.aborted)
    return new HttpTransportError('aborted', `${what} was given up`, { cause: error });
  const options = { cause: error };
  const why = reasonOf(error);
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return new HttpTransportError('malformed', `${what}: the answer is not HTTP (${why})`, options);
  }
  if (isUntrusted(error)) {
    return new HttpTransportError('untrusted', `${what}: its certificate is not trusted (${why})`, options);
  }
  if (afterHead || !isConnectFailure(error)) {
    return new HttpTransportError('connection-lost', `${what}: the connection was lost (${why})`, options);
  }
  return new HttpTransportError('connect-failed', `${what}: no connection (${why})`, options);
}

/** When every address of a name fails, the error that collects them says nothing itself. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describeError).join(', ');
  return describeError(error);
}

/** The codes of OpenSSL and of node for a certificate that does not hold: not for that name, not now, not signed. */
function isUntrusted(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return (
    code === 'ERR_TLS_CERT_ALTNAME_INVALID' ||
    /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code) ||
    code === 'INVALID_CA'
  );
}

/** Several addresses of one name fail together, as an AggregateError. */
function isConnectFailure(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isConnectFailure);
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return CONNECT_CODES.has(code) || code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL');
}
