import * as z from 'zod';
import { markAgentGone } from './agent-loss.ts';
import { rescindInverseOffers } from './inverse-offers.ts';
import { machineOf } from './maintenance-state.ts';
import {
  type Agent,
  allocateSoon,
  type Master,
  offersOn,
  rescindOffer,
  sendToAgent,
  tasksOn,
} from './master-state.ts';
import { DONE, FORBIDDEN, malformed, type OperatorAnswer, refuse } from './operator-answer.ts';

/** An agent that its operator has asked to be rid of all tasks; remembered until it is reactivated or gone. */
export interface Drain {
  readonly state: 'DRAINING' | 'DRAINED';
  /** `null`: every task has its own grace period. */
  readonly maxGraceMs: number | null;
  readonly markGone: boolean;
  /** Wall time. */
  readonly startedWallMs: number;
}

const agentId = z.looseObject({ value: z.string() });
const drainShape = z.looseObject({
  agent_id: agentId,
  // Google's Duration, unlike elsewhere in the API: `nanoseconds` is no field of it.
  max_grace_period: z
    .looseObject({ seconds: z.union([z.number(), z.string()]).optional(), nanos: z.number().optional() })
    .optional(),
  mark_gone: z.boolean().optional(),
});
const agentShape = z.looseObject({ agent_id: agentId });

/** `DRAIN_AGENT`: nothing is offered of the agent any more, and its tasks are killed. */
export function drainAgent(master: Master, body: unknown, principal: string | null): OperatorAnswer {
  const parsed = drainShape.safeParse(body);
  if (!parsed.success) return malformed("Expecting 'drain_agent' to be present");
  const { agent_id, max_grace_period: grace, mark_gone: markGone = false } = parsed.data;
  const id = agent_id.value;
  const agent = master.agents.get(id);
  if (agent !== undefined && machineOf(master, agent.description) !== undefined) {
    const { hostname, ip } = agent.description;
    return refuse(400, `Agent ${id} is part of a maintenance schedule under Machine ${hostname} (${ip})`);
  }
  const { authorize } = master.config;
  if (!authorize('drain_agents', principal, null)) return FORBIDDEN;
  if (markGone && !authorize('mark_agents_gone', principal, null)) return FORBIDDEN;
  if (!isKnown(master, id)) return refuse(400, 'Unknown agent');
  const maxGraceMs =
    grace === undefined ? null : Number(grace.seconds ?? 0) * 1000 + (grace.nanos ?? 0) / 1e6;
  master.drains.set(id, { state: 'DRAINING', maxGraceMs, markGone, startedWallMs: master.now.wallMs });
  master.deactivated.add(id);
  if (agent === undefined) return DONE;
  withdraw(master, agent);
  tellToDrain(master, agent);
  return DONE;
}

/** `DEACTIVATE_AGENT`: nothing is offered of it any more; what runs there runs on. */
export function deactivateAgent(master: Master, body: unknown, principal: string | null): OperatorAnswer {
  const parsed = agentShape.safeParse(body);
  if (!parsed.success) return malformed("Expecting 'deactivate_agent' to be present");
  if (!master.config.authorize('deactivate_agents', principal, null)) return FORBIDDEN;
  const id = parsed.data.agent_id.value;
  if (!isKnown(master, id)) return refuse(400, 'Unknown agent');
  master.deactivated.add(id);
  const agent = master.agents.get(id);
  if (agent !== undefined) withdraw(master, agent);
  return DONE;
}

/** `REACTIVATE_AGENT`: after a drain or a deactivation it is offered again. */
export function reactivateAgent(master: Master, body: unknown, principal: string | null): OperatorAnswer {
  const parsed = agentShape.safeParse(body);
  if (!parsed.success) return malformed("Expecting 'reactivate_agent' to be present");
  if (!master.config.authorize('reactivate_agents', principal, null)) return FORBIDDEN;
  const id = parsed.data.agent_id.value;
  if (!master.deactivated.has(id)) return refuse(400, 'Agent is not deactivated');
  if (master.drains.get(id)?.state === 'DRAINING') {
    return refuse(400, 'Agent is still in the DRAINING state');
  }
  master.drains.delete(id);
  master.deactivated.delete(id);
  if (!master.agents.has(id)) return refuse(409, 'Agent removed while processing the call');
  allocateSoon(master, id);
  return DONE;
}

/** Also to an agent that came back while it is to be drained. */
export function tellToDrain(master: Master, agent: Agent): void {
  const drain = master.drains.get(agent.id);
  if (drain === undefined) return;
  const { maxGraceMs, markGone } = drain;
  sendToAgent(master, agent, { kind: 'drain', maxGraceMs, markGone });
}

/** Where nothing runs on a draining agent any more, it is drained, or gone if that was asked for. */
export function finishDrains(master: Master): void {
  for (const [agentId, drain] of [...master.drains]) {
    if (drain.state !== 'DRAINING' || !master.agents.has(agentId) || isBusy(master, agentId)) continue;
    if (drain.markGone) markAgentGone(master, agentId);
    else master.drains.set(agentId, { ...drain, state: 'DRAINED' });
  }
}

function isBusy(master: Master, agentId: string): boolean {
  if (tasksOn(master, agentId).length > 0) return true;
  return [...master.operations.values()].some((operation) => operation.agentId === agentId);
}

/** Of agents that are drained or draining, as the operator API shows it. */
export function showDrain(drain: Drain | undefined) {
  if (drain === undefined) return {};
  const { state, maxGraceMs, markGone, startedWallMs } = drain;
  const grace = maxGraceMs === null ? {} : { max_grace_period: { nanoseconds: maxGraceMs * 1e6 } };
  return {
    drain_info: { state, config: { ...grace, mark_gone: markGone } },
    estimated_drain_start_time: { nanoseconds: startedWallMs * 1e6 },
  };
}

function isKnown(master: Master, id: string): boolean {
  return master.agents.has(id) || master.recoveredAgents.has(id) || master.unreachableAgents.has(id);
}

function withdraw(master: Master, agent: Agent): void {
  for (const offer of offersOn(master, agent.id)) rescindOffer(master, offer);
  rescindInverseOffers(master, agent.id);
}
