import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { CodedError } from '../base/errors.ts';
import type { LocalCluster } from '../local/local-cluster.ts';
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
  /** Calls `look` with every new view until it answers true, `signal` aborts or the scheduler ends (rejects). */
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
const MEMBER = { cpus: 0.1, memMb: 256, diskMb: 1024 } as const;
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
  let scheduler: SchedulerChild | null = null;
  const close = async (): Promise<void> => {
    await scheduler?.stop();
    await cluster.close();
    if (removes) await rm(directory, { recursive: true, force: true });
  };
  try {
    const child = startScheduler(schedulerArguments(options, directory, cluster.masterUrl), directory);
    scheduler = child;
    const apiUrl = `http://127.0.0.1:${await child.port(signal)}`;
    const api = createSchedulerClient(apiUrl);
    return {
      cluster,
      directory,
      api,
      apiUrl,
      follow: async (look, until) => await follow(api, child, look, until),
      close,
    };
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

function schedulerArguments(options: LocalUpOptions, directory: string, masterUrl: string): string[] {
  return [
    ...['--master', masterUrl, '--listen', '127.0.0.1', '--port', String(options.port)],
    ...['--hostname', '127.0.0.1', '--artifact', 'checkout', '--state-dir', path.join(directory, 'state')],
    ...['--cluster-size', String(options.size)],
    ...['--cpus', String(MEMBER.cpus), '--mem', String(MEMBER.memMb), '--disk', String(MEMBER.diskMb)],
    ...options.schedulerArgs,
  ];
}

interface SchedulerChild {
  /** Resolves when it listens. Rejects with a {@link LocalTrialError} when it ends before. */
  port(signal: AbortSignal): Promise<number>;
  readonly ended: Promise<LocalTrialError>;
  stop(): Promise<void>;
}

function startScheduler(args: readonly string[], directory: string): SchedulerChild {
  const child = spawnBound([process.execPath, programEntry(), 'scheduler', ...args]);
  const complaint: string[] = [];
  const log = createWriteStream(path.join(directory, 'scheduler.log'), { flags: 'a' });
  const listening = Promise.withResolvers<number>();
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.write(`${line}\n`);
      const port = portIn(line);
      if (port !== null) listening.resolve(port);
    });
  }
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      complaint.push(line);
      complaint.splice(0, complaint.length - COMPLAINT_LINES_MAX);
    });
  }
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const ended = closed.then(() => {
    const how = child.signalCode ?? `exit code ${child.exitCode}`;
    const said = complaint.length === 0 ? '' : `:\n${complaint.join('\n')}`;
    return new LocalTrialError('scheduler-ended', `the scheduler ended (${how})${said}`);
  });
  return {
    ended,
    port: async (signal) => {
      const timeout = createSystemClock().sleep(LISTEN_MS_MAX, signal);
      const late = timeout.then(() => {
        signal.throwIfAborted();
        throw new LocalTrialError(
          'scheduler-ended',
          `the scheduler does not listen after ${LISTEN_MS_MAX} ms`,
        );
      });
      return await Promise.race([listening.promise, late, ended.then((error) => Promise.reject(error))]);
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

/** A child that ends with this process, however that ends, where the system can promise it. */
function spawnBound(command: readonly string[]): ChildProcess {
  const pact = ['/usr/bin/setpriv', '/bin/setpriv'].find((candidate) => existsSync(candidate));
  const [program = '', ...args] =
    pact === undefined ? command : [pact, '--pdeathsig', 'SIGTERM', '--', ...command];
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
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

async function follow(
  api: SchedulerClient,
  child: SchedulerChild,
  look: (view: PublishedView) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const clock = createSystemClock();
  let ended: LocalTrialError | null = null;
  void child.ended.then((error) => {
    ended = error;
  });
  while (!signal.aborted) {
    // A scheduler that has only just begun has no view yet, and one that is busy may be late.
    const view = await api.view().catch(() => null);
    if (ended !== null) throw ended as LocalTrialError;
    if (view !== null && look(view)) return;
    await clock.sleep(LOOK_MS, signal);
  }
}
