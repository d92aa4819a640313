import type { DiskInfo, Range, ReservationInfo, Resource } from '../mesos/wire.ts';

/**
 * Arithmetic on lists of resources, as Mesos's `Resources`: scalars have three decimal digits, ranges and sets
 * are sets of integers and of words; resources add up only where name, type, allocation, reservations and disk
 * agree. Persistent volumes and MOUNT disks are whole things: they are there or not. Nothing is changed in place.
 */
export type Resources = readonly Resource[];

/** `left` and `right` together. The order of `left` stays; what is new comes after it. */
export function addResources(left: Resources, right: Resources): Resources {
  const sum = [...left];
  for (const resource of right) {
    if (isEmpty(resource)) continue;
    const index = isWhole(resource) ? -1 : sum.findIndex((other) => sameKind(other, resource));
    const other = sum[index];
    if (other === undefined) sum.push(resource);
    else sum[index] = combine(other, resource, 'add');
  }
  return sum;
}

/** `left` without `right`; what `left` does not hold of it is passed over. */
export function subtractResources(left: Resources, right: Resources): Resources {
  const rest = [...left];
  for (const resource of right) {
    const index = rest.findIndex((other) =>
      isWhole(resource) ? sameWhole(other, resource) : sameKind(other, resource),
    );
    const other = rest[index];
    if (other === undefined) continue;
    const difference = isWhole(resource) ? null : combine(other, resource, 'subtract');
    if (difference === null || isEmpty(difference)) rest.splice(index, 1);
    else rest[index] = difference;
  }
  return rest;
}

/** Whether all of `right` is there in `left`. */
export function containsResources(left: Resources, right: Resources): boolean {
  let rest = left;
  for (const resource of right) {
    if (isEmpty(resource)) continue;
    const found = rest.some((other) =>
      isWhole(resource)
        ? sameWhole(other, resource)
        : sameKind(other, resource) && isEmpty(combine(resource, other, 'subtract')),
    );
    if (!found) return false;
    rest = subtractResources(rest, [resource]);
  }
  return true;
}

/** The list with equal kinds added up and empty ones left out. */
export function mergeResources(resources: Resources): Resources {
  return addResources([], resources);
}

/** Thousandths of the scalar `name`, over all kinds of it. */
export function scalarMilli(resources: Resources, name: string): number {
  return resources.reduce((sum, resource) => (resource.name === name ? sum + milliOf(resource) : sum), 0);
}

/** All of `resources` as allocated to `role`. */
export function allocateTo(resources: Resources, role: string): Resources {
  return resources.map((resource) => ({ ...resource, allocation_info: { role } }));
}

/** All of `resources` as nobody's. */
export function withoutAllocation(resources: Resources): Resources {
  return resources.map(({ allocation_info: _, ...resource }) => resource);
}

/** The role that holds it; `null` for what is free. */
export function reservationRole(resource: Resource): string | null {
  return resource.reservations?.at(-1)?.role ?? null;
}

/** It without its innermost reservation. */
export function withoutReservation(resource: Resource): Resource {
  const { reservations = [], ...rest } = resource;
  return reservations.length > 1 ? { ...rest, reservations: reservations.slice(0, -1) } : rest;
}

/** The disk that a persistent volume is made of, or becomes again. */
export function withoutVolume(resource: Resource): Resource {
  const { disk, ...rest } = resource;
  return disk?.source === undefined ? rest : { ...rest, disk: { source: disk.source } };
}

/** `null` when it is sound, else what is wrong with it. */
export function resourceProblem(resource: Resource): string | null {
  if (resource.name === '') return 'Empty resource name';
  return valueProblem(resource) ?? reservationProblem(resource.reservations ?? []) ?? diskProblem(resource);
}

function reservationProblem(reservations: readonly ReservationInfo[]): string | null {
  for (const [at, { type, role }] of reservations.entries()) {
    if (role === '*') return 'Invalid reservation: role "*" cannot be reserved';
    const below = reservations[at - 1];
    if (below === undefined) continue;
    if (type === 'STATIC') return 'Invalid refined reservation: A refined reservation cannot be STATIC';
    if (!role.startsWith(`${below.role}/`)) {
      return `Invalid refined reservation: role '${role}' is not a refinement of '${below.role}'`;
    }
  }
  return null;
}

function diskProblem({ name, disk }: Resource): string | null {
  if (disk === undefined) return null;
  if (name !== 'disk') return `DiskInfo should not be set for ${name} resource`;
  const { persistence, volume, source } = disk;
  if (persistence === undefined) {
    if (volume !== undefined) return 'Invalid DiskInfo: Non-persistent volume not supported';
    return source === undefined ? 'Invalid DiskInfo: DiskInfo is set but empty' : null;
  }
  if (volume === undefined) return "Expecting 'volume' to be set for persistent volume";
  if (volume.host_path !== undefined) return "Expecting 'host_path' to be unset for persistent volume";
  return null;
}

