import type { ClusterRecord } from '../protocol/record.ts';
import type { Observation } from '../reconcile/observation.ts';
import type { Match } from './offers.ts';
import type { AgentOffer } from './placement.ts';

/** Which offers there is a use for. Pure. */

/** Names of what offers are still needed for. */
export function wantedKeys(match: Match, seen: Observation, trusted: boolean): ReadonlySet<string> {
  const wants = match.unmatched.map((want) =>
    want.kind === 'place' ? `place:${want.slot}` : `${want.kind}:${want.seat}`,
  );
  // Whatever is known of their tasks: that an agent was rebuilt while it was away shows in offers alone.
  const leaving = match.record.leaving.map(({ seat }) => {
    const over = seen.mesos.tasks.get(seat.task)?.kind === 'over';
    return `leaving:${seat.id}:${over}`;
  });
  const looksAround = !trusted || match.record.epoch.phase === 'adopting';
  return new Set([...wants, ...leaving, ...(looksAround ? ['look-around'] : [])]);
}

/** Offers that hold the place of a member: it will want it back as soon as it may be launched again. */
export function keptOffers(
  seen: Observation,
  record: ClusterRecord,
  offers: readonly AgentOffer[],
): ReadonlySet<string> {
  const agents = new Set(
    record.seats
      .filter((seat) => seat.lost === null && seen.mesos.offered.has(seat.id))
      .map((seat) => seat.agentId),
  );
  return new Set(offers.filter(({ agent }) => agents.has(agent.id)).flatMap((offer) => offer.offerIds));
}
