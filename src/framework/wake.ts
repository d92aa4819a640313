import type { Clock } from '../base/ports.ts';

/** Wakes a loop when something happened, when time is up, and never more often than is good for it. */
export interface Wake {
  /** Something happened: look again. Many of these before the next look are one. */
  mark(): void;
  /** Resolves when marked, after `waitMs`, or when `signal` aborts; not before the least spacing has passed. */
  next(waitMs: number, signal: AbortSignal): Promise<void>;
}

/** Milliseconds between two looks; what arrives in between is seen together. */
const SPACING_MS = 5;
/** After this many looks in a row without a rest the spacing grows: whatever it is, it is no progress. */
const BURST_MAX = 200;
const BURST_SPACING_MS = 250;
/** A loop that slept this long has rested. */
const REST_MS = 50;
/** Longer than this is never slept. */
const WAIT_MS_MAX = 60_000;

export function createWake(clock: Clock): Wake {
  let marked = false;
  let sleeper = new AbortController();
  let burst = 0;
  return {
    mark() {
      marked = true;
      sleeper.abort();
    },
    async next(waitMs, signal) {
      const startMs = clock.monotonicMs();
      await clock.sleep(burst > BURST_MAX ? BURST_SPACING_MS : SPACING_MS, signal);
      sleeper = new AbortController();
      const restMs = Math.min(WAIT_MS_MAX, Math.max(0, waitMs) - (clock.monotonicMs() - startMs));
      if (!marked && restMs > 0) await clock.sleep(restMs, AbortSignal.any([signal, sleeper.signal]));
      marked = false;
      burst = clock.monotonicMs() - startMs >= REST_MS ? 0 : burst + 1;
    },
  };
}
