import type { FrameworkInfo, TaskInfo, TaskState } from '../mesos/wire.ts';
import {
  AGENTS_REMEMBERED_MAX,
  type Agent,
  allocateSoon,
  completeTask,
  type Framework,
  keepNewest,
  type Master,
  offersOn,
  pidOfAgent,
  rescindOffer,
  sendToAgent,
  TASKS_REMEMBERED_MAX,
  type Task,
  tasksOn,
  tell,
} from './master-state.ts';
import { tellOfKnownTask, tellOfTask } from './master-updates.ts';
import type { AgentDescription, AgentOperation, AgentTask, AgentToMaster } from './messages.ts';
import { mergeResources } from './resources.ts';
import { isTerminal } from './task-status.ts';

type Message<Kind extends AgentToMaster['kind']> = Extract<AgentToMaster, { kind: Kind }>;

/** Takes what an agent says on a link. */
export function takeAgentMessage(master: Master, link: string, message: AgentToMaster): void {
  if (message.kind === 'register') registerAgent(master, link, message);
  else if (message.kind === 'reregister') reregisterAgent(master, link, message);
  else takeFromRegistered(master, link, message);
}

function takeFromRegistered(
  master: Master,
  link: string,
  message: Exclude<AgentToMaster, { kind: 'register' | 'reregister' }>,
): void {
  const agent = master.agents.get(master.links.get(link) ?? '');
  if (agent === undefined || agent.link !== link) {
    master.outputs.push({ kind: 'send', link, message: { kind: 'reregister-asked' } });
    return;
  }
  switch (message.kind) {
    case 'unregister':
      removeAgent(master, agent, 'the agent unregistered');
      return;
    case 'pong':
      agent.pinged = false;
      agent.pingTimeouts = 0;
      return;
    case 'update':
      takeUpdate(master, agent, message);
      return;
    case 'operation-update':
      takeOperationUpdate(master, agent, message.operation);
  }
}

/** The agent's connection is gone: it is offered no more, and has until its pings time out to come back. */
export function loseLink(master: Master, link: string): void {
  const agent = master.agents.get(master.links.get(link) ?? '');
  master.links.delete(link);
  if (agent === undefined || agent.link !== link) return;
  agent.link = null;
  for (const offer of offersOn(master, agent.id)) rescindOffer(master, offer);
}

/** Pings the agents whose turn it is; those that left too many unanswered are unreachable. */
export function pingAgents(master: Master): void {
  for (const agent of [...master.agents.values()]) {
    if (master.now.monotonicMs < agent.nextPingMs) continue;
    if (agent.pinged) agent.pingTimeouts += 1;
    if (agent.pingTimeouts >= master.config.agentPingTimeoutsMax) markUnreachable(master, agent);
    else ping(master, agent);
  }
}

/** The operator's word that an agent never comes back. `false` when there is no such agent. */
export function markAgentGone(master: Master, agentId: string): boolean {
  const agent = master.agents.get(agentId);
  if (agent === undefined && !master.unreachableAgents.has(agentId)) return false;
  master.goneAgents.add(agentId);
  keepNewest(master.goneAgents, AGENTS_REMEMBERED_MAX);
  const message = 'Agent has been marked gone';
  const word = {
    state: 'TASK_GONE_BY_OPERATOR',
    reason: 'REASON_AGENT_REMOVED_BY_OPERATOR',
    message,
  } as const;
  for (const framework of master.frameworks.values()) {
    for (const task of [...framework.unreachableTasks.values()]) {
      if (task.agentId !== agentId) continue;
      framework.unreachableTasks.delete(task.info.task_id.value);
      endTask(framework, task, word.state);
      tellOfTask(master, framework, task.info.task_id.value, { ...word, agentId });
    }
  }
  master.unreachableAgents.delete(agentId);
  if (agent === undefined) return true;
  sendToAgent(master, agent, { kind: 'shutdown', message });
  dropAgent(master, agent, (framework, task) => {
    endTask(framework, task, word.state);
    tellOfTask(master, framework, task.info.task_id.value, { ...word, agentId });
  });
  return true;
}

function registerAgent(master: Master, link: string, { agent: description }: Message<'register'>): void {
  const known = master.agents.get(master.links.get(link) ?? '');
  if (known !== undefined) {
    // It asks again because the answer was lost or slow.
    greet(master, known);
    return;
  }
  removeAtSameAddress(master, description);
  const id = `${master.config.masterId}-S${master.nextAgent}`;
  master.nextAgent += 1;
  const agent = addAgent(master, { id, link, description, total: mergeResources(description.resources) });
  greet(master, agent);
  ping(master, agent);
  allocateSoon(master, id);
}

