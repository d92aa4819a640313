import type { Range, ReservationInfo, Resource } from '../mesos/wire.ts';

/**
 * Arithmetic on Mesos resources, as far as placing needs it. Scalars are compared in thousandths, as Mesos
 * itself rounds them, so that 0.1 + 0.2 is 0.3 on both sides.
 */
const SCALAR_UNIT = 0.001;

export function atLeast(have: number, need: number): boolean {
  return Math.round(have / SCALAR_UNIT) >= Math.round(need / SCALAR_UNIT);
}
/** In thousandths. */
export function rounded(value: number): number {
  return Math.round(value / SCALAR_UNIT) / 1000;
}

export type ScalarName = 'cpus' | 'mem' | 'disk';

/** Resources of one kind that are interchangeable: same reservations, and no disk of a kind of its own. */
export interface Pool {
  readonly reservations: readonly ReservationInfo[];
  readonly cpus: number;
  readonly mem: number;
  readonly disk: number;
  readonly ports: readonly Range[];
}

/**
 * The resources that a new seat may be cut from, grouped by their reservations. Not in it: what a label names
 * as taken, persistent volumes, MOUNT and other special disks (they are given whole, or not at all), what comes
 * from a resource provider: Mesos takes no operation on such together with the agent's own.
 */
export function poolsOf(resources: readonly Resource[], role: string): readonly Pool[] {
  // A large cluster's offers come through here by the thousand: the pools are filled, not copied.
  const pools = new Map<string, Filling>();
  for (const resource of resources) {
    const reservations = resource.reservations ?? [];
    if (!isFree(resource, reservations, role)) continue;
    // Most of what is offered is reserved for nobody.
    const key = reservations.length === 0 ? '' : JSON.stringify(reservations);
    const known = pools.get(key);
    const pool = known ?? { reservations, cpus: 0, mem: 0, disk: 0, ports: [] };
    if (known === undefined) pools.set(key, pool);
    fill(pool, resource);
  }
  // Reserved for our role first: nobody else can use it.
  return [...pools.values()].sort((a, b) => b.reservations.length - a.reservations.length);
}

function isFree(resource: Resource, reservations: readonly ReservationInfo[], role: string): boolean {
  return (
    resource.disk === undefined &&
    resource.provider_id === undefined &&
    isReservedForNobodyElse(reservations, role)
  );
}

function isReservedForNobodyElse(reservations: readonly ReservationInfo[], role: string): boolean {
  const top = reservations.at(-1);
  if (top === undefined) return true;
  // A labelled reservation is somebody's; an unlabelled one for our role or one above it is there to be used.
  return (top.labels?.labels.length ?? 0) === 0 && (top.role === role || role.startsWith(`${top.role}/`));
}

/** A disk that Mesos gives whole or not at all. */
export interface MountDisk {
  /** As it is offered. */
  readonly resource: Resource;
  readonly reservations: readonly ReservationInfo[];
  readonly sizeMb: number;
}

/** The MOUNT disks without a volume that a new seat may take. */
export function mountsOf(resources: readonly Resource[], role: string): readonly MountDisk[] {
  return resources.flatMap((resource) => {
    const { disk, reservations = [], provider_id: provider } = resource;
    if (provider !== undefined || disk?.source?.type !== 'MOUNT' || disk.persistence !== undefined) return [];
    if (!isReservedForNobodyElse(reservations, role)) return [];
    return [{ resource, reservations, sizeMb: resource.scalar?.value ?? 0 }];
  });
}

type Filling = { -readonly [K in keyof Pool]: Pool[K] };

function fill(pool: Filling, resource: Resource): void {
  switch (resource.name) {
    case 'cpus':
    case 'mem':
    case 'disk':
      pool[resource.name] = rounded(pool[resource.name] + (resource.scalar?.value ?? 0));
      return;
    case 'ports': {
      const ranges = resource.ranges?.range ?? [];
      pool.ports = normalizeRanges(pool.ports.length === 0 ? ranges : [...pool.ports, ...ranges]);
    }
  }
}

/** What is left of a pool after a seat was cut from it. */
export function minusScalar(pool: Pool, name: ScalarName, amount: number): Pool {
  return { ...pool, [name]: rounded(pool[name] - amount) };
}
export function minusPorts(pool: Pool, ports: readonly number[]): Pool {
  return { ...pool, ports: ports.reduce(withoutPort, pool.ports) };
}

/** Sorted, disjoint and joined where they touch. */
export function normalizeRanges(ranges: readonly Range[]): readonly Range[] {
  if (isNormal(ranges)) return ranges;
  const joined: Range[] = [];
  for (const range of ranges.filter(({ begin, end }) => begin <= end).toSorted((a, b) => a.begin - b.begin)) {
    const last = joined.at(-1);
    if (last !== undefined && range.begin <= last.end + 1) {
      joined[joined.length - 1] = { begin: last.begin, end: Math.max(last.end, range.end) };
    } else {
      joined.push({ begin: range.begin, end: range.end });
    }
  }
  return joined;
}

/** As Mesos writes them. */
function isNormal(ranges: readonly Range[]): boolean {
  let after = Number.NEGATIVE_INFINITY;
  for (const { begin, end } of ranges) {
    if (begin <= after || begin > end) return false;
    after = end + 1;
  }
  return true;
}

function withoutPort(ranges: readonly Range[], port: number): readonly Range[] {
  return ranges.flatMap(({ begin, end }) =>
    port < begin || port > end
      ? [{ begin, end }]
      : [
          ...(port > begin ? [{ begin, end: port - 1 }] : []),
          ...(port < end ? [{ begin: port + 1, end }] : []),
        ],
  );
}

export function rangesOf(ports: readonly number[]): readonly Range[] {
  return normalizeRanges(ports.map((port) => ({ begin: port, end: port })));
}
export function hasPort(ranges: readonly Range[], port: number): boolean {
  return ranges.some(({ begin, end }) => port >= begin && port <= end);
}

/**
 * The lowest `count` adjacent ports that are offered and not avoided; where no such block is left, the lowest
 * single ones. `null` when there are too few.
 */
export function lowestPorts(
  ranges: readonly Range[],
  count: number,
  avoid: ReadonlySet<number>,
): readonly number[] | null {
  const free = [...avoid].reduce(withoutPort, normalizeRanges(ranges));
  const block = free.find(({ begin, end }) => end - begin + 1 >= count);
  if (block !== undefined) return Array.from({ length: count }, (_, index) => block.begin + index);
  const single: number[] = [];
  for (const { begin, end } of free) {
    for (let port = begin; port <= end && single.length < count; port += 1) single.push(port);
  }
  return single.length === count ? single : null;
}
export function countPorts(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { begin, end }) => sum + end - begin + 1, 0);
}

export function scalarResource(
  name: ScalarName,
  value: number,
  role: string,
  reservations: readonly ReservationInfo[],
): Resource {
  return {
    name,
    type: 'SCALAR',
    scalar: { value: rounded(value) },
    allocation_info: { role },
    ...(reservations.length === 0 ? {} : { reservations }),
  };
}
export function portsResource(
  ports: readonly number[],
  role: string,
  reservations: readonly ReservationInfo[],
): Resource {
  return {
    name: 'ports',
    type: 'RANGES',
    ranges: { range: rangesOf(ports) },
    allocation_info: { role },
    ...(reservations.length === 0 ? {} : { reservations }),
  };
}
