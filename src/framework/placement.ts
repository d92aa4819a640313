import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { OfferRequirement } from '../protocol/view.ts';
import { type AgentOffer, traitsOf } from './agent-offers.ts';
import { type AgentTraits, fieldValue } from './agent-traits.ts';
import { isMet, ruleRequirement } from './judgement.ts';
import {
  isOpenGroup,
  type PlacementJudge,
  type PlacementRules,
  placementJudge,
  type SeenValues,
  type Surroundings,
} from './placement-rules.ts';
import { cutSeat, type Placement, requirementsOf, roomOf, type SeatNeed } from './seat-cut.ts';

/**
 * Where a new member goes: where the rules allow it, spread over hosts and zones, where most is free. Pure.
 */

export interface PlacementInput {
  readonly slot: string;
  readonly rules: PlacementRules;
  readonly around: Surroundings;
  readonly offers: readonly AgentOffer[];
  readonly record: ClusterRecord;
  readonly need: SeatNeed;
  readonly role: string;
  /**
   * By agent id: the ports of places on which no task came up lately. Such an agent is taken where there is no
   * other, and other ports of it where there are any: somebody may hold them without having asked Mesos.
   */
  readonly shunned: ReadonlyMap<string, ReadonlySet<number>>;
}

/** One offer, judged for one slot. */
export interface Judgement {
  readonly offer: AgentOffer;
  readonly fits: boolean;
  readonly requirements: readonly OfferRequirement[];
}

/** The best of the offers that fit, cut to size; `null` where none does. */
export function place(input: PlacementInput): { placement: Placement | null; judged: readonly Judgement[] } {
  const judge = placementJudge(input.rules, standingOf(input));
  const judged = judgeAll(input, judge);
  const best = judged
    .filter(({ fits }) => fits)
    .map((judgement) => ({ offer: judgement.offer, rank: rankOf(judgement, input, judge) }))
    .sort((a, b) => compareRanks(a.rank, b.rank))[0];
  return { placement: best === undefined ? null : cutSeat(best.offer, input), judged };
}

/**
 * The members that a new one is counted with: all that hold a place for good. Not the one that it replaces, which
 * may be on the only host that is left, and none that is being replaced itself.
 */
function standingOf({ record, slot }: PlacementInput): readonly Seat[] {
  return record.seats.filter((seat) => seat.lost === null && seat.slot !== slot);
}

function judgeAll(input: PlacementInput, judge: PlacementJudge): readonly Judgement[] {
  const access = accessCheck(input);
  const judged = input.offers.map((offer) => {
    const requirements = requirementsOf(offer, input).concat(access(offer), judge.direct(traitsOf(offer)));
    return { offer, requirements, fits: isMet(requirements) };
  });
  if (!input.rules.constraints.some(isOpenGroup)) return judged;
  const seen = seenWith(
    judged.filter(({ fits }) => fits).map(({ offer }) => traitsOf(offer)),
    input,
  );
  const spread = judge.spread(seen);
  return judged.map(({ offer, requirements, fits }) => {
    const groups = spread(traitsOf(offer));
    return { offer, requirements: requirements.concat(groups), fits: fits && isMet(groups) };
  });
}

/** Values that were seen lately, and those of the agents that would do now. */
function seenWith(fitting: readonly AgentTraits[], { rules, around }: PlacementInput): SeenValues {
  return new Map(
    rules.constraints.filter(isOpenGroup).map(({ field }) => {
      const values = fitting.map((traits) => fieldValue(traits, field)).filter((value) => value !== null);
      return [field, new Set([...(around.seen.get(field) ?? []), ...values])];
    }),
  );
}

/** Whether a member of ours has any business on an agent. */
function accessCheck({
  record,
  slot,
  rules,
  around,
}: PlacementInput): (offer: AgentOffer) => OfferRequirement[] {
  const { masterRegion } = around;
  const flees = record.seats.some((seat) => seat.slot === slot && seat.lost?.cause === 'maintenance');
  const machine = [false, true].map((goesAway) =>
    ruleRequirement('maintenance', {
      ok: !(flees && goesAway),
      needed: 'a machine that stays',
      offered: goesAway ? 'one that goes into maintenance' : 'one',
    }),
  );
  return (offer) => {
    const maintenance = machine[Number(offer.maintenance)] as OfferRequirement;
    if (rules.namesRegion || masterRegion === null) return [maintenance];
    const region = ruleRequirement('region', {
      // An agent that tells of no region is in the master's.
      ok: offer.region === null || offer.region === masterRegion,
      needed: `region ${masterRegion}, which is the master's, as no constraint names @region,`,
      offered: offer.region ?? 'without region',
    });
    return [region, maintenance];
  };
}

/** Smaller is better; offers are sorted by host, so equal ones are taken in a stable order. */
function rankOf(
  { offer, requirements }: Judgement,
  input: PlacementInput,
  judge: PlacementJudge,
): readonly number[] {
  const zoneMates = standingOf(input).filter((seat) => seat.zone === offer.zone).length;
  const { shunned, record, slot } = input;
  // Whoever has a member moved wants it elsewhere; where there is nowhere else it moves on its own agent.
  const isOwn = record.seats.some((seat) => seat.slot === slot && seat.agentId === offer.agent.id);
  const { host, groups } = judge.crowding(traitsOf(offer));
  const room = roomOf(requirements);
  return [
    offer.maintenance ? 1 : 0,
    shunned.has(offer.agent.id) ? 1 : 0,
    isOwn ? 1 : 0,
    host,
    groups,
    offer.zone === null ? 0 : zoneMates,
    -room,
  ];
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
