import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { Clock } from '../base/ports.ts';
import type { ContainerEvent, ContainerSpec } from './container-runtime.ts';
import { createJournalWriter } from './journal.ts';
import { createJsonLineReader } from './json-lines.ts';
import { identify, signalTree } from './process-table.ts';
import { createTaskKill } from './task-kill.ts';
import { runTcpCheck } from './tcp-check.ts';

/** Files of an executor in its directory. */
export const EXECUTOR_SOCKET = 'socket';
export const EXECUTOR_JOURNAL = 'journal';
export const EXECUTOR_IDENTITY = 'executor.json';
/** What an executor writes to its stdout once it can be talked to. */
export const EXECUTOR_READY = 'ready\n';

/** What an agent says to an executor, a JSON line each; the executor answers with an empty line per event. */
export type ExecutorOrder =
  | {
      readonly kind: 'launch';
      readonly spec: ContainerSpec;
      /** Absolute, made already, with what was fetched in it. */
      readonly sandbox: string;
      /** What the task gets besides its own variables. */
      readonly environment: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'kill'; readonly graceMs: number };

export interface ExecutorOptions {
  /** Becomes the working directory, so that an agent may rename it. */
  readonly directory: string;
  readonly clock: Clock;
}

/**
 * One command task under a process of its own, like Mesos's command executor. It waits for a `launch`, runs the
 * command in a session of its own, checks it, kills it when told to, and writes what happened to its journal.
 * It outlives its agent; ends when the task's first process has ended. What that leaves behind runs on, as under
 * the posix launcher.
 */
export async function runExecutor(options: ExecutorOptions): Promise<void> {
  const { clock } = options;
  process.chdir(options.directory);
  const journal = createJournalWriter(EXECUTOR_JOURNAL);
  const agents = new Set<Socket>();
  const ended = new AbortController();
  let task: RunningTask | null = null;

  const tell = (event: ContainerEvent, taskPid?: number): void => {
    journal.append(taskPid === undefined ? { event } : { event, taskPid });
    for (const agent of agents) agent.write('\n');
    if (event.kind === 'exited') ended.abort();
  };
  const obey = (order: ExecutorOrder): void => {
    if (order.kind === 'launch') task ??= startTask({ order, clock, tell });
    else task?.kill(order.graceMs);
  };
  // An executor that was kept ready belongs to the agent that made it.
  const endUnlessUsed = (): void => {
    if (task === null) ended.abort();
  };
  const server = createServer((agent) => {
    agents.add(agent);
    const read = createJsonLineReader((value) => obey(value as ExecutorOrder));
    agent.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
      } catch {
        agent.destroy();
      }
    });
    agent.on('error', () => agent.destroy());
    agent.on('close', () => {
      agents.delete(agent);
      endUnlessUsed();
    });
  });
  process.stdin.on('end', endUnlessUsed).on('error', endUnlessUsed).resume();
  server.listen(EXECUTOR_SOCKET, () => {
    writeFileSync(EXECUTOR_IDENTITY, JSON.stringify(identify(process.pid)));
    process.stdout.write(EXECUTOR_READY);
  });
  await new Promise<void>((resolve) => ended.signal.addEventListener('abort', () => resolve()));
}

interface RunningTask {
  kill(graceMs: number): void;
}

interface TaskOptions {
  readonly order: Extract<ExecutorOrder, { kind: 'launch' }>;
  readonly clock: Clock;
  readonly tell: (event: ContainerEvent, taskPid?: number) => void;
}

function startTask({ order, clock, tell }: TaskOptions): RunningTask {
  const { spec, sandbox } = order;
  tell({ kind: 'starting', executorPid: process.pid });
  const stderr = openSync(join(sandbox, 'stderr'), 'a');
  const stdout = openSync(join(sandbox, 'stdout'), 'a');
  let child: ChildProcess;
  try {
    linkVolumes(spec, sandbox);
    child = spawnCommand(order, stdout, stderr);
  } catch (error) {
    return failToStart(error);
  }
  const checking = new AbortController();
  const killing = createTaskKill(clock, (name) => {
    if (child.pid !== undefined) signalTree([child.pid], name);
  });
  let killed = false;

  const kill = (graceMs: number, becauseUnhealthy: boolean): void => {
    checking.abort();
    if (!killed) tell({ kind: 'killing', becauseUnhealthy });
    killed = true;
    killing.start(graceMs);
  };
  const check = (): void => {
    if (spec.healthCheck?.type !== 'TCP') return;
    void runTcpCheck({
      check: spec.healthCheck,
      clock,
      signal: checking.signal,
      onHealth: (healthy) => tell({ kind: 'health', healthy }),
      onTooManyFailures: () => kill(spec.killGraceMs, true),
    });
  };

  child.once('spawn', () => {
    tell({ kind: 'running', executorPid: process.pid }, child.pid);
    check();
  });
  child.once('error', (error) => {
    if (child.pid === undefined) failToStart(error);
  });
  child.once('exit', (code, signal) => {
    checking.abort();
    killing.stop();
    tell({ kind: 'exited', code, signal, killed });
  });
  return { kill: (graceMs) => kill(graceMs, false) };

  /** As Mesos's launcher does: the command "ran" and exited 1, and its stderr says why. */
  function failToStart(error: unknown): RunningTask {
    writeSync(
      stderr,
      `Failed to execute command: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    closeSync(stdout);
    tell({ kind: 'running', executorPid: process.pid });
    tell({ kind: 'exited', code: 1, signal: null, killed: false });
    return { kill: () => undefined };
  }
}

function spawnCommand(order: TaskOptions['order'], stdout: number, stderr: number): ChildProcess {
  const { command } = order.spec;
  const variables = command.environment?.variables ?? [];
  const options = {
    cwd: order.sandbox,
    env: { ...order.environment, ...Object.fromEntries(variables.map(({ name, value }) => [name, value])) },
    stdio: ['ignore', stdout, stderr] as ['ignore', number, number],
    // A session of its own, by which the tree is found again.
    detached: true,
  };
  if (command.shell !== false) return spawn('/bin/sh', ['-c', command.value ?? ''], options);
  // Mesos's arguments begin with argv[0].
  const [argv0, ...args] = command.arguments ?? [];
  return spawn(command.value ?? '', args, argv0 === undefined ? options : { ...options, argv0 });
}

/** A volume appears in the sandbox as a link to its directory. */
function linkVolumes(spec: ContainerSpec, sandbox: string): void {
  for (const { containerPath, hostPath } of spec.volumes) {
    const link = join(sandbox, containerPath);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(hostPath, link);
  }
}
