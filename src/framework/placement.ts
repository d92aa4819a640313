import type { Offer, ReservationInfo, Resource } from '../mesos/wire.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { OfferRequirement } from '../protocol/view.ts';
import { type AgentTraits, attributesOf, fieldValue, type OfferedTraits } from './agent-traits.ts';
import type { MemberResources } from './config.ts';
import { amountRequirement, isMet, ruleRequirement } from './judgement.ts';
import { agentOf, type KnownAgent, seatsOf } from './mesos-view.ts';
import { NAME_SHARE } from './name-share.ts';
import {
  isOpenGroup,
  type PlacementJudge,
  type PlacementRules,
  placementJudge,
  type SeenValues,
  type Surroundings,
} from './placement-rules.ts';
import {
  atLeast,
  countPorts,
  hasPort,
  lowestPorts,
  minusPorts,
  minusScalar,
  type Pool,
  poolsOf,
  portsResource,
  rounded,
  type ScalarName,
  scalarResource,
} from './resources.ts';

/**
 * Where a new member goes: where the rules allow it, spread over hosts and zones, where most is free. Pure.
 */

/** All that one agent offers us now, in however many offers. */
export interface AgentOffer {
  readonly agent: KnownAgent;
  readonly offerIds: readonly string[];
  readonly zone: string | null;
  readonly region: string | null;
  /** Those that placement constraints name. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The operator has announced that the machine will be away. */
  readonly maintenance: boolean;
  readonly resources: readonly Resource[];
  /** What is left of it for new seats. */
  readonly pools: readonly Pool[];
}

/** Ports of a seat: peer, client, supervisor. */
const SEAT_PORTS = 3;

/** @param attributes names of those that are to be told. */
export function agentOffersOf(
  offers: Iterable<Offer>,
  role: string,
  attributes: readonly string[] = [],
): readonly AgentOffer[] {
  const byAgent = new Map<string, Offer[]>();
  for (const offer of offers) {
    byAgent.set(offer.agent_id.value, [...(byAgent.get(offer.agent_id.value) ?? []), offer]);
  }
  return [...byAgent.values()]
    .map((group) => mergedOffer(group, role, attributes))
    .sort((a, b) => compareText(a.agent.hostname, b.agent.hostname) || compareText(a.agent.id, b.agent.id));
}

function mergedOffer(group: readonly Offer[], role: string, attributes: readonly string[]): AgentOffer {
  const first = group[0] as Offer;
  const resources = group.flatMap((offer) => offer.resources);
  return {
    agent: agentOf(first),
    offerIds: group.map((offer) => offer.id.value),
    zone: first.domain?.fault_domain?.zone.name ?? null,
    region: first.domain?.fault_domain?.region.name ?? null,
    attributes: attributesOf(first.attributes ?? [], attributes),
    maintenance: group.some((offer) => offer.unavailability !== undefined),
    resources,
    pools: poolsOf(resources, role),
  };
}

export function traitsOf({ agent, zone, region, attributes }: AgentOffer): AgentTraits {
  return { hostname: agent.hostname, zone, region, attributes };
}

export function offeredTraits(offer: AgentOffer): OfferedTraits {
  return { agentId: offer.agent.id, traits: traitsOf(offer) };
}

