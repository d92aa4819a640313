import type { ClusterRecord, Seat } from '../protocol/record.ts';
import { adoptingEpoch, type FoundSeat, seatOf } from './adoption.ts';
import type { AgentOffer } from './agent-offers.ts';
import { ownerOf } from './labels.ts';
import { seatsOf } from './mesos-view.ts';

/**
 * What offers alone tell of a cluster whose record was lost. A reservation of ours that no task uses is offered with
 * all its labels, whatever the master lets us ask. Pure.
 */
export interface OfferedPlacesInput {
  readonly record: ClusterRecord;
  readonly offers: readonly AgentOffer[];
  readonly pinned: Seat['pinned'];
  readonly wallMs: number;
}

/**
 * The record with the places on offer that it has to know: while it adopts, those of its cluster. While it prepares a
 * cluster it knows every place of it, so one that it does not know tells that it is an older copy, and what the
 * places hold is read first. And where it is the record of a first start that nobody has confirmed, the cluster that is
 * there takes the place of the one that was about to begin. Reservations of several clusters are left to the caller.
 */
export function withOfferedPlaces(input: OfferedPlacesInput, isProven: boolean): ClusterRecord {
  const { record } = input;
  if (record.epoch.phase === 'adopting') return withPlaces(record, input);
  if (record.epoch.phase === 'preparing' && record.uninstall === null) {
    const known = new Set(seatsOf(record).map((seat) => seat.id));
    const unknown = foundIn(input, (cluster) => cluster === record.cluster).filter(
      ({ owner }) => !known.has(owner.seat),
    );
    if (unknown.length > 0) return withPlaces(adoptingAnew(record, unknown, input.wallMs), input);
  }
  if (isProven || !isUnproven(record)) return record;
  const found = foundIn(input, () => true);
  const [first] = found;
  if (first === undefined || found.some(({ owner }) => owner.cluster !== first.owner.cluster)) return record;
  const epoch = adoptingEpoch(found, input.wallMs);
  return withPlaces({ ...record, cluster: first.owner.cluster, epoch }, input);
}

/** Nothing of what the record says of data holds: the volumes say it. */
function adoptingAnew(record: ClusterRecord, found: readonly FoundSeat[], wallMs: number): ClusterRecord {
  const epoch = adoptingEpoch(found, wallMs);
  const number = Math.max(epoch.number, record.epoch.number);
  const seats = record.seats.map((seat) => ({ ...seat, data: null }));
  return { ...record, epoch: { ...epoch, number }, seats };
}

/** Nothing was placed yet in the name of this record: whether it is a first start is still to be seen. */
export function isUnproven({ epoch, seats, leaving }: ClusterRecord): boolean {
  return epoch.phase === 'preparing' && epoch.attempt === 1 && seats.length + leaving.length === 0;
}

function withPlaces(record: ClusterRecord, input: OfferedPlacesInput): ClusterRecord {
  const known = new Set(seatsOf(record).map((seat) => seat.id));
  const found = foundIn(input, (cluster) => cluster === record.cluster);
  const seats = found
    .filter(({ owner }) => !known.has(owner.seat))
    .flatMap((one) => seatOf(one, input) ?? [])
    .slice(0, SEATS_MAX - record.seats.length);
  return seats.length === 0 ? record : { ...record, seats: [...record.seats, ...seats] };
}

/** As many as a record has room for. */
const SEATS_MAX = 32;

/** Places with their volume; what is reserved without one holds nothing that could be adopted. */
function foundIn(
  { record, offers }: OfferedPlacesInput,
  isWanted: (cluster: string) => boolean,
): readonly FoundSeat[] {
  return offers.flatMap(({ agent, zone, region, resources }) => {
    const places = new Map<string, FoundSeat>();
    for (const resource of resources) {
      const owner = ownerOf(resource);
      if (owner === null || owner.framework !== record.framework.name || !isWanted(owner.cluster)) continue;
      const before = places.get(owner.seat)?.resources ?? [];
      places.set(owner.seat, {
        owner,
        agentId: agent.id,
        agentAddress: agent.address,
        hostname: agent.hostname,
        host: agent.host,
        zone,
        region,
        resources: [...before, resource],
        live: null,
        ended: null,
        name: null,
      });
    }
    return [...places.values()].filter((place) =>
      place.resources.some((resource) => resource.disk?.persistence !== undefined),
    );
  });
}
