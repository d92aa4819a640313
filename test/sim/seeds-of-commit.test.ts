import { describe, expect, test } from 'vitest';
import { commitOf, commitSeeds, NO_COMMIT } from './commit.ts';
import { survive } from './seeds.ts';

const SEEDS = 40;
const SEEDS_A_TEST = 10;

const { commit, seeds } = commitSeeds(commitOf(import.meta.dirname), SEEDS);

describe(`seeds of ${commit}`, () => {
  const firsts = Array.from({ length: SEEDS / SEEDS_A_TEST }, (_, batch) => batch * SEEDS_A_TEST);

  test.each(firsts.map((first) => seeds.slice(first, first + SEEDS_A_TEST)))(
    '%i and nine more',
    async (...batch) => {
      process.stdout.write(`seeds of ${commit}: ${batch.join(', ')}\n`);
      for (const seed of batch) await survive(seed);
    },
  );
});

test('a commit always has the same seeds, another has others', () => {
  expect(commitSeeds('a', 5).seeds).toEqual(commitSeeds('a', 5).seeds);
  expect(commitSeeds('a', 5).seeds).not.toEqual(commitSeeds('b', 5).seeds);
  expect(new Set(commitSeeds('a', 40).seeds).size).toBe(40);
});

test('without a repository there are seeds all the same', () => {
  expect(commitOf('/')).toBe(NO_COMMIT);
  expect(commitSeeds(NO_COMMIT, 3).seeds).toHaveLength(3);
});
