import { describe, expect, test } from 'vitest';
import { type Outcome, runScenario } from './scenario.ts';
import { SEEDS_THAT_FAILED } from './seeds-that-failed.ts';

/** Seeds 1 … 200 in files of their own kind of time: so many at once keeps a failure near its seed. */
const SEEDS = 200;
const BATCH = 20;

function explain(outcome: Outcome): string {
  return [
    `seed ${outcome.seed} failed: ${outcome.failure}`,
    `replay: npm run sim -- --seed ${outcome.seed} --story`,
    ...outcome.plan,
    ...outcome.story.slice(-80),
  ].join('\n');
}

describe('a simulated cluster', () => {
  test.each(Array.from({ length: SEEDS / BATCH }, (_, batch) => batch * BATCH + 1))(
    'seeds from %i on: survives its faults and is whole again',
    async (first) => {
      for (let seed = first; seed < first + BATCH; seed += 1) {
        const outcome = await runScenario({ seed });
        expect(outcome.failure, explain(outcome)).toBeNull();
      }
    },
  );

  test.each([...SEEDS_THAT_FAILED])('seed $seed, which showed: $showed', async ({ seed }) => {
    const outcome = await runScenario({ seed });
    expect(outcome.failure, explain(outcome)).toBeNull();
  });

  test('the same seed gives the same life', async () => {
    for (const seed of [1, 2, 3]) {
      const [first, second] = [await runScenario({ seed }), await runScenario({ seed })];
      expect(second.hash).toBe(first.hash);
      expect(second.steps).toBe(first.steps);
    }
  });
});
