import type { Label, ReservationInfo, Resource } from '../mesos/wire.ts';
import { joinRanges, type Resources } from './resources.ts';

/** As Mesos prints resources in its messages: `cpus(allocated: etcd):4; ports(allocated: etcd):[1-2, 5-9]`. */
export function formatResources(resources: Resources): string {
  return resources.map(formatResource).join('; ');
}

/** `[31000-31099, 32000-32099]`. */
export function formatRanges(resource: Resource): string {
  const ranges = joinRanges(resource.ranges?.range ?? []);
  return `[${ranges.map(({ begin, end }) => `${begin}-${end}`).join(', ')}]`;
}

function formatResource(resource: Resource): string {
  const { allocation_info: allocation, reservations = [], disk } = resource;
  let text = resource.name;
  if (allocation !== undefined) text += `(allocated: ${allocation.role})`;
  if (reservations.length > 0) text += `(reservations: [${reservations.map(formatReservation).join(',')}])`;
  if (disk !== undefined) text += `[${formatDisk(disk)}]`;
  return `${text}:${formatValue(resource)}`;
}

function formatReservation({ type, role, principal, labels }: ReservationInfo): string {
  const fields: string[] = [type, role];
  if (principal !== undefined) fields.push(principal);
  if (labels !== undefined) fields.push(`{${labels.labels.map(formatLabel).join(', ')}}`);
  return `(${fields.join(',')})`;
}

function formatLabel({ key, value }: Label): string {
  return value === undefined ? key : `${key}: ${value}`;
}

function formatDisk(disk: NonNullable<Resource['disk']>): string {
  const fields: string[] = [];
  const root = disk.source?.mount?.root ?? disk.source?.path?.root;
  if (disk.source !== undefined)
    fields.push(root === undefined ? disk.source.type : `${disk.source.type}:${root}`);
  if (disk.persistence !== undefined) {
    fields.push(`${disk.persistence.id}:${disk.volume?.container_path ?? ''}`);
  }
  return fields.join(',');
}

function formatValue(resource: Resource): string {
  if (resource.type === 'RANGES') return formatRanges(resource);
  if (resource.type === 'SET') return `{${(resource.set?.item ?? []).join(', ')}}`;
  return String(Math.round((resource.scalar?.value ?? 0) * 1000) / 1000);
}