function greet(master: Master, agent: Agent): void {
  sendToAgent(master, agent, { kind: 'registered', agentId: agent.id, pingTimeoutMs: pingTimeoutMs(master) });
}

function reregisterAgent(master: Master, link: string, message: Message<'reregister'>): void {
  const { agentId } = message;
  if (master.goneAgents.has(agentId)) {
    const reason = 'Agent has been marked gone';
    master.outputs.push({ kind: 'send', link, message: { kind: 'shutdown', message: reason } });
    return;
  }
  const known = master.agents.get(agentId);
  const wasUnreachable = master.unreachableAgents.delete(agentId);
  if (known === undefined) removeAtSameAddress(master, message.agent);
  const agent =
    known ??
    addAgent(master, {
      id: agentId,
      link,
      description: message.agent,
      total: mergeResources(message.totalResources),
    });
  if (agent.link !== null && agent.link !== link) master.links.delete(agent.link);
  agent.link = link;
  master.links.set(link, agentId);
  agent.total = mergeResources(message.totalResources);
  agent.reregisteredWallMs = master.now.wallMs;
  agent.pingTimeouts = 0;
  for (const framework of message.frameworks) recoverFramework(master, framework);
  const unknownTasks = takeTasks(master, agent, message.tasks);
  takeOperations(master, agent, message.operations);
  const timeoutMs = pingTimeoutMs(master);
  sendToAgent(master, agent, { kind: 'reregistered', agentId, pingTimeoutMs: timeoutMs, unknownTasks });
  for (const kill of agent.killsPending.values()) sendToAgent(master, agent, kill);
  agent.killsPending.clear();
  if (wasUnreachable) tellOfReturn(master, agent);
  ping(master, agent);
  if (known === undefined) allocateSoon(master, agentId);
}

function addAgent(
  master: Master,
  given: Pick<Agent, 'id' | 'description' | 'total'> & { link: string },
): Agent {
  const agent: Agent = {
    ...given,
    registeredWallMs: master.now.wallMs,
    reregisteredWallMs: null,
    killsPending: new Map(),
    nextPingMs: master.now.monotonicMs,
    pinged: false,
    pingTimeouts: 0,
  };
  master.agents.set(agent.id, agent);
  master.links.set(given.link, agent.id);
  return agent;
}

function ping(master: Master, agent: Agent): void {
  agent.pinged = true;
  agent.nextPingMs = master.now.monotonicMs + master.config.agentPingTimeoutMs;
  sendToAgent(master, agent, { kind: 'ping' });
}

/** An agent that hears nothing for this long was given up by the master. */
function pingTimeoutMs({ config }: Master): number {
  return config.agentPingTimeoutMs * (config.agentPingTimeoutsMax + 1);
}

/** A host that was rebuilt registers anew where its former self was. */
function removeAtSameAddress(master: Master, description: AgentDescription): void {
  const pid = pidOfAgent(description);
  for (const agent of [...master.agents.values()]) {
    if (pidOfAgent(agent.description) === pid) {
      removeAgent(master, agent, 'a new agent registered at the same address');
    }
  }
}

