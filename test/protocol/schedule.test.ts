import { expect, test } from 'vitest';
import { parseSchedule, scheduleOf } from '../../src/protocol/schedule.ts';

const at = (text: string): number => Date.parse(text);

test('the next time is after the one that is asked for, by UTC', () => {
  const daily = scheduleOf('17 3 * * *');
  expect(daily?.nextMs(at('2026-03-29T00:00:00Z'))).toBe(at('2026-03-29T03:17:00Z'));
  expect(daily?.nextMs(at('2026-03-29T03:17:00Z'))).toBe(at('2026-03-30T03:17:00Z'));
  expect(scheduleOf('47 4 * * 0')?.nextMs(at('2026-11-23T12:00:00Z'))).toBe(at('2026-11-29T04:47:00Z'));
});

test('none is no schedule', () => {
  expect(scheduleOf(' NONE ')).toBeNull();
});

test.for([
  ['61 * * * *', 'Invalid value for minute: 61'],
  ['a * * * *', 'contains illegal characters'],
  ['0 0 30 2 *', 'no day is ever such a day'],
  ['* * * * * *', 'its fields are 6, not 5'],
  ['daily', 'its fields are 1, not 5'],
] as const)('%s is refused with what is wrong with it', ([text, problem]) => {
  expect(parseSchedule(text)).toEqual({ problem: expect.stringContaining(problem) });
});
