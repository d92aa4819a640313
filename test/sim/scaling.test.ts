import { describe, expect, test } from 'vitest';
import { runScenario } from './scenario.ts';

const SEEDS = Array.from({ length: 16 }, (_, index) => index + 1);

/** One life after another in which operators ask for more members and fewer again and again. */
describe('a cluster whose size is changed at bad moments', () => {
  test.each(SEEDS)('is safe, and has as many members as were asked for in the end, seed %i', async (seed) => {
    const { failure, plan } = await runScenario({ seed, theme: 'size' });
    expect(failure, plan.join(', ')).toBeNull();
  });
});
