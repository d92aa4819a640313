import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CodedError } from '../base/errors.ts';
import type { LocalCluster } from '../local/local-cluster.ts';
import { isOptionVariable } from '../protocol/option-sources.ts';
import type { PublishedView } from '../protocol/view.ts';
import { createSystemClock } from './clock.ts';
import { startLocalCluster } from './local.ts';
import { programEntry } from './member-artifact.ts';
import { createSchedulerClient, type SchedulerClient } from './scheduler-client.ts';

export interface LocalUpOptions {
  /** `null`: a fresh one below the system's temporary directory. */
  readonly directory: string | null;
  /** The directory stays when everything has ended; one that was named always does. */
  readonly keep: boolean;
  readonly size: number;
  readonly agents: number;
  /** Port of the scheduler's API; 0 takes any that is free. */
  readonly port: number;
  /** Options for the scheduler, after those that the trial itself gives. */
  readonly schedulerArgs: readonly string[];
}

/** A local Mesos with a scheduler on it, from the start to the end. */
export interface LocalTrial {
  readonly cluster: LocalCluster;
  readonly directory: string;
  readonly api: SchedulerClient;
  /** `http://127.0.0.1:<port>` */
  readonly apiUrl: string;
  /**
   * Calls `look` with every new view until it answers true or `signal` aborts. Rejects with a
   * {@link LocalTrialError} when the scheduler ends by itself; one that was killed is started again.
   */
  follow(look: (view: PublishedView) => boolean, signal: AbortSignal): Promise<void>;
  /** Ends everything and waits for it. */
  close(): Promise<void>;
}

/** What a trial on this machine can end in. */
export class LocalTrialError extends CodedError<
  /** The scheduler ended by itself: what it last said is in the message. */
  'scheduler-ended'
> {}

/** Milliseconds between two looks at the scheduler. */
const LOOK_MS = 250;
/** Milliseconds for the scheduler to end after SIGTERM. */
const STOP_MS_MAX = 10_000;
/** Milliseconds until the scheduler listens. */
const LISTEN_MS_MAX = 60_000;
/** Lines of the scheduler's stderr that are kept for the message. */
const COMPLAINT_LINES_MAX = 20;
/** What a member gets and what an agent has: one member fits, and its successor beside it. */
const MEMBER = { cpus: 0.1, mem: 256, disk: 1024 } as const;
const AGENT = { cpus: 1, memMb: 1024, diskMb: 4096 } as const;

