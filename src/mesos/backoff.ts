import type { Random } from '../base/ports.ts';

/** The longest wait before the first new try, milliseconds: most losses are over at once. */
export const RETRY_MS_FIRST = 200;
/** The longest wait between two tries, milliseconds. */
export const RETRY_MS_MAX = 10_000;

/**
 * Milliseconds to wait after `failures` tries that failed in a row (1 …): doubling up to {@link RETRY_MS_MAX},
 * and of that a random part between a half and the whole, so that schedulers do not come back in step.
 */
export function retryMsAfter(failures: number, random: Random): number {
  const ceilingMs = Math.min(RETRY_MS_FIRST * 2 ** (failures - 1), RETRY_MS_MAX);
  return Math.round(ceilingMs * (0.5 + random.next() / 2));
}
