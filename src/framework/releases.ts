import type { ClusterRecord, Seat } from '../protocol/record.ts';
import { seatReleased } from '../reconcile/seats.ts';
import type { AgentOffer } from './agent-offers.ts';
import { isFailedOperation, type MesosView, reserveId, unreserveId } from './mesos-view.ts';
import { labelledFor } from './seat-resources.ts';

/**
 * Which leaving seats are gone from Mesos: their reservation was given back, was never made, or its agent
 * keeps offering without it. One that is forgotten too early shows up as a stray and is released then. Pure.
 */
export interface ReleaseState {
  /** By seat id: since when, monotonic, its agent offers without it. */
  readonly missingSinceMs: ReadonlyMap<string, number>;
}
export const NOTHING_MISSING: ReleaseState = { missingSinceMs: new Map() };

/** An agent that offers without the reservation of an ended task for this long does not have it. */
const MISSING_MS = 15_000;

export function settleReleases(
  before: ReleaseState,
  input: {
    readonly record: ClusterRecord;
    readonly view: MesosView;
    readonly offers: readonly AgentOffer[];
    readonly nowMs: number;
  },
): { readonly state: ReleaseState; readonly record: ClusterRecord; readonly released: readonly Seat[] } {
  const { view, nowMs } = input;
  const missingSinceMs = new Map<string, number>();
  const released: Seat[] = [];
  for (const { seat } of input.record.leaving) {
    if (wasUnreserved(view, seat) || wasNeverReserved(view, seat)) {
      released.push(seat);
      continue;
    }
    const since = before.missingSinceMs.get(seat.id);
    const offer = input.offers.find((one) => one.agent.id === seat.agentId);
    if (offer === undefined || !view.subscribed || !view.answered.has(seat.task)) {
      // Between two offers nothing is known, and nothing is forgotten.
      if (since !== undefined && view.subscribed) missingSinceMs.set(seat.id, since);
    } else if (
      view.tasks.get(seat.task)?.kind === 'over' &&
      labelledFor(offer.resources, seat).length === 0
    ) {
      if (since !== undefined && nowMs - since >= MISSING_MS) released.push(seat);
      else missingSinceMs.set(seat.id, since ?? nowMs);
    }
  }
  const record = released.reduce((next, seat) => seatReleased(next, seat.id), input.record);
  return { state: { missingSinceMs }, record, released };
}

function wasUnreserved(view: MesosView, seat: Seat): boolean {
  const prefix = unreserveId(seat.id, '');
  for (const [id, result] of view.operations) {
    if (id.startsWith(prefix) && result.state === 'OPERATION_FINISHED') return true;
  }
  return false;
}

function wasNeverReserved(view: MesosView, seat: Seat): boolean {
  const result = view.operations.get(reserveId(seat.id));
  return result !== undefined && isFailedOperation(result.state);
}
