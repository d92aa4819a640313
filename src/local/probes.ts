import { type SpawnOptions, spawn } from 'node:child_process';
import { connect } from 'node:net';
import type { Clock } from '../base/ports.ts';
import type { CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck } from '../mesos/wire.ts';
import type { Probe } from './health-check.ts';
import { signalTree } from './process-table.ts';

/** Of what a probe's program prints; an HTTP status has three digits. */
const OUTPUT_BYTES_MAX = 4096;
const HOST = '127.0.0.1';

/** What a probe is made with: of the task whose health it asks for. */
export interface ProbedTask {
  readonly clock: Clock;
  readonly sandbox: string;
  /** What the task's own command was given. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Looks at a task as Mesos's executors do: a TCP connection, `curl` for HTTP (where there is none the check fails),
 * a command in the task's sandbox with its environment.
 */
export function createProbe(check: HealthCheck | CheckInfo, task: ProbedTask): Probe {
  switch (check.type) {
    case 'TCP':
      return async (timeoutMs, signal) => ({
        type: 'TCP',
        tcp: { succeeded: await canConnect(check.tcp?.port ?? 0, task.clock, timeoutMs, signal) },
      });
    case 'HTTP':
      return async (timeoutMs, signal) => await askByCurl(urlOf(check), task, timeoutMs, signal);
    case 'COMMAND':
      return async (timeoutMs, signal) => await runCommand(commandOf(check), task, timeoutMs, signal);
  }
}

async function canConnect(
  port: number,
  clock: Clock,
  timeoutMs: number,
  outer: AbortSignal,
): Promise<boolean> {
  const done = new AbortController();
  const socket = connect({ host: HOST, port });
  const connected = new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  const late = clock.sleep(timeoutMs, AbortSignal.any([outer, done.signal])).then(() => false);
  const outcome = await Promise.race([connected, late]);
  done.abort();
  socket.destroy();
  return outcome;
}

function urlOf({ http }: HealthCheck | CheckInfo): string {
  const scheme = http !== undefined && 'scheme' in http ? http.scheme : undefined;
  return `${scheme ?? 'http'}://${HOST}:${http?.port ?? 0}${http?.path ?? ''}`;
}

function commandOf(check: HealthCheck | CheckInfo): CommandInfo {
  const { command = {} } = check;
  return 'command' in command ? command.command : command;
}

async function askByCurl(
  url: string,
  task: ProbedTask,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<CheckStatusInfo | null> {
  const args = ['-s', '-S', '-L', '-k', '-w', '%{http_code}', '-o', '/dev/null', '-g', url];
  const ended = await run({ program: 'curl', args, env: task.environment, task, timeoutMs, signal });
  const status = Number(ended?.stdout);
  if (ended?.exitCode !== 0 || !Number.isInteger(status)) return null;
  return { type: 'HTTP', http: { status_code: status } };
}

async function runCommand(
  command: CommandInfo,
  task: ProbedTask,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<CheckStatusInfo | null> {
  const own = (command.environment?.variables ?? []).map(({ name, value }) => [name, value] as const);
  const env = { ...task.environment, ...Object.fromEntries(own) };
  // Mesos's arguments begin with argv[0].
  const [program, args] =
    command.shell === false
      ? [command.value ?? '', (command.arguments ?? []).slice(1)]
      : ['/bin/sh', ['-c', command.value ?? '']];
  const ended = await run({ program, args, env, task, timeoutMs, signal });
  return ended === null ? null : { type: 'COMMAND', command: { exit_code: ended.exitCode } };
}

interface Run {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly task: ProbedTask;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** `null` when it did not start, was ended by a signal, or had to be ended because it took too long. */
async function run({ program, args, env, task, timeoutMs, signal }: Run) {
  // A session of its own, so that what it has started ends with it.
  const options: SpawnOptions = {
    cwd: task.sandbox,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  };
  const child = spawn(program, args, options);
  const done = new AbortController();
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    if (stdout.length < OUTPUT_BYTES_MAX) stdout += chunk.toString('latin1');
  });
  // Its end, not the end of its output: something that it left behind may hold that open.
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => resolve(code));
  });
  const late = task.clock
    .sleep(timeoutMs, AbortSignal.any([signal, done.signal]))
    .then(() => 'late' as const);
  const outcome = await Promise.race([ended, late]);
  done.abort();
  if (outcome === 'late' && child.pid !== undefined) signalTree([child.pid], 'SIGKILL');
  if (typeof outcome !== 'number') {
    child.stdout?.destroy();
    return null;
  }
  // What was written before the end may arrive after it.
  await new Promise<void>((resolve) => setImmediate(resolve));
  child.stdout?.destroy();
  return { exitCode: outcome, stdout };
}
