import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GiveUp } from '../wait.ts';

/** Milliseconds for a scheduler to end after SIGTERM. */
const STOP_MS_MAX = 10_000;
const ENTRY = join(import.meta.dirname, 'crashing-scheduler.ts');

/**
 * Keeps a scheduler running that dies at whichever point of `points` it reaches first, and starts the next one,
 * which dies at whatever is left: each point once, in the order in which the world brings them.
 */
export interface SchedulerKeeper {
  /** Points at which none has died yet. */
  readonly left: ReadonlySet<string>;
  /** How many schedulers were started. */
  readonly starts: number;
  /** Every point that any of them has passed or died at. */
  reached(): ReadonlySet<string>;
  /** Throws when a scheduler has ended in another way than it was told to. */
  assertKept(): void;
  /** Ends the present one by SIGTERM and returns its exit code. */
  stop(): Promise<number | null>;
}

export function keepScheduler(options: {
  readonly directory: string;
  readonly args: readonly string[];
  readonly points: readonly string[];
}): SchedulerKeeper {
  mkdirSync(options.directory, { recursive: true });
  const journal = join(options.directory, 'journal');
  writeFileSync(journal, '');
  const left = new Set(options.points);
  const log = createWriteStream(join(options.directory, 'scheduler.log'));
  let problem: string | null = null;
  let starts = 0;
  let stopping = false;
  let child: ChildProcess;
  let ended: Promise<number | null>;

  const start = (): void => {
    starts += 1;
    const args = [ENTRY, journal, JSON.stringify([...left]), ...options.args];
    child = spawn(process.execPath, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Dozens are started: what one has compiled serves all.
      env: { ...process.env, NODE_COMPILE_CACHE: join(options.directory, 'compile-cache') },
    });
    child.stdin?.on('error', () => undefined);
    let complaint = '';
    child.stdout?.pipe(log, { end: false });
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-4000);
    });
    const mine = child;
    ended = new Promise((resolve) => {
      mine.once('close', (code, signal) => {
        onEnd(code, signal, complaint);
        resolve(code);
      });
    });
  };

  const onEnd = (code: number | null, signal: string | null, complaint: string): void => {
    if (stopping) return;
    const died = readJournal(journal).filter((entry) => entry.died && left.has(entry.point));
    if (signal === 'SIGKILL' && died.length > 0) {
      for (const { point } of died) left.delete(point);
      start();
    } else problem = `scheduler ${starts} ended with ${signal ?? `exit code ${code}`}: ${complaint}`;
  };

  start();
  return {
    left,
    get starts() {
      return starts;
    },
    reached: () => new Set(readJournal(journal).map(({ point }) => point)),
    assertKept: () => {
      if (problem !== null) throw new GiveUp(problem);
    },
    stop: async () => {
      if (stopping) return await ended;
      stopping = true;
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      const code = await ended;
      clearTimeout(late);
      await new Promise<void>((resolve) => log.end(resolve));
      return code;
    },
  };
}

interface Entry {
  readonly point: string;
  readonly died: boolean;
}

function readJournal(path: string): readonly Entry[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Entry);
}
