import { expect } from 'vitest';
import { type Outcome, runScenario } from './scenario.ts';
import type { SimStorage } from './world.ts';

/** Lives through the seeds `first`, `first + 2` … below `end`: two files of tests share them, to run side by side. */
export async function surviveEverySecond(first: number, end: number): Promise<void> {
  for (let seed = first; seed < end; seed += 2) await survive(seed);
}

export async function survive(seed: number): Promise<void> {
  const outcome = await runScenario({ seed });
  expect(outcome.failure, explain(outcome)).toBeNull();
}

/** As {@link survive}, with the members' data elsewhere than on the agents' own disks. */
export async function surviveOn(storage: SimStorage, seed: number): Promise<void> {
  const outcome = await runScenario({ seed, storage });
  expect(outcome.failure, explain(outcome, ` --storage ${storage}`)).toBeNull();
}

function explain(outcome: Outcome, flags = ''): string {
  return [
    `seed ${outcome.seed} failed: ${outcome.failure}`,
    `replay: npm run sim -- --seed ${outcome.seed}${flags} --story`,
    ...outcome.plan,
    ...outcome.story.slice(-80),
  ].join('\n');
}

/** Seeds that every run tries. */
const SEEDS_END = 201;
/** So many a test: a test that fails is near its seed. */
export const SEEDS_A_TEST = 20;
export const batches = (): number[] =>
  Array.from({ length: Math.ceil((SEEDS_END - 1) / SEEDS_A_TEST) }, (_, batch) => batch * SEEDS_A_TEST + 1);
