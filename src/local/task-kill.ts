import type { Clock } from '../base/ports.ts';

/** The end of a task: SIGTERM at once, SIGKILL after the grace period. */
export interface TaskKill {
  /** Asking again can only bring the end nearer. */
  start(graceMs: number): void;
  /** The task has ended: no signal any more. */
  stop(): void;
}

/** @param signal reaches every process of the task. */
export function createTaskKill(clock: Clock, signal: (name: 'SIGTERM' | 'SIGKILL') => void): TaskKill {
  const stopped = new AbortController();
  let dueMs = Number.POSITIVE_INFINITY;
  return {
    start: (graceMs) => {
      const askedMs = clock.monotonicMs() + graceMs;
      if (dueMs === Number.POSITIVE_INFINITY) signal('SIGTERM');
      if (askedMs >= dueMs) return;
      dueMs = askedMs;
      void clock.sleep(graceMs, stopped.signal).then(() => {
        if (!stopped.signal.aborted) signal('SIGKILL');
      });
    },
    stop: () => stopped.abort(),
  };
}