/** Starts master, agents and scheduler. Rejects with a coded error; nothing is left running then. */
export async function startLocalTrial(options: LocalUpOptions, signal: AbortSignal): Promise<LocalTrial> {
  const directory = await directoryFor(options);
  const removes = options.directory === null && !options.keep;
  const cluster = await startLocalCluster({
    directory: path.join(directory, 'mesos'),
    agents: Array.from({ length: options.agents }, (_, index) => ({
      hostname: `agent-${index + 1}`,
      ...AGENT,
    })),
  });
  const ended = new AbortController();
  let scheduler: SchedulerChild | null = null;
  const start = async (port: number): Promise<number> => {
    await writeConfig(options, directory, { master: cluster.masterUrl, port });
    scheduler = startScheduler(directory, options.schedulerArgs);
    return await scheduler.port(AbortSignal.any([signal, ended.signal]));
  };
  const close = async (): Promise<void> => {
    ended.abort();
    await scheduler?.stop();
    await cluster.close();
    if (removes) await rm(directory, { recursive: true, force: true });
  };
  try {
    const port = await start(options.port);
    const apiUrl = `http://127.0.0.1:${port}`;
    const api = createSchedulerClient(apiUrl);
    const follow: LocalTrial['follow'] = async (look, until) => {
      const clock = createSystemClock();
      while (!until.aborted) {
        const end = scheduler?.end() ?? null;
        if (end?.byItself === true) throw end.error;
        if (end !== null) await start(port);
        // A scheduler that has only just begun has no view yet, and one that is busy may be late.
        const view = await api.view().catch(() => null);
        if (view !== null && look(view)) return;
        await clock.sleep(LOOK_MS, until);
      }
    };
    return { cluster, directory, api, apiUrl, follow, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function directoryFor(options: LocalUpOptions): Promise<string> {
  if (options.directory === null) return await mkdtemp(path.join(tmpdir(), 'etcd-mesos-local-'));
  await mkdir(options.directory, { recursive: true });
  return path.resolve(options.directory);
}

/** A file, so that whatever is given after `--` wins. */
async function writeConfig(
  options: LocalUpOptions,
  directory: string,
  where: { readonly master: string; readonly port: number },
): Promise<void> {
  const settings = {
    ...where,
    ...MEMBER,
    listen: '127.0.0.1',
    hostname: '127.0.0.1',
    artifact: 'checkout',
    'cluster-size': options.size,
    'state-dir': path.join(directory, 'state'),
  };
  await writeFile(path.join(directory, CONFIG), `${JSON.stringify(settings, null, 2)}\n`);
}

const CONFIG = 'scheduler.json';

interface SchedulerChild {
  /** Resolves when it listens. Rejects with a {@link LocalTrialError} when it ends before. */
  port(signal: AbortSignal): Promise<number>;
  /** `null` while it runs. */
  end(): SchedulerEnd | null;
  stop(): Promise<void>;
}
interface SchedulerEnd {
  /** By a word of its own, not by a signal. */
  readonly byItself: boolean;
  readonly error: LocalTrialError;
}

function startScheduler(directory: string, args: readonly string[]): SchedulerChild {
  const config = ['--config', path.join(directory, CONFIG)];
  const child = spawnBound([process.execPath, programEntry(), 'scheduler', ...config, ...args]);
  const complaint: string[] = [];
  const log = createWriteStream(path.join(directory, 'scheduler.log'), { flags: 'a' });
  const listening = Promise.withResolvers<number>();
  onLines(child.stdout, (line) => {
    log.write(`${line}\n`);
    const port = portIn(line);
    if (port !== null) listening.resolve(port);
  });
  onLines(child.stderr, (line) => {
    complaint.push(line);
    complaint.splice(0, complaint.length - COMPLAINT_LINES_MAX);
  });
  let end: SchedulerEnd | null = null;
  const closed = new Promise<SchedulerEnd>((resolve) => {
    const note = (): void => {
      end ??= endOf(child, complaint);
      resolve(end);
    };
    child.once('close', note);
    child.once('error', note);
  });
  return {
    end: () => end,
    port: async (signal) => {
      const tooLate = createSystemClock()
        .sleep(LISTEN_MS_MAX, signal)
        .then(() => {
          signal.throwIfAborted();
          throw new LocalTrialError(
            'scheduler-ended',
            `the scheduler does not listen after ${LISTEN_MS_MAX} ms`,
          );
        });
      const tooSoon = closed.then(({ error }) => Promise.reject(error));
      return await Promise.race([listening.promise, tooLate, tooSoon]);
    },
    stop: async () => {
      child.kill('SIGTERM');
      const cut = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      await closed;
      clearTimeout(cut);
      await new Promise<void>((resolve) => log.end(resolve));
    },
  };
}

function onLines(stream: Readable | null, take: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream }).on('line', take);
}

function endOf(child: ChildProcess, complaint: readonly string[]): SchedulerEnd {
  const how = child.signalCode ?? `exit code ${child.exitCode}`;
  const said = complaint.length === 0 ? '' : `:\n${complaint.join('\n')}`;
  const error = new LocalTrialError('scheduler-ended', `the scheduler ended (${how})${said}`);
  return { byItself: child.signalCode === null, error };
}

/** A child that ends with this process, however that ends, where the system can promise it. */
function spawnBound(command: readonly string[]): ChildProcess {
  const pact = ['/usr/bin/setpriv', '/bin/setpriv'].find((candidate) => existsSync(candidate));
  const [program = '', ...args] =
    pact === undefined ? command : [pact, '--pdeathsig', 'SIGTERM', '--', ...command];
  const environment = Object.entries(process.env).filter(([name]) => !isOptionVariable(name));
  return spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries(environment),
  });
}

/** The scheduler says where it listens in its log. */
function portIn(line: string): number | null {
  if (!line.includes('"api listens"')) return null;
  try {
    const { port } = JSON.parse(line) as { port?: unknown };
    return typeof port === 'number' ? port : null;
  } catch {
    return null;
  }
}
