import type { Operation, Resource } from '../mesos/wire.ts';
import { formatResources } from './resource-text.ts';
import {
  addResources,
  containsResources,
  type Resources,
  subtractResources,
  withoutAllocation,
  withoutReservation,
  withoutVolume,
} from './resources.ts';

/** An operation that turns resources into others. */
export type ResourceOperation = Exclude<Operation, { type: 'LAUNCH' | 'LAUNCH_GROUP' }>;

/** What `operation` takes away and what it puts there instead. */
function conversionOf(operation: ResourceOperation): {
  readonly consumed: Resources;
  readonly converted: Resources;
} {
  const resources = resourcesOf(operation);
  switch (operation.type) {
    case 'RESERVE':
      return { consumed: resources.map(withoutReservation), converted: resources };
    case 'UNRESERVE':
      return { consumed: resources, converted: resources.map(withoutReservation) };
    case 'CREATE':
      return { consumed: resources.map(withoutVolume), converted: resources };
    case 'DESTROY':
      return { consumed: resources, converted: resources.map(withoutVolume) };
  }
}

/** The resources that `operation` names. */
export function resourcesOf(operation: ResourceOperation): Resources {
  switch (operation.type) {
    case 'RESERVE':
      return operation.reserve.resources;
    case 'UNRESERVE':
      return operation.unreserve.resources;
    case 'CREATE':
      return operation.create.volumes;
    case 'DESTROY':
      return operation.destroy.volumes;
  }
}

/** `operation` on other resources. */
export function withResources(operation: ResourceOperation, resources: Resources): ResourceOperation {
  switch (operation.type) {
    case 'RESERVE':
      return { ...operation, reserve: { resources } };
    case 'UNRESERVE':
      return { ...operation, unreserve: { resources } };
    case 'CREATE':
      return { ...operation, create: { volumes: resources } };
    case 'DESTROY':
      return { ...operation, destroy: { volumes: resources } };
  }
}

/** `resources` after `operation`, or why it cannot be. */
export function applyOperation(
  resources: Resources,
  operation: ResourceOperation,
): { readonly resources: Resources } | { readonly problem: string } {
  const { consumed, converted } = conversionOf(operation);
  if (!containsResources(resources, consumed)) {
    return { problem: `${formatResources(resources)} does not contain ${formatResources(consumed)}` };
  }
  return { resources: addResources(subtractResources(resources, consumed), converted) };
}

/** {@link applyOperation} on all that an agent has, where nothing is allocated to anybody. */
export function applyToTotal(total: Resources, operation: ResourceOperation) {
  return applyOperation(total, withResources(operation, withoutAllocation(resourcesOf(operation))));
}

/** The persistent volumes among `resources`. */
export function volumesAmong(resources: Resources): readonly (Resource & {
  readonly disk: { readonly persistence: { readonly id: string } };
})[] {
  return resources.flatMap((resource) => {
    const persistence = resource.disk?.persistence;
    return persistence === undefined ? [] : [{ ...resource, disk: { ...resource.disk, persistence } }];
  });
}
