import type { Call } from '../mesos/wire.ts';
import { type Framework, type Master, tell } from './master-state.ts';
import { type MasterWord, tellOfKnownTask, tellOfTask } from './master-updates.ts';

const REASON = 'REASON_RECONCILIATION';

type TaskQuestion = Extract<Call, { type: 'RECONCILE' }>['reconcile']['tasks'][number];
type OperationQuestion = Extract<
  Call,
  { type: 'RECONCILE_OPERATIONS' }
>['reconcile_operations']['operations'][number];

/** Answers for every task that was asked about; an empty question is about all that the master knows. */
export function reconcileTasks(
  master: Master,
  framework: Framework,
  questions: readonly TaskQuestion[],
): void {
  if (questions.length > 0) {
    for (const question of questions) reconcileTask(master, framework, question);
    return;
  }
  for (const taskId of framework.tasks.keys()) {
    reconcileTask(master, framework, { task_id: { value: taskId } });
  }
}

/** One explicit answer. A KILL of a task that nobody knows is answered in the same way. */
export function reconcileTask(master: Master, framework: Framework, question: TaskQuestion): void {
  const taskId = question.task_id.value;
  const known = framework.tasks.get(taskId);
  if (known !== undefined) {
    tellOfKnownTask(master, framework, known, {
      state: known.updateState ?? known.state,
      reason: REASON,
      message: 'Reconciliation: Latest task state',
      agentId: known.agentId,
    });
    return;
  }
  const agentId = question.agent_id?.value ?? framework.unreachableTasks.get(taskId)?.agentId;
  // It may run on an agent that has not come back to this leader yet: there is nothing to say until it has.
  const isRecovering =
    agentId === undefined ? master.recoveredAgents.size > 0 : master.recoveredAgents.has(agentId);
  if (isRecovering) return;
  tellOfTask(master, framework, taskId, wordOfUnknown(master, agentId));
}

function wordOfUnknown(master: Master, agentId: string | undefined): MasterWord {
  const word = { reason: REASON, agentId } as const;
  if (agentId !== undefined) {
    if (master.agents.has(agentId)) {
      return { ...word, state: 'TASK_GONE', message: 'Reconciliation: Task is unknown to the agent' };
    }
    const unreachable = master.unreachableAgents.get(agentId);
    if (unreachable !== undefined) {
      const message = 'Reconciliation: Task is unreachable';
      return { ...word, state: 'TASK_UNREACHABLE', message, unreachableWallMs: unreachable.sinceWallMs };
    }
    if (master.goneAgents.has(agentId)) {
      return { ...word, state: 'TASK_GONE_BY_OPERATOR', message: 'Reconciliation: Task is gone' };
    }
  }
  return { ...word, state: 'TASK_UNKNOWN', message: 'Reconciliation: Task is unknown' };
}

/** The same for operations that were given an id. */
export function reconcileOperations(
  master: Master,
  framework: Framework,
  questions: readonly OperationQuestion[],
): void {
  const known = [...master.operations.values()].filter(({ frameworkId }) => frameworkId === framework.id);
  const asked =
    questions.length > 0
      ? questions
      : known.flatMap(({ operation }) =>
          operation.id === undefined ? [] : [{ operation_id: operation.id }],
        );
  for (const question of asked) {
    const operationId = question.operation_id.value;
    const record = known.find(({ operation }) => operation.id?.value === operationId);
    if (record === undefined) {
      tellOfUnknownOperation(master, framework, question);
      continue;
    }
    const message = record.outcome?.message ?? null;
    tell(master, framework, {
      type: 'UPDATE_OPERATION_STATUS',
      update_operation_status: {
        status: {
          operation_id: question.operation_id,
          state: record.outcome?.state ?? 'OPERATION_PENDING',
          ...(message === null ? {} : { message }),
          agent_id: { value: record.agentId },
        },
      },
    });
  }
}

function tellOfUnknownOperation(master: Master, framework: Framework, question: OperationQuestion): void {
  const agentId = question.agent_id?.value;
  const [state, message] = wordOfUnknownOperation(master, agentId);
  tell(master, framework, {
    type: 'UPDATE_OPERATION_STATUS',
    update_operation_status: {
      status: {
        operation_id: question.operation_id,
        state,
        message: `Reconciliation: ${message}`,
        ...(agentId === undefined ? {} : { agent_id: { value: agentId } }),
      },
    },
  });
}

function wordOfUnknownOperation(master: Master, agentId: string | undefined): readonly [string, string] {
  if (agentId === undefined)
    return ['OPERATION_UNKNOWN', "Operation is unknown and no 'agent_id' was provided"];
  if (master.recoveredAgents.has(agentId)) {
    return ['OPERATION_RECOVERING', 'Agent is recovered but has not re-registered'];
  }
  if (master.agents.has(agentId)) return ['OPERATION_UNKNOWN', 'Operation is unknown'];
  if (master.unreachableAgents.has(agentId)) return ['OPERATION_UNREACHABLE', 'Agent is unreachable'];
  if (master.goneAgents.has(agentId)) return ['OPERATION_GONE_BY_OPERATOR', 'Agent marked gone by operator'];
  return ['OPERATION_UNKNOWN', 'Both operation and agent are unknown'];
}
