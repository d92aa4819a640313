import type { Mutant } from './mutants.ts';
import { misfits } from './planting.ts';
import type { SeedReport } from './report.ts';
import { createSeedRunner, HANGS, type SeedRunner, SeedRunnerError } from './seed-runner.ts';

/** What came of one planted bug. */
export interface Hunt {
  readonly mutant: Mutant;
  /** The life that showed it; `null` when none did. */
  readonly seen: SeedReport | null;
  /** Seeds that were tried. */
  readonly tried: number;
  /** Why it was not seen, or why that shows nothing; `null` when it was seen. */
  readonly problem: string | null;
}

/** A bug has to show within so many seeds. */
export const SEEDS_TO_SHOW = 500;

export interface Hunter {
  /**
   * Plants the bug and tries seeds until it shows: first those that are known to show it, then from 1 on. The seed
   * that showed it must be clean without it.
   * @param seedsMax Default {@link SEEDS_TO_SHOW}.
   */
  hunt(mutant: Mutant, seedsMax?: number): Promise<Hunt>;
  /** Ends all that runs; a hunt that goes on then has not seen anything. */
  end(): void;
}

export function createHunter(): Hunter {
  const runners = new Set<SeedRunner>();
  /** Seeds that were tried without any bug; several bugs may show in the same. */
  const controls = new Map<number, Promise<SeedReport>>();
  const withRunner = async <T>(mutant: string | null, use: (runner: SeedRunner) => Promise<T>) => {
    const runner = createSeedRunner(mutant);
    runners.add(runner);
    try {
      return await use(runner);
    } finally {
      runner.end();
      runners.delete(runner);
    }
  };
  const withoutBug = (seed: number): Promise<SeedReport> => {
    const control =
      controls.get(seed) ??
      withRunner(null, (runner) => runner.run({ seed, storage: 'persistent', mutant: null }));
    controls.set(seed, control);
    return control;
  };

  return {
    hunt: async (mutant, seedsMax = SEEDS_TO_SHOW) => {
      const problems = misfits(mutant);
      if (problems.length > 0) return missed(mutant, 0, `it can not be planted: ${problems.join('; ')}`);
      const { tried, failed, ended } = await withRunner(mutant.name, (runner) =>
        firstFailure(runner, mutant, seedsMax),
      );
      if (ended !== null) return missed(mutant, tried, ended);
      if (failed === null) return missed(mutant, tried, `not seen in ${tried} seeds`);
      const seen = `seed ${failed.seed}: ${failed.failure}`;
      if (failed.failure?.includes(HANGS) === true) return missed(mutant, tried, seen);
      const control = await withoutBug(failed.seed);
      if (control.failure !== null) {
        return missed(mutant, tried, `seed ${failed.seed} fails without it too: ${control.failure}`);
      }
      return { mutant, tried, seen: failed, problem: null };
    },
    end: () => {
      for (const runner of runners) runner.end();
    },
  };
}

interface FirstFailure {
  readonly tried: number;
  readonly failed: SeedReport | null;
  /** Where the process did not live to tell: what was said last. */
  readonly ended: string | null;
}

async function firstFailure(runner: SeedRunner, mutant: Mutant, seedsMax: number): Promise<FirstFailure> {
  let tried = 0;
  try {
    for (const seed of seedsFor(mutant, seedsMax)) {
      tried += 1;
      const report = await runner.run({ seed, storage: 'persistent', mutant: mutant.name });
      if (report.failure !== null) return { tried, failed: report, ended: null };
    }
    return { tried, failed: null, ended: null };
  } catch (error) {
    if (!(error instanceof SeedRunnerError)) throw error;
    return { tried, failed: null, ended: error.message };
  }
}

function seedsFor({ shownBy }: Mutant, seedsMax: number): readonly number[] {
  const others = Array.from({ length: seedsMax }, (_, index) => index + 1);
  return [...new Set([...shownBy, ...others])].slice(0, seedsMax);
}

function missed(mutant: Mutant, tried: number, problem: string): Hunt {
  return { mutant, seen: null, tried, problem };
}
