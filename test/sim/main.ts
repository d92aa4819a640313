import { ArgumentsError, parseSimArguments, type SimCommand, USAGE } from './arguments.ts';
import { createHunter, type Hunt } from './hunt.ts';
import { FAILURES_KEPT, liveThroughMany, type Tally } from './many.ts';
import { MUTANTS } from './mutants.ts';
import { mutantNamed, plant } from './planting.ts';
import { explain, type SeedReport } from './report.ts';
import { STORY_HEADER } from './story.ts';

/*
 * `npm run sim`; see USAGE. Exit code 0 when all held, 1 when a life failed or a bug was not seen, 2 for arguments
 * that are not understood, 130 and 143 when it was interrupted.
 */

const print = (line: string) => process.stdout.write(`${line}\n`);

const interrupted = new AbortController();
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;
for (const [signal, code] of Object.entries(SIGNALS)) {
  process.once(signal, () => {
    interrupted.abort();
    process.exitCode = code;
  });
}

try {
  const code = await run(parseSimArguments(process.argv.slice(2)));
  process.exitCode ??= code;
} catch (error) {
  if (!(error instanceof ArgumentsError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}\n`);
  process.exitCode = 2;
}

async function run(command: SimCommand): Promise<number> {
  switch (command.kind) {
    case 'one':
      return await liveOne(command);
    case 'many':
      return await liveMany(command);
    case 'hunt':
      return await huntAll(command);
  }
}

async function liveOne(command: SimCommand & { kind: 'one' }): Promise<number> {
  const { seed, storage, mutant, story, trace } = command;
  process.once('SIGINT', () => process.exit(SIGNALS.SIGINT));
  if (mutant !== null) plant(mutantNamed(mutant));
  const { liveThrough } = await import('./life.ts');
  if (story) print(STORY_HEADER);
  const report = await liveThrough(
    { seed, storage, mutant },
    { debug: trace, ...(story ? { onLine: print } : {}) },
  );
  print(report.failure === null ? summary(report) : explain(story ? { ...report, tail: [] } : report));
  return report.failure === null ? 0 : 1;
}

async function liveMany(command: SimCommand & { kind: 'many' }): Promise<number> {
  const startedMs = performance.now();
  const tally = await liveThroughMany({
    ...command,
    signal: interrupted.signal,
    onReport: (report) => {
      print(summary(report));
      if (report.failure !== null) print(`       ${firstLine(report.failure)}`);
    },
  });
  printTally(tally, (performance.now() - startedMs) / 1000);
  return tally.failed === 0 ? 0 : 1;
}

async function huntAll({ names, seeds, jobs }: SimCommand & { kind: 'hunt' }): Promise<number> {
  const startedMs = performance.now();
  const hunter = createHunter();
  interrupted.signal.addEventListener('abort', hunter.end);
  const left = MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name));
  const wanted = left.length;
  let seen = 0;
  const work = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const hunt = await hunter.hunt(mutant, seeds);
      if (interrupted.signal.aborted) return;
      if (hunt.seen !== null) seen += 1;
      printHunt(hunt);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  print(`${seen} of ${wanted} planted bugs were seen, in ${seconds((performance.now() - startedMs) / 1000)}`);
  return seen === wanted ? 0 : 1;
}

function summary(report: SeedReport): string {
  const verdict = report.failure === null ? 'ok    ' : 'FAILED';
  const virtual = `${Math.round(report.virtualMs / 1000)} s`.padStart(7);
  const seed = String(report.seed).padStart(6);
  return `${verdict} seed ${seed} ${report.hash} ${virtual} ${report.steps} steps: ${report.plan.join(', ')}`;
}

function printHunt({ mutant, seen, tried, problem }: Hunt): void {
  print(`${seen === null ? 'MISSED' : 'seen  '} ${mutant.name}: ${mutant.about}`);
  if (seen === null) print(`       ${problem}`);
  else {
    print(`       seed ${seen.seed}, ${tried} tried: ${firstLine(seen.failure ?? '')}`);
    print(`       ${seen.replay}`);
  }
}

function printTally(tally: Tally, tookS: number): void {
  const { lived, failed, failures } = tally;
  print('');
  print(`calls seen: ${counts(tally.calls)}`);
  print(`killed: ${counts(tally.kills)}`);
  print(`faults seen: ${counts(tally.faults)}`);
  for (const { seed, failure, replay } of failures) {
    print(`seed ${seed} failed: ${firstLine(failure ?? '')}\n    ${replay}`);
  }
  if (failed > FAILURES_KEPT) print(`and ${failed - FAILURES_KEPT} more`);
  print(
    `${lived} seeds in ${seconds(tookS)}, ${(lived / tookS).toFixed(1)} a second: ${failed === 0 ? 'none' : failed} failed`,
  );
}

/** Each with the number of lives that saw it. */
function counts(of: ReadonlyMap<string, number>): string {
  return [...of]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([what, times]) => `${what} (${times})`)
    .join(', ');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}

function seconds(value: number): string {
  return `${value.toFixed(1)} s`;
}
