import { type Agent, type Master, sendToAgent, tell } from './master-state.ts';
import type { AgentOperation, AgentToMaster } from './messages.ts';

/** Takes and passes on an update of a task. */
export function takeUpdate(
  master: Master,
  agent: Agent,
  message: Extract<AgentToMaster, { kind: 'update' }>,
): void {
  const framework = master.frameworks.get(message.frameworkId);
  if (framework === undefined) {
    sendToAgent(master, agent, { kind: 'shutdown-framework', frameworkId: message.frameworkId });
    return;
  }
  const { status } = message;
  const task = framework.tasks.get(status.task_id.value);
  if (task !== undefined && task.agentId === agent.id) {
    task.state = message.latestState;
    task.updateState = status.state;
    task.updateUuid = status.uuid ?? null;
    const before = task.statuses.at(-1)?.state === status.state ? task.statuses.slice(0, -1) : task.statuses;
    task.statuses = [...before, status];
  }
  tell(master, framework, { type: 'UPDATE', update: { status } });
}

/** Takes the outcome of an operation: passed on where it was given an id, acknowledged by the master else. */
export function takeOperationUpdate(master: Master, agent: Agent, outcome: AgentOperation): void {
  const { operationUuid: uuid, frameworkId, operation, state, message, statusUuid } = outcome;
  const framework = master.frameworks.get(frameworkId);
  if (operation.id === undefined || framework === undefined) {
    master.operations.delete(uuid);
    sendToAgent(master, agent, { kind: 'acknowledge-operation', operationUuid: uuid });
    return;
  }
  master.operations.set(uuid, { uuid, frameworkId, agentId: agent.id, operation, outcome });
  tell(master, framework, {
    type: 'UPDATE_OPERATION_STATUS',
    update_operation_status: {
      status: {
        operation_id: operation.id,
        state,
        ...(message === null ? {} : { message }),
        uuid: { value: statusUuid },
        agent_id: { value: agent.id },
      },
    },
  });
}
