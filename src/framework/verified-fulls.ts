import type { Full } from '../backup/full.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';

export interface VerifiedFullsOptions {
  /** Takes one and reads it back whole. Rejects when that one try fails. */
  readonly take: (reason: string) => Promise<Full>;
  readonly clock: Clock;
  readonly log: Logger;
  /** One that was wanted was taken, or was not. */
  readonly onChange: () => void;
}

/** Fulls that were read back whole, for an operator who asks and for the core where it waits for one. */
export interface VerifiedFulls {
  now(reason: string): Promise<Full>;
  /** The core waits for one: one at a time is taken, and after a failure not at once. */
  want(reason: string): void;
  /** When the newest one was whole, milliseconds since 1970; `null` before the first of this term. */
  readonly newestAtMs: number | null;
  /**
   * The same, put back to now where it lies ahead: by a clock that went back an old full would pass for one that was
   * taken since.
   */
  newestNoLaterThanNow(): number | null;
}

/** A full that is wanted and was not taken is tried for again after this long. */
const RETRY_MS = 30_000;

export function createVerifiedFulls(options: VerifiedFullsOptions): VerifiedFulls {
  const { clock, log } = options;
  let newestAtMs: number | null = null;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let isAsking = false;

  const now = async (reason: string): Promise<Full> => {
    const full = await options.take(reason);
    newestAtMs = Math.max(newestAtMs ?? 0, full.document.finishedAtMs);
    return full;
  };
  const takeWanted = async (reason: string): Promise<void> => {
    isAsking = true;
    askedAtMs = clock.monotonicMs();
    try {
      await now(reason);
      askedAtMs = Number.NEGATIVE_INFINITY;
    } catch (error) {
      log.warn('a full that is waited for was not taken', { reason, error: describeError(error) });
    } finally {
      isAsking = false;
      options.onChange();
    }
  };

  return {
    now,
    want: (reason) => {
      if (isAsking || clock.monotonicMs() - askedAtMs < RETRY_MS) return;
      void takeWanted(reason);
    },
    get newestAtMs() {
      return newestAtMs;
    },
    newestNoLaterThanNow: () => {
      if (newestAtMs !== null) newestAtMs = Math.min(newestAtMs, clock.wallMs());
      return newestAtMs;
    },
  };
}
