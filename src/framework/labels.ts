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

export function reservationLabels(of: Ownership): Labels {
  return { labels: [...common(of), { key: LABEL.resource, value: of.seat }] };
}

export function taskLabels(of: Ownership): Labels {
  return { labels: [...common(of), { key: LABEL.seat, value: of.seat }] };
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
