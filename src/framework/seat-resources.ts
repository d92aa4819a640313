import type { DiskInfo, ReservationInfo, Resource } from '../mesos/wire.ts';
import type { Seat } from '../protocol/record.ts';
import type { OfferedSeat } from '../reconcile/observation.ts';
import { type Ownership, ownerOf, reservationLabels } from './labels.ts';
import { type AgentOffer, cutPorts, cutScalar, type Piece, type Placement } from './placement.ts';
import { atLeast, hasPort, type Pool, type ScalarName } from './resources.ts';
import { VOLUME_PATH } from './task-spec.ts';

/** A seat as Mesos sees it: what is reserved for it, its volume, and how these are taken and given back. Pure. */

/** What is to be reserved and made for a new seat, and what its task then runs on. */
export interface SeatClaim {
  readonly reserve: readonly Resource[];
  readonly volume: Resource;
  readonly task: readonly Resource[];
}

export function claimOf(
  placement: Placement,
  as: { owner: Ownership; role: string; principal: string | undefined; volumeId: string },
): SeatClaim {
  const mine: ReservationInfo = {
    type: 'DYNAMIC',
    role: as.role,
    labels: reservationLabels(as.owner),
    ...(as.principal === undefined ? {} : { principal: as.principal }),
  };
  const claimed = placement.pieces.map((piece) => ({ piece, resource: withReservation(piece, mine) }));
  const disk: DiskInfo = {
    persistence: {
      id: as.volumeId,
      ...(as.principal === undefined ? {} : { principal: as.principal }),
    },
    volume: { mode: 'RW', container_path: VOLUME_PATH },
  };
  const onDisk = claimed.find(({ piece }) => piece.name === 'disk') as (typeof claimed)[number];
  const volume: Resource = { ...onDisk.resource, disk };
  return {
    // What is reserved for our very role already cannot be reserved once more.
    reserve: claimed.filter(({ piece }) => topRole(piece) !== as.role).map(({ resource }) => resource),
    volume,
    task: claimed.map((entry) => (entry === onDisk ? volume : entry.resource)),
  };
}

function withReservation(piece: Piece, mine: ReservationInfo): Resource {
  if (topRole(piece) === mine.role) return piece.resource;
  return { ...piece.resource, reservations: [...piece.reservations, mine] };
}
function topRole(piece: Piece): string | undefined {
  return piece.reservations.at(-1)?.role;
}

/** Everything in an offer that carries the label of this seat, or is its volume. */
export function labelledFor(
  resources: readonly Resource[],
  seat: { id: string; volumeId: string },
): readonly Resource[] {
  return resources.filter(
    (resource) => ownerOf(resource)?.seat === seat.id || resource.disk?.persistence?.id === seat.volumeId,
  );
}

/**
 * The resources of a recorded seat that are on offer, and whether its task can run on them. What our role had
 * been given before and could not be labelled is found by its amount.
 */
export function offeredSeat(
  offer: AgentOffer,
  seat: Seat,
  role: string,
): { readonly found: OfferedSeat; readonly task: readonly Resource[]; readonly rest: AgentOffer } | null {
  const labelled = labelledFor(offer.resources, seat);
  if (labelled.length === 0) return null;
  const held = labelled.some((resource) => resource.disk?.persistence?.id === seat.volumeId);
  // Only its disk, reserved and without the volume on it, shows that the volume is gone.
  const volume = held || !labelled.some((resource) => resource.name === 'disk');
  const filled = fill(labelled, seat, offer.pools, role);
  return {
    found: { volume, complete: filled !== null && held },
    task: filled?.task ?? labelled,
    rest: { ...offer, pools: filled?.pools ?? offer.pools },
  };
}

function fill(
  labelled: readonly Resource[],
  seat: Seat,
  pools: readonly Pool[],
  role: string,
): { task: readonly Resource[]; pools: readonly Pool[] } | null {
  const ours = pools.filter((pool) => pool.reservations.at(-1)?.role === role);
  const others = pools.filter((pool) => pool.reservations.at(-1)?.role !== role);
  let left: readonly Pool[] = ours;
  const task = [...labelled];
  for (const [name, amount] of [
    ['cpus', seat.resources.cpus],
    ['mem', seat.resources.memMb],
    ['disk', seat.resources.diskMb],
  ] as const) {
    if (atLeast(sumOf(labelled, name), amount)) continue;
    const cut = name === 'disk' ? null : cutScalar(left, name, amount, role);
    if (cut === null) return null;
    left = cut.pools;
    task.push(cut.piece.resource);
  }
  const ports = Object.values(seat.ports);
  if (!ports.every((port) => labelled.some((resource) => hasPort(resource.ranges?.range ?? [], port)))) {
    const cut = cutPorts(left, ports, role);
    if (cut === null) return null;
    left = cut.pools;
    task.push(cut.piece.resource);
  }
  return { task, pools: [...left, ...others] };
}

function sumOf(resources: readonly Resource[], name: ScalarName): number {
  return resources.reduce((sum, one) => sum + (one.name === name ? (one.scalar?.value ?? 0) : 0), 0);
}

/** How everything of a seat that is on offer is given back: volumes first, then all reservations of ours. */
export function returnOf(labelled: readonly Resource[]): {
  readonly destroy: readonly Resource[];
  readonly unreserve: readonly Resource[];
} {
  return {
    destroy: labelled.filter((resource) => resource.disk?.persistence !== undefined),
    unreserve: labelled.filter((resource) => ownerOf(resource) !== null).map(withoutVolume),
  };
}

function withoutVolume(resource: Resource): Resource {
  const { disk, ...rest } = resource;
  return disk?.source === undefined ? rest : { ...rest, disk: { source: disk.source } };
}
