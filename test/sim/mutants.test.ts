import { afterAll, describe, expect, test } from 'vitest';
import { createHunter } from './hunt.ts';
import { MUTANTS } from './mutants.ts';

/**
 * Those that the first seeds show, each in a process of its own, as many at a time as the project allows. All of them
 * are `npm run sim -- --mutants`, which takes longer than a check may.
 */
describe.concurrent('a planted bug is seen', () => {
  const hunter = createHunter();
  afterAll(hunter.end);

  test.each(MUTANTS.filter(({ isQuick }) => isQuick === true))('$name: $about', async (mutant) => {
    const { problem } = await hunter.hunt(mutant);
    expect(problem).toBeNull();
  });
});
