import { takeExecutorEnd, takeExecutors } from './agent-executors.ts';
import { markUnreachable, removeAgent, removeAtSameAddress } from './agent-loss.ts';
import { recoverFramework, takeOperations, takeTasks, tellOfReturn } from './agent-return.ts';
import { takeOperationUpdate, takeUpdate } from './agent-updates.ts';
import { tellToDrain } from './drain.ts';
import { machineOf } from './maintenance-state.ts';
import { type Agent, allocateSoon, type Master, sendToAgent } from './master-state.ts';
import type { AgentDescription, AgentToMaster } from './messages.ts';
import { mergeResources } from './resources.ts';

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
    case 'executor-ended':
      takeExecutorEnd(master, agent, message);
      return;
    case 'operation-update':
      takeOperationUpdate(master, agent, message.operation);
  }
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

function registerAgent(master: Master, link: string, message: Message<'register'>): void {
  const { agent: description, totalResources } = message;
  const known = master.agents.get(master.links.get(link) ?? '');
  if (known !== undefined) {
    // It asks again because the answer was lost or slow.
    greet(master, known);
    return;
  }
  if (refuseDown(master, link, description)) return;
  removeAtSameAddress(master, description);
  const id = `${master.config.masterId}-S${master.nextAgent}`;
  master.nextAgent += 1;
  const agent = addAgent(master, { id, link, description, total: mergeResources(totalResources) });
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
  if (refuseDown(master, link, message.agent)) return;
  const known = master.agents.get(agentId);
  const wasUnreachable = master.unreachableAgents.delete(agentId);
  master.recoveredAgents.delete(agentId);
  if (master.recoveredAgents.size === 0) master.recoveredDueMs = null;
  if (known === undefined) removeAtSameAddress(master, message.agent);
  const agent =
    known ??
    addAgent(master, {
      id: agentId,
      link,
      description: message.agent,
      total: mergeResources(message.totalResources),
    });
  // On the same link, what was sent before is still on its way to the agent; with a link it is lost.
  const isSameLink = known?.link === link;
  if (agent.link !== null && agent.link !== link) master.links.delete(agent.link);
  agent.link = link;
  master.links.set(link, agentId);
  agent.total = mergeResources(message.totalResources);
  agent.reregisteredWallMs = master.now.wallMs;
  agent.pingTimeouts = 0;
  for (const framework of message.frameworks) recoverFramework(master, framework);
  const unknownTasks = takeTasks(master, agent, message.tasks);
  takeExecutors(agent, message.executors, isSameLink);
  takeOperations(master, agent, message.operations, isSameLink);
  const timeoutMs = pingTimeoutMs(master);
  sendToAgent(master, agent, { kind: 'reregistered', agentId, pingTimeoutMs: timeoutMs, unknownTasks });
  for (const kill of agent.killsPending.values()) sendToAgent(master, agent, kill);
  agent.killsPending.clear();
  tellToDrain(master, agent);
  if (wasUnreachable) tellOfReturn(master, agent);
  ping(master, agent);
  if (known === undefined) allocateSoon(master, agentId);
}

/** While a machine is under maintenance no agent may be there. */
function refuseDown(master: Master, link: string, description: AgentDescription): boolean {
  if (machineOf(master, description)?.mode !== 'DOWN') return false;
  const message = { kind: 'shutdown', message: 'Machine is `DOWN`' } as const;
  master.outputs.push({ kind: 'send', link, message });
  return true;
}

function addAgent(
  master: Master,
  given: Pick<Agent, 'id' | 'description' | 'total'> & { link: string },
): Agent {
  const agent: Agent = {
    ...given,
    registeredWallMs: master.now.wallMs,
    reregisteredWallMs: null,
    executors: new Map(),
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
