import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

/*
 * The whole check: ./scripts/check [--require] [STAGE...]
 *
 *     STAGE       one or more of the names below; all that are not left to be asked for when none is given
 *     --require   a skipped test counts as a failed one
 *
 * The last line is `N passed, N failed, N skipped`: tests, and each static check that fails as one failure.
 * Exit code 0 when none failed, 1 when some did, 2 for a stage that does not exist.
 */

const root = path.resolve(import.meta.dirname, '..');
const resultsDirectory = path.join(root, '.cache/check');

interface Stage {
  readonly name: string;
  readonly command: readonly string[];
  /** Whole minutes until the stage is ended and counts as failed. */
  readonly limitMin: number;
  /** Where vitest leaves what it counted; absent for a static check. */
  readonly resultsFile?: string;
  /** Takes too long for every change: runs only when it is named. Default no. */
  readonly onlyNamed?: true;
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** Full names of the tests that were skipped. */
  readonly skipped: readonly string[];
}

/** Names of what vitest writes as JSON, of which only this much is used. */
interface VitestResults {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const STAGES: readonly Stage[] = [
  { name: 'build', command: ['node', 'scripts/build.ts'], limitMin: 2 },
  { name: 'biome', command: ['biome', 'ci', '--error-on-warnings', '.'], limitMin: 2 },
  { name: 'eslint', command: ['eslint', '--max-warnings=0', '.'], limitMin: 3 },
  { name: 'types', command: ['tsc', '--noEmit'], limitMin: 3 },
  tests('unit', 5),
  tests('contract', 3),
  tests('replay', 3),
  tests('sim', 8),
  tests('mutants', 8),
  tests('etcd', 5),
  tests('e2e', 10),
  { ...tests('crash', 15), onlyNamed: true },
  { ...tests('mesos', 40), onlyNamed: true },
  { ...tests('archive', 30), onlyNamed: true },
  { ...tests('operations', 40), onlyNamed: true },
];

process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { require: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => STAGES.every((stage) => stage.name !== name));
  if (unknown.length > 0) {
    process.stderr.write(
      `no such stage: ${unknown.join(', ')}; there are ${STAGES.map((stage) => stage.name).join(', ')}\n`,
    );
    return 2;
  }
  const chosen = STAGES.filter((stage) =>
    positionals.length === 0 ? stage.onlyNamed !== true : positionals.includes(stage.name),
  );
  const lines: string[] = [];
  let total: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const stage of chosen) {
    process.stdout.write(`\n== ${stage.name}: ${stage.command.join(' ')}\n`);
    const startedMs = performance.now();
    const counts = await runStage(stage);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    lines.push(`${stage.name.padEnd(10)}${seconds.padStart(7)} s   ${describe(stage, counts)}`);
    total = add(total, counts);
  }
  report(lines, total, values.require);
  return total.failed === 0 && !(values.require && total.skipped.length > 0) ? 0 : 1;
}

function tests(project: string, limitMin: number): Stage {
  const resultsFile = path.join(resultsDirectory, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultsFile}`];
  return {
    name: project,
    command: ['vitest', 'run', '--project', project, '--passWithNoTests', ...reporters],
    limitMin,
    resultsFile,
  };
}

async function runStage(stage: Stage): Promise<Counts> {
  if (stage.resultsFile === undefined) {
    return { passed: 0, failed: (await run(stage)) ? 0 : 1, skipped: [] };
  }
  await mkdir(resultsDirectory, { recursive: true });
  await rm(stage.resultsFile, { force: true });
  const succeeded = await run(stage);
  const counts = await readCounts(stage.resultsFile);
  // An error outside every test fails the run without failing a test.
  return succeeded || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

/** Whether it ended with 0 within its time. */
async function run(stage: Stage): Promise<boolean> {
  const [program = '', ...args] = stage.command;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const child = spawn(program, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: `${path.join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` },
    // A group of its own: when time is up everything that it started ends with it.
    detached: true,
  });
  const endGroup = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  const timer = setTimeout(() => {
    process.stdout.write(`\n${stage.name} was not done after ${stage.limitMin} minutes and was ended\n`);
    endGroup();
  }, stage.limitMin * 60_000);
  const onInterrupt = (): void => {
    endGroup();
    process.exit(130);
  };
  process.once('SIGINT', onInterrupt).once('SIGTERM', onInterrupt);
  child.once('error', (error) => {
    process.stdout.write(`${stage.name} could not be started: ${error.message}\n`);
    resolve(false);
  });
  child.once('close', (code) => resolve(code === 0));
  const succeeded = await promise;
  clearTimeout(timer);
  process.off('SIGINT', onInterrupt).off('SIGTERM', onInterrupt);
  return succeeded;
}

async function readCounts(resultsFile: string): Promise<Counts> {
  let results: VitestResults;
  try {
    results = JSON.parse(await readFile(resultsFile, 'utf8')) as VitestResults;
  } catch {
    return { passed: 0, failed: 0, skipped: [] };
  }
  const unread = results.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  );
  const skipped = results.testResults.flatMap((file) =>
    file.assertionResults.filter((test) => test.status !== 'passed' && test.status !== 'failed'),
  );
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + unread.length,
    skipped: skipped.map((test) => test.fullName),
  };
}

function add(left: Counts, right: Counts): Counts {
  return {
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: [...left.skipped, ...right.skipped],
  };
}

function describe(stage: Stage, counts: Counts): string {
  if (stage.resultsFile === undefined) return counts.failed === 0 ? 'ok' : 'FAILED';
  const parts = [`${counts.passed} passed`];
  if (counts.failed > 0) parts.push(`${counts.failed} FAILED`);
  if (counts.skipped.length > 0) parts.push(`${counts.skipped.length} skipped`);
  return parts.join(', ');
}

function report(lines: readonly string[], total: Counts, isSkipFailure: boolean): void {
  const skipped = isSkipFailure ? 0 : total.skipped.length;
  const failed = total.failed + (isSkipFailure ? total.skipped.length : 0);
  process.stdout.write(`\n${lines.join('\n')}\n\n`);
  for (const name of total.skipped) process.stdout.write(`skipped: ${name}\n`);
  process.stdout.write(`${total.passed} passed, ${failed} failed, ${skipped} skipped\n`);
}
