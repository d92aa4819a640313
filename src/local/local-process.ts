import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/ports.ts';
import { LocalMesosError } from './local-error.ts';
import { identify, isAlive, type ProcessIdentity, sendSignal } from './process-table.ts';

/** Milliseconds for a process to serve after its start, and to end where nobody forces it. */
const START_MS_MAX = 30_000;
/** Milliseconds for a process to end after SIGTERM before SIGKILL. */
const STOP_MS_MAX = 3000;
/** Milliseconds between two looks at a process. */
export const LOOK_MS = 10;

/** How the processes of a local cluster are started. */
export interface RoleWorld {
  /** How `etcd-mesos` is started: a program and its first arguments. */
  readonly program: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export interface RoleSpec {
  readonly args: readonly string[];
  /** Made where it is not there; its `log` is added to. */
  readonly home: string;
  /** Beside the world's. */
  readonly variables: Readonly<Record<string, string>>;
  /** The process has ended, by itself or not. */
  readonly onEnd?: () => void;
}

/** A process in a session of its own, so that what a terminal sends to its owner does not reach it. */
export function startRole(world: RoleWorld, { args, home, variables, onEnd }: RoleSpec): ProcessIdentity {
  mkdirSync(home, { recursive: true });
  const log = openSync(join(home, 'log'), 'a');
  const [command, ...first] = world.program;
  const child = spawn(command, [...first, ...args], {
    stdio: ['ignore', log, log],
    detached: true,
    env: { ...world.environment, ...variables },
  });
  closeSync(log);
  child.on('error', () => undefined);
  child.once('exit', () => onEnd?.());
  child.unref();
  const identity = child.pid === undefined ? null : identify(child.pid);
  if (identity !== null) return identity;
  throw new LocalMesosError('start-failed', `'${world.program.join(' ')}' could not be started`);
}

/** Waits until what was started is up. Rejects with a {@link LocalMesosError} `start-failed`. */
export async function awaitStart(
  clock: Clock,
  process: { readonly identity: ProcessIdentity; readonly what: string; readonly home: string },
  isUp: () => Promise<boolean>,
): Promise<void> {
  const { identity, what, home } = process;
  const logPath = join(home, 'log');
  const startedMs = clock.monotonicMs();
  while (!(await isUp())) {
    const waitedMs = clock.monotonicMs() - startedMs;
    if (isAlive(identity) && waitedMs < START_MS_MAX) {
      await clock.sleep(LOOK_MS);
      continue;
    }
    const how = isAlive(identity) ? `is not up after ${Math.round(waitedMs)} ms` : 'ended while it started';
    throw new LocalMesosError('start-failed', `${what} ${how}; its log ends with: ${lastWords(logPath)}`, {
      hint: `see ${logPath}`,
    });
  }
}

/** Ends one process and waits for it; what does not obey SIGTERM gets SIGKILL. */
export async function terminate(
  clock: Clock,
  identity: ProcessIdentity | null,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  if (identity === null) return;
  const startedMs = clock.monotonicMs();
  let sent: string | null = null;
  while (isAlive(identity)) {
    const wanted = clock.monotonicMs() - startedMs > STOP_MS_MAX ? 'SIGKILL' : signal;
    if (sent !== wanted) {
      sendSignal(identity.pid, wanted);
      // One that is paused takes SIGTERM only when it goes on.
      sendSignal(identity.pid, 'SIGCONT');
      sent = wanted;
    }
    await clock.sleep(LOOK_MS);
  }
}

/** Waits for a process that ends by itself. */
export async function awaitEnd(clock: Clock, identity: ProcessIdentity | null): Promise<void> {
  const startedMs = clock.monotonicMs();
  while (identity !== null && isAlive(identity)) {
    if (clock.monotonicMs() - startedMs > START_MS_MAX) {
      throw new LocalMesosError('processes-left', `process ${identity.pid} did not end by itself`);
    }
    await clock.sleep(LOOK_MS);
  }
}

export function signalRole(identity: ProcessIdentity | null, signal: NodeJS.Signals): void {
  if (identity !== null && isAlive(identity)) sendSignal(identity.pid, signal);
}

/** What a role said when it gave up, or else its last line. */
function lastWords(path: string): string {
  try {
    const text = readFileSync(path, 'utf8').trimEnd();
    const complaint = text.lastIndexOf('etcd-mesos:');
    return (complaint < 0 ? text.slice(text.lastIndexOf('\n') + 1) : text.slice(complaint)) || '(nothing)';
  } catch {
    return '(nothing)';
  }
}
