import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { reportOfEnd, type SeedOrder, type SeedReport } from './report.ts';

/** Lives through seeds in a process of its own, which is started when it is first needed. */
export interface SeedRunner {
  /**
   * One at a time. A life that takes too long is ended, and reported so. Rejects when the process can not live
   * through any: as when its bug does not apply.
   */
  run(order: SeedOrder): Promise<SeedReport>;
  /** Ends the process, whatever it is doing. */
  end(): void;
}

const WORKER = path.join(import.meta.dirname, 'seed-worker.ts');
/**
 * A life takes a second or two. One that takes longer than this goes round without letting anything else happen, which
 * only shows from outside: all else the simulation finds out by itself.
 */
const LIFE_MS_MAX = 300_000;
/** What a process does not give back is given back by its end. */
const LIVES_A_PROCESS = 400;
const ERROR_TEXT_MAX = 20_000;

export class SeedRunnerError extends Error {
  override readonly name = 'SeedRunnerError';
}

/** @param mutant name of the bug that is planted; `null`: none. */
export function createSeedRunner(mutant: string | null, lifeMsMax = LIFE_MS_MAX): SeedRunner {
  let worker: Worker | null = null;
  let lives = 0;

  const end = () => {
    worker?.child.kill('SIGKILL');
    worker = null;
  };

  const run = async (order: SeedOrder): Promise<SeedReport> => {
    if (lives >= LIVES_A_PROCESS) end();
    if (worker === null) lives = 0;
    worker ??= startWorker(mutant);
    lives += 1;
    const { child, ended } = worker;
    const { promise, resolve, reject } = Promise.withResolvers<SeedReport>();
    child.once('message', (report) => resolve(report as SeedReport));
    void ended.then((lastWords) => {
      if (worker?.child === child) worker = null;
      reject(new SeedRunnerError(`the process ended in seed ${order.seed}: ${lastWords}`));
    });
    const timer = setTimeout(() => {
      resolve(reportOfEnd(order, `ended from outside after ${lifeMsMax / 1000} s: ${HANGS}`));
      end();
    }, lifeMsMax);
    // Whether it arrives shows in what comes back, or in the end of the process.
    child.send(order, () => {});
    return await promise.finally(() => clearTimeout(timer));
  };
  return { run, end };
}

interface Worker {
  readonly child: ChildProcess;
  /** Resolves with its last words. */
  readonly ended: Promise<string>;
}

function startWorker(mutant: string | null): Worker {
  const child = fork(WORKER, mutant === null ? [] : [mutant], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
  });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-ERROR_TEXT_MAX);
  });
  const ended = once(child, 'close').then(() => lastWordsOf(errors));
  return { child, ended };
}

/** In the failure of a life that never let go of its process. */
export const HANGS = 'it hangs without any time passing';

/** The line of an uncaught error that says what it is. */
function lastWordsOf(errors: string): string {
  const lines = errors.trim().split('\n');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? '';
}
