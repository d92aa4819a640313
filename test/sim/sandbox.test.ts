import { describe, test } from 'vitest';
import { surviveInSandboxes } from './seeds.ts';

/** Seeds that every run tries. */
const SEEDS_END = 61;
const SEEDS_A_TEST = 10;

describe('a cluster that keeps its data in sandboxes survives the loss of a minority of its tasks', () => {
  const firsts = Array.from({ length: (SEEDS_END - 1) / SEEDS_A_TEST }, (_, at) => 1 + at * SEEDS_A_TEST);
  test.each(firsts)('seeds from %i on', async (first) => {
    for (let seed = first; seed < first + SEEDS_A_TEST; seed += 1) await surviveInSandboxes(seed);
  });
});
