import type { ClusterRecord, Seat } from '../protocol/record.ts';
import { remember } from './memory.ts';
import { seatsOf } from './mesos-view.ts';
import type { PlacementInput } from './placement.ts';

/** Places that were given up because no task came up on them: the last choice for a while. Forgotten by a restart. */
export interface ShunnedPlaces {
  /** Notes those of the record that are new. */
  at(record: ClusterRecord, nowMs: number): PlacementInput['shunned'];
}

/** An agent on which no task came up is the last choice for this long. */
const SHUN_MS = 1_800_000;

export function createShunnedPlaces(): ShunnedPlaces {
  /** By seat id. */
  const places = new Map<string, { readonly seat: Seat; readonly atMs: number }>();
  return {
    at: (record, nowMs) => {
      for (const seat of seatsOf(record)) {
        if (seat.lost?.cause === 'never-launched') remember(places, seat.id, { seat, atMs: nowMs });
      }
      const ports = new Map<string, Set<number>>();
      for (const { seat, atMs } of places.values()) {
        if (nowMs - atMs >= SHUN_MS) continue;
        ports.set(seat.agentId, new Set([...(ports.get(seat.agentId) ?? []), ...Object.values(seat.ports)]));
      }
      return ports;
    },
  };
}
