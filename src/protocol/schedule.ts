import { Cron } from 'croner';
import { describeError } from '../base/errors.ts';

/** When something is due by the calendar, by UTC. */
export interface Schedule {
  /** The first time after `afterMs`; both milliseconds since 1970. */
  nextMs(afterMs: number): number;
}

/** What stands for no schedule. */
export const NO_SCHEDULE = 'none';

/**
 * Reads a cron expression of five fields (minute, hour, day of the month, month, day of the week). `none` is `null`:
 * never. `problem` says what is wrong with any other text, as a date that no year has.
 */
export function parseSchedule(
  text: string,
): { readonly value: Schedule | null } | { readonly problem: string } {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === NO_SCHEDULE) return { value: null };
  const fields = trimmed.split(/\s+/).length;
  if (fields !== 5) return { problem: `its fields are ${fields}, not 5` };
  try {
    const cron = new Cron(trimmed, { mode: '5-part', timezone: 'UTC' });
    if (cron.nextRun(new Date(0)) === null) return { problem: 'no day is ever such a day' };
    return { value: { nextMs: (afterMs) => nextOf(cron, afterMs) } };
  } catch (error) {
    return { problem: describeError(error).replace(/^CronPattern: /, '') };
  }
}

/** The schedule of a text that {@link parseSchedule} has read before. */
export function scheduleOf(text: string): Schedule | null {
  const read = parseSchedule(text);
  if ('problem' in read) throw new Error(`not a schedule: ${text}: ${read.problem}`);
  return read.value;
}

function nextOf(cron: Cron, afterMs: number): number {
  return cron.nextRun(new Date(afterMs))?.getTime() ?? Number.POSITIVE_INFINITY;
}
