import { parseArgs } from 'node:util';
import { huntMutants } from './hunt.ts';
import { type Outcome, runScenario } from './scenario.ts';
import type { SimStorage } from './world.ts';

/**
 * `npm run sim -- --seed N [--story] [--trace]` replays one seed and tells what happened in it;
 * `npm run sim -- --seeds N [--from M] [--until-failure]` tries many;
 * `npm run sim -- --mutants [--seeds N] [--mutant NAME]` plants bugs, each of which must show within N seeds (500).
 * Exit code 1 when one of them failed, or was not seen.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    story: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    storage: { type: 'string', default: 'persistent' },
    'until-failure': { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    mutant: { type: 'string', multiple: true },
  },
});

/** `--storage sandbox`, `--storage mount`: see {@link SimStorage}. */
const storage: SimStorage =
  (['sandbox', 'mount'] as const).find((kind) => kind === values.storage) ?? 'persistent';

const print = (line: string) => process.stdout.write(`${line}\n`);

function summary(outcome: Outcome): string {
  const verdict = outcome.failure === null ? 'ok    ' : 'FAILED';
  const virtual = `${Math.round(outcome.virtualMs / 1000)} s`.padStart(7);
  const seed = String(outcome.seed).padStart(6);
  return `${verdict} seed ${seed} ${outcome.hash} ${virtual} ${outcome.steps} steps: ${outcome.plan.join(', ')}`;
}

function explain(outcome: Outcome): void {
  print(summary(outcome));
  if (outcome.failure !== null) print(outcome.failure);
}

async function hunt(): Promise<number> {
  const hunts = await huntMutants({
    seeds: Number(values.seeds ?? 500),
    ...(values.mutant === undefined ? {} : { names: values.mutant }),
    onHunt: ({ mutant, seed, text }) => {
      const verdict = seed === null ? 'MISSED' : `seed ${seed}`;
      print(`${verdict.padEnd(9)} ${mutant.name}: ${mutant.about}\n          ${text}`);
    },
  });
  const missed = hunts.filter(({ seed }) => seed === null).length;
  print(`${hunts.length - missed} of ${hunts.length} planted bugs were seen`);
  return missed === 0 && hunts.length > 0 ? 0 : 1;
}

async function main(): Promise<number> {
  if (values.mutants || values.mutant !== undefined) return await hunt();
  if (values.seed !== undefined) {
    const told = values.story || values.trace;
    const outcome = await runScenario({
      seed: Number(values.seed),
      debug: values.trace,
      storage,
      ...(told ? { onLine: print } : {}),
    });
    if (!told && outcome.failure !== null) for (const line of outcome.story.slice(-60)) print(line);
    explain(outcome);
    return outcome.failure === null ? 0 : 1;
  }
  const from = Number(values.from);
  const calls = new Set<string>();
  const crashes = new Set<string>();
  let failed = 0;
  for (let seed = from; seed < from + Number(values.seeds ?? 200); seed += 1) {
    const outcome = await runScenario({ seed, storage });
    if (outcome.failure !== null) failed += 1;
    for (const call of outcome.calls) calls.add(call);
    for (const crash of outcome.crashes) crashes.add(crash);
    explain(outcome);
    if (outcome.failure !== null && values['until-failure']) return 1;
  }
  print(`calls seen: ${[...calls].toSorted().join(', ')}`);
  print(`killed: ${[...crashes].toSorted().join(', ')}`);
  print(`${failed} failed; replay one with: npm run sim -- --seed N --story`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
