import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS } from './mutants.ts';
import type { SimStorage } from './sim-config.ts';

/** What `npm run sim` is asked for. */
export type SimCommand =
  | {
      readonly kind: 'one';
      readonly seed: number;
      readonly storage: SimStorage;
      readonly mutant: string | null;
      /** Every line of the story is printed as it is told. */
      readonly story: boolean;
      /** With all that is logged. */
      readonly trace: boolean;
    }
  | {
      readonly kind: 'many';
      readonly from: number;
      readonly seeds: number;
      readonly storage: SimStorage;
      readonly jobs: number;
      readonly untilFailure: boolean;
    }
  | {
      readonly kind: 'hunt';
      readonly names: readonly string[];
      readonly seeds: number;
      readonly jobs: number;
    };

export const USAGE = `npm run sim -- [--seeds N] [--from M] [--until-failure]    live through many seeds (200)
npm run sim -- --seed N [--story] [--trace]               live through one, and tell of it
npm run sim -- --mutants [--mutant NAME]... [--seeds N]   plant bugs: each must show within N seeds (500)
    --storage persistent|sandbox|mount   where members keep their data (persistent)
    --mutant NAME                        with --seed: that life with a bug in it
    --jobs N                             processes at the same time (one for each core)`;

/** The value, what would be accepted, and nothing else: a person reads it. */
export class ArgumentsError extends Error {
  override readonly name = 'ArgumentsError';
}

const STORAGES: readonly SimStorage[] = ['persistent', 'sandbox', 'mount'];
const SEED_MAX = 2 ** 32 - 1;
const SEEDS_MAX = 10_000_000;
const HUNTED_SEEDS_MAX = 500;
const JOBS_MAX = 64;

/** Throws an {@link ArgumentsError}. */
export function parseSimArguments(args: readonly string[]): SimCommand {
  const given = parsed(args);
  const jobs = wholeNumber('--jobs', given.jobs, 1, JOBS_MAX) ?? Math.min(availableParallelism(), JOBS_MAX);
  const storage = storageOf(given.storage);
  const names = (given.mutant ?? []).map(mutantOf);
  const seed = wholeNumber('--seed', given.seed, 0, SEED_MAX);
  if (seed !== null) {
    refuseBeside('--seed', given, ['seeds', 'from', 'mutants', 'until-failure']);
    if (names.length > 1) throw new ArgumentsError('with --seed goes one --mutant');
    const { story = false, trace = false } = given;
    return { kind: 'one', seed, storage, mutant: names[0] ?? null, story: story || trace, trace };
  }
  refuseBeside('many seeds', given, ['story', 'trace']);
  if (given.mutants === true || names.length > 0) {
    refuseBeside('--mutants', given, ['from', 'storage', 'until-failure']);
    const seeds = wholeNumber('--seeds', given.seeds, 1, HUNTED_SEEDS_MAX) ?? HUNTED_SEEDS_MAX;
    return { kind: 'hunt', names, seeds, jobs };
  }
  const seeds = wholeNumber('--seeds', given.seeds, 1, SEEDS_MAX) ?? 200;
  const from = wholeNumber('--from', given.from, 0, SEED_MAX - seeds + 1) ?? 1;
  return { kind: 'many', from, seeds, storage, jobs, untilFailure: given['until-failure'] ?? false };
}

type Given = ReturnType<typeof parsed>;

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string' },
        from: { type: 'string' },
        story: { type: 'boolean' },
        trace: { type: 'boolean' },
        storage: { type: 'string' },
        'until-failure': { type: 'boolean' },
        mutants: { type: 'boolean' },
        mutant: { type: 'string', multiple: true },
        jobs: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new ArgumentsError(error instanceof Error ? error.message : String(error));
  }
}

function refuseBeside(what: string, given: Given, options: readonly (keyof Given)[]): void {
  for (const option of options) {
    if (given[option] !== undefined) throw new ArgumentsError(`--${option} does not go with ${what}`);
  }
}

function wholeNumber(option: string, text: string | undefined, low: number, high: number): number | null {
  if (text === undefined) return null;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw new ArgumentsError(`${option} takes a whole number from ${low} to ${high}, not '${text}'`);
}

function storageOf(text: string | undefined): SimStorage {
  const storage = STORAGES.find((one) => one === (text ?? 'persistent'));
  if (storage !== undefined) return storage;
  throw new ArgumentsError(`--storage takes ${STORAGES.join(', ')}, not '${text}'`);
}

function mutantOf(name: string): string {
  if (MUTANTS.some((mutant) => mutant.name === name)) return name;
  throw new ArgumentsError(
    `--mutant takes ${MUTANTS.map((mutant) => mutant.name).join(', ')}, not '${name}'`,
  );
}
