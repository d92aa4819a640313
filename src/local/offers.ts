import type { Offer } from '../mesos/wire.ts';
import { allocate, type Bidder, isRefused, type Supply } from './allocator.ts';
import { unavailabilityOf } from './maintenance-state.ts';
import {
  type Agent,
  availableOn,
  FILTERS_MAX,
  type Filter,
  type Framework,
  filterKey,
  isActive,
  type Master,
  nextOfferId,
  offeredIn,
  tell,
  urlOfAgent,
  usedByFramework,
} from './master-state.ts';
import { addResources, type Resources, withoutAllocation } from './resources.ts';
import { hasCapability } from './task-status.ts';

/** Seconds for which a refusal without a filter holds. */
const REFUSE_SECONDS_DEFAULT = 5;
/** Longer refusals are cut: a year is for ever. */
const REFUSE_SECONDS_MAX = 366 * 86_400;

/** Offers what is free on the agents whose turn it is, each framework one event with all of its offers. */
export function makeOffers(master: Master): void {
  const supplies = suppliesOf(master, master.allocateNow);
  if (supplies.length === 0) return;
  const bidders = biddersOf(master);
  if (bidders.length === 0) return;
  const cluster = [...master.agents.values()].reduce<Resources>(
    (sum, agent) => addResources(sum, agent.total),
    [],
  );
  const events = new Map<Framework, Offer[]>();
  // The last allocation of a framework is its first offer: so the recordings have it.
  for (const { frameworkId, role, agentId, resources } of [
    ...allocate(supplies, bidders, cluster),
  ].reverse()) {
    const framework = master.frameworks.get(frameworkId);
    const agent = master.agents.get(agentId);
    if (framework === undefined || agent === undefined) continue;
    const offer = toOffer(master, framework, agent, role, resources);
    master.offers.set(offer.id.value, { frameworkId, agentId, role, offer });
    events.set(framework, [...(events.get(framework) ?? []), offer]);
  }
  for (const [framework, offers] of events) tell(master, framework, { type: 'OFFERS', offers: { offers } });
}

/** The framework does not want these resources of that agent for a while; `undefined` means the default. */
export function refuse(
  master: Master,
  framework: Framework,
  what: { readonly role: string; readonly agentId: string; readonly resources: Resources },
  refuseSeconds: number | undefined,
): void {
  const askedMs = refuseMs(refuseSeconds);
  if (askedMs === 0 || what.resources.length === 0) return;
  // At least to the next allocation, or the refused would come back at once.
  const holdMs = Math.max(askedMs, master.config.allocationIntervalMs);
  const key = filterKey(what.role, what.agentId);
  const resources = withoutAllocation(what.resources);
  const filter: Filter = { resources, untilMs: master.now.monotonicMs + holdMs };
  const kept = [...liveFilters(master, framework, key), filter].slice(-FILTERS_MAX);
  framework.filters.set(key, kept);
}

/** Milliseconds for which a refusal is asked to hold; `undefined` and what is below 0 mean the default. */
export function refuseMs(refuseSeconds: number | undefined): number {
  const asked = refuseSeconds === undefined || refuseSeconds < 0 ? REFUSE_SECONDS_DEFAULT : refuseSeconds;
  return Math.min(asked, REFUSE_SECONDS_MAX) * 1000;
}

function liveFilters(master: Master, framework: Framework, key: string): readonly Filter[] {
  const filters = framework.filters.get(key) ?? [];
  const live = filters.filter(({ untilMs }) => untilMs > master.now.monotonicMs);
  if (live.length === 0) framework.filters.delete(key);
  else framework.filters.set(key, live);
  return live;
}

function suppliesOf(master: Master, agentIds: 'all' | ReadonlySet<string>): readonly Supply[] {
  const supplies: Supply[] = [];
  for (const agent of master.agents.values()) {
    if (!isActive(master, agent) || !(agentIds === 'all' || agentIds.has(agent.id))) continue;
    const available = availableOn(master, agent);
    if (available.length === 0) continue;
    supplies.push({ agentId: agent.id, remote: isRemote(master, agent), available });
  }
  return supplies;
}

function isRemote(master: Master, agent: Agent): boolean {
  const ours = master.config.domain?.fault_domain?.region.name;
  const theirs = agent.description.domain?.fault_domain?.region.name;
  return ours !== undefined && theirs !== undefined && ours !== theirs;
}

function biddersOf(master: Master): readonly Bidder[] {
  return [...master.frameworks.values()].flatMap((framework) => {
    if (framework.stream === null) return [];
    const offers = [...master.offers.values()].filter(({ frameworkId }) => frameworkId === framework.id);
    const all = addResources(usedByFramework(master, framework), offeredIn(offers));
    const regionAware = hasCapability(framework.info, 'REGION_AWARE');
    return framework.info.roles
      .filter((role) => !framework.suppressed.has(role))
      .map((role) => ({
        frameworkId: framework.id,
        role,
        regionAware,
        allocated: all.filter((resource) => resource.allocation_info?.role === role),
        refuses: (agentId: string, resources: Resources) =>
          isRefused(liveFilters(master, framework, filterKey(role, agentId)), resources),
      }));
  });
}

function toOffer(
  master: Master,
  framework: Framework,
  agent: Agent,
  role: string,
  resources: Resources,
): Offer {
  const { hostname, attributes, domain } = agent.description;
  const unavailability = unavailabilityOf(master, agent.description);
  const executorIds = [...agent.executors.values()]
    .filter(({ frameworkId }) => frameworkId === framework.id)
    .map(({ executor }) => executor.executor_id);
  return {
    id: { value: nextOfferId(master) },
    framework_id: { value: framework.id },
    agent_id: { value: agent.id },
    hostname,
    url: urlOfAgent(agent.description),
    ...(domain === null ? {} : { domain }),
    resources,
    ...(attributes.length === 0 ? {} : { attributes }),
    ...(executorIds.length === 0 ? {} : { executor_ids: executorIds }),
    ...(unavailability === undefined ? {} : { unavailability }),
    allocation_info: { role },
  };
}
