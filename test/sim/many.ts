import type { SeedReport } from './report.ts';
import { createSeedRunner } from './seed-runner.ts';
import type { SimStorage } from './sim-config.ts';

export interface Many {
  readonly from: number;
  readonly seeds: number;
  readonly storage: SimStorage;
  /** Processes that live through seeds at the same time. */
  readonly jobs: number;
  /** Nothing is tried after the first seed that fails. */
  readonly untilFailure: boolean;
  /** Aborted: what runs is ended, and what is known by then is the answer. */
  readonly signal: AbortSignal;
  /** Once for each seed, in their order. */
  readonly onReport: (report: SeedReport) => void;
}

/** What many lives have shown. Its size does not grow with their number. */
export interface Tally {
  readonly lived: number;
  readonly failed: number;
  /** The first {@link FAILURES_KEPT} of them. */
  readonly failures: readonly SeedReport[];
  /** How many lives saw each. */
  readonly calls: ReadonlyMap<string, number>;
  readonly kills: ReadonlyMap<string, number>;
  readonly faults: ReadonlyMap<string, number>;
}

export const FAILURES_KEPT = 50;
/** So far ahead of a seed that takes long the others may be. */
const AHEAD_MAX = 64;

/** Lives through consecutive seeds. Rejects when a process ends that should not. */
export async function liveThroughMany(many: Many): Promise<Tally> {
  const { from, seeds, storage, signal } = many;
  const tally = createTally();
  const waiting = new Map<number, SeedReport>();
  const runners = Array.from({ length: Math.min(many.jobs, seeds) }, () => createSeedRunner(null));
  const end = () => {
    for (const runner of runners) runner.end();
  };
  let next = from;
  let told = from;
  let stopped = signal.aborted;
  let room = Promise.withResolvers<void>();

  const tell = () => {
    for (let report = waiting.get(told); report !== undefined && !stopped; report = waiting.get(told)) {
      waiting.delete(told);
      told += 1;
      tally.add(report);
      many.onReport(report);
      if (report.failure !== null && many.untilFailure) stop();
    }
    room.resolve();
    room = Promise.withResolvers();
  };
  const stop = () => {
    stopped = true;
    end();
  };

  const work = async (runner: (typeof runners)[number]): Promise<void> => {
    while (!stopped && next < from + seeds) {
      if (next - told >= AHEAD_MAX) {
        await room.promise;
        continue;
      }
      const seed = next;
      next += 1;
      waiting.set(seed, await runner.run({ seed, storage, mutant: null }));
      tell();
    }
  };
  const unlessStopped = (error: unknown) => {
    if (!stopped) throw error;
  };

  signal.addEventListener('abort', stop);
  try {
    await Promise.all(runners.map((runner) => work(runner).catch(unlessStopped)));
  } finally {
    signal.removeEventListener('abort', stop);
    end();
  }
  return tally;
}

function createTally(): Tally & { add(report: SeedReport): void } {
  const failures: SeedReport[] = [];
  const counts = { calls: new Map<string, number>(), kills: new Map(), faults: new Map() };
  let lived = 0;
  let failed = 0;
  return {
    get lived() {
      return lived;
    },
    get failed() {
      return failed;
    },
    failures,
    ...counts,
    add: (report) => {
      lived += 1;
      if (report.failure !== null) failed += 1;
      if (report.failure !== null && failures.length < FAILURES_KEPT) failures.push(report);
      for (const kind of ['calls', 'kills', 'faults'] as const) {
        for (const what of new Set(report[kind])) counts[kind].set(what, (counts[kind].get(what) ?? 0) + 1);
      }
    },
  };
}
