import type { Full } from '../backup/full.ts';
import type { Clock } from '../base/ports.ts';

/** Fulls that operators ask for. One takes longer than an answer may, so each has an id to ask for it by. */
export interface FullRequests {
  /** The id of the request; `null`: too many wait already. */
  ask(reason: string): string | null;
  /** What became of it, waited for a while; `null`: no request has that id, or it was long ago. */
  outcome(id: string): Promise<FullOutcome | null>;
}

export type FullOutcome =
  | { readonly kind: 'under-way' }
  | { readonly kind: 'taken'; readonly full: Full }
  | { readonly kind: 'failed'; readonly error: unknown };

/** How long an outcome is waited for: within what a client waits for an answer, and a standby for its leader's. */
const ANSWER_MS = 6_000;
/** Requests that may wait at once. */
const WAITING_MAX = 4;
/** Requests that are remembered: the newest. */
const REMEMBERED_MAX = 16;

interface Request {
  readonly settled: Promise<void>;
  outcome: FullOutcome;
}

export function createFullRequests(options: {
  readonly clock: Clock;
  readonly fullNow: (reason: string) => Promise<Full>;
}): FullRequests {
  const { clock, fullNow } = options;
  const requests = new Map<string, Request>();
  let asked = 0;

  return {
    ask(reason) {
      const waiting = [...requests.values()].filter(({ outcome }) => outcome.kind === 'under-way');
      if (waiting.length >= WAITING_MAX) return null;
      asked += 1;
      // Another process does not take it for one of its own.
      const id = `${clock.wallMs()}-${asked}`;
      const request: Request = {
        outcome: { kind: 'under-way' },
        settled: fullNow(reason).then(
          (full) => {
            request.outcome = { kind: 'taken', full };
          },
          (error: unknown) => {
            request.outcome = { kind: 'failed', error };
          },
        ),
      };
      requests.set(id, request);
      const [oldest] = requests.keys();
      if (requests.size > REMEMBERED_MAX && oldest !== undefined) requests.delete(oldest);
      return id;
    },
    async outcome(id) {
      const request = requests.get(id);
      if (request === undefined) return null;
      const over = new AbortController();
      await Promise.race([request.settled, clock.sleep(ANSWER_MS, over.signal)]);
      over.abort();
      return request.outcome;
    },
  };
}
