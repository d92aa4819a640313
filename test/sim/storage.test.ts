import { describe, test } from 'vitest';
import { survive } from './seeds.ts';

/** Seeds that every run tries. */
const SEEDS_END = 41;
const SEEDS_A_TEST = 10;
const firsts = Array.from({ length: (SEEDS_END - 1) / SEEDS_A_TEST }, (_, at) => 1 + at * SEEDS_A_TEST);

describe.each(['sandbox', 'mount'] as const)('a cluster that keeps its data so: %s', (storage) => {
  test.each(firsts)('survives seeds from %i on', async (first) => {
    for (let seed = first; seed < first + SEEDS_A_TEST; seed += 1) await survive(seed, storage);
  });
});
