import { CodedError, describeError } from '../base/errors.ts';
import { type PublishedView, publishedViewSchema } from '../protocol/view.ts';

/** A scheduler's HTTP API, asked from a shell. */
export interface SchedulerClient {
  /** `GET /v1/view`. Rejects with a {@link SchedulerClientError}. */
  view(): Promise<PublishedView>;
  /** Any path's text. Rejects with a {@link SchedulerClientError}: `refused` where it answers with an error. */
  text(path: string): Promise<string>;
}

/** Why the scheduler's API did not answer a command as it should. */
/** What asking a scheduler from a shell can end in. `refused`: it answers, and says why not. */
export class SchedulerClientError extends CodedError<'unreachable' | 'not-a-scheduler' | 'refused'> {}

/** Milliseconds for a whole answer. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Characters of an answer. */
const ANSWER_CHARS_MAX = 8 * 1024 * 1024;

export function createSchedulerClient(baseUrl: string): SchedulerClient {
  const base = baseUrl.replace(/\/+$/, '');
  const text = async (path: string): Promise<string> => {
    const { status, body } = await get(base, path);
    if (status === 200) return body;
    throw refusalOf(base, status, body);
  };
  return {
    text,
    async view() {
      const body = await text('/v1/view');
      try {
        return publishedViewSchema.parse(JSON.parse(body));
      } catch (cause) {
        throw new SchedulerClientError('not-a-scheduler', `${base} does not answer as a scheduler of ours`, {
          cause,
          hint: 'Check the address, and that both are of the same release.',
        });
      }
    },
  };
}

async function get(base: string, path: string): Promise<{ status: number; body: string }> {
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const response = await fetch(base + path, { signal, redirect: 'error' });
    let body = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      body += decoder.decode(chunk, { stream: true });
      if (body.length > ANSWER_CHARS_MAX)
        throw new Error(`the answer is longer than ${ANSWER_CHARS_MAX} characters`);
    }
    return { status: response.status, body };
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
