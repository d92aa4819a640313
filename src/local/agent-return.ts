import type { FrameworkInfo } from '../mesos/wire.ts';
import {
  type Agent,
  emptyFramework,
  type Master,
  sendToAgent,
  tasksOn,
  tell,
  toTask,
} from './master-state.ts';
import { tellOfKnownTask } from './master-updates.ts';
import type { AgentOperation, AgentTask } from './messages.ts';
import { applyToTotal } from './operations.ts';
import { isTerminal } from './task-status.ts';

/** Agents know frameworks that a restarted master does not: they have their failover timeout to subscribe. */
export function recoverFramework(master: Master, info: FrameworkInfo): void {
  const id = info.id?.value ?? '';
  if (master.frameworks.has(id) || master.completedFrameworks.has(id)) return;
  master.frameworks.set(id, {
    ...emptyFramework(master, id, info),
    recovered: true,
    failoverDueMs: master.now.monotonicMs + (info.failover_timeout ?? 0) * 1000,
  });
}

/** Brings the tasks that the agent names up to date; returns those that it should have and does not name. */
export function takeTasks(master: Master, agent: Agent, named: readonly AgentTask[]): readonly AgentTask[] {
  const isNamed = new Set(named.map(({ frameworkId, task }) => `${frameworkId} ${task.task_id.value}`));
  for (const task of named) takeTask(master, agent, task);
  forgetUnreachable(master, agent);
  return tasksOn(master, agent.id)
    .filter(
      (task) => !isTerminal(task.state) && !isNamed.has(`${task.frameworkId} ${task.info.task_id.value}`),
    )
    .map((task) => ({
      frameworkId: task.frameworkId,
      role: task.role,
      task: task.info,
      ...(task.executorId === null ? {} : { executorId: task.executorId }),
      status: null,
      state: 'TASK_STAGING',
    }));
}

/** What of its tasks an agent that is back does not name, nobody knows any more. */
function forgetUnreachable(master: Master, agent: Agent): void {
  for (const { unreachableTasks } of master.frameworks.values()) {
    for (const [taskId, task] of unreachableTasks) {
      if (task.agentId === agent.id) unreachableTasks.delete(taskId);
    }
  }
}

function takeTask(master: Master, agent: Agent, named: AgentTask): void {
  const { frameworkId } = named;
  const framework = master.frameworks.get(frameworkId);
  if (framework === undefined) {
    sendToAgent(master, agent, { kind: 'shutdown-framework', frameworkId });
    return;
  }
  const taskId = named.task.task_id.value;
  const known = framework.tasks.get(taskId) ?? framework.unreachableTasks.get(taskId);
  framework.unreachableTasks.delete(taskId);
  const task = known ?? toTask(agent.id, named);
  task.state = named.state;
  framework.tasks.set(taskId, task);
}

/**
 * Brings the operations that the agent names up to date. Those that it does not name are on their way to it, if
 * they can be, and count as done; else they never reached it.
 */
export function takeOperations(
  master: Master,
  agent: Agent,
  named: readonly AgentOperation[],
  mayBeOnTheirWay: boolean,
): void {
  for (const outcome of named) {
    const { operationUuid: uuid, frameworkId, operation } = outcome;
    master.operations.set(uuid, { uuid, frameworkId, agentId: agent.id, operation, outcome });
  }
  const isNamed = new Set(named.map(({ operationUuid }) => operationUuid));
  for (const record of [...master.operations.values()]) {
    if (record.agentId !== agent.id || isNamed.has(record.uuid)) continue;
    if (mayBeOnTheirWay && record.outcome === null) {
      const result = applyToTotal(agent.total, record.operation);
      if ('resources' in result) agent.total = result.resources;
      continue;
    }
    // The agent's word about its resources has put the rest right already.
    master.operations.delete(record.uuid);
    const framework = master.frameworks.get(record.frameworkId);
    if (record.outcome !== null || record.operation.id === undefined || framework === undefined) continue;
    tell(master, framework, {
      type: 'UPDATE_OPERATION_STATUS',
      update_operation_status: {
        status: {
          operation_id: record.operation.id,
          state: 'OPERATION_DROPPED',
          message: 'Operation did not reach the agent',
          agent_id: { value: agent.id },
        },
      },
    });
  }
}

/** The framework hears of its tasks on an agent that was unreachable. */
export function tellOfReturn(master: Master, agent: Agent): void {
  for (const task of tasksOn(master, agent.id)) {
    const framework = master.frameworks.get(task.frameworkId);
    if (framework === undefined || isTerminal(task.state)) continue;
    tellOfKnownTask(master, framework, task, {
      state: task.updateState ?? task.state,
      reason: 'REASON_AGENT_REREGISTERED',
      message: 'Unreachable agent re-reregistered',
      agentId: agent.id,
    });
  }
}
