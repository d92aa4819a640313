import type { Call, Filters, Operation, TaskInfo } from '../mesos/wire.ts';
import { launchRefusal, operationRefusal } from './authorization.ts';
import { launchGroup } from './group-launch.ts';
import { launchProblem } from './launch-validation.ts';
import {
  type Agent,
  type Framework,
  forgetOffer,
  type Master,
  newTask,
  OPERATIONS_MAX,
  type OutstandingOffer,
  pidOfAgent,
  sendToAgent,
  tell,
  usedOn,
} from './master-state.ts';
import { tellOfTask } from './master-updates.ts';
import { refuse } from './offers.ts';
import { operationProblem } from './operation-validation.ts';
import {
  applyOperation,
  applyToTotal,
  type ResourceOperation,
  resourcesOf,
  withResources,
} from './operations.ts';
import { addResources, type Resources, subtractResources } from './resources.ts';

type Accept = Extract<Call, { type: 'ACCEPT' }>['accept'];

/** An ACCEPT in progress: operations see what those before them left. */
export interface Acceptance {
  readonly framework: Framework;
  readonly agent: Agent;
  readonly role: string;
  readonly offered: Resources;
  remaining: Resources;
}

/** Carries out an ACCEPT's operations in order. What is not used counts as declined, except what was converted. */
export function accept(master: Master, framework: Framework, body: Accept): void {
  const offers = body.offer_ids.flatMap(({ value }) => offerOf(master, framework, value) ?? []);
  const problem = offersProblem(body, offers);
  for (const { offer } of offers) forgetOffer(master, offer.id.value);
  const [first] = offers;
  const agent = master.agents.get(first?.agentId ?? '');
  if (problem !== null || first === undefined || agent === undefined) {
    drop(master, framework, body.operations, problem ?? 'No offers specified');
    return;
  }
  const offered = offers.reduce<Resources>((sum, { offer }) => addResources(sum, offer.resources), []);
  const acceptance: Acceptance = { framework, agent, role: first.role, offered, remaining: offered };
  for (const operation of body.operations) {
    if (operation.type === 'LAUNCH') {
      for (const task of operation.launch.task_infos) launch(master, acceptance, prepared(task, first.role));
    } else if (operation.type === 'LAUNCH_GROUP') {
      const { executor, task_group: group } = operation.launch_group;
      const resources = allocated(executor.resources, first.role);
      const tasks = group.tasks.map((task) => prepared(task, first.role));
      launchGroup(master, acceptance, { executor: { ...executor, resources }, tasks });
    } else operate(master, acceptance, operation);
  }
  refuseRest(master, acceptance, body.filters);
}

/** Takes the offers back and remembers for how long they are not wanted. Unknown offers are passed over. */
export function decline(
  master: Master,
  framework: Framework,
  body: Extract<Call, { type: 'DECLINE' }>['decline'],
): void {
  for (const { value } of body.offer_ids) {
    const outstanding = offerOf(master, framework, value);
    if (outstanding === null) continue;
    forgetOffer(master, value);
    const { role, agentId, offer } = outstanding;
    refuse(master, framework, { role, agentId, resources: offer.resources }, body.filters?.refuse_seconds);
  }
}

function offerOf(master: Master, framework: Framework, offerId: string): OutstandingOffer | null {
  const outstanding = master.offers.get(offerId);
  return outstanding?.frameworkId === framework.id ? outstanding : null;
}

function offersProblem(body: Accept, offers: readonly OutstandingOffer[]): string | null {
  const seen = new Set<string>();
  for (const { value } of body.offer_ids) {
    if (seen.has(value)) return `Duplicate offer ${value} in offer list`;
    seen.add(value);
    if (!offers.some(({ offer }) => offer.id.value === value)) return `Offer ${value} is no longer valid`;
  }
  const [first] = offers;
  for (const other of offers) {
    if (first === undefined) continue;
    if (other.agentId !== first.agentId) {
      return (
        'Aggregated offers must belong to one single agent. ' +
        `Offer ${other.offer.id.value} uses agent ${other.agentId} and ` +
        `offer ${first.offer.id.value} uses agent ${first.agentId}`
      );
    }
    if (other.role !== first.role) {
      return (
        'Aggregated offers must be allocated to the same role. ' +
        `Offer ${other.offer.id.value} uses role '${other.role}' but another is using role '${first.role}'`
      );
    }
  }
  return null;
}

/** The offers were not sound: what hung on them is answered for. */
function drop(master: Master, framework: Framework, operations: readonly Operation[], problem: string): void {
  for (const operation of operations) {
    if (operation.type !== 'LAUNCH' && operation.type !== 'LAUNCH_GROUP') {
      tellOfFailure(master, framework, operation, `Operation attempted with invalid resources: ${problem}`);
      continue;
    }
    for (const task of tasksOf(operation)) {
      tellOfTask(master, framework, task.task_id.value, {
        state: 'TASK_DROPPED',
        reason: 'REASON_INVALID_OFFERS',
        message: `Task launched with invalid offers: ${problem}`,
        agentId: task.agent_id.value,
      });
    }
  }
}

