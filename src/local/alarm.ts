import type { Clock } from '../base/ports.ts';

/** One timer that is always set anew: what a machine without I/O asks its driver for. */
export interface Alarm {
  /** Monotonic milliseconds at which to ring, `null` for never. Replaces what was set before. */
  set(dueMs: number | null): void;
  /** Never rings again. */
  stop(): void;
}

/** A timer waits no longer than this at a time; it rings a little early then, which machines take as nothing. */
const WAIT_MS_MAX = 3_600_000;

export function createAlarm(clock: Clock, onDue: () => void): Alarm {
  let waiting: { readonly dueMs: number; readonly cancelled: AbortController } | null = null;

  function set(dueMs: number | null): void {
    if (waiting?.dueMs === dueMs) return;
    waiting?.cancelled.abort();
    waiting = null;
    if (dueMs === null) return;
    const cancelled = new AbortController();
    waiting = { dueMs, cancelled };
    const waitMs = Math.min(Math.max(dueMs - clock.monotonicMs(), 0), WAIT_MS_MAX);
    void clock.sleep(waitMs, cancelled.signal).then(() => {
      if (cancelled.signal.aborted) return;
      waiting = null;
      onDue();
    });
  }
  return { set, stop: () => set(null) };
}
