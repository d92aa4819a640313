import { describe, test } from 'vitest';
import { batches, SEEDS_A_TEST, surviveEverySecond } from './seeds.ts';

describe('a simulated cluster survives its faults and is whole again', () => {
  test.each(batches())('even seeds from %i on', async (first) => {
    await surviveEverySecond(first + 1, first + SEEDS_A_TEST);
  });
});
