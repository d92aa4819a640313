import type { SimStorage } from './sim-config.ts';
import { STORY_HEADER } from './story.ts';

/** What is left of a seed's life when it is over: plain data, small enough to keep many of. */
export interface SeedReport {
  readonly seed: number;
  /** The command line that lives the same life again, and tells of it. */
  readonly replay: string;
  readonly hash: string;
  readonly plan: readonly string[];
  /** `null` when all held. */
  readonly failure: string | null;
  /** The last of the story, where it failed; else nothing. */
  readonly tail: readonly string[];
  readonly virtualMs: number;
  readonly steps: number;
  readonly calls: readonly string[];
  readonly kills: readonly string[];
  readonly faults: readonly string[];
}

/** A life that is to be lived. */
export interface SeedOrder {
  readonly seed: number;
  readonly storage: SimStorage;
  /** Name of the bug that is planted in it. */
  readonly mutant: string | null;
}

export function replayOf({ seed, storage, mutant }: SeedOrder): string {
  const flags = [
    `--seed ${seed}`,
    ...(storage === 'persistent' ? [] : [`--storage ${storage}`]),
    ...(mutant === null ? [] : [`--mutant ${mutant}`]),
    '--story',
  ];
  return `npm run sim -- ${flags.join(' ')}`;
}

/** The report of a life that had to be ended from outside. */
export function reportOfEnd(order: SeedOrder, failure: string): SeedReport {
  const nothing = { hash: '', plan: [], tail: [], virtualMs: 0, steps: 0, calls: [], kills: [], faults: [] };
  return { seed: order.seed, replay: replayOf(order), failure, ...nothing };
}

/** For whoever has to find out why: what was done, how it ended, and how to see it all again. */
export function explain({ seed, failure, plan, tail, replay }: SeedReport): string {
  return [
    `seed ${seed} failed: ${failure}`,
    ...plan.map((what) => `    ${what}`),
    ...(tail.length === 0 ? [] : [STORY_HEADER, ...tail]),
    `replay: ${replay}`,
  ].join('\n');
}
