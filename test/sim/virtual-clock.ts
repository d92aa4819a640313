import { assert } from '../../src/base/assert.ts';
import type { Clock } from '../../src/base/ports.ts';

/**
 * Time that stands still until it is told to pass. Between two timers everything that can run without time
 * passing runs first, so a run is the same every time.
 */
export interface VirtualClock extends Clock {
  /** Timers that wait. */
  readonly pending: number;
  /** Lets what is runnable now run, without any time passing. */
  settle(): Promise<void>;
  /** Passes `durationMs`, firing the timers due in their order; timers that these set fire too when due. */
  advance(durationMs: number): Promise<void>;
  /** Passes time up to the next timer and fires it; `false` when none waits. */
  step(): Promise<boolean>;
  /** Passes time until no timer waits. Throws when that takes more than `limitMs`. Default an hour. */
  runUntilIdle(limitMs?: number): Promise<void>;
  /** Passes time, timer by timer, until `condition` holds. Throws when it does not within `limitMs`. */
  runUntil(condition: () => boolean, limitMs: number): Promise<void>;
  /** Passes time, timer by timer, until `work` is settled. Throws when it is not within `limitMs`. Default an hour. */
  during<T>(work: Promise<T>, limitMs?: number): Promise<T>;
  /** Sets the wall clock forward or back; monotonic time and timers take no notice. */
  jumpWall(byMs: number): void;
}

export interface VirtualClockOptions {
  /** Wall time at the start, milliseconds since 1970. Default 2026-01-01. */
  readonly startMs?: number;
  /** Turns of the event loop between two timers, for code that needs more than microtasks. Default 1. */
  readonly settleTurns?: number;
}

/** The longest that a timer of Node.js can wait. */
const SLEEP_MS_MAX = 2 ** 31 - 1;

interface Timer {
  readonly dueMs: number;
  readonly sequence: number;
  readonly fire: () => void;
}

export function createVirtualClock(options: VirtualClockOptions = {}): VirtualClock {
  const settleTurns = options.settleTurns ?? 1;
  let wallOffsetMs = options.startMs ?? Date.UTC(2026, 0, 1);
  let nowMs = 0;
  let sequence = 0;
  /** Sorted, the next one to fire last. */
  const timers: Timer[] = [];

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < settleTurns; turn += 1) await new Promise<void>((done) => setImmediate(done));
  };

  /** Fires the next timer if it is due by `untilMs`. */
  const fireNext = async (untilMs: number): Promise<boolean> => {
    const timer = timers.at(-1);
    if (timer === undefined || timer.dueMs > untilMs) return false;
    timers.pop();
    nowMs = Math.max(nowMs, timer.dueMs);
    timer.fire();
    await settle();
    return true;
  };

  const runUntil = async (condition: () => boolean, limitMs: number): Promise<void> => {
    const untilMs = nowMs + limitMs;
    await settle();
    while (!condition()) {
      assert(await fireNext(untilMs), `the condition does not hold after ${limitMs} ms: ${condition}`);
    }
  };

  return {
    get pending() {
      return timers.length;
    },
    wallMs: () => wallOffsetMs + nowMs,
    monotonicMs: () => nowMs,
    jumpWall: (byMs) => {
      wallOffsetMs += byMs;
    },
    sleep(durationMs, signal) {
      assert(durationMs >= 0 && durationMs <= SLEEP_MS_MAX, `a sleep of ${durationMs} ms`);
      if (signal?.aborted === true) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          signal?.removeEventListener('abort', abort);
          resolve();
        };
        const timer: Timer = { dueMs: nowMs + durationMs, sequence, fire: done };
        const abort = (): void => {
          timers.splice(timers.indexOf(timer), 1);
          done();
        };
        sequence += 1;
        insert(timers, timer);
        signal?.addEventListener('abort', abort);
      });
    },
    settle,
    async advance(durationMs) {
      const untilMs = nowMs + durationMs;
      await settle();
      while (await fireNext(untilMs));
      nowMs = untilMs;
    },
    async step() {
      await settle();
      return await fireNext(Number.POSITIVE_INFINITY);
    },
    async runUntilIdle(limitMs = 3_600_000) {
      const untilMs = nowMs + limitMs;
      await settle();
      while (await fireNext(untilMs));
      assert(timers.length === 0, `${timers.length} timers still wait after ${limitMs} ms`);
    },
    runUntil,
    async during(work, limitMs = 3_600_000) {
      let isSettled = false;
      const note = () => {
        isSettled = true;
      };
      void work.then(note, note);
      await runUntil(() => isSettled, limitMs);
      return await work;
    },
  };
}

/** Keeps `timers` sorted: latest first, of two that are due together the newer first. */
function insert(timers: Timer[], timer: Timer): void {
  let low = 0;
  let high = timers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = timers[middle];
    if (other !== undefined && other.dueMs > timer.dueMs) low = middle + 1;
    else high = middle;
  }
  timers.splice(low, 0, timer);
}
