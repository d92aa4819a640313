import type { ClusterRecord, Leaving } from '../protocol/record.ts';
import type { Observation } from '../reconcile/observation.ts';
import { isKept } from '../reconcile/seats.ts';
import type { AgentOffer } from './agent-offers.ts';
import { ownerOf } from './labels.ts';
import type { Match } from './offers.ts';

/** Which offers there is a use for. Pure. */

/** What a scheduler knows of itself that has to do with offers. */
export interface Onlooker {
  /** Its record may be acted on. */
  readonly trusted: boolean;
  /** How long it has been running, by the monotonic clock. */
  readonly ageMs: number;
}

/** Names of what offers are still needed for. */
export function wantedKeys(
  match: Match,
  seen: Observation,
  { trusted, ageMs }: Onlooker,
): ReadonlySet<string> {
  const wants = match.unmatched.map((want) =>
    want.kind === 'place' ? `place:${want.slot}` : `${want.kind}:${want.seat}`,
  );
  const leaving = match.record.leaving
    .filter((entry) => match.record.uninstall !== null || isLookedFor(entry, seen))
    .map(({ seat }) => `leaving:${seat.id}:${seen.mesos.tasks.get(seat.task)?.kind === 'over'}`);
  const looksAround = !trusted || looksForStrays(match.record, ageMs);
  return new Set([...wants, ...leaving, ...(looksAround ? ['look-around'] : [])]);
}

/** What an agent that is there has to give back comes with its next offers. */
const LOOK_MS = 600_000;
const LOOK_AGAIN_EVERY_MS = 3_600_000;
const LOOK_AGAIN_MS = 60_000;

/**
 * Whether a leaving place may be on offer soon. An agent that never comes back must not keep offers flowing for
 * ever: it is looked for at first, and then for a minute in every hour, since that it was rebuilt while it was away
 * shows in offers alone. Wall time only spaces the looks.
 */
function isLookedFor({ seat, sinceMs }: Leaving, seen: Observation): boolean {
  if (isKept(seat)) return false;
  const evidence = seen.mesos.tasks.get(seat.task);
  if (evidence?.kind === 'alive') return true;
  // What a task held is offered once it has ended; should its agent die before that, nothing tells of it any more.
  const ageMs = seen.wallMs - (evidence?.kind === 'over' ? Math.max(sinceMs, evidence.end.atMs) : sinceMs);
  return ageMs < LOOK_MS || isTimeToLookAgain(ageMs);
}

/**
 * Whether places of ours may be on offer that the record does not know. One that was made from what was found lacks
 * what was on agents that were away then, and these may come back at any time: only offers tell of them.
 */
function looksForStrays({ epoch, uninstall }: ClusterRecord, ageMs: number): boolean {
  if (epoch.phase === 'adopting') return true;
  if (epoch.phase !== 'formed' || uninstall !== null) return false;
  return (epoch.source.kind === 'adopted' && ageMs < LOOK_MS) || isTimeToLookAgain(ageMs);
}

function isTimeToLookAgain(ageMs: number): boolean {
  return ageMs >= LOOK_AGAIN_EVERY_MS && ageMs % LOOK_AGAIN_EVERY_MS < LOOK_AGAIN_MS;
}

/**
 * Offers that hold the place of a member: it will want it back as soon as it may be launched again. And those that
 * hold what nobody knows: it is given back as soon as nobody can need its data, and would not be offered again then.
 */
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
  const strays = new Set(seen.mesos.strays.map(({ seat }) => seat));
  const isKnown = record.epoch.phase === 'formed';
  const kept = offers.filter(
    ({ agent, resources }) =>
      agents.has(agent.id) ||
      (isKnown && resources.some((resource) => strays.has(ownerOf(resource)?.seat ?? ''))),
  );
  return new Set(kept.flatMap((offer) => offer.offerIds));
}
