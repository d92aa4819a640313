import type { Resource } from '../mesos/wire.ts';
import { idProblem } from './launch-validation.ts';
import { type ResourceOperation, resourcesOf, volumesAmong } from './operations.ts';
import { formatResources } from './resource-text.ts';
import { type Resources, resourceProblem } from './resources.ts';

/** What an operation is judged by, beside whether the offer holds what it needs. */
export interface OperationContext {
  /** The role that the offer was made to. */
  readonly role: string;
  /** The framework's; `null` where it has none. */
  readonly principal: string | null;
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
  if (isVolume(resource))
    return `A persistent volume ${formatResources([resource])} must already be reserved`;
  const { principal } = context;
  const named = resource.reservations?.at(-1)?.principal;
  if (principal === null || named === principal) return null;
  return named === undefined
    ? `A reserve operation was attempted by principal '${principal}', but there is a reserved resource in the ` +
        'request with no principal set'
    : `A reserve operation was attempted by authenticated principal '${principal}', which does not match a ` +
        `reserved resource in the request with principal '${named}'`;
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
  if (resource.disk?.volume?.mode === 'RO') {
    return 'Not a persistent volume: Read-only persistent volume not supported';
  }
  const { principal } = context;
  const named = resource.disk?.persistence?.principal;
  if (principal !== null && named === undefined) {
    return (
      `Create volume operation attempted by principal '${principal}', but there is a volume in the operation ` +
      "with no principal set in 'disk.persistence'"
    );
  }
  if (principal !== null && named !== principal) {
    return (
      `Create volume operation attempted by authenticated principal '${principal}', which does not match a ` +
      `volume in the operation with principal '${named}' set in 'disk.persistence'`
    );
  }
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
