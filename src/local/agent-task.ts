import type { TaskInfo, TaskStatus } from '../mesos/wire.ts';
import type { AgentTask } from './messages.ts';
import type { UpdateQueue } from './update-queue.ts';

/** A task as its agent works with it. */
export interface Task {
  readonly frameworkId: string;
  readonly role: string;
  readonly info: TaskInfo;
  /** `null` for a command task. */
  readonly executorId: string | null;
  readonly containerId: string;
  readonly updates: UpdateQueue;
  executorPid: number | null;
  state: TaskStatus['state'];
  killedUnhealthy: boolean;
  latest: TaskStatus | null;
}

/** A task as its agent tells its master of it. */
export function toAgentTask({ frameworkId, role, info, executorId, latest, state }: Task): AgentTask {
  return {
    frameworkId,
    role,
    task: info,
    ...(executorId === null ? {} : { executorId }),
    status: latest,
    state,
  };
}
