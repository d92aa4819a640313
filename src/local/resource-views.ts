import type { Resource } from '../mesos/wire.ts';
import { formatRanges } from './resource-text.ts';
import { joinRanges, type Resources, reservationRole, scalarMilli } from './resources.ts';

/** As the operator API shows resources: with `role` beside the reservations that it follows from. */
export function withRole(resource: Resource) {
  const role = reservationRole(resource) ?? '*';
  const reservation = resource.reservations?.length === 1 ? resource.reservations[0] : undefined;
  if (reservation?.type !== 'DYNAMIC') return { ...resource, role };
  const { principal, labels } = reservation;
  return {
    ...resource,
    role,
    reservation: {
      ...(principal === undefined ? {} : { principal }),
      ...(labels === undefined ? {} : { labels }),
    },
  };
}

/** As `/state` and its like show resources: totals by name. */
export function totals(resources: Resources): Readonly<Record<string, number | string>> {
  const sums: Record<string, number | string> = { disk: 0, mem: 0, gpus: 0, cpus: 0 };
  for (const { name, type } of resources) {
    const same = resources.filter((resource) => resource.name === name);
    if (type === 'SCALAR') sums[name] = scalarMilli(resources, name) / 1000;
    if (type === 'RANGES') {
      const range = joinRanges(same.flatMap(({ ranges }) => ranges?.range ?? []));
      sums[name] = formatRanges({ name, type, ranges: { range } });
    }
    if (type === 'SET') sums[name] = `{${same.flatMap(({ set }) => set?.item ?? []).join(', ')}}`;
  }
  return sums;
}

/** The reserved ones by role. */
export function byRole(resources: Resources): ReadonlyMap<string, Resources> {
  const roles = new Map<string, Resources>();
  for (const resource of resources) {
    const role = reservationRole(resource);
    if (role !== null) roles.set(role, [...(roles.get(role) ?? []), resource]);
  }
  return roles;
}

export function unreserved(resources: Resources): Resources {
  return resources.filter((resource) => reservationRole(resource) === null);
}
