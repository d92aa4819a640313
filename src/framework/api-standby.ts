import { Hono } from 'hono';
import { startDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import { type Clock, type HttpResponse, HttpTransportError, type Logger } from '../base/ports.ts';
import {
  type ApiContext,
  type ApiEnvironment,
  BODY_BYTES_MAX,
  FORWARDED_BY,
  type ProblemStatus,
  problem,
} from './api-access.ts';
import { type Liveness, livenessRoute } from './api-liveness.ts';

/** A request whose body goes out as it comes in. */
export interface RelayedRequest {
  readonly method: string;
  /** Absolute, with its scheme. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array> | null;
  readonly signal: AbortSignal;
}
/** Sends a request on; settles as `HttpTransport.request` does. */
export type Relay = (request: RelayedRequest) => Promise<HttpResponse>;

export interface StandbyApiOptions {
  readonly liveness: () => Liveness;
  /** This process' own base URL, under which others would reach it; `null` until it is known. */
  readonly ownUrl: () => string | null;
  readonly relay: Relay;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds until the head of the leader's answer, and between two pieces of its body. */
const HEAD_MS = 30_000;
const SILENCE_MS = 30_000;
/** Bytes of an answer's body: the largest is the tarball that members run from. */
const ANSWER_BYTES_MAX = 2 * 1024 ** 3;
/** Requests that are handed on at once. */
const RELAYED_MAX = 256;
/** Seconds after which a client may ask again: an election takes about as long. */
const RETRY_AFTER_SECONDS = 2;

/**
 * The API of a scheduler that does not act: it knows nothing of the cluster and hands every request on to the one
 * that leads. What came over loopback here does not there: it carries its own credentials or none.
 */
export function createStandbyApi(options: StandbyApiOptions): Hono<ApiEnvironment> {
  const { clock, log } = options;
  const app = new Hono<ApiEnvironment>();
  const liveness = livenessRoute(options.liveness);
  app.get(liveness.path, liveness.handler);
  let underWay = 0;

  app.all('*', async (context) => {
    if (context.req.header(FORWARDED_BY) !== undefined) {
      const hint = 'The schedulers do not agree yet who leads. Ask again in a moment.';
      return later(context, 'another scheduler took this one for the leader, and it is not', hint);
    }
    const { leader } = options.liveness();
    const ownUrl = options.ownUrl();
    if (leader === null || ownUrl === null || leader === ownUrl) {
      const hint = 'One of the schedulers is elected within seconds, unless ZooKeeper is away. Ask again.';
      return later(context, 'no scheduler leads at the moment', hint);
    }
    if (Number(context.req.header('content-length') ?? 0) > BODY_BYTES_MAX) return tooMuch(context);
    if (underWay >= RELAYED_MAX) {
      return later(context, `${RELAYED_MAX} requests are being handed on already`, 'Ask again in a moment.');
    }
    underWay += 1;
    let ended = false;
    const end = (): void => {
      if (!ended) underWay -= 1;
      ended = true;
    };
    try {
      return await handOn(context, { leader, ownUrl, end });
    } catch (error) {
      end();
      throw error;
    }
  });
  app.onError((error, context) => {
    log.error('api request was not handed on', { path: context.req.path, error });
    return problem(context, 500, 'the request could not be handed on', 'The scheduler’s log says why.');
  });
  return app;

  /** @param way.end Called once nothing of the exchange is left. */
  async function handOn(
    context: ApiContext,
    way: { readonly leader: string; readonly ownUrl: string; readonly end: () => void },
  ): Promise<Response> {
    const { pathname, search } = new URL(context.req.url);
    const { method, raw } = context.req;
    const deadline = startDeadline(clock, HEAD_MS, raw.signal);
    const over = { isTooMuch: false };
    try {
      const answer = await options.relay({
        method,
        url: way.leader + pathname + search,
        headers: {
          ...passedOn(raw.headers),
          'x-forwarded-for': [context.req.header('x-forwarded-for'), context.env.remoteAddress ?? 'unknown']
            .filter((address) => address !== undefined)
            .join(', '),
          [FORWARDED_BY]: way.ownUrl,
        },
        body: raw.body === null || method === 'GET' || method === 'HEAD' ? null : bounded(raw.body, over),
        signal: deadline.signal,
      });
      deadline.lift();
      const hasBody = method !== 'HEAD' && !BODILESS.has(answer.status);
      if (!hasBody) {
        deadline.cancel();
        way.end();
      }
      return new Response(hasBody ? streamOf(answer, deadline.cancel, way.end) : null, {
        status: answer.status,
        headers: passedOn(new Headers({ ...answer.headers })),
      });
    } catch (error) {
      deadline.cancel();
      way.end();
      if (over.isTooMuch) return tooMuch(context);
      return unanswered(context, way.leader, error, deadline.passed);
    }
  }

  /** The answer's body, given up when it falls silent; whoever stops reading ends the exchange. */
  function streamOf(answer: HttpResponse, cancel: () => void, end: () => void): ReadableStream<Uint8Array> {
    const pieces = answer.body[Symbol.asyncIterator]();
    let sentBytes = 0;
    const close = (): void => {
      cancel();
      end();
    };
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const silence = startDeadline(clock, SILENCE_MS, new AbortController().signal);
          silence.signal.addEventListener('abort', cancel, { once: true });
          try {
            const piece = await pieces.next();
            if (piece.done === true) {
              close();
              controller.close();
              return;
            }
            sentBytes += piece.value.byteLength;
            if (sentBytes > ANSWER_BYTES_MAX) {
              throw new HttpTransportError('malformed', 'the answer is too long to hand on');
            }
            controller.enqueue(piece.value);
          } catch (error) {
            close();
            controller.error(error);
          } finally {
            silence.signal.removeEventListener('abort', cancel);
            silence.release();
          }
        },
        cancel: close,
      },
      { highWaterMark: 0 },
    );
  }
}

