import { readFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import pRetry from 'p-retry';
import type * as z from 'zod';
import { CodedError, describeError } from '../base/errors.ts';
import { OPERATOR_HEADER } from '../protocol/operator-header.ts';
import {
  type DebugOffers,
  debugOffersSchema,
  type PublishedView,
  publishedViewSchema,
} from '../protocol/view.ts';

/** A scheduler's HTTP API, asked from a shell. */
export interface SchedulerClient {
  /** `GET /v1/view`. Rejects with a {@link SchedulerClientError}. */
  view(): Promise<PublishedView>;
  /** `GET /v1/debug/offers`. Rejects with a {@link SchedulerClientError}. */
  offers(): Promise<DebugOffers>;
  /** Any path's text. Rejects with a {@link SchedulerClientError}: `refused` where it answers with an error. */
  text(path: string): Promise<string>;
  /** Tells it something; the answer's text. Rejects with a {@link SchedulerClientError}. */
  post(path: string, body: unknown): Promise<string>;
}

/** What asking a scheduler from a shell can end in. `refused`: it answers, and says why not. */
export class SchedulerClientError extends CodedError<
  | 'unreachable'
  | 'not-a-scheduler'
  | 'refused'
  /** The file with the token cannot be read. */
  | 'token-unreadable'
> {}

/** Milliseconds for a whole answer. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Characters of an answer. */
const ANSWER_CHARS_MAX = 8 * 1024 * 1024;
/** A scheduler that is started again listens within a second: two are waited, in eight pauses. */
const RESTART_RETRIES = 8;
const RESTART_PAUSE_MS = 250;

export interface SchedulerClientOptions {
  /** A refused connection is tried again for two seconds: a scheduler may just be starting again. Default: no. */
  readonly outlastRestart?: boolean;
  /** The scheduler's API token; `null`, the default, where it is asked over loopback. */
  readonly token?: string | null;
}

export function createSchedulerClient(
  baseUrl: string,
  options: SchedulerClientOptions = {},
): SchedulerClient {
  const base = baseUrl.replace(/\/+$/, '');
  const retries = options.outlastRestart === true ? RESTART_RETRIES : 0;
  const { token = null } = options;
  const ask = async (question: Question): Promise<string> => {
    const { status, body } = await patientlyAsk(base, question, retries);
    if (status === 200 || status === 202 || status === 208) return body;
    throw refusalOf(base, status, body);
  };
  const text = (path: string): Promise<string> => ask({ method: 'GET', path, token, body: null });
  const read = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => {
    const body = await text(path);
    try {
      return schema.parse(JSON.parse(body));
    } catch (cause) {
      throw new SchedulerClientError('not-a-scheduler', `${base} does not answer as a scheduler of ours`, {
        cause,
        hint: 'Check the address, and that both are of the same release.',
      });
    }
  };
  return {
    text,
    post: (path, body) => ask({ method: 'POST', path, token, body: JSON.stringify(body) }),
    view: async () => await read('/v1/view', publishedViewSchema),
    offers: async () => await read('/v1/debug/offers', debugOffersSchema),
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly token: string | null;
  readonly body: string | null;
}

/** The token in a file. Rejects with a {@link SchedulerClientError} `token-unreadable`. */
export async function readToken(file: string): Promise<string> {
  try {
    const token = (await readFile(file, 'utf8')).trim();
    if (/^\S{1,16384}$/.test(token)) return token;
  } catch (cause) {
    throw unreadable(file, describeError(cause), cause);
  }
  throw unreadable(file, 'it does not hold one word', undefined);
}

function unreadable(file: string, why: string, cause: unknown): SchedulerClientError {
  return new SchedulerClientError('token-unreadable', `the token file ${file} cannot be used: ${why}`, {
    cause,
    hint: 'It must hold the token of the scheduler’s --api-token-file alone.',
  });
}

/** Only what was refused before a byte of it was sent is asked again. */
async function patientlyAsk(base: string, question: Question, retries: number): Promise<Answer> {
  try {
    return await pRetry(async () => await askOnce(base, question), {
      retries,
      factor: 1,
      minTimeout: RESTART_PAUSE_MS,
      shouldRetry: ({ error }) => isRefused(error.cause),
    });
  } catch (cause) {
    throw new SchedulerClientError(
      'unreachable',
      `no scheduler answers at ${base}: ${describeError(cause)}`,
      {
        cause,
        hint: 'Name its API with --scheduler http://<host>:<port> or ETCD_MESOS_SCHEDULER.',
      },
    );
  }
}

async function askOnce(base: string, { method, path, token, body: sent }: Question): Promise<Answer> {
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(method === 'GET' ? {} : { [OPERATOR_HEADER]: operatorName() }),
      ...(sent === null ? {} : { 'content-type': 'application/json' }),
    },
    body: sent,
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    redirect: 'error',
  });
  let body = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    body += decoder.decode(chunk, { stream: true });
    if (body.length > ANSWER_CHARS_MAX)
      throw new Error(`the answer is longer than ${ANSWER_CHARS_MAX} characters`);
  }
  return { status: response.status, body };
}

/** As whom this shell asks, for the scheduler's record: nobody checks it. What no header may hold is left out. */
function operatorName(): string {
  return `${userName()}@${hostname()}`.replace(/[^\x21-\x7e]/g, '');
}

/** A user id without an entry in the user database has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

/** An answer of ours says in JSON what is wrong and what to do. */
function refusalOf(base: string, status: number, body: string): SchedulerClientError {
  try {
    const { error, hint } = JSON.parse(body) as { error?: unknown; hint?: unknown };
    if (typeof error === 'string') {
      return new SchedulerClientError('refused', error, typeof hint === 'string' ? { hint } : {});
    }
  } catch {
    // Not JSON: somebody else answers.
  }
  return new SchedulerClientError(
    'not-a-scheduler',
    `${base} answers ${status}, not as a scheduler of ours`,
    {
      hint: 'Check the address.',
    },
  );
}
