import type { Resource } from '../mesos/wire.ts';

/** Where a persistent volume is on its host: a MOUNT disk is the volume itself. */
export function volumePath(workDirectory: string, volume: Resource): string {
  const source = volume.disk?.source;
  const mount = source?.mount?.root;
  if (mount !== undefined) return mount;
  // A role's slashes become spaces, which no role has: one folder a role.
  const role = (volume.reservations?.at(-1)?.role ?? '*').replaceAll('/', ' ');
  const root = source?.path?.root ?? workDirectory;
  return `${root}/volumes/roles/${role}/${volume.disk?.persistence?.id ?? ''}`;
}
