import type { CommandInfo, HealthCheck } from '../mesos/wire.ts';

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
  /** Milliseconds from SIGTERM to SIGKILL when the health check kills the task. */
  readonly killGraceMs: number;
  /** Persistent volumes: path inside the sandbox → directory on the host. */
  readonly volumes: readonly { readonly containerPath: string; readonly hostPath: string }[];
}

export type ContainerEvent =
  /** Something was missing before there was an executor; `message` is what the update says. */
  | { readonly kind: 'fetch-failed'; readonly message: string }
  /** The executor runs (TASK_STARTING). */
  | { readonly kind: 'starting'; readonly executorPid: number }
  /** The command runs (TASK_RUNNING). */
  | { readonly kind: 'running'; readonly executorPid: number }
  | { readonly kind: 'health'; readonly healthy: boolean }
  /**
   * SIGTERM goes out now: somebody asked for it, or consecutive failures of the health check reached their limit.
   * Told once.
   */
  | { readonly kind: 'killing'; readonly becauseUnhealthy: boolean }
  /** The command ended. `killed` when it was told to. */
  | {
      readonly kind: 'exited';
      readonly code: number | null;
      readonly signal: string | null;
      readonly killed: boolean;
    }
  /** The executor itself ended before its command was reported: what it ran may run on. */
  | { readonly kind: 'executor-terminated' };

export type OnContainerEvent = (containerId: string, event: ContainerEvent) => void;
