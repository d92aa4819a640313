import type { Clock } from '../base/ports.ts';

/** Milliseconds for which a silence that is over its limit is looked at once more. */
const SECOND_LOOK_MS = 250;

/**
 * Watches for a peer that says nothing: calls `onSilence` once when nothing was heard for `limitMs`, and ends
 * then or when `signal` aborts. A process that was stopped for long finds its timers due before it has read what
 * came meanwhile, so it looks a second time, a moment later, before it believes.
 */
export function watchSilence(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  onSilence: (silentMs: number) => void,
): { heard(): void } {
  let heardMs = clock.monotonicMs();
  const watch = async (): Promise<void> => {
    for (let overdue = false; ; ) {
      const leftMs = heardMs + limitMs - clock.monotonicMs();
      if (leftMs <= 0 && overdue) break;
      overdue = leftMs <= 0;
      await clock.sleep(overdue ? SECOND_LOOK_MS : leftMs, signal);
      if (signal.aborted) return;
    }
    onSilence(clock.monotonicMs() - heardMs);
  };
  void watch();
  return {
    heard: () => {
      heardMs = clock.monotonicMs();
    },
  };
}
