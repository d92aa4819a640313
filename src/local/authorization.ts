import type { FrameworkInfo, Resource, TaskInfo } from '../mesos/wire.ts';
import type { Action, Authorizer } from './acls.ts';
import { type ResourceOperation, resourcesOf } from './operations.ts';

/** Why a framework may not be registered so; `null` when it may. */
export function registrationRefusal(authorize: Authorizer, info: FrameworkInfo): string | null {
  if (authorize('register_frameworks', info.principal ?? null, info.roles)) return null;
  const roles = info.roles.length === 0 ? '{}' : `{ ${info.roles.join(', ')} }`;
  return `Not authorized to register framework ${info.id?.value ?? ''} with roles ${roles}`;
}

/** Why a task may not be run as the user that it names; `null` when it may. */
export function launchRefusal(authorize: Authorizer, info: FrameworkInfo, task: TaskInfo): string | null {
  const user = task.command?.user ?? info.user;
  if (authorize('run_tasks', info.principal ?? null, [user])) return null;
  const what = `launch task ${task.task_id.value} of framework ${info.id?.value ?? ''} under user '${user}'`;
  return `${noAuthority(info)} ${what}`;
}

interface Subject {
  readonly action: Action;
  /** The action as Mesos shows it. */
  readonly name: string;
  /** By what a resource is judged. */
  readonly judgedBy: (resource: Resource) => string | undefined;
}

const reservedRole = (resource: Resource): string => resource.reservations?.at(-1)?.role ?? '*';
const SUBJECTS: Readonly<Record<ResourceOperation['type'], Subject>> = {
  RESERVE: { action: 'reserve_resources', name: 'RESERVE_RESOURCES', judgedBy: reservedRole },
  UNRESERVE: {
    action: 'unreserve_resources',
    name: 'UNRESERVE_RESOURCES',
    judgedBy: (resource) => resource.reservations?.at(-1)?.principal,
  },
  CREATE: { action: 'create_volumes', name: 'CREATE_VOLUME', judgedBy: reservedRole },
  DESTROY: {
    action: 'destroy_volumes',
    name: 'DESTROY_VOLUME',
    judgedBy: (resource) => resource.disk?.persistence?.principal,
  },
};

/** Why an operation is forbidden; `null` when it is not. */
export function operationRefusal(
  authorize: Authorizer,
  info: FrameworkInfo,
  operation: ResourceOperation,
): string | null {
  const { action, name, judgedBy } = SUBJECTS[operation.type];
  for (const resource of resourcesOf(operation)) {
    const value = judgedBy(resource);
    if (authorize(action, info.principal ?? null, value === undefined ? null : [value])) continue;
    const object = value === undefined ? 'ANY object' : `object ${showObject(value, resource)}`;
    return `${noAuthority(info)} perform action ${name} on ${object}`;
  }
  return null;
}

function noAuthority({ principal = '' }: FrameworkInfo): string {
  return `Principal '${principal}' no authorized to`;
}

/** The protobuf's JSON: its fields in their order, and a decimal point in every number of the type double. */
function showObject(value: string, resource: Resource): string {
  const { name, type, scalar, ranges, set, allocation_info, reservations, disk } = resource;
  const ordered = { name, type, scalar, ranges, set, allocation_info, reservations, disk };
  const text = JSON.stringify({ value, resource: ordered });
  return text.replace(/("scalar":\{"value":-?\d+)\}/, '$1.0}');
}
