import { expect, test } from 'vitest';
import { formatAge } from '../../src/base/duration.ts';

test.for([
  [-5, '0s'],
  [0, '0s'],
  [12.4, '12ms'],
  [1_999, '1s'],
  [125_999, '2m5s'],
  [3_600_000, '1h'],
  [3_659_000, '1h'],
  [100 * 3_600_000 + 59_000, '4d4h'],
  [8 * 86_400_000 + 3_600_000, '1w1d'],
] as const)('an age of %d ms reads %s', ([durationMs, text]) => {
  expect(formatAge(durationMs)).toBe(text);
});
