import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import type { Clock } from '../base/ports.ts';
import type { ContainerSpec } from './container-runtime.ts';
import { createJournalWriter, type JournalEntry } from './journal.ts';
import { createJsonLineReader } from './json-lines.ts';
import { identify } from './process-table.ts';
import { type RunningTask, startTask } from './running-task.ts';
import { createTaskGroups } from './task-groups.ts';

/** Files of an executor in its directory. */
export const EXECUTOR_SOCKET = 'socket';
export const EXECUTOR_JOURNAL = 'journal';
export const EXECUTOR_IDENTITY = 'executor.json';
/** What an executor writes to its stdout once it can be talked to. */
export const EXECUTOR_READY = 'ready\n';

/** What an agent says to an executor, a JSON line each; the executor answers with an empty line per event. */
export type ExecutorOrder =
  | (PreparedTask & { readonly kind: 'launch' })
  /** Tasks that live and die together. An executor with groups ends when the last task of all of them has. */
  | { readonly kind: 'launch-group'; readonly tasks: readonly PreparedTask[] }
  | { readonly kind: 'kill'; readonly containerId: string; readonly graceMs: number };

export interface PreparedTask {
  readonly spec: ContainerSpec;
  /** Absolute, made already, with what was fetched in it. */
  readonly sandbox: string;
  /** What the task gets besides its own variables. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface ExecutorOptions {
  /** Becomes the working directory, so that an agent may rename it. */
  readonly directory: string;
  readonly clock: Clock;
}

/**
 * Tasks under a process of their own: one, like Mesos's command executor, or groups of them, like its default
 * executor. It waits for a launch, runs each command in a session of its own, checks it, kills it when told to, and
 * writes what happened to its journal. It outlives its agent; ends when the first process of the task, of the last
 * one, has ended. What that leaves behind runs on, as under the posix launcher.
 */
export async function runExecutor(options: ExecutorOptions): Promise<void> {
  const { clock } = options;
  process.chdir(options.directory);
  const journal = createJournalWriter(EXECUTOR_JOURNAL);
  const agents = new Set<Socket>();
  const ended = new AbortController();
  const tasks = new Map<string, RunningTask>();
  let used = false;

  const write = (entry: JournalEntry): void => {
    journal.append(entry);
    for (const agent of agents) agent.write('\n');
  };
  const launch = (order: PreparedTask): void => {
    if (used) return;
    used = true;
    const task = startTask({
      order,
      clock,
      executorPid: process.pid,
      tell: (event, taskPid) => {
        write(taskPid === undefined ? { event } : { event, taskPid });
        if (event.kind === 'exited') ended.abort();
      },
    });
    tasks.set(order.spec.containerId, task);
  };
  const groups = createTaskGroups({
    tasks,
    clock,
    write,
    onAllOver: () => {
      write({ event: { kind: 'executor-ended', status: 0 } });
      ended.abort();
    },
  });
  const obey = (order: ExecutorOrder): void => {
    if (order.kind === 'launch') launch(order);
    else if (order.kind === 'kill') tasks.get(order.containerId)?.kill(order.graceMs);
    else {
      used = true;
      groups.launch(order.tasks);
    }
  };
  // An executor that was kept ready belongs to the agent that made it.
  const endUnlessUsed = (): void => {
    if (!used) ended.abort();
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
