import type { ReservationInfo, Resource } from '../mesos/wire.ts';
import type { Seat } from '../protocol/record.ts';
import type { OfferedSeat } from '../reconcile/observation.ts';
import type { AgentOffer } from './agent-offers.ts';
import { type Ownership, ownerOf, reservationLabels } from './labels.ts';
import { NAME_SHARE } from './name-share.ts';
import { atLeast, hasPort, type Pool, rounded, type ScalarName } from './resources.ts';
import { cutPorts, cutScalar, type Piece, type Placement } from './seat-cut.ts';
import { VOLUME_PATH, WAL_VOLUME_PATH } from './task-spec.ts';

/** A seat as Mesos sees it: what is reserved for it, its volume, and how these are taken and given back. Pure. */

/** What is to be reserved and made for a new seat, and what its task then runs on. */
export interface SeatClaim {
  readonly reserve: readonly Resource[];
  readonly create: readonly Resource[];
  readonly task: readonly Resource[];
}

export function claimOf(
  placement: Placement,
  as: { owner: Ownership; seat: Seat; role: string; principal: string | undefined },
): SeatClaim {
  const mine: ReservationInfo = {
    type: 'DYNAMIC',
    role: as.role,
    labels: reservationLabels(as.owner, as.seat),
    ...(as.principal === undefined ? {} : { principal: as.principal }),
  };
  const claimed = placement.pieces.map((piece) => {
    const reserved = withReservation(piece, mine);
    return { piece, reserved, used: piece.volume === null ? reserved : volumeOn(reserved, piece.volume, as) };
  });
  return {
    // What is reserved for our very role already cannot be reserved once more.
    reserve: claimed.filter(({ piece }) => topRole(piece) !== as.role).map(({ reserved }) => reserved),
    create: claimed.filter(({ piece }) => piece.volume !== null).map(({ used }) => used),
    task: claimed.filter(({ piece }) => piece.of === 'member').map(({ used }) => used),
  };
}

/** The volume on a disk; a MOUNT disk goes on naming its source. */
function volumeOn(
  disk: Resource,
  which: NonNullable<Piece['volume']>,
  { seat, principal }: { seat: Seat; principal: string | undefined },
): Resource {
  const id = which === 'data' ? seat.volumeId : walVolumeId(seat.id);
  return {
    ...disk,
    disk: {
      ...disk.disk,
      persistence: { id, ...(principal === undefined ? {} : { principal }) },
      volume: { mode: 'RW', container_path: which === 'data' ? VOLUME_PATH : WAL_VOLUME_PATH },
    },
  };
}

/** The persistence id of a seat's volume for etcd's log. */
export function walVolumeId(seatId: string): string {
  return `${seatId}-wal`;
}

function withReservation(piece: Piece, mine: ReservationInfo): Resource {
  if (topRole(piece) === mine.role) return piece.resource;
  return { ...piece.resource, reservations: [...piece.reservations, mine] };
}
function topRole(piece: Piece): string | undefined {
  return piece.reservations.at(-1)?.role;
}