export interface PlacementInput {
  readonly slot: string;
  readonly rules: PlacementRules;
  readonly around: Surroundings;
  readonly offers: readonly AgentOffer[];
  readonly record: ClusterRecord;
  readonly need: MemberResources;
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

/** A place that was found. */
export interface Placement {
  readonly offer: AgentOffer;
  readonly ports: { readonly peer: number; readonly client: number; readonly supervisor: number };
  /** As they are offered, and as they are once reserved by `reservation`. */
  readonly pieces: readonly Piece[];
  /** The offer without what this place takes. */
  readonly rest: AgentOffer;
}
export interface Piece {
  /** Whose task runs on it. */
  readonly of: 'member' | 'name';
  readonly name: ScalarName | 'ports';
  readonly resource: Resource;
  readonly reservations: readonly ReservationInfo[];
}

/** The best of the offers that fit, cut to size; `null` where none does. */
export function place(input: PlacementInput): { placement: Placement | null; judged: readonly Judgement[] } {
  const judge = placementJudge(input.rules, standingOf(input));
  const judged = judgeAll(input, judge);
  const best = judged
    .filter(({ fits }) => fits)
    .map(({ offer }) => ({ offer, rank: rankOf(offer, input, judge) }))
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
  const judged = input.offers.map((offer) => {
    const requirements = [
      ...amountsOf(offer, input),
      ...accessOf(offer, input),
      ...judge.direct(traitsOf(offer)),
    ];
    return { offer, requirements, fits: isMet(requirements) };
  });
  const seen = seenWith(
    judged.filter(({ fits }) => fits).map(({ offer }) => traitsOf(offer)),
    input,
  );
  return judged.map(({ offer, requirements, fits }) => {
    const spread = judge.spread(traitsOf(offer), seen);
    return { offer, requirements: [...requirements, ...spread], fits: fits && isMet(spread) };
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

/** Whether a member of ours has any business on that agent. */
function accessOf(offer: AgentOffer, input: PlacementInput): readonly OfferRequirement[] {
  const { masterRegion } = input.around;
  // An agent that tells of no region is in the master's.
  const isNear = masterRegion === null || offer.region === null || offer.region === masterRegion;
  const flees = input.record.seats.some(
    (seat) => seat.slot === input.slot && seat.lost?.cause === 'maintenance',
  );
  return [
    ...(input.rules.namesRegion
      ? []
      : [
          ruleRequirement('region', {
            ok: isNear,
            needed: `region ${masterRegion}, which is the master's, as no constraint names @region`,
            offered: offer.region ?? 'without region',
          }),
        ]),
    ruleRequirement('maintenance', {
      ok: !(flees && offer.maintenance),
      needed: 'a machine that stays',
      offered: offer.maintenance ? 'one that goes into maintenance' : 'one',
    }),
  ];
}

/** Smaller is better; offers are sorted by host, so equal ones are taken in a stable order. */
function rankOf(offer: AgentOffer, input: PlacementInput, judge: PlacementJudge): readonly number[] {
  const zoneMates = standingOf(input).filter((seat) => seat.zone === offer.zone).length;
  const { need, shunned } = input;
  const { host, groups } = judge.crowding(traitsOf(offer));
  const room = Math.min(
    most(offer.pools, 'cpus') / need.cpus,
    most(offer.pools, 'mem') / need.memMb,
    most(offer.pools, 'disk') / need.diskMb,
  );
  return [
    offer.maintenance ? 1 : 0,
    shunned.has(offer.agent.id) ? 1 : 0,
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

/** What one member needs of an agent, and what there is. */
function amountsOf(offer: AgentOffer, input: Omit<PlacementInput, 'offers'>): readonly OfferRequirement[] {
  const need = withNameShare(input.need);
  const free = Math.max(0, ...offer.pools.map((pool) => countPorts(pool.ports)));
  return [
    amountRequirement('cpus', { needed: need.cpus, offered: most(offer.pools, 'cpus') }),
    amountRequirement('mem', { needed: need.memMb, offered: most(offer.pools, 'mem'), unit: 'MB' }),
    amountRequirement('disk', { needed: need.diskMb, offered: most(offer.pools, 'disk'), unit: 'MB' }),
    amountRequirement('ports', {
      needed: SEAT_PORTS,
      // Some that are free may be those of a place that is on its way out.
      offered: portsIn(offer, input) === null ? Math.min(free, SEAT_PORTS - 1) : free,
    }),
  ];
}

/** The most of it that one pool has: a member's share is cut from one. */
export function most(pools: readonly Pool[], name: ScalarName): number {
  return Math.max(0, ...pools.map((pool) => pool[name]));
}

/** The ports for a seat: none that another seat at the same address has, even one that is on its way out. */
function portsIn(
  offer: AgentOffer,
  { record, shunned }: Pick<PlacementInput, 'record' | 'shunned'>,
): { pool: Pool; ports: readonly number[] } | null {
  const taken = new Set(
    seatsOf(record)
      .filter((seat) => seat.host === offer.agent.host)
      .flatMap((seat) => Object.values(seat.ports)),
  );
  const doubtful = shunned.get(offer.agent.id);
  const avoided = doubtful === undefined ? [taken] : [new Set([...taken, ...doubtful]), taken];
  for (const avoid of avoided) {
    for (const pool of offer.pools) {
      const ports = lowestPorts(pool.ports, SEAT_PORTS, avoid);
      if (ports !== null) return { pool, ports };
    }
  }
  return null;
}

function cutSeat(offer: AgentOffer, input: PlacementInput): Placement | null {
  const { need, role } = input;
  const found = portsIn(offer, input);
  if (found === null) return null;
  const [peer = 0, client = 0, supervisor = 0] = found.ports;
  let pools = offer.pools;
  const pieces: Piece[] = [];
  for (const [name, amount, share] of [
    ['cpus', need.cpus, NAME_SHARE.cpus],
    ['mem', need.memMb, NAME_SHARE.memMb],
    ['disk', need.diskMb, 0],
  ] as const) {
    // Both from one pool: then they are reserved alike, and either is found by its amount.
    const source = pools.find((pool) => atLeast(pool[name], amount + share));
    if (source === undefined) return null;
    const { reservations } = source;
    const piece = (of: Piece['of'], value: number): Piece => ({
      of,
      name,
      resource: scalarResource(name, value, role, reservations),
      reservations,
    });
    pools = pools.map((pool) => (pool === source ? minusScalar(pool, name, amount + share) : pool));
    pieces.push(piece('member', amount), ...(share === 0 ? [] : [piece('name', share)]));
  }
  const { reservations } = found.pool;
  pools = pools.map((pool) => (pool.reservations === reservations ? minusPorts(pool, found.ports) : pool));
  const ports = portsResource(found.ports, role, reservations);
  pieces.push({ of: 'member', name: 'ports', resource: ports, reservations });
  return { offer, ports: { peer, client, supervisor }, pieces, rest: { ...offer, pools } };
}

/** What a new seat reserves of cpus and memory: its member's share and the name task's. */
export function withNameShare(need: MemberResources): MemberResources {
  return { ...need, cpus: rounded(need.cpus + NAME_SHARE.cpus), memMb: need.memMb + NAME_SHARE.memMb };
}

/** Takes an amount from the first pool that has it. */
export function cutScalar(
  pools: readonly Pool[],
  name: ScalarName,
  amount: number,
  role: string,
): { resource: Resource; pools: readonly Pool[] } | null {
  const source = pools.find((pool) => atLeast(pool[name], amount));
  if (source === undefined) return null;
  return {
    resource: scalarResource(name, amount, role, source.reservations),
    pools: pools.map((pool) => (pool === source ? minusScalar(pool, name, amount) : pool)),
  };
}

/** Takes given ports from the pool that has them all. */
export function cutPorts(
  pools: readonly Pool[],
  ports: readonly number[],
  role: string,
): { resource: Resource; pools: readonly Pool[] } | null {
  const source = pools.find((pool) => ports.every((port) => hasPort(pool.ports, port)));
  if (source === undefined) return null;
  return {
    resource: portsResource(ports, role, source.reservations),
    pools: pools.map((pool) => (pool === source ? minusPorts(pool, ports) : pool)),
  };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
