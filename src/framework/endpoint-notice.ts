import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { PublishedView } from '../protocol/view.ts';

/** Where whoever cannot ask the API finds the cluster's endpoints: a node of ZooKeeper. */
export interface EndpointBoard {
  /** Replaces the notice. Rejects where it could not. */
  write(text: string): Promise<void>;
}

/** Keeps a board's notice as the cluster is. */
export interface EndpointNotice {
  /** Takes note of what is known now; writes where that differs from what was written. Returns at once. */
  update(endpoints: PublishedView['endpoints'] | null): void;
  /** Resolves when no write is under way; none begins after. */
  stop(): Promise<void>;
}

/** Between two tries; a notice is no part of what keeps the cluster well, so nothing else waits for it. */
const RETRY_MS = 5_000;
const WRITE_MS = 10_000;

/**
 * Writes `{"client":[…],"peer":[…]}` at a term's beginning and whenever it changes. Nothing is written before the
 * cluster has formed: what an earlier scheduler wrote stays true until something better is known.
 */
export function createEndpointNotice(of: {
  readonly board: EndpointBoard;
  readonly clock: Clock;
  readonly log: Logger;
}): EndpointNotice {
  const { board, clock, log } = of;
  const stopped = new AbortController();
  let wanted: string | null = null;
  let written: string | null = null;
  let writing: Promise<void> | null = null;

  const write = async (): Promise<void> => {
    while (wanted !== null && wanted !== written && !stopped.signal.aborted) {
      const text = wanted;
      try {
        await withDeadline(clock, WRITE_MS, stopped.signal, async () => await board.write(text));
        written = text;
      } catch (error) {
        if (stopped.signal.aborted) return;
        log.warn('the endpoints were not published', { error: describeError(error), retryMs: RETRY_MS });
        await clock.sleep(RETRY_MS, stopped.signal);
      }
    }
  };

  return {
    update(endpoints) {
      if (endpoints === null || endpoints.client.length === 0) return;
      wanted = `${JSON.stringify(endpoints)}\n`;
      if (wanted === written || writing !== null || stopped.signal.aborted) return;
      writing = write().finally(() => {
        writing = null;
      });
    },
    async stop() {
      stopped.abort(new Error('the term is over'));
      await writing;
    },
  };
}