/** Everything in an offer that carries the label of this seat, or is one of its volumes. */
export function labelledFor(
  resources: readonly Resource[],
  seat: { id: string; volumeId: string },
): readonly Resource[] {
  const volumes = [seat.volumeId, walVolumeId(seat.id)];
  return resources.filter(
    ({ disk, ...resource }) =>
      ownerOf(resource)?.seat === seat.id || volumes.includes(disk?.persistence?.id ?? ''),
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
  const volumes = [seat.volumeId, ...(seat.wal === null ? [] : [seat.wal.volumeId])];
  const held = volumes.every((id) => labelled.some((resource) => resource.disk?.persistence?.id === id));
  // Only a disk of it, reserved and without the volume on it, shows that the volume is gone.
  const bare = labelled.some(({ name, disk }) => name === 'disk' && disk?.persistence === undefined);
  const volume = held || !bare;
  const filled = held ? fillSeat(labelled, seat, offer.pools, role) : null;
  return {
    // At another address than its peers know the member cannot be launched again.
    found: { volume, complete: filled !== null && offer.agent.host === seat.host },
    task: filled?.task ?? labelled,
    rest: { ...offer, pools: filled?.pools ?? offer.pools },
  };
}

/** What a task needs of the seat that it runs on. */
interface SeatPart {
  readonly cpus: number;
  readonly memMb: number;
  /** All of its volumes, whole. */
  readonly disks: boolean;
  readonly ports: readonly number[];
}

/** No more than the member's own part: what is left of the reservation is the name task's. */
export function fillSeat(
  labelled: readonly Resource[],
  seat: Seat,
  pools: readonly Pool[],
  role: string,
): { task: readonly Resource[]; pools: readonly Pool[] } | null {
  const { cpus, memMb } = seat.resources;
  return take(labelled, { cpus, memMb, disks: true, ports: Object.values(seat.ports) }, pools, role);
}

/**
 * What the seat's name task runs on, where that is on offer; `null` where it is not.
 * @param offer of the seat's agent.
 */
export function offeredNameShare(
  offer: AgentOffer,
  seat: Seat,
  role: string,
): { readonly task: readonly Resource[]; readonly rest: AgentOffer } | null {
  if (seat.nameShare === null) return freeNameShare(offer, role);
  const labelled = labelledFor(offer.resources, seat);
  const taken = take(labelled, { ...seat.nameShare, disks: false, ports: [] }, offer.pools, role);
  return taken === null ? null : { task: taken.task, rest: { ...offer, pools: taken.pools } };
}

/** Of what is reserved for nobody or for our role alone: for a seat that keeps no share. */
function freeNameShare(
  offer: AgentOffer,
  role: string,
): { readonly task: readonly Resource[]; readonly rest: AgentOffer } | null {
  const cpus = cutScalar(offer.pools, 'cpus', NAME_SHARE.cpus, role);
  const mem = cpus === null ? null : cutScalar(cpus.pools, 'mem', NAME_SHARE.memMb, role);
  if (cpus === null || mem === null) return null;
  return { task: [cpus.resource, mem.resource], rest: { ...offer, pools: mem.pools } };
}

function take(
  labelled: readonly Resource[],
  part: SeatPart,
  pools: readonly Pool[],
  role: string,
): { task: readonly Resource[]; pools: readonly Pool[] } | null {
  const ours = pools.filter((pool) => pool.reservations.at(-1)?.role === role);
  const others = pools.filter((pool) => pool.reservations.at(-1)?.role !== role);
  let left: readonly Pool[] = ours;
  const task: Resource[] = [];
  for (const [name, amount] of [
    ['cpus', part.cpus],
    ['mem', part.memMb],
  ] as const) {
    if (atLeast(sumOf(labelled, name), amount)) {
      task.push(...upTo(labelled, name, amount));
      continue;
    }
    const cut = cutScalar(left, name, amount, role);
    if (cut === null) return null;
    left = cut.pools;
    task.push(cut.resource);
  }
  if (part.disks) task.push(...labelled.filter(({ disk }) => disk?.persistence !== undefined));
  const held = labelled.filter((one) => part.ports.some((port) => hasPort(one.ranges?.range ?? [], port)));
  if (part.ports.every((port) => held.some((one) => hasPort(one.ranges?.range ?? [], port)))) {
    task.push(...held);
  } else {
    const cut = cutPorts(left, part.ports, role);
    if (cut === null) return null;
    left = cut.pools;
    task.push(cut.resource);
  }
  return { task, pools: [...left, ...others] };
}

/** An amount of one resource, from as many pieces as it takes. */
export function upTo(labelled: readonly Resource[], name: ScalarName, amount: number): readonly Resource[] {
  let missing = amount;
  return labelled.flatMap((resource) => {
    if (resource.name !== name || missing <= 0) return [];
    const value = Math.min(missing, resource.scalar?.value ?? 0);
    missing = rounded(missing - value);
    return [{ ...resource, scalar: { value } }];
  });
}

/** Nothing but what the name task may hold: that says nothing about the place of the member. */
export function isNameShareAlone(offer: AgentOffer, seat: Seat): boolean {
  const { nameShare } = seat;
  if (nameShare === null) return false;
  const labelled = labelledFor(offer.resources, seat);
  return (
    labelled.every(({ name }) => name === 'cpus' || name === 'mem') &&
    atLeast(nameShare.cpus, sumOf(labelled, 'cpus')) &&
    atLeast(nameShare.memMb, sumOf(labelled, 'mem'))
  );
}

export function sumOf(resources: readonly Resource[], name: ScalarName): number {
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
