import pRetry from 'p-retry';
import type * as z from 'zod';
import { CodedError, describeError } from '../base/errors.ts';
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
}

/** What asking a scheduler from a shell can end in. `refused`: it answers, and says why not. */
export class SchedulerClientError extends CodedError<'unreachable' | 'not-a-scheduler' | 'refused'> {}

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
}

export function createSchedulerClient(
  baseUrl: string,
  options: SchedulerClientOptions = {},
): SchedulerClient {
  const base = baseUrl.replace(/\/+$/, '');
  const retries = options.outlastRestart === true ? RESTART_RETRIES : 0;
  const text = async (path: string): Promise<string> => {
    const { status, body } = await get(base, path, retries);
    if (status === 200) return body;
    throw refusalOf(base, status, body);
  };
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
    view: async () => await read('/v1/view', publishedViewSchema),
    offers: async () => await read('/v1/debug/offers', debugOffersSchema),
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Only what was refused before a byte of it was sent is asked again. */
async function get(base: string, path: string, retries: number): Promise<Answer> {
  try {
    return await pRetry(async () => await getOnce(base + path), {
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

async function getOnce(url: string): Promise<Answer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS), redirect: 'error' });
  let body = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    body += decoder.decode(chunk, { stream: true });
    if (body.length > ANSWER_CHARS_MAX)
      throw new Error(`the answer is longer than ${ANSWER_CHARS_MAX} characters`);
  }
  return { status: response.status, body };
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
