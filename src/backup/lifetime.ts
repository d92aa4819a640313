import type { Clock, Logger } from '../base/ports.ts';

/** How an archiver ends: what had come is still written, and what hangs then is left to itself. */
export interface Lifetime {
  /** Aborts when it is to end. */
  readonly running: AbortSignal;
  /** Aborts when nothing may be written any more. */
  readonly closed: AbortSignal;
  /** Aborts when it has ended. */
  readonly rested: AbortSignal;
  /** Has it end, as the signal that it was begun with does. */
  end(): void;
  /** Settles as `work`, all that is done in it, does; resolves where that hangs after the end. */
  lasting(work: Promise<void>): Promise<void>;
}

/** Time that what had come has to be written when the archiver ends. */
export const END_MS_MAX = 3_000;
/** Time that everything has then to come to rest. */
const REST_MS_MAX = 1_000;

export function beginLifetime(
  signal: AbortSignal,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Lifetime {
  const over = new AbortController();
  const closed = new AbortController();
  const rested = new AbortController();
  const running = AbortSignal.any([signal, over.signal]);
  const abandoned = new Promise<void>((resolve) => {
    const closeLater = async (): Promise<void> => {
      await clock.sleep(END_MS_MAX, closed.signal);
      closed.abort();
      await clock.sleep(REST_MS_MAX, rested.signal);
      if (!rested.signal.aborted) {
        logger.warn('the archive hangs', { problem: 'what was begun does not end' });
      }
      resolve();
    };
    if (running.aborted) void closeLater();
    else running.addEventListener('abort', () => void closeLater(), { once: true });
  });
  return {
    running,
    closed: closed.signal,
    rested: rested.signal,
    end: () => over.abort(),
    lasting: async (work) => {
      try {
        await Promise.race([work, abandoned]);
      } finally {
        over.abort();
        closed.abort();
        rested.abort();
      }
    },
  };
}
