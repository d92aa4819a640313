import type { CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck } from '../mesos/wire.ts';

/**
 * What an agent of the local Mesos asks of its host: run a command under an executor of its own that outlives
 * the agent process. The real one starts operating system processes, the simulated one starts models.
 */
export interface ContainerRuntime {
  /**
   * Fetches, starts the executor, which starts the command. Everything that follows is told by events, never from
   * within a call; the last one is `fetch-failed`, `exited` or `executor-terminated`.
   */
  launch(spec: ContainerSpec): void;
  /**
   * The same for tasks that live and die together, under an executor that others may share: where none runs in that
   * container it is started. What happens to a task is told of its own container; of the executor's only its end,
   * `executor-ended`, the last that is told of any of them.
   */
  launchGroup(spec: GroupSpec): void;
  /**
   * SIGTERM to every process of the task at once, SIGKILL to what is left after `graceMs`; asked again, it can only
   * bring the end nearer. No effect on a container that has ended or never was.
   */
  kill(containerId: string, graceMs: number): void;
  /** Ends executor and task at once: the agent is shut down for good. No effect on what has ended. */
  destroy(containerId: string): void;
}

export interface ContainerSpec {
  readonly containerId: string;
  readonly taskId: string;
  readonly command: CommandInfo;
  readonly healthCheck: HealthCheck | null;
  /** Absent: there is none. */
  readonly check?: CheckInfo;
  /** Milliseconds from SIGTERM to SIGKILL when the health check kills the task. */
  readonly killGraceMs: number;
  /** Persistent volumes: path inside the sandbox → directory on the host. */
  readonly volumes: readonly { readonly containerPath: string; readonly hostPath: string }[];
  /** Of a task in a group: path inside its sandbox → path inside its executor's. */
  readonly parentPaths?: readonly { readonly containerPath: string; readonly parentPath: string }[];
}

/** Task groups are launched one by one; the container of their executor says to which it belongs. */
export interface GroupSpec {
  /** The executor's. Those of its tasks are named below it: {@link nestedContainer}. */
  readonly containerId: string;
  readonly executorId: string;
  /** Persistent volumes of these tasks: they appear in the executor's sandbox. */
  readonly volumes: ContainerSpec['volumes'];
  readonly tasks: readonly ContainerSpec[];
}

/** The name of a task's container below its executor's, as Mesos writes it. */
export function nestedContainer(executorContainer: string, own: string): string {
  return `${executorContainer}.${own}`;
}

/** The executor's container that a task's is below, `null` for one that stands alone. */
export function parentContainer(containerId: string): string | null {
  const dot = containerId.indexOf('.');
  return dot < 0 ? null : containerId.slice(0, dot);
}

export type ContainerEvent =
  /** Something was missing before there was an executor; `message` is what the update says. */
  | { readonly kind: 'fetch-failed'; readonly message: string }
  /** The executor runs (TASK_STARTING). `null` where it is one that several tasks share. */
  | { readonly kind: 'starting'; readonly executorPid: number | null }
  /** The command runs (TASK_RUNNING). In a group the process that counts is the command's own. */
  | { readonly kind: 'running'; readonly executorPid: number }
  | { readonly kind: 'health'; readonly healthy: boolean }
  /** What the check found has changed. */
  | { readonly kind: 'check'; readonly status: CheckStatusInfo }
  /**
   * SIGTERM goes out now: somebody asked for it, or consecutive failures of the health check reached their limit.
   * Told once. `containerIsGone`: a task of a group had ended before this could be told.
   */
  | { readonly kind: 'killing'; readonly becauseUnhealthy: boolean; readonly containerIsGone?: boolean }
  /** The command ended. `killed` when it was told to. */
  | {
      readonly kind: 'exited';
      readonly code: number | null;
      readonly signal: string | null;
      readonly killed: boolean;
    }
  /** The executor itself ended before its command was reported: what it ran may run on. */
  | { readonly kind: 'executor-terminated' }
  /** Of a shared executor: its wait status, 0 when its last task had ended. */
  | { readonly kind: 'executor-ended'; readonly status: number };

export type OnContainerEvent = (containerId: string, event: ContainerEvent) => void;
