import type { Offer, Resource } from '../mesos/wire.ts';
import { type AgentTraits, attributesOf, type OfferedTraits } from './agent-traits.ts';
import { agentOf, type KnownAgent } from './mesos-view.ts';
import { type MountDisk, mountsOf, type Pool, poolsOf } from './resources.ts';

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
  /** MOUNT disks that are left of it for new seats. */
  readonly mounts: readonly MountDisk[];
}

/** @param attributes names of those that are to be told. */
export function agentOffersOf(
  offers: Iterable<Offer>,
  role: string,
  attributes: readonly string[] = [],
): readonly AgentOffer[] {
  const byAgent = new Map<string, Offer[]>();
  for (const offer of offers) {
    const group = byAgent.get(offer.agent_id.value);
    if (group === undefined) byAgent.set(offer.agent_id.value, [offer]);
    else group.push(offer);
  }
  return [...byAgent.values()]
    .map((group) => mergedOffer(group, role, attributes))
    .sort((a, b) => compareText(a.agent.hostname, b.agent.hostname) || compareText(a.agent.id, b.agent.id));
}

function mergedOffer(group: readonly Offer[], role: string, attributes: readonly string[]): AgentOffer {
  const first = group[0] as Offer;
  const resources = group.length === 1 ? first.resources : group.flatMap((offer) => offer.resources);
  return {
    agent: agentOf(first),
    offerIds: group.map((offer) => offer.id.value),
    zone: first.domain?.fault_domain?.zone.name ?? null,
    region: first.domain?.fault_domain?.region.name ?? null,
    attributes: attributesOf(first.attributes ?? [], attributes),
    maintenance: group.some((offer) => offer.unavailability !== undefined),
    resources,
    pools: poolsOf(resources, role),
    mounts: mountsOf(resources, role),
  };
}

export function traitsOf({ agent, zone, region, attributes }: AgentOffer): AgentTraits {
  return { hostname: agent.hostname, zone, region, attributes };
}

export function offeredTraits(offer: AgentOffer): OfferedTraits {
  return { agentId: offer.agent.id, traits: traitsOf(offer) };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
