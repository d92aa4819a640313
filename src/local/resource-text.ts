import { CodedError } from '../base/errors.ts';
import type { Attribute, Label, ReservationInfo, Resource } from '../mesos/wire.ts';
import { joinRanges, type Resources, resourceProblem } from './resources.ts';

/** What an agent is configured with cannot be read. */
export class ResourceTextError extends CodedError<'bad-resources' | 'bad-attributes'> {}

/**
 * Reads what Mesos's `--resources` takes: `cpus:4;mem:4096;disk(storage):100;ports:[31000-31099,32000-32000]`,
 * with a static reservation in parentheses, or a JSON array of resources.
 * Throws a {@link ResourceTextError} that names the part it cannot read.
 */
export function parseResources(text: string): Resources {
  const resources = text.trim().startsWith('[') ? parseJson(text) : parts(text).map(parseResource);
  for (const resource of resources) {
    const problem = resourceProblem(resource);
    if (problem !== null) throw badResources(`${JSON.stringify(resource)}: ${problem}`);
  }
  return resources;
}

/** Reads what Mesos's `--attributes` takes: `rack:r1;zone:z2`. Throws a {@link ResourceTextError}. */
export function parseAttributes(text: string): readonly Attribute[] {
  return parts(text).map((part) => {
    const [, name, value] = /^([^:]+):(.+)$/.exec(part) ?? [];
    if (name === undefined || value === undefined) {
      throw new ResourceTextError('bad-attributes', `the attribute '${part}' is not of the form name:value`, {
        hint: "Write them as 'rack:r1;zone:z2'.",
      });
    }
    if (/^\d+(\.\d+)?$/.test(value)) return { name, type: 'SCALAR', scalar: { value: Number(value) } };
    return { name, type: 'TEXT', text: { value } };
  });
}

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

function parts(text: string): readonly string[] {
  return text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function parseJson(text: string): Resources {
  try {
    return JSON.parse(text) as Resources;
  } catch (cause) {
    throw badResources('not JSON', cause);
  }
}

function parseResource(part: string): Resource {
  const [, name, role, value] = /^([\w.-]+)(?:\(([^)]+)\))?:(.+)$/.exec(part) ?? [];
  if (name === undefined || value === undefined)
    throw badResources(`'${part}' is not of the form name:value`);
  const reserved =
    role === undefined || role === '*' ? {} : { reservations: [{ type: 'STATIC' as const, role }] };
  if (/^\d+(\.\d+)?$/.test(value)) {
    return { name, type: 'SCALAR', scalar: { value: Number(value) }, ...reserved };
  }
  const inner = /^\[(.*)\]$/.exec(value)?.[1];
  const items = /^\{(.*)\}$/.exec(value)?.[1];
  if (items !== undefined) return { name, type: 'SET', set: { item: items.split(/\s*,\s*/) }, ...reserved };
  if (inner === undefined) throw badResources(`'${part}': neither a number nor [begin-end] nor {a,b}`);
  const range = inner.split(',').map((piece) => {
    const [, begin, end] = /^\s*(\d+)-(\d+)\s*$/.exec(piece) ?? [];
    if (begin === undefined || end === undefined) throw badResources(`'${piece}' in '${part}' is no range`);
    return { begin: Number(begin), end: Number(end) };
  });
  return { name, type: 'RANGES', ranges: { range: joinRanges(range) }, ...reserved };
}

function badResources(what: string, cause?: unknown): ResourceTextError {
  return new ResourceTextError('bad-resources', `cannot read the resources: ${what}`, {
    cause,
    hint: "Write them as 'cpus:4;mem:4096;disk:10240;ports:[31000-31099]'.",
  });
}
