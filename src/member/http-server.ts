import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import * as z from 'zod';
import { jsonOf, readBody } from '../base/body.ts';
import { CodedError, describeError } from '../base/errors.ts';
import type { Logger } from '../base/ports.ts';
import { PREVIOUS_PROTOCOL_VERSION } from '../protocol/launch.ts';
import { inProtocol } from '../protocol/member-status.ts';
import { STATUS_WAIT_MS_MAX } from '../protocol/members-port.ts';
import { signedOrderSchema } from '../protocol/orders.ts';
import type { Supervisor } from './supervisor.ts';

export interface MemberServer {
  close(): Promise<void>;
}
/** Why a supervisor cannot be asked: its port. */
export class MemberServerError extends CodedError<'port-in-use' | 'not-listening'> {}

/** A signed order is below 64 KiB; JSON may double what it escapes. */
export const BODY_BYTES_MAX = 128 * 1024;
/** Questions that wait at a time; one more is answered at once. */
export const WAITING_MAX = 64;
/** Connections at a time: schedulers, health checks and people looking. */
const CONNECTIONS_MAX = 256;
/** How long a request's head and body may take to arrive. */
const REQUEST_MS_MAX = 10_000;
const IDLE_MS_MAX = 60_000;

/** Listens on every host, with one handler. Rejects with a {@link MemberServerError}. */
export async function listenForSchedulers(options: {
  readonly supervisor: Supervisor;
  readonly hosts: readonly string[];
  readonly port: number;
  readonly log: Logger;
}): Promise<MemberServer> {
  const closing = new AbortController();
  const handle = createHandler(options.supervisor, closing.signal);
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    closing.abort();
    await Promise.all(servers.map(closed));
  };
  try {
    for (const host of options.hosts) {
      const server = createServer(
        { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX },
        (request, response) => {
          handle(request, response).catch((error: unknown) => {
            options.log.warn('request failed', { method: request.method, url: request.url, error });
            answer(response, 500, { error: describeError(error) });
          });
        },
      );
      server.keepAliveTimeout = IDLE_MS_MAX;
      server.maxConnections = CONNECTIONS_MAX;
      servers.push(server);
      await listening(server, host, options.port);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function createHandler(supervisor: Supervisor, closing: AbortSignal): Handler {
  let waiting = 0;

  const status = async (request: IncomingMessage, response: ServerResponse, query: URLSearchParams) => {
    const wait = waitOf(query);
    if ('error' in wait) return answer(response, 400, wait);
    const understood = understoodOf(query);
    if (understood === null) {
      const error = `protocol=${query.get('protocol')} is not a version: a whole number from ${PREVIOUS_PROTOCOL_VERSION}`;
      return answer(response, 400, { error });
    }
    if (wait.after === null || waiting >= WAITING_MAX) {
      return answer(response, 200, inProtocol(supervisor.status(), understood));
    }
    const gone = new AbortController();
    request.once('close', () => gone.abort());
    response.once('close', () => gone.abort());
    waiting += 1;
    try {
      const signal = AbortSignal.any([gone.signal, closing]);
      const told = await supervisor.waitStatus(wait.after, wait.waitMs, signal);
      answer(response, 200, inProtocol(told, understood));
    } finally {
      waiting -= 1;
    }
  };

  const health = (response: ServerResponse) => {
    const { phase, probe, problem } = supervisor.status();
    // Local evidence: without a quorum this member may be as healthy as can be.
    const serves = phase === 'running' && probe !== null;
    answer(response, serves ? 200 : 503, { serves, phase, problem });
  };

  const order = async (request: IncomingMessage, response: ServerResponse) => {
    const { text, isWhole } = await readBody(request as AsyncIterable<Buffer>, BODY_BYTES_MAX);
    if (!isWhole) return answer(response, 413, { error: `a body has at most ${BODY_BYTES_MAX} bytes` });
    const parsed = signedOrderSchema.safeParse(jsonOf(text));
    if (!parsed.success) return answer(response, 400, { error: z.prettifyError(parsed.error) });
    answer(response, 200, await supervisor.order(parsed.data));
  };

  return async (request, response) => {
    const url = URL.parse(request.url ?? '/', 'http://member');
    const route = `${request.method} ${url?.pathname}`;
    if (route === 'GET /v1/status')
      return await status(request, response, url?.searchParams ?? new URLSearchParams());
    if (route === 'GET /v1/health') return health(response);
    if (route === 'POST /v1/orders') return await order(request, response);
    const known = ['/v1/status', '/v1/health', '/v1/orders'].includes(url?.pathname ?? '');
    answer(response, known ? 405 : 404, { error: `${route} is not served here` });
  };
}

function waitOf(query: URLSearchParams): { after: number | null; waitMs: number } | { error: string } {
  const after = query.get('after');
  if (after === null) return { after: null, waitMs: 0 };
  const waitMs = query.get('waitMs') ?? '0';
  if (!/^\d{1,15}$/.test(after)) return { error: `after=${after} is not a sequence number` };
  if (!/^\d{1,5}$/.test(waitMs) || Number(waitMs) > STATUS_WAIT_MS_MAX) {
    return { error: `waitMs=${waitMs} is not a number of milliseconds of 0 to ${STATUS_WAIT_MS_MAX}` };
  }
  return { after: Number(after), waitMs: Number(waitMs) };
}

/** What whoever asks can read; `null` for nonsense. */
function understoodOf(query: URLSearchParams): number | null {
  const text = query.get('protocol');
  if (text === null) return PREVIOUS_PROTOCOL_VERSION;
  return /^[1-9]\d{0,5}$/.test(text) ? Number(text) : null;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const text = `${JSON.stringify(body)}\n`;
  const headers: Record<string, string | number> = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  };
  // What was not read of the request would be taken for the next one.
  if (status === 413) headers['connection'] = 'close';
  response.writeHead(status, headers).end(text);
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'port-in-use' : 'not-listening';
      reject(
        new MemberServerError(code, `cannot listen on ${host}:${port}: ${cause.code ?? cause.message}`, {
          cause,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
