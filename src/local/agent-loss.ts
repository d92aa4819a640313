import type { TaskState } from '../mesos/wire.ts';
import { rescindInverseOffers } from './inverse-offers.ts';
import {
  AGENTS_REMEMBERED_MAX,
  type Agent,
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
import { tellOfTask } from './master-updates.ts';
import type { AgentDescription } from './messages.ts';
import { isTerminal } from './task-status.ts';

/** The agent's connection is gone: it is offered no more, and has until its pings time out to come back. */
export function loseLink(master: Master, link: string): void {
  const agent = master.agents.get(master.links.get(link) ?? '');
  master.links.delete(link);
  if (agent === undefined || agent.link !== link) return;
  agent.link = null;
  for (const offer of offersOn(master, agent.id)) rescindOffer(master, offer);
  rescindInverseOffers(master, agent.id);
}

/** The agent has left its pings unanswered: it and its tasks may come back. */
export function markUnreachable(master: Master, agent: Agent): void {
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

/** The agents of an earlier leader that have not come back in time are unreachable; what they ran nobody knows. */
export function giveUpRecovered(master: Master): void {
  if (master.recoveredDueMs === null || master.now.monotonicMs < master.recoveredDueMs) return;
  master.recoveredDueMs = null;
  for (const agentId of master.recoveredAgents.keys()) {
    master.unreachableAgents.set(agentId, { sinceWallMs: master.now.wallMs });
    tellOfFailure(master, agentId);
  }
  keepNewest(master.unreachableAgents, AGENTS_REMEMBERED_MAX);
  master.recoveredAgents.clear();
}

/** The operator's word that an agent never comes back. `false` when there is no such agent. */
export function markAgentGone(master: Master, agentId: string): boolean {
  const agent = master.agents.get(agentId);
  const isRecovered = master.recoveredAgents.delete(agentId);
  if (agent === undefined && !isRecovered && !master.unreachableAgents.has(agentId)) return false;
  master.goneAgents.add(agentId);
  forgetDrain(master, agentId);
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
  if (isRecovered) tellOfFailure(master, agentId);
  if (agent === undefined) return true;
  sendToAgent(master, agent, { kind: 'shutdown', message });
  dropAgent(master, agent, (framework, task) => {
    endTask(framework, task, word.state);
    tellOfTask(master, framework, task.info.task_id.value, { ...word, agentId });
  });
  return true;
}

/** A host that was rebuilt registers anew where its former self was. */
export function removeAtSameAddress(master: Master, description: AgentDescription): void {
  const pid = pidOfAgent(description);
  for (const agent of [...master.agents.values()]) {
    if (pidOfAgent(agent.description) === pid) {
      removeAgent(master, agent, 'a new agent registered at the same address');
    }
  }
}

/** The agent is gone for good, and so are its tasks: TASK_LOST, whatever the framework can understand. */
export function removeAgent(master: Master, agent: Agent, why: string): void {
  const message = `Agent ${agent.description.hostname} removed: ${why}`;
  forgetDrain(master, agent.id);
  dropAgent(master, agent, (framework, task) => {
    endTask(framework, task, 'TASK_LOST');
    const word = { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED', message } as const;
    tellOfTask(master, framework, task.info.task_id.value, { ...word, agentId: agent.id });
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
  rescindInverseOffers(master, agent.id);
  master.inverseAnswers.delete(agent.id);
  for (const [uuid, record] of master.operations) {
    if (record.agentId === agent.id) master.operations.delete(uuid);
  }
  tellOfFailure(master, agent.id);
}

function forgetDrain(master: Master, agentId: string): void {
  master.drains.delete(agentId);
  master.deactivated.delete(agentId);
}

function tellOfFailure(master: Master, agentId: string): void {
  for (const framework of master.frameworks.values()) {
    tell(master, framework, { type: 'FAILURE', failure: { agent_id: { value: agentId } } });
  }
}

function endTask(framework: Framework, task: Task, state: TaskState): void {
  task.state = state;
  task.updateState = state;
  completeTask(framework, task);
}
