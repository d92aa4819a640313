import { performance } from 'node:perf_hooks';
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/ports.ts';

/** The longest that a timer of Node.js waits; more would fire at once. */
const SLEEP_MS_MAX = 2 ** 31 - 1;

/** The machine's own time. */
export function createSystemClock(): Clock {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep(durationMs, signal) {
      assert(durationMs >= 0 && durationMs <= SLEEP_MS_MAX, `a sleep of ${durationMs} ms`);
      if (signal?.aborted === true) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, durationMs);
        signal?.addEventListener('abort', done);
      });
    },
  };
}
