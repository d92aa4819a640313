import type { TaskInfo, TaskStatus } from '../mesos/wire.ts';
import { parentContainer } from './container-runtime.ts';
import { emptyStatus } from './health-check.ts';
import type { Outcome } from './task-status.ts';

/** The task as its updates show it. */
export interface UpdatedTask {
  readonly info: TaskInfo;
  /** `null` for a command task, which is its own executor. */
  readonly executorId: string | null;
  readonly containerId: string;
  /** Of the executor; of the task's own process in a group, and there only while it runs. */
  readonly executorPid: number | null;
  /** The newest update before this one. */
  readonly latest: TaskStatus | null;
}

export interface UpdateContext {
  readonly agentId: string;
  readonly ip: string;
  readonly wallMs: number;
  /** Base64; names this update. */
  readonly uuid: string;
}

/** The update that an agent sends. */
export function statusOf(task: UpdatedTask, outcome: Outcome, context: UpdateContext): TaskStatus {
  const { info, latest } = task;
  const { healthy = outcome.check_status === undefined ? undefined : latest?.healthy, ...said } = outcome;
  const fromAgent = outcome.source === 'SOURCE_AGENT';
  return {
    task_id: info.task_id,
    ...said,
    agent_id: { value: context.agentId },
    executor_id: task.executorId === null ? info.task_id : { value: task.executorId },
    timestamp: context.wallMs / 1000,
    uuid: context.uuid,
    ...(healthy === undefined ? {} : { healthy }),
    ...(info.check === undefined || fromAgent
      ? {}
      : { check_status: outcome.check_status ?? latest?.check_status ?? emptyStatus(info.check.type) }),
    ...(fromAgent ? {} : { container_status: containerStatus(task, context.ip) }),
  };
}

function containerStatus({ containerId, executorId, executorPid }: UpdatedTask, ip: string) {
  const parent = parentContainer(containerId);
  const address = { protocol: ip.includes(':') ? 'IPv6' : 'IPv4', ip_address: ip };
  return {
    container_id:
      parent === null
        ? { value: containerId }
        : { value: containerId.slice(parent.length + 1), parent: { value: parent } },
    // Of a task in a group they are known only while its process is there.
    ...(executorId !== null && executorPid === null ? {} : { network_infos: [{ ip_addresses: [address] }] }),
    ...(executorPid === null ? {} : { executor_pid: executorPid }),
  };
}
