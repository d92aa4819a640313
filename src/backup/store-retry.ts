import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { Lifetime } from './lifetime.ts';
import { ArchiveStoreError } from './store-port.ts';

export interface StoreRetryOptions {
  readonly lifetime: Pick<Lifetime, 'running' | 'closed' | 'rested'>;
  /** A store that has not answered for so long is away, as one that refuses. */
  readonly silenceMsMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Has the archive's store do what has to be done, however long it is away. */
export interface StoreRetry {
  /** Why the store takes nothing, for people; `null` while it does. */
  readonly problem: string | null;
  /**
   * Tries until it is done. `null` where the archiver ended before. Rejects with what is no `ArchiveStoreError`: then
   * the archive says that we must not, or there is a bug.
   */
  persist<T>(what: string, work: () => Promise<T>): Promise<T | null>;
}

/** Between two tries: doubles up to the longest. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;

export function createStoreRetry({ lifetime, silenceMsMax, clock, logger }: StoreRetryOptions): StoreRetry {
  const { running, closed, rested } = lifetime;
  let problem: string | null = null;

  const noteProblem = (text: string): void => {
    if (problem === null) logger.warn('the archive is not written', { problem: text });
    problem = text;
  };

  return {
    get problem() {
      return problem;
    },
    persist: async (what, work) => {
      for (let pauseMs = RETRY_MS_MIN; !closed.aborted; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
        const answered = new AbortController();
        // What waits has to be spooled meanwhile.
        void afterSilence(clock, silenceMsMax, AbortSignal.any([answered.signal, rested]), noteProblem);
        try {
          const result = await work();
          if (problem !== null) logger.info('the archive is written again', { what });
          problem = null;
          return result;
        } catch (error) {
          if (!(error instanceof ArchiveStoreError)) throw error;
          // At the end one try is enough: whoever archives next has it from a member.
          if (running.aborted) return null;
          noteProblem(describeError(error));
        } finally {
          answered.abort();
        }
        await clock.sleep(pauseMs, running);
      }
      return null;
    },
  };
}

/**
 * A store may hang for minutes until it fails, and a mount for ever: tells the problem once it has not answered for so
 * long. Nothing is told once `answered` has aborted.
 */
export async function afterSilence(
  clock: Clock,
  silenceMsMax: number,
  answered: AbortSignal,
  tell: (problem: string) => void,
): Promise<void> {
  await clock.sleep(silenceMsMax, answered);
  if (!answered.aborted) tell(`it has not answered for ${silenceMsMax / 1000} s`);
}
