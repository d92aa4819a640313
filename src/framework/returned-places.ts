import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { AgentOffer } from './agent-offers.ts';
import { labelledFor } from './seat-resources.ts';

/**
 * The record, its seats naming the agents that offer their volumes now. An agent that unregistered, or whose host
 * came back from a reboot with, say, another amount of memory, registers as a new one; what was reserved on it and
 * its volumes are those of before. Only at the old address: there alone does a member find its peers again.
 *
 * A place that was given up already stays so: its successor may be on its way. Pure.
 */
export function withReturnedPlaces(record: ClusterRecord, offers: readonly AgentOffer[]): ClusterRecord {
  const seats = record.seats.map((seat) =>
    seat.lost?.cause === 'agent-gone' ? seat : returned(seat, offers),
  );
  const leaving = record.leaving.map((entry) => {
    const seat = returned(entry.seat, offers);
    return seat === entry.seat ? entry : { ...entry, seat };
  });
  const isSame =
    seats.every((seat, at) => seat === record.seats[at]) &&
    leaving.every((entry, at) => entry === record.leaving[at]);
  return isSame ? record : { ...record, seats, leaving };
}

function returned(seat: Seat, offers: readonly AgentOffer[]): Seat {
  if (seat.storage !== 'persistent') return seat;
  const offer = offers.find((one) => one.agent.host === seat.host && holdsVolumes(one, seat));
  if (offer === undefined || offer.agent.id === seat.agentId) return seat;
  const { id, address, hostname } = offer.agent;
  // A name task went with the agent that was.
  return { ...seat, agentId: id, agentAddress: address, hostname, nameTask: null };
}

function holdsVolumes(offer: AgentOffer, seat: Seat): boolean {
  const held = labelledFor(offer.resources, seat).flatMap(({ disk }) => disk?.persistence?.id ?? []);
  const volumes = [seat.volumeId, ...(seat.wal === null ? [] : [seat.wal.volumeId])];
  return volumes.every((volume) => held.includes(volume));
}
