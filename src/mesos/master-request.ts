import { type BodyText, readBody } from '../base/body.ts';
import { DeadlineError, orAborted, startDeadline, withDeadline } from '../base/deadline.ts';
import { type Clock, type HttpResponse, type HttpTransport, HttpTransportError } from '../base/ports.ts';
import type { MasterHeaders } from './credentials.ts';
import { MesosError } from './errors.ts';
import { isRedirect, redirectedBase } from './redirect.ts';

/** Milliseconds until the head of an answer must have come, for each hop. */
export const HEAD_DEADLINE_MS = 10_000;
/** Redirects that are followed for one request: a standby names the leader, which may have changed meanwhile. */
export const REDIRECTS_MAX = 5;
/** Bytes of a refusal's body that are kept; the rest is not read. */
export const REFUSAL_BYTES_MAX = 64 * 1024;

/** Milliseconds that are spent on reading it. */
const REFUSAL_DEADLINE_MS = 5000;

export interface MasterLink {
  readonly transport: HttpTransport;
  readonly clock: Clock;
  /** Headers that authenticate us, asked for before every request. Default none. */
  readonly headers?: MasterHeaders | undefined;
}

export interface MasterRequest {
  /** URL of the master, without a slash at its end. */
  readonly base: string;
  /** Below the base, as `/api/v1/scheduler`. */
  readonly path: string;
  readonly method: 'GET' | 'POST';
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Redirects that are followed. Default {@link REDIRECTS_MAX}; with 0 the redirect itself is the answer. */
  readonly redirectsMax?: number;
}

export interface MasterAnswer extends HttpResponse {
  /** The base URL of the master that answered. */
  readonly base: string;
  /** Lets go of the connection, whatever of the body was read. Always called in the end. */
  close(): void;
}

/**
 * Asks a master, following redirects, and resolves with the head of its answer, whatever the status.
 * @throws MesosError `no-master`, `timeout`, `connection-lost`, `not-mesos`, `redirect-loop`, `aborted`
 */
export async function requestMaster(
  link: MasterLink,
  request: MasterRequest,
  signal: AbortSignal,
): Promise<MasterAnswer> {
  const redirectsMax = request.redirectsMax ?? REDIRECTS_MAX;
  let base = request.base;
  for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
    const answer = await requestAuthenticated(link, { ...request, base }, signal);
    if (!isRedirect(answer.status) || redirectsMax === 0) return answer;
    answer.close();
    const next = redirectedBase(base, request.path, answer.headers['location']);
    if (link.headers !== undefined && base.startsWith('https:') && next.startsWith('http:')) {
      const message = `${base} redirects to ${next}: credentials are not sent from https to http`;
      throw new MesosError('not-mesos', message);
    }
    base = next;
  }
  throw new MesosError('redirect-loop', `${request.base}: redirected more than ${redirectsMax} times`, {
    hint: 'The masters do not agree who leads; this ends by itself once they have elected a leader.',
  });
}

/**
 * The body as text. With `cut`, what is over the limit is left unread.
 * @throws MesosError `body-too-large` without `cut`; else as {@link requestMaster}
 */
export async function readText(
  answer: MasterAnswer,
  bytesMax: number,
  signal: AbortSignal,
  cut = false,
): Promise<string> {
  let read: BodyText;
  try {
    read = await readBody(answer.body, bytesMax);
  } catch (error) {
    throw mesosErrorOf(error, answer.base, signal);
  }
  if (read.isWhole || cut) return read.text;
  throw new MesosError(
    'body-too-large',
    `${answer.base} sent more than the ${bytesMax} bytes that are taken`,
  );
}

/** What a refusing master says, at most {@link REFUSAL_BYTES_MAX}; empty where it does not come. Closes it. */
export async function readRefusal(
  link: MasterLink,
  answer: MasterAnswer,
  signal: AbortSignal,
): Promise<string> {
  try {
    return await withDeadline(link.clock, REFUSAL_DEADLINE_MS, signal, (inner) =>
      readText(answer, REFUSAL_BYTES_MAX, inner, true),
    );
  } catch {
    return '';
  } finally {
    answer.close();
  }
}

/** What a failed exchange means. Errors that are not the network's are bugs and come back as they are. */
export function mesosErrorOf(error: unknown, base: string, signal: AbortSignal): unknown {
  if (signal.aborted) {
    const { reason } = signal;
    if (reason instanceof MesosError) return reason;
    if (reason instanceof DeadlineError) return new MesosError('timeout', `${base}: ${reason.message}`);
    return new MesosError('aborted', `${base}: the request was given up`, { cause: error });
  }
  if (!(error instanceof HttpTransportError)) return error;
  const message = error.message.includes(base) ? error.message : `${base}: ${error.message}`;
  if (error.code === 'untrusted') {
    return new MesosError('untrusted-master', `${message}; --master-ca-file names the CA that signed it`, {
      cause: error,
      hint: 'Give the CA’s certificate with --master-ca-file, and name the masters as their certificates do.',
    });
  }
  return new MesosError(TRANSPORT_CODES[error.code], message, { cause: error });
}

const TRANSPORT_CODES: Readonly<
  Record<Exclude<HttpTransportError['code'], 'untrusted'>, MesosError['code']>
> = {
  'connect-failed': 'no-master',
  'connection-lost': 'connection-lost',
  malformed: 'not-mesos',
  aborted: 'aborted',
};

/** Asks again, once, where the master refuses credentials that can be renewed. */
async function requestAuthenticated(
  link: MasterLink,
  request: MasterRequest,
  signal: AbortSignal,
): Promise<MasterAnswer> {
  const { answer, credentials } = await requestOnce(link, request, signal);
  if (answer.status !== 401 || link.headers?.renew?.(credentials) !== true) return answer;
  answer.close();
  return (await requestOnce(link, request, signal)).answer;
}

async function requestOnce(
  link: MasterLink,
  request: MasterRequest,
  signal: AbortSignal,
): Promise<{ readonly answer: MasterAnswer; readonly credentials: Readonly<Record<string, string>> }> {
  const deadline = startDeadline(link.clock, HEAD_DEADLINE_MS, signal);
  try {
    const credentials = await orAborted(deadline.signal, link.headers?.() ?? Promise.resolve({}));
    const response = await link.transport.request({
      method: request.method,
      url: request.base + request.path,
      headers: { ...headersOf(request), ...credentials },
      body: request.body === undefined ? undefined : JSON.stringify(request.body),
      signal: deadline.signal,
    });
    deadline.lift();
    return { answer: { ...response, base: request.base, close: deadline.cancel }, credentials };
  } catch (error) {
    deadline.cancel();
    if (deadline.passed) {
      throw new MesosError('timeout', `${request.base}: no answer within ${HEAD_DEADLINE_MS} ms`);
    }
    throw mesosErrorOf(error, request.base, signal);
  }
}

function headersOf(request: MasterRequest): Readonly<Record<string, string>> {
  return {
    accept: 'application/json',
    ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...request.headers,
  };
}
