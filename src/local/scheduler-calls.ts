import type { Call } from '../mesos/wire.ts';
import { accept, decline } from './accept.ts';
import { registrationRefusal } from './authorization.ts';
import { answerInverseOffers, type InverseAnswer } from './inverse-offers.ts';
import { frameworkProblem, removeFramework, updateFramework, updateProblem } from './master-frameworks.ts';
import { allocateSoon, completeTask, type Framework, type Master, sendToAgent } from './master-state.ts';
import { reconcileOperations, reconcileTask, reconcileTasks } from './reconcile.ts';
import { isTerminal } from './task-status.ts';

/** Calls that are taken without a word: what they lead to comes as events. */
export type AcceptedCall = Exclude<Call, { type: 'UPDATE_FRAMEWORK' | 'SHUTDOWN' }>;

/** Carries out the call of a subscribed framework. */
export function carryOut(master: Master, framework: Framework, call: AcceptedCall): void {
  switch (call.type) {
    case 'TEARDOWN':
      removeFramework(master, framework);
      return;
    case 'ACCEPT':
      accept(master, framework, call.accept);
      return;
    case 'DECLINE':
      decline(master, framework, call.decline);
      return;
    case 'ACCEPT_INVERSE_OFFERS':
      answer(master, framework, 'ACCEPT', call.accept_inverse_offers);
      return;
    case 'DECLINE_INVERSE_OFFERS':
      answer(master, framework, 'DECLINE', call.decline_inverse_offers);
      return;
    case 'REVIVE':
      revive(master, framework, call.revive?.roles);
      return;
    case 'SUPPRESS':
      for (const role of rolesOf(framework, call.suppress?.roles)) framework.suppressed.add(role);
      return;
    case 'KILL':
      kill(master, framework, call.kill);
      return;
    case 'ACKNOWLEDGE':
      acknowledge(master, framework, call.acknowledge);
      return;
    case 'ACKNOWLEDGE_OPERATION_STATUS':
      acknowledgeOperation(master, framework, call.acknowledge_operation_status);
      return;
    case 'RECONCILE':
      reconcileTasks(master, framework, call.reconcile.tasks);
      return;
    case 'RECONCILE_OPERATIONS':
      reconcileOperations(master, framework, call.reconcile_operations.operations);
  }
}

/** Why a framework may not be changed so. */
export interface ChangeRefusal {
  readonly status: 400 | 403;
  readonly message: string;
}

/** Changes the framework's info; returns what is wrong with the new one, `null` when it was taken. */
export function changeFramework(
  master: Master,
  framework: Framework,
  {
    framework_info: info,
    suppressed_roles: suppressed = [],
  }: Extract<Call, { type: 'UPDATE_FRAMEWORK' }>['update_framework'],
): ChangeRefusal | null {
  const problem = frameworkProblem(info, suppressed) ?? updateProblem(framework.info, info);
  if (problem !== null) return { status: 400, message: problem };
  const refusal = registrationRefusal(master.config.authorize, info);
  if (refusal !== null) return { status: 403, message: refusal };
  updateFramework(master, framework, info, suppressed);
  return null;
}

/** No roles, all roles. Roles that are not the framework's are passed over. */
function rolesOf(framework: Framework, roles: readonly string[] | undefined): readonly string[] {
  if (roles === undefined || roles.length === 0) return framework.info.roles;
  return roles.filter((role) => framework.info.roles.includes(role));
}

function revive(master: Master, framework: Framework, roles: readonly string[] | undefined): void {
  for (const role of rolesOf(framework, roles)) {
    framework.suppressed.delete(role);
    for (const key of [...framework.filters.keys()]) {
      if (key.endsWith(` ${role}`)) framework.filters.delete(key);
    }
  }
  allocateSoon(master, 'all');
}

function answer(
  master: Master,
  framework: Framework,
  status: InverseAnswer['status'],
  body: Extract<Call, { type: 'ACCEPT_INVERSE_OFFERS' }>['accept_inverse_offers'],
): void {
  const { inverse_offer_ids: offerIds, filters } = body;
  answerInverseOffers(master, framework, { status, offerIds, filters });
}

function kill(master: Master, framework: Framework, body: Extract<Call, { type: 'KILL' }>['kill']): void {
  const taskId = body.task_id.value;
  const task = framework.tasks.get(taskId);
  const agent = master.agents.get(task?.agentId ?? '');
  if (task === undefined || agent === undefined) {
    reconcileTask(master, framework, body);
    return;
  }
  // Mesos passes over it in silence as well.
  if ((body.agent_id?.value ?? task.agentId) !== task.agentId) return;
  if (isTerminal(task.state)) return;
  const frameworkId = framework.id;
  const message = { kind: 'kill', frameworkId, taskId, killPolicy: body.kill_policy ?? null } as const;
  if (agent.link === null) agent.killsPending.set(`${frameworkId} ${taskId}`, message);
  else sendToAgent(master, agent, message);
}

function acknowledge(
  master: Master,
  framework: Framework,
  body: Extract<Call, { type: 'ACKNOWLEDGE' }>['acknowledge'],
): void {
  const agent = master.agents.get(body.agent_id.value);
  if (agent === undefined) return;
  const taskId = body.task_id.value;
  const task = framework.tasks.get(taskId);
  sendToAgent(master, agent, { kind: 'acknowledge', frameworkId: framework.id, taskId, uuid: body.uuid });
  const isLast = task?.updateUuid === body.uuid && task.updateState !== null && isTerminal(task.updateState);
  if (task?.agentId === agent.id && isLast) completeTask(framework, task);
}

function acknowledgeOperation(
  master: Master,
  framework: Framework,
  body: Extract<Call, { type: 'ACKNOWLEDGE_OPERATION_STATUS' }>['acknowledge_operation_status'],
): void {
  for (const record of master.operations.values()) {
    const isMeant =
      record.frameworkId === framework.id &&
      record.operation.id?.value === body.operation_id.value &&
      record.outcome?.statusUuid === body.uuid;
    const agent = master.agents.get(record.agentId);
    if (!isMeant || agent === undefined) continue;
    master.operations.delete(record.uuid);
    sendToAgent(master, agent, { kind: 'acknowledge-operation', operationUuid: record.uuid });
    return;
  }
}