function valueProblem(resource: Resource): string | null {
  if (resource.type === 'SCALAR') {
    const value = resource.scalar?.value;
    if (value === undefined) return `Invalid scalar resource ${resource.name}: no value`;
    if (!Number.isFinite(value) || value < 0) return `Invalid scalar resource ${resource.name}: value < 0`;
    return null;
  }
  if (resource.type === 'SET') {
    return resource.set === undefined ? `Invalid set resource ${resource.name}: no items` : null;
  }
  const ranges = resource.ranges?.range;
  if (ranges === undefined) return `Invalid ranges resource ${resource.name}: no ranges`;
  const wrong = ranges.find(({ begin, end }) => !isIndex(begin) || !isIndex(end) || begin > end);
  return wrong === undefined ? null : `Invalid ranges resource ${resource.name}: begin > end`;
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Persistent volumes and MOUNT disks cannot be cut up. */
function isWhole(resource: Resource): boolean {
  return resource.disk?.persistence !== undefined || resource.disk?.source?.type === 'MOUNT';
}

function sameWhole(left: Resource, right: Resource): boolean {
  return sameKind(left, right) && milliOf(left) === milliOf(right);
}

function sameKind(left: Resource, right: Resource): boolean {
  return left === right || (left.name === right.name && kindOf(left) === kindOf(right));
}

/** Lists are values, so what a resource is but for its amount is worked out once. */
const kinds = new WeakMap<Resource, string>();

function kindOf(resource: Resource): string {
  const known = kinds.get(resource);
  if (known !== undefined) return known;
  const kind = JSON.stringify([
    resource.name,
    resource.type,
    resource.allocation_info?.role ?? null,
    (resource.reservations ?? []).map(reservationKey),
    diskKey(resource.disk),
  ]);
  kinds.set(resource, kind);
  return kind;
}

function reservationKey(reservation: ReservationInfo) {
  const labels = (reservation.labels?.labels ?? []).map(({ key, value }) =>
    JSON.stringify([key, value ?? null]),
  );
  return [reservation.type, reservation.role, reservation.principal ?? null, labels.sort()];
}

function diskKey(disk: DiskInfo | undefined) {
  if (disk === undefined) return null;
  // `volume` says how the disk is used this time, which is nobody's business here.
  const { persistence, source } = disk;
  return [
    persistence?.id ?? null,
    source === undefined
      ? null
      : [source.type, source.mount?.root ?? null, source.path?.root ?? null, source.id ?? null],
  ];
}

function combine(left: Resource, right: Resource, how: 'add' | 'subtract'): Resource {
  switch (left.type) {
    case 'SCALAR': {
      const milli = milliOf(left) + (how === 'add' ? milliOf(right) : -milliOf(right));
      return { ...left, scalar: { value: Math.max(0, milli) / 1000 } };
    }
    case 'RANGES': {
      const ours = left.ranges?.range ?? [];
      const theirs = right.ranges?.range ?? [];
      return {
        ...left,
        ranges: { range: how === 'add' ? joinRanges([...ours, ...theirs]) : cut(ours, theirs) },
      };
    }
    case 'SET': {
      const ours = left.set?.item ?? [];
      const theirs = right.set?.item ?? [];
      const added = theirs.filter((item) => !ours.includes(item));
      return {
        ...left,
        set: { item: how === 'add' ? [...ours, ...added] : ours.filter((item) => !theirs.includes(item)) },
      };
    }
  }
}

function milliOf(resource: Resource): number {
  return Math.round((resource.scalar?.value ?? 0) * 1000);
}

function isEmpty(resource: Resource): boolean {
  if (resource.type === 'SCALAR') return milliOf(resource) === 0;
  return (resource.type === 'RANGES' ? resource.ranges?.range : resource.set?.item)?.length === 0;
}

/** Sorted, with neighbours joined. */
export function joinRanges(ranges: readonly Range[]): readonly Range[] {
  const joined: Range[] = [];
  for (const range of [...ranges].sort((left, right) => left.begin - right.begin)) {
    const last = joined.at(-1);
    if (last === undefined || range.begin > last.end + 1) joined.push({ begin: range.begin, end: range.end });
    else joined[joined.length - 1] = { begin: last.begin, end: Math.max(last.end, range.end) };
  }
  return joined;
}

function cut(from: readonly Range[], away: readonly Range[]): readonly Range[] {
  let rest = joinRanges(from);
  for (const hole of away) {
    rest = rest.flatMap((range) => {
      if (hole.end < range.begin || hole.begin > range.end) return [range];
      const below = { begin: range.begin, end: hole.begin - 1 };
      const above = { begin: hole.end + 1, end: range.end };
      return [below, above].filter(({ begin, end }) => begin <= end);
    });
  }
  return rest;
}
