import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/ports.ts';
import type { ContainerEvent } from './container-runtime.ts';
import type { PreparedTask } from './executor.ts';
import { runCheck, runHealthCheck } from './health-check.ts';
import { createProbe } from './probes.ts';
import { signalTree } from './process-table.ts';
import { linkVolumes } from './sandbox.ts';
import { createTaskKill } from './task-kill.ts';

/** A task's process tree, checked as the task asks for. */
export interface RunningTask {
  kill(graceMs: number): void;
}

export interface TaskOptions {
  readonly order: PreparedTask;
  readonly clock: Clock;
  /** `null` where several tasks share the executor: what is told then is the task's own. */
  readonly executorPid: number | null;
  readonly tell: (event: ContainerEvent, taskPid?: number) => void;
}

/** Starts the task's command and tells of it; the last that is told is `exited`, and may be told at once. */
export function startTask({ order, clock, executorPid, tell }: TaskOptions): RunningTask {
  const { spec, sandbox } = order;
  tell({ kind: 'starting', executorPid });
  const stderr = openSync(join(sandbox, 'stderr'), 'a');
  const stdout = openSync(join(sandbox, 'stdout'), 'a');
  let child: ChildProcess;
  try {
    linkVolumes(spec.volumes, sandbox);
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
  const startChecks = (): void => {
    const { healthCheck, check } = spec;
    const task = { clock, sandbox, environment: environmentOf(order) };
    const { signal } = checking;
    if (healthCheck !== null) {
      void runHealthCheck({
        check: healthCheck,
        clock,
        signal,
        probe: createProbe(healthCheck, task),
        onHealth: (healthy) => tell({ kind: 'health', healthy }),
        onTooManyFailures: () => kill(spec.killGraceMs, true),
      });
    }
    if (check !== undefined) {
      const probe = createProbe(check, task);
      void runCheck({ check, clock, signal, probe, onStatus: (status) => tell({ kind: 'check', status }) });
    }
  };

  child.once('spawn', () => {
    tell({ kind: 'running', executorPid: executorPid ?? child.pid ?? 0 }, child.pid);
    startChecks();
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
    tell({ kind: 'running', executorPid: executorPid ?? process.pid });
    tell({ kind: 'exited', code: 1, signal: null, killed: false });
    return { kill: () => undefined };
  }
}

function environmentOf({ spec, environment }: PreparedTask): Readonly<Record<string, string>> {
  const variables = spec.command.environment?.variables ?? [];
  return { ...environment, ...Object.fromEntries(variables.map(({ name, value }) => [name, value])) };
}

function spawnCommand(order: PreparedTask, stdout: number, stderr: number): ChildProcess {
  const { command } = order.spec;
  const options = {
    cwd: order.sandbox,
    env: environmentOf(order),
    stdio: ['ignore', stdout, stderr] as ['ignore', number, number],
    // A session of its own, by which the tree is found again.
    detached: true,
  };
  if (command.shell !== false) return spawn('/bin/sh', ['-c', command.value ?? ''], options);
  // Mesos's arguments begin with argv[0].
  const [argv0, ...args] = command.arguments ?? [];
  return spawn(command.value ?? '', args, argv0 === undefined ? options : { ...options, argv0 });
}
