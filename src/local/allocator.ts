import {
  addResources,
  allocateTo,
  containsResources,
  type Resources,
  reservationRole,
  scalarMilli,
  subtractResources,
} from './resources.ts';

/** A framework's wish for resources, in one of its roles. */
export interface Bidder {
  readonly frameworkId: string;
  readonly role: string;
  /** Takes agents of a region other than the master's. */
  readonly regionAware: boolean;
  /** What it was allocated already, over all agents and in this role: used or on offer. */
  readonly allocated: Resources;
  /** Whether it has refused these resources of that agent for now. */
  refuses(agentId: string, resources: Resources): boolean;
}

/** An agent with something to give. */
export interface Supply {
  readonly agentId: string;
  /** Of another region than the master. */
  readonly remote: boolean;
  /** Neither used nor on offer, nobody's. */
  readonly available: Resources;
}

export interface Allocation {
  readonly frameworkId: string;
  readonly role: string;
  readonly agentId: string;
  readonly resources: Resources;
}

/** What is not worth an offer, Mesos's `min_allocatable_resources` of `cpus:0.01|mem:32`. */
const CPUS_MILLI_MIN = 10;
const MEM_MILLI_MIN = 32_000;

/**
 * Gives every agent's free resources away: to the role, then to the framework in it, that has the smallest
 * dominant share of all there is (DRF). What is reserved goes to its role only. A framework gets all of an agent
 * that its role may have, as Mesos does; the rest of the agent goes to the next.
 */
export function allocate(
  supplies: readonly Supply[],
  bidders: readonly Bidder[],
  cluster: Resources,
): readonly Allocation[] {
  const allocations: Allocation[] = [];
  const given = new Map(bidders.map((bidder) => [bidder, bidder.allocated]));
  for (const supply of supplies) {
    let free = supply.available;
    for (const bidder of sorted(given, cluster)) {
      if (supply.remote && !bidder.regionAware) continue;
      const offered = offerable(free, bidder.role);
      if (!isWorthwhile(offered) || bidder.refuses(supply.agentId, offered)) continue;
      free = subtractResources(free, offered);
      const resources = allocateTo(offered, bidder.role);
      given.set(bidder, addResources(given.get(bidder) ?? [], resources));
      const { frameworkId, role } = bidder;
      allocations.push({ frameworkId, role, agentId: supply.agentId, resources });
    }
  }
  return allocations;
}

/** Whether one of the refusals covers all of `offered`: what has grown since is offered again. */
export function isRefused(
  refusals: readonly { readonly resources: Resources }[],
  offered: Resources,
): boolean {
  return refusals.some(({ resources }) => containsResources(resources, offered));
}

/** The order of the recorded offers: first what is free and cannot be divided, then what is reserved. */
function offerable(free: Resources, role: string): Resources {
  const unreserved = free.filter((resource) => reservationRole(resource) === null);
  return [
    ...unreserved.filter(({ type }) => type !== 'SCALAR'),
    ...free.filter((resource) => isReservedFor(reservationRole(resource), role)),
    ...unreserved.filter(({ type }) => type === 'SCALAR'),
  ];
}

/** A role may have what is reserved for it or for a role above it: `eng` above `eng/web`. */
function isReservedFor(reserved: string | null, role: string): boolean {
  return reserved !== null && (reserved === role || role.startsWith(`${reserved}/`));
}

function isWorthwhile(resources: Resources): boolean {
  return scalarMilli(resources, 'cpus') >= CPUS_MILLI_MIN || scalarMilli(resources, 'mem') >= MEM_MILLI_MIN;
}

function sorted(given: ReadonlyMap<Bidder, Resources>, cluster: Resources): readonly Bidder[] {
  const byRole = new Map<string, Resources>();
  for (const [{ role }, resources] of given) {
    byRole.set(role, addResources(byRole.get(role) ?? [], resources));
  }
  const roleShare = new Map(
    [...byRole].map(([role, resources]) => [role, dominantShare(resources, cluster)]),
  );
  return [...given]
    .map(([bidder, resources]) => ({
      bidder,
      role: roleShare.get(bidder.role) ?? 0,
      own: dominantShare(resources, cluster),
    }))
    .sort(
      (left, right) =>
        left.role - right.role ||
        compareText(left.bidder.role, right.bidder.role) ||
        left.own - right.own ||
        compareText(left.bidder.frameworkId, right.bidder.frameworkId),
    )
    .map(({ bidder }) => bidder);
}

function dominantShare(resources: Resources, cluster: Resources): number {
  const names = new Set(resources.filter(({ type }) => type === 'SCALAR').map(({ name }) => name));
  return [...names].reduce((share, name) => {
    const all = scalarMilli(cluster, name);
    return all === 0 ? share : Math.max(share, scalarMilli(resources, name) / all);
  }, 0);
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
