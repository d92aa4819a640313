import { expect } from 'vitest';
import { liveThrough } from './life.ts';
import { explain } from './report.ts';
import type { SimStorage } from './sim-config.ts';

/** Lives through the seeds `first`, `first + 2` … below `end`: two files of tests share them, to run side by side. */
export async function surviveEverySecond(first: number, end: number): Promise<void> {
  for (let seed = first; seed < end; seed += 2) await survive(seed);
}

/** @param storage where the members' data lies. Default the agents' own disks. */
export async function survive(seed: number, storage: SimStorage = 'persistent'): Promise<void> {
  const report = await liveThrough({ seed, storage, mutant: null });
  expect(report.failure, explain(report)).toBeNull();
}

/** Seeds that every run tries. */
const SEEDS_END = 201;
/** So many a test: a test that fails is near its seed. */
export const SEEDS_A_TEST = 20;
export const batches = (): number[] =>
  Array.from({ length: Math.ceil((SEEDS_END - 1) / SEEDS_A_TEST) }, (_, batch) => batch * SEEDS_A_TEST + 1);