/** The agent is gone for good, and so are its tasks: TASK_LOST, whatever the framework can understand. */
function removeAgent(master: Master, agent: Agent, why: string): void {
  const message = `Agent ${agent.description.hostname} removed: ${why}`;
  dropAgent(master, agent, (framework, task) => {
    endTask(framework, task, 'TASK_LOST');
    const word = { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED', message } as const;
    tellOfTask(master, framework, task.info.task_id.value, { ...word, agentId: agent.id });
  });
}

function markUnreachable(master: Master, agent: Agent): void {
  const sinceWallMs = master.now.wallMs;
  master.unreachableAgents.set(agent.id, { sinceWallMs });
  keepNewest(master.unreachableAgents, AGENTS_REMEMBERED_MAX);
  dropAgent(master, agent, (framework, task) => {
    const taskId = task.info.task_id.value;
    framework.tasks.delete(taskId);
    framework.unreachableTasks.set(taskId, task);
    keepNewest(framework.unreachableTasks, TASKS_REMEMBERED_MAX);
    tellOfTask(master, framework, taskId, {
      state: 'TASK_UNREACHABLE',
      reason: 'REASON_AGENT_REMOVED',
      message: 'health check timed out',
      agentId: agent.id,
      unreachableWallMs: sinceWallMs,
    });
  });
}

/** Takes the agent out, in the recorded order: its tasks, its offers, then the word of its failure. */
function dropAgent(master: Master, agent: Agent, lose: (framework: Framework, task: Task) => void): void {
  master.agents.delete(agent.id);
  if (agent.link !== null) master.links.delete(agent.link);
  for (const task of tasksOn(master, agent.id)) {
    const framework = master.frameworks.get(task.frameworkId);
    if (framework === undefined) continue;
    // Its end is known already, though not acknowledged.
    if (isTerminal(task.state)) completeTask(framework, task);
    else lose(framework, task);
  }
  for (const offer of offersOn(master, agent.id)) rescindOffer(master, offer);
  for (const [uuid, record] of master.operations)
    if (record.agentId === agent.id) master.operations.delete(uuid);
  for (const framework of master.frameworks.values()) {
    tell(master, framework, { type: 'FAILURE', failure: { agent_id: { value: agent.id } } });
  }
}

function endTask(framework: Framework, task: Task, state: TaskState): void {
  task.state = state;
  task.updateState = state;
  completeTask(framework, task);
}

/** Brings the tasks that the agent names up to date; returns those that it should have and does not name. */
function takeTasks(master: Master, agent: Agent, named: readonly AgentTask[]): readonly AgentTask[] {
  const isNamed = new Set(named.map(({ frameworkId, task }) => `${frameworkId} ${task.task_id.value}`));
  for (const task of named) takeTask(master, agent, task);
  return tasksOn(master, agent.id)
    .filter(
      (task) => !isTerminal(task.state) && !isNamed.has(`${task.frameworkId} ${task.info.task_id.value}`),
    )
    .map((task) => ({
      frameworkId: task.frameworkId,
      role: task.role,
      task: task.info,
      status: null,
      state: 'TASK_STAGING',
    }));
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

function toTask(agentId: string, { frameworkId, role, task, status, state }: AgentTask): Task {
  return {
    frameworkId,
    agentId,
    role,
    info: task,
    state,
    updateState: status?.state ?? null,
    updateUuid: status?.uuid ?? null,
    statuses: status === null ? [] : [status],
  };
}

/** A task that is launched now. */
export function newTask(agentId: string, frameworkId: string, role: string, info: TaskInfo): Task {
  return toTask(agentId, { frameworkId, role, task: info, status: null, state: 'TASK_STAGING' });
}

/** Agents know frameworks that a restarted master does not: they have their failover timeout to subscribe. */
function recoverFramework(master: Master, info: FrameworkInfo): void {
  const id = info.id?.value ?? '';
  if (master.frameworks.has(id) || master.completedFrameworks.has(id)) return;
  master.frameworks.set(id, {
    ...emptyFramework(master, id, info),
    recovered: true,
    failoverDueMs: master.now.monotonicMs + (info.failover_timeout ?? 0) * 1000,
  });
}

/** A framework of which nothing is known but its info. */
export function emptyFramework(master: Master, id: string, info: FrameworkInfo): Framework {
  return {
    id,
    info: { ...info, id: { value: id } },
    stream: null,
    recovered: false,
    registeredWallMs: master.now.wallMs,
    reregisteredWallMs: master.now.wallMs,
    unregisteredWallMs: null,
    failoverDueMs: null,
    suppressed: new Set(),
    filters: new Map(),
    tasks: new Map(),
    unreachableTasks: new Map(),
    completedTasks: [],
  };
}

function tellOfReturn(master: Master, agent: Agent): void {
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

function takeOperations(master: Master, agent: Agent, named: readonly AgentOperation[]): void {
  for (const outcome of named) {
    const { operationUuid: uuid, frameworkId, operation } = outcome;
    master.operations.set(uuid, { uuid, frameworkId, agentId: agent.id, operation, outcome });
  }
  const isNamed = new Set(named.map(({ operationUuid }) => operationUuid));
  for (const record of [...master.operations.values()]) {
    if (record.agentId !== agent.id || isNamed.has(record.uuid)) continue;
    // It never reached the agent, whose word about its resources has put the rest right already.
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

function takeUpdate(master: Master, agent: Agent, message: Message<'update'>): void {
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

function takeOperationUpdate(master: Master, agent: Agent, outcome: AgentOperation): void {
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
