import type { FrameworkInfo, Resource, TaskInfo, TaskStatus } from '../mesos/wire.ts';
import type { AgentDrain } from './agent-drain.ts';
import type { AgentExecutor, AgentOperation } from './messages.ts';

/** All that an agent must remember: plain JSON. */
export interface AgentCheckpoint {
  readonly schemaVersion: 1;
  readonly agentId: string | null;
  /** As reservations and volumes have shaped them. */
  readonly totalResources: readonly Resource[];
  readonly tasks: readonly CheckpointedTask[];
  /** Of the frameworks of these tasks; `id` is set. */
  readonly frameworks: readonly FrameworkInfo[];
  readonly operations: readonly AgentOperation[];
  /** Where its operator wants it rid of its tasks. */
  readonly drain?: AgentDrain;
  /** Of task groups. Absent in a checkpoint of an agent that could not run them. */
  readonly executors?: readonly CheckpointedExecutor[];
}

export interface CheckpointedExecutor extends AgentExecutor {
  readonly containerId: string;
}

export interface CheckpointedTask {
  readonly frameworkId: string;
  readonly role: string;
  readonly task: TaskInfo;
  /** Of the executor that its group runs under; absent for a command task. */
  readonly executorId?: string;
  readonly containerId: string;
  readonly executorPid: number | null;
  readonly state: TaskStatus['state'];
  /** Its health check has ended it. */
  readonly killedUnhealthy: boolean;
  /** Updates not acknowledged yet, oldest first: only the first is on its way, the others wait. */
  readonly pending: readonly TaskStatus[];
  /** The newest update that was made, acknowledged or not. */
  readonly latest: TaskStatus | null;
}
