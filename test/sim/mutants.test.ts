import { afterAll, describe, expect, test } from 'vitest';
import { createHunter } from './hunt.ts';
import { MUTANTS } from './mutants.ts';

/** Each in a process of its own, as many at a time as the project allows. */
describe.concurrent('a planted bug is seen', () => {
  const hunter = createHunter();
  afterAll(hunter.end);

  test.each(MUTANTS)('$name: $about', async (mutant) => {
    const { problem } = await hunter.hunt(mutant);
    expect(problem).toBeNull();
  });
});