/** Statuses whose answers have no body. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

/** What concerns one connection alone (RFC 9110, 7.6.1), and what each sender writes for itself. */
const OF_ONE_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function passedOn(headers: Headers): Record<string, string> {
  const named = (headers.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase());
  return Object.fromEntries([...headers].filter(([name]) => !OF_ONE_HOP.has(name) && !named.includes(name)));
}

async function* bounded(
  body: ReadableStream<Uint8Array>,
  over: { isTooMuch: boolean },
): AsyncGenerator<Uint8Array> {
  let readBytes = 0;
  for await (const piece of body) {
    readBytes += piece.byteLength;
    over.isTooMuch = readBytes > BODY_BYTES_MAX;
    if (over.isTooMuch) throw new HttpTransportError('malformed', 'the body is too long to hand on');
    yield piece;
  }
}

function tooMuch(context: ApiContext): Response {
  return problem(context, 413, `the body has more than ${BODY_BYTES_MAX} bytes`, 'Send less at once.');
}

/** Nobody answers now, and nothing was done. */
function later(context: ApiContext, message: string, hint: string): Response {
  context.header('retry-after', String(RETRY_AFTER_SECONDS));
  return problem(context, 503, message, hint);
}

function unanswered(context: ApiContext, leader: string, error: unknown, isLate: boolean): Response {
  const why = isLate ? `it has not answered within ${HEAD_MS / 1000} s` : describeError(error);
  if (!isLate && error instanceof HttpTransportError && error.code === 'connect-failed') {
    return later(context, `the scheduler that leads cannot be reached: ${why}`, AWAY);
  }
  const status: ProblemStatus = isLate ? 504 : 502;
  const message = `the scheduler that leads, at ${leader}, was asked and did not answer: ${why}`;
  return problem(
    context,
    status,
    message,
    'It may have done what it was asked for: look before asking again.',
  );
}

const AWAY = 'If it has ended, another is elected as soon as its session with ZooKeeper ends. Ask again.';
