import type { Resource } from '../mesos/wire.ts';
import { idProblem } from './launch-validation.ts';
import { type ResourceOperation, resourcesOf, volumesAmong } from './operations.ts';
import { formatResources } from './resource-text.ts';
import { type Resources, resourceProblem } from './resources.ts';

/** What an operation is judged by, beside whether the offer holds what it needs. */
export interface OperationContext {
  /** The role that the offer was made to. */
  readonly role: string;
  /** All that the agent has. */
  readonly total: Resources;
  /** What running tasks of the agent use. */
  readonly used: Resources;
}

/** Why `operation` cannot be, in Mesos's words; `null` when it is sound. */
export function operationProblem(operation: ResourceOperation, context: OperationContext): string | null {
  const resources = resourcesOf(operation);
  for (const resource of resources) {
    const problem =
      resourceProblem(resource) ??
      (isVolume(resource) && !isReserved(resource)
        ? 'Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources'
        : null);
    if (problem !== null) return `Invalid resources: ${problem}`;
  }
  for (const resource of resources) {
    const problem = PROBLEMS[operation.type](resource, context);
    if (problem !== null) return problem;
  }
  return null;
}

const PROBLEMS: Readonly<
  Record<ResourceOperation['type'], (resource: Resource, context: OperationContext) => string | null>
> = {
  RESERVE: reserveProblem,
  UNRESERVE: unreserveProblem,
  CREATE: createProblem,
  DESTROY: destroyProblem,
};

function reserveProblem(resource: Resource, context: OperationContext): string | null {
  if (!isDynamic(resource)) return notDynamic(resource);
  const role = resource.reservations?.at(-1)?.role ?? '';
  const allocated = resource.allocation_info?.role ?? context.role;
  if (role !== allocated) {
    return (
      `A reserve operation was attempted for a resource with role '${role}', ` +
      `but the resource was allocated to role '${allocated}'`
    );
  }
  return isVolume(resource)
    ? `A persistent volume ${formatResources([resource])} must already be reserved`
    : null;
}

function unreserveProblem(resource: Resource): string | null {
  if (!isDynamic(resource)) return notDynamic(resource);
  if (!isVolume(resource)) return null;
  return (
    `A dynamically reserved persistent volume ${formatResources([resource])} cannot be unreserved directly. ` +
    'Please destroy the persistent volume first then unreserve the resource'
  );
}

function createProblem(resource: Resource, context: OperationContext): string | null {
  const id = resource.disk?.persistence?.id;
  if (id === undefined) return `Resource ${formatResources([resource])} does not have persistence set`;
  const problem = idProblem(id);
  if (problem !== null) return `Invalid resources: Invalid DiskInfo: ${problem}`;
  const role = resource.reservations?.at(-1)?.role;
  const taken = volumesAmong(context.total).some(
    (volume) => volume.disk.persistence.id === id && volume.reservations?.at(-1)?.role === role,
  );
  return taken ? `Persistence ID '${id}' is not unique` : null;
}

function destroyProblem(resource: Resource, context: OperationContext): string | null {
  const id = resource.disk?.persistence?.id;
  if (id === undefined) return `Resource ${formatResources([resource])} is not a persistent volume`;
  const has = (resources: Resources) =>
    volumesAmong(resources).some((volume) => volume.disk.persistence.id === id);
  if (has(context.used)) return 'Persistent volumes in use';
  return has(context.total) ? null : 'Persistent volumes not found';
}

function notDynamic(resource: Resource): string {
  return `Resource ${formatResources([resource])} is not dynamically reserved`;
}

function isDynamic(resource: Resource): boolean {
  return resource.reservations?.at(-1)?.type === 'DYNAMIC';
}

function isReserved(resource: Resource): boolean {
  return (resource.reservations?.length ?? 0) > 0;
}

function isVolume(resource: Resource): boolean {
  return resource.disk?.persistence !== undefined;
}
