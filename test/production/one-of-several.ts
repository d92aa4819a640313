import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import type { PublishedView } from '../../src/protocol/view.ts';
import { createSchedulerClient } from '../../src/runtime/scheduler-client.ts';
import type { JournalEntry } from './pausing-scheduler.ts';

const ENTRY = join(import.meta.dirname, 'pausing-scheduler.ts');
/** Milliseconds for a scheduler to end after SIGTERM. */
const STOP_MS_MAX = 10_000;
const ANSWER_MS_MAX = 5_000;
/** Characters of stderr that are kept. */
const STDERR_MAX = 4_000;

const livenessSchema = z.object({
  role: z.enum(['standby', 'leader']),
  leader: z.string().nullable(),
  terms: z.number(),
});

/** One of several schedulers, as a child of the test. */
export interface OneOfSeveral {
  readonly name: string;
  /** Of its API. Throws while it does not listen. */
  url(): string;
  /** Its copy of the key that signs orders. */
  readonly orderKeyFile: string;
  /** What it says of itself. */
  liveness(): Promise<z.infer<typeof livenessSchema>>;
  /** What it answers, whoever it asks for it. */
  view(): Promise<PublishedView>;
  /** All that it has done, oldest first. */
  journal(): readonly JournalEntry[];
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  readonly isRunning: boolean;
  /** Resolves with its exit code, `null` where a signal ended it, and what it said on stderr. */
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
  /** Ends it by SIGTERM, paused or not. */
  stop(): Promise<number | null>;
}

export function startOneOfSeveral(options: {
  readonly name: string;
  /** For its state and its log. */
  readonly directory: string;
  readonly args: readonly string[];
  /** Before which of its actions it stops itself, once each. */
  readonly pausesBefore: readonly string[];
}): OneOfSeveral {
  const { name } = options;
  const directory = join(options.directory, name);
  mkdirSync(directory, { recursive: true });
  const journal = join(directory, 'journal');
  writeFileSync(journal, '');
  const own = ['--listen', '127.0.0.1', '--port', '0', '--hostname', '127.0.0.1'];
  const points = JSON.stringify(options.pausesBefore);
  const state = ['--state-dir', join(directory, 'state')];
  const child = spawn(process.execPath, [ENTRY, journal, points, ...own, ...state, ...options.args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined);
  const log = createWriteStream(join(directory, 'scheduler.log'), { flags: 'a' });
  let port: number | null = null;
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.write(`${line}\n`);
    if (port === null && line.includes('"api listens"')) port = (JSON.parse(line) as { port: number }).port;
  });
  child.stderr.pipe(log, { end: false });
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-STDERR_MAX);
  });
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, stderr }));
  const url = (): string => {
    if (!isRunning()) throw new Error(`${name} has ended with ${child.exitCode ?? child.signalCode}`);
    if (port === null) throw new Error(`${name} does not listen yet`);
    return `http://127.0.0.1:${port}`;
  };
  return {
    name,
    url,
    ended,
    orderKeyFile: join(directory, 'state', 'order-key.pem'),
    get isRunning() {
      return isRunning();
    },
    liveness: async () => {
      const response = await fetch(`${url()}/v1/liveness`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      return livenessSchema.parse(await response.json());
    },
    view: async () => await createSchedulerClient(url()).view(),
    journal: () => {
      const lines = readFileSync(journal, 'utf8').split('\n').slice(0, -1);
      return lines.map((line) => JSON.parse(line) as JournalEntry);
    },
    kill: (signal) => void child.kill(signal),
    stop: async () => {
      if (!isRunning()) return (await ended).code;
      child.kill('SIGTERM');
      child.kill('SIGCONT');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      const { code } = await ended;
      clearTimeout(late);
      return code;
    },
  };
}