function tasksOf(operation: Extract<Operation, { type: 'LAUNCH' | 'LAUNCH_GROUP' }>): readonly TaskInfo[] {
  return operation.type === 'LAUNCH' ? operation.launch.task_infos : operation.launch_group.task_group.tasks;
}

function launch(master: Master, acceptance: Acceptance, task: TaskInfo): void {
  const { framework, agent, role } = acceptance;
  const taskId = task.task_id.value;
  const refuse = (reason: string, message: string): void =>
    tellOfTask(master, framework, taskId, {
      state: 'TASK_ERROR',
      reason,
      message,
      agentId: task.agent_id.value,
    });
  const refusal = launchRefusal(master.config.authorize, framework.info, task);
  if (refusal !== null) {
    refuse('REASON_TASK_UNAUTHORIZED', refusal);
    return;
  }
  const context = {
    framework: framework.info,
    agentId: agent.id,
    isTaken: (id: string) => framework.tasks.has(id) || framework.unreachableTasks.has(id),
    healthCheckTypes: master.config.healthCheckTypes,
  };
  const problem = launchProblem(task, context, acceptance.remaining);
  if (problem !== null) {
    refuse('REASON_TASK_INVALID', problem);
    return;
  }
  acceptance.remaining = subtractResources(acceptance.remaining, task.resources);
  framework.tasks.set(taskId, newTask(agent.id, framework.id, role, task));
  sendToAgent(master, agent, { kind: 'launch', framework: framework.info, role, task });
}

function operate(master: Master, acceptance: Acceptance, asked: ResourceOperation): void {
  const { framework, agent, role } = acceptance;
  const operation = withResources(asked, allocated(resourcesOf(asked), role));
  if (master.operations.size >= OPERATIONS_MAX) {
    tellOfFailure(master, framework, operation, `${OPERATIONS_MAX} operations were not acknowledged`);
    return;
  }
  const problem = operationProblem(operation, {
    role,
    principal: framework.info.principal ?? null,
    total: agent.total,
    used: usedOn(master, agent),
  });
  if (problem !== null) {
    const where = `on agent ${agent.id} at ${pidOfAgent(agent.description)} (${agent.description.hostname})`;
    tellOfFailure(master, framework, operation, `${problem}; ${where}`);
    return;
  }
  const refusal = operationRefusal(master.config.authorize, framework.info, operation);
  if (refusal !== null) {
    tellOfFailure(master, framework, operation, refusal);
    return;
  }
  const remaining = applyOperation(acceptance.remaining, operation);
  const total = applyToTotal(agent.total, operation);
  if ('problem' in remaining || 'problem' in total) {
    const what = 'problem' in remaining ? remaining : total;
    tellOfFailure(master, framework, operation, 'problem' in what ? what.problem : '');
    return;
  }
  acceptance.remaining = remaining.resources;
  agent.total = total.resources;
  const uuid = master.ids.uuid();
  const frameworkId = framework.id;
  master.operations.set(uuid, { uuid, frameworkId, agentId: agent.id, operation, outcome: null });
  sendToAgent(master, agent, { kind: 'apply-operation', frameworkId, operationUuid: uuid, operation });
}

/** An operation that was given an id gets an answer; one without fails in silence, as in Mesos. */
function tellOfFailure(
  master: Master,
  framework: Framework,
  operation: ResourceOperation,
  message: string,
): void {
  if (operation.id === undefined) return;
  tell(master, framework, {
    type: 'UPDATE_OPERATION_STATUS',
    update_operation_status: { status: { operation_id: operation.id, state: 'OPERATION_ERROR', message } },
  });
}

function refuseRest(master: Master, acceptance: Acceptance, filters: Filters | undefined): void {
  const { framework, agent, role, offered, remaining } = acceptance;
  const converted = subtractResources(remaining, offered);
  const resources = subtractResources(remaining, converted);
  refuse(master, framework, { role, agentId: agent.id, resources }, filters?.refuse_seconds);
}

/** A scheduler may leave out whose allocation it uses: there is only one in an offer. */
function allocated(resources: Resources, role: string): Resources {
  return resources.map((resource) =>
    resource.allocation_info === undefined ? { ...resource, allocation_info: { role } } : resource,
  );
}

function prepared(task: TaskInfo, role: string): TaskInfo {
  return withDefaults({ ...task, resources: allocated(task.resources, role) });
}

/** The defaults that Mesos writes into a task and shows ever after. */
function withDefaults(task: TaskInfo): TaskInfo {
  const check = task.health_check;
  if (check === undefined) return task;
  const protocol = { protocol: 'IPv4' };
  return {
    ...task,
    health_check: {
      ...check,
      ...(check.http === undefined ? {} : { http: { ...protocol, ...check.http } }),
      ...(check.tcp === undefined ? {} : { tcp: { ...protocol, ...check.tcp } }),
    },
  };
}
