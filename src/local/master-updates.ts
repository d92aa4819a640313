import type { TaskState, TaskStatus } from '../mesos/wire.ts';
import { type Framework, type Master, type Task, tell } from './master-state.ts';
import { hasCapability } from './task-status.ts';

/** What the master itself says of a task. */
export interface MasterWord {
  readonly state: TaskState;
  readonly reason: string;
  readonly message: string;
  readonly agentId?: string | undefined;
  /** Wall time since when the task's agent is unreachable. */
  readonly unreachableWallMs?: number;
}

/** Sends an update that the master makes: nobody acknowledges it, it is never sent again. */
export function tellOfTask(master: Master, framework: Framework, taskId: string, word: MasterWord): void {
  tellStatus(master, framework, taskId, word, null);
}

/** {@link tellOfTask} with what is last known of its health and container. */
export function tellOfKnownTask(master: Master, framework: Framework, task: Task, word: MasterWord): void {
  tellStatus(master, framework, task.info.task_id.value, word, task.statuses.at(-1) ?? null);
}

function tellStatus(
  master: Master,
  framework: Framework,
  taskId: string,
  word: MasterWord,
  latest: TaskStatus | null,
): void {
  const { agentId, unreachableWallMs } = word;
  const status: TaskStatus & { readonly unreachable_time?: { readonly nanoseconds: number } } = {
    task_id: { value: taskId },
    state: forFramework(framework, word.state),
    message: word.message,
    source: 'SOURCE_MASTER',
    reason: word.reason,
    ...(agentId === undefined ? {} : { agent_id: { value: agentId } }),
    timestamp: master.now.wallMs / 1000,
    ...(unreachableWallMs === undefined
      ? {}
      : { unreachable_time: { nanoseconds: unreachableWallMs * 1e6 } }),
    ...(latest?.healthy === undefined ? {} : { healthy: latest.healthy }),
    ...(latest?.container_status === undefined ? {} : { container_status: latest.container_status }),
  };
  tell(master, framework, { type: 'UPDATE', update: { status } });
}

/** The states that only a framework knows which is PARTITION_AWARE; to others all of them are TASK_LOST. */
const PARTITION_STATES: ReadonlySet<TaskState> = new Set([
  'TASK_DROPPED',
  'TASK_UNREACHABLE',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_UNKNOWN',
]);

function forFramework(framework: Framework, state: TaskState): TaskState {
  if (!PARTITION_STATES.has(state) || hasCapability(framework.info, 'PARTITION_AWARE')) return state;
  return 'TASK_LOST';
}
