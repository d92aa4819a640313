import { replayOf, type SeedOrder, type SeedReport } from './report.ts';
import { runScenario } from './scenario.ts';

const TAIL_LINES = 60;

/** In this process, in which the bug is planted already where there is to be one. */
export async function liveThrough(
  order: SeedOrder,
  told: { readonly debug?: boolean; readonly onLine?: (line: string) => void } = {},
): Promise<SeedReport> {
  const { seed, storage } = order;
  const outcome = await runScenario({ seed, storage, ...told });
  const { hash, plan, failure, virtualMs, steps } = outcome;
  return {
    seed,
    replay: replayOf(order),
    hash,
    plan,
    failure,
    tail: failure === null ? [] : outcome.story.slice(-TAIL_LINES),
    virtualMs,
    steps,
    calls: [...outcome.calls],
    kills: [...new Set(outcome.crashes)],
    faults: outcome.faults,
  };
}
