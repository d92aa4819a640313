import type { Mutant } from './mutants.ts';
import { misfits } from './planting.ts';
import type { SeedOrder, SeedReport } from './report.ts';
import { createSeedRunner, HANGS, type SeedRunner, SeedRunnerError } from './seed-runner.ts';

/** What came of one planted bug. */
export interface Hunt {
  readonly mutant: Mutant;
  /** The life that showed it; `null` when none did. */
  readonly seen: SeedReport | null;
  /** Seeds that were tried. */
  readonly tried: number;
  /** Why it was not seen; `null` when it was. */
  readonly problem: string | null;
}

/** A bug has to show within so many seeds. */
export const SEEDS_TO_SHOW = 500;

export interface Hunter {
  /**
   * Plants the bug and tries seeds until it shows: first those that are known to show it, then from 1 on. A seed
   * that fails without it too shows nothing.
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
      return await withRunner(mutant.name, async (runner) => {
        let tried = 0;
        let unclear = '';
        for (const seed of seedsFor(mutant, seedsMax)) {
          tried += 1;
          const report = await livedThrough(runner, { seed, storage: 'persistent', mutant: mutant.name });
          if (typeof report === 'string') return missed(mutant, tried, report);
          if (report.failure === null) continue;
          if (report.failure.includes(HANGS)) return missed(mutant, tried, `seed ${seed}: ${report.failure}`);
          const control = await withoutBug(seed);
          if (control.failure === null) return { mutant, tried, seen: report, problem: null };
          unclear = `; seed ${seed} fails without it too: ${control.failure}`;
        }
        return missed(mutant, tried, `not seen in ${tried} seeds${unclear}`);
      });
    },
    end: () => {
      for (const runner of runners) runner.end();
    },
  };
}

/** Its report; or, where the process did not live to make one, why. */
async function livedThrough(runner: SeedRunner, order: SeedOrder): Promise<SeedReport | string> {
  try {
    return await runner.run(order);
  } catch (error) {
    if (error instanceof SeedRunnerError) return error.message;
    throw error;
  }
}

function seedsFor({ shownBy }: Mutant, seedsMax: number): readonly number[] {
  const others = Array.from({ length: seedsMax }, (_, index) => index + 1);
  return [...new Set([...shownBy, ...others])].slice(0, seedsMax);
}

function missed(mutant: Mutant, tried: number, problem: string): Hunt {
  return { mutant, seen: null, tried, problem };
}
