import type { Label, Labels, Resource } from '../mesos/wire.ts';
import type { Seat } from '../protocol/record.ts';

/** What every reservation and task of ours is labelled with, so that it can be told from others' and adopted. */
const LABEL = {
  framework: 'etcd_mesos_framework',
  cluster: 'etcd_mesos_cluster',
  slot: 'etcd_mesos_slot',
  epoch: 'etcd_mesos_epoch',
  seat: 'etcd_mesos_seat',
  /** The name that other Mesos tools know for it; holds the seat's id on reservations. */
  resource: 'resource_id',
  /** Which port is which: `peer,client,supervisor`. */
  ports: 'etcd_mesos_ports',
  /** What of the reservation is the name task's: `cpus,MB`. */
  nameShare: 'etcd_mesos_name_share',
  /** `sandbox` on tasks beside whose data nothing is reserved. */
  storage: 'etcd_mesos_storage',
} as const;

/** To whom a reservation or a task belongs. */
export interface Ownership {
  readonly framework: string;
  readonly cluster: string;
  readonly slot: string;
  readonly epoch: number;
  readonly seat: string;
}

export function ownershipOf(
  seat: Seat,
  owner: { framework: string; cluster: string; epoch: number },
): Ownership {
  return { ...owner, slot: seat.slot, seat: seat.id };
}

/** How a seat's parts are used, as far as its resources alone do not show it. */
export type SeatLayout = Pick<Seat, 'ports' | 'nameShare' | 'storage'>;

export function reservationLabels(of: Ownership, layout: SeatLayout): Labels {
  return { labels: [...common(of), { key: LABEL.resource, value: of.seat }, ...layoutLabels(layout)] };
}

export function taskLabels(of: Ownership, layout: SeatLayout): Labels {
  return { labels: [...common(of), { key: LABEL.seat, value: of.seat }, ...layoutLabels(layout)] };
}

function layoutLabels({ ports, nameShare, storage }: SeatLayout): readonly Label[] {
  return [
    { key: LABEL.ports, value: `${ports.peer},${ports.client},${ports.supervisor}` },
    ...(nameShare === null ? [] : [{ key: LABEL.nameShare, value: `${nameShare.cpus},${nameShare.memMb}` }]),
    ...(storage === 'persistent' ? [] : [{ key: LABEL.storage, value: storage }]),
  ];
}

/** What labels tell of a seat's parts; `null` for what they do not tell: older reservations have none of it. */
export function readLayout(labels: Labels | undefined): {
  readonly ports: Seat['ports'] | null;
  readonly nameShare: Seat['nameShare'];
  readonly storage: Seat['storage'];
} {
  const stored = labels?.labels.find((label) => label.key === LABEL.storage)?.value;
  const numbers = (key: string, count: number): readonly number[] | null => {
    const value = labels?.labels.find((label) => label.key === key)?.value;
    const parts = value?.split(',') ?? [];
    const read = parts.map(Number);
    const isSound = parts.length === count && read.every((one) => Number.isFinite(one) && one > 0);
    return isSound ? read : null;
  };
  const ports = numbers(LABEL.ports, 3);
  const share = numbers(LABEL.nameShare, 2);
  const [peer = 0, client = 0, supervisor = 0] = ports ?? [];
  const [cpus = 0, memMb = 0] = share ?? [];
  return {
    ports: ports === null ? null : { peer, client, supervisor },
    nameShare: share === null ? null : { cpus, memMb },
    storage: stored === 'sandbox' ? 'sandbox' : 'persistent',
  };
}

/** `null` where the labels are not ours or incomplete. */
export function readLabels(labels: Labels | undefined): Ownership | null {
  const value = (key: string) => labels?.labels.find((label) => label.key === key)?.value;
  const framework = value(LABEL.framework);
  const cluster = value(LABEL.cluster);
  const slot = value(LABEL.slot);
  const epoch = Number(value(LABEL.epoch));
  const seat = value(LABEL.seat) ?? value(LABEL.resource);
  if (framework === undefined || cluster === undefined || slot === undefined || seat === undefined)
    return null;
  return Number.isInteger(epoch) && epoch >= 1 ? { framework, cluster, slot, epoch, seat } : null;
}

/** The owner that a resource's newest reservation names; `null` for what is nobody's or not ours. */
export function ownerOf(resource: Resource): Ownership | null {
  const top = resource.reservations?.at(-1);
  return top?.type === 'DYNAMIC' ? readLabels(top.labels) : null;
}

function common(of: Ownership): readonly Label[] {
  return [
    { key: LABEL.framework, value: of.framework },
    { key: LABEL.cluster, value: of.cluster },
    { key: LABEL.slot, value: of.slot },
    { key: LABEL.epoch, value: String(of.epoch) },
  ];
}
