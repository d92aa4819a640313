import type { Filters, InverseOffer } from '../mesos/wire.ts';
import { unavailabilityOf } from './maintenance-state.ts';
import {
  type Agent,
  type Framework,
  isActive,
  type Master,
  nextOfferId,
  offersOn,
  tasksOn,
  tell,
  urlOfAgent,
} from './master-state.ts';
import { refuseMs } from './offers.ts';
import { isTerminal } from './task-status.ts';

/** What a framework has said last to the maintenance of an agent. */
export interface InverseAnswer {
  readonly status: 'ACCEPT' | 'DECLINE';
  readonly wallMs: number;
}

/**
 * Asks for agents back whose machine will be away: from every framework that has or is offered something there, has
 * no such question open and has not said within the time of its filter that it has heard.
 */
export function makeInverseOffers(master: Master): void {
  const questions = new Map<Framework, InverseOffer[]>();
  for (const agent of master.agents.values()) {
    if (!(master.allocateNow === 'all' || master.allocateNow.has(agent.id)) || !isActive(master, agent))
      continue;
    const unavailability = unavailabilityOf(master, agent.description);
    if (unavailability === undefined) continue;
    for (const framework of losers(master, agent)) {
      const id = { value: nextOfferId(master) };
      const offer: InverseOffer & { readonly url: unknown } = {
        id,
        url: urlOfAgent(agent.description),
        framework_id: { value: framework.id },
        agent_id: { value: agent.id },
        unavailability,
      };
      master.inverseOffers.set(id.value, { frameworkId: framework.id, agentId: agent.id, offer });
      questions.set(framework, [...(questions.get(framework) ?? []), offer]);
    }
  }
  for (const [framework, offers] of questions) {
    tell(master, framework, { type: 'INVERSE_OFFERS', inverse_offers: { inverse_offers: offers } });
  }
}

function losers(master: Master, agent: Agent): readonly Framework[] {
  const ids = new Set([
    ...tasksOn(master, agent.id).flatMap(({ frameworkId, state }) =>
      isTerminal(state) ? [] : [frameworkId],
    ),
    ...offersOn(master, agent.id).map(({ frameworkId }) => frameworkId),
  ]);
  return [...master.frameworks.values()].filter((framework) => {
    if (framework.stream === null || !ids.has(framework.id)) return false;
    const refusedMs = framework.inverseFilters.get(agent.id) ?? Number.NEGATIVE_INFINITY;
    if (refusedMs > master.now.monotonicMs) return false;
    framework.inverseFilters.delete(agent.id);
    return ![...master.inverseOffers.values()].some(
      (open) => open.frameworkId === framework.id && open.agentId === agent.id,
    );
  });
}

/** Takes a framework's answer; inverse offers that are not open any more are passed over. */
export function answerInverseOffers(
  master: Master,
  framework: Framework,
  answer: {
    readonly status: InverseAnswer['status'];
    readonly offerIds: readonly { readonly value: string }[];
    readonly filters: Filters | undefined;
  },
): void {
  for (const { value } of answer.offerIds) {
    const open = master.inverseOffers.get(value);
    if (open?.frameworkId !== framework.id) continue;
    master.inverseOffers.delete(value);
    const byFramework = master.inverseAnswers.get(open.agentId) ?? new Map<string, InverseAnswer>();
    byFramework.set(framework.id, { status: answer.status, wallMs: master.now.wallMs });
    master.inverseAnswers.set(open.agentId, byFramework);
    const holdMs = refuseMs(answer.filters?.refuse_seconds);
    if (holdMs > 0) framework.inverseFilters.set(open.agentId, master.now.monotonicMs + holdMs);
  }
}

/** The agent is not asked for any more, or not in this way. */
export function rescindInverseOffers(master: Master, agentId: string): void {
  for (const [id, open] of master.inverseOffers) {
    if (open.agentId !== agentId) continue;
    master.inverseOffers.delete(id);
    const framework = master.frameworks.get(open.frameworkId);
    if (framework === undefined) continue;
    tell(master, framework, {
      type: 'RESCIND_INVERSE_OFFER',
      rescind_inverse_offer: { inverse_offer_id: { value: id } },
    });
  }
}

/** A framework whose scheduler is another, or gone, is asked anew. */
export function forgetInverseOffers(master: Master, framework: Framework): void {
  framework.inverseFilters.clear();
  for (const [id, open] of master.inverseOffers) {
    if (open.frameworkId === framework.id) master.inverseOffers.delete(id);
  }
}
