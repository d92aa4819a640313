import { describeError } from '../base/errors.ts';
import type { Logger } from '../base/ports.ts';

/** Removes what need not be kept beside the fulls: to remove a day of segments one by one takes long. */
export interface Retainer {
  /** Begins it as soon as none is under way, unless `signal` has aborted by then; more wishes are one wish. */
  soon(signal: AbortSignal): void;
  /** Resolves when none is under way. */
  rest(): Promise<void>;
  /** Why the last one failed, for people; `null` when it did not. */
  readonly problem: string | null;
}

/** @param retain `null`: all is kept. What it throws is only told. */
export function createRetainer(
  retain: ((signal: AbortSignal) => Promise<void>) | null,
  logger: Logger,
): Retainer {
  let problem: string | null = null;
  let isDue = false;
  let turn: Promise<void> = Promise.resolve();

  const run = async (signal: AbortSignal): Promise<void> => {
    isDue = false;
    if (signal.aborted) return;
    try {
      await retain?.(signal);
      problem = null;
    } catch (error) {
      if (signal.aborted) return;
      problem = `what is old was not removed: ${describeError(error)}`;
      logger.warn('what is old was not removed', { problem: describeError(error) });
    }
  };

  return {
    get problem() {
      return problem;
    },
    soon: (signal) => {
      if (isDue) return;
      isDue = true;
      turn = turn.then(async () => await run(signal));
    },
    rest: async () => await turn,
  };
}
