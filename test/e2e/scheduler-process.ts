import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { PublishedView } from '../../src/protocol/view.ts';
import { createSchedulerClient } from '../../src/runtime/scheduler-client.ts';
import { GiveUp } from '../wait.ts';

const ENTRY = join(import.meta.dirname, '../../src/cli/main.ts');
/** Milliseconds for a scheduler to end after SIGTERM. */
const STOP_MS_MAX = 10_000;

/** `etcd-mesos scheduler` as a child of the test, on loopback and a port of its own. */
export interface SchedulerProcess {
  /** What it publishes. Throws while it does not listen, and for good when it has ended. */
  view(): Promise<PublishedView>;
  /** Where it listens; `null` until it does. */
  apiUrl(): string | null;
  /** Resolves when it has ended: its exit code and what it said on stderr. */
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
  /** SIGKILL. Resolves when it has ended. */
  kill(): Promise<void>;
  /** Ends it by SIGTERM, where it still runs, and returns its exit code. */
  stop(): Promise<number | null>;
}

export function startScheduler(options: {
  readonly masterUrl: string;
  /** For its state and its log. */
  readonly directory: string;
  readonly args: readonly string[];
  /** The program. Default: that of these sources. */
  readonly entry?: string;
  /** Variables beside those of the test. */
  readonly environment?: Readonly<Record<string, string>>;
}): SchedulerProcess {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  const own = ['--listen', '127.0.0.1', '--port', '0', '--hostname', '127.0.0.1'];
  const place = ['--master', options.masterUrl, '--state-dir', stateOf(directory)];
  const child = spawn(
    process.execPath,
    [options.entry ?? ENTRY, 'scheduler', ...own, ...place, ...options.args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    },
  );
  const log = createWriteStream(join(directory, 'scheduler.log'), { flags: 'a' });
  let url: string | null = null;
  let stderr = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.write(`${line}\n`);
    url ??= urlIn(line);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, 'close').then(async () => {
    await new Promise<void>((resolve) => log.end(resolve));
    return { code: child.exitCode, stderr };
  });
  return {
    apiUrl: () => url,
    ended,
    view: async () => {
      if (child.exitCode !== null) throw new GiveUp(`the scheduler ended with ${child.exitCode}: ${stderr}`);
      if (url === null) throw new Error('the scheduler does not listen yet');
      return await createSchedulerClient(url).view();
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    stop: async () => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      const { code } = await ended;
      clearTimeout(late);
      return code;
    },
  };
}

export const stateOf = (directory: string): string => join(directory, 'state');

function urlIn(line: string): string | null {
  if (!line.includes('"api listens"')) return null;
  return `http://127.0.0.1:${(JSON.parse(line) as { port: number }).port}`;
}
