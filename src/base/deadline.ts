import { CodedError } from './errors.ts';
import type { Clock } from './ports.ts';

/** Time that was granted for something is over. */
export class DeadlineError extends CodedError<'deadline-passed'> {}

/** A signal that aborts when time is over, or when the caller's own signal does. */
export interface Deadline {
  /** Its reason is a {@link DeadlineError}, or the caller's signal's. */
  readonly signal: AbortSignal;
  /** Time ran out before it was lifted. */
  readonly passed: boolean;
  /** From now on only the caller's signal counts, as when the head of an endless answer has come. */
  lift(): void;
  /** Aborts now. No effect on what has ended. */
  cancel(): void;
  /** Lets go of the timer and of the caller's signal. In the end always this or `cancel` is called. */
  release(): void;
}

/** Starts a deadline of `durationMs` from now, within `signal`. */
export function startDeadline(clock: Clock, durationMs: number, signal: AbortSignal): Deadline {
  const controller = new AbortController();
  const timer = new AbortController();
  let passed = false;
  const follow = (): void => {
    timer.abort();
    controller.abort(signal.reason);
  };
  if (signal.aborted) follow();
  else signal.addEventListener('abort', follow, { once: true });
  void clock.sleep(durationMs, timer.signal).then(() => {
    if (timer.signal.aborted) return;
    passed = true;
    controller.abort(new DeadlineError('deadline-passed', `${durationMs} ms have passed`));
  });
  const release = (): void => {
    timer.abort();
    signal.removeEventListener('abort', follow);
  };
  return {
    signal: controller.signal,
    get passed() {
      return passed;
    },
    lift: () => timer.abort(),
    cancel: () => {
      release();
      controller.abort();
    },
    release,
  };
}

/**
 * Runs `work` for at most `durationMs`. Rejects as soon as the time is over or `signal` aborts, with that
 * signal's reason, even where `work` takes no notice.
 */
export async function withDeadline<T>(
  clock: Clock,
  durationMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = startDeadline(clock, durationMs, signal);
  try {
    return await orAborted(deadline.signal, work(deadline.signal));
  } finally {
    deadline.release();
  }
}

/** `promise`, or a rejection with the signal's reason, whichever comes first. */
export async function orAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let listener = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    listener = () => reject(signal.reason as Error);
    if (signal.aborted) listener();
    else signal.addEventListener('abort', listener, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', listener);
  }
}
