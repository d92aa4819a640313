import type { ClusterRecord, Leaving, Seat } from '../protocol/record.ts';
import type { PlanStatus } from '../protocol/view.ts';
import type { Observation } from '../reconcile/observation.ts';
import { slotIndexOf, slotsOf } from '../reconcile/pass.ts';
import { type Phase, phaseOf, type Step, step } from './plan-parts.ts';

/**
 * The plan `decommission`, as DC/OS shows it: a phase for every slot beyond the size, the highest first, and nothing
 * once all are given back. Read off the record and what is seen. Pure.
 */
export function decommissionPhases(record: ClusterRecord, seen: Observation | null): Phase[] {
  const { scaling, seats, leaving, size } = record;
  const slots = new Set([
    ...slotsOf(scaling?.from ?? size),
    ...seats.map(({ slot }) => slot),
    ...leaving.filter(({ seat }) => seat.lost?.cause === 'surplus').map(({ seat }) => seat.slot),
  ]);
  return [...slots]
    .filter((slot) => slotIndexOf(slot) >= size)
    .sort((one, other) => slotIndexOf(other) - slotIndexOf(one))
    .map((slot) => phaseOf(slot, 'serial', stepsOf(record, seen, slot)));
}

/** Out of the cluster, then its task, then what is reserved. */
function stepsOf(record: ClusterRecord, seen: Observation | null, slot: string): Step[] {
  const seat = record.seats.find((one) => one.slot === slot);
  const entry = record.leaving.find((one) => one.seat.slot === slot);
  const [remove, kill, unreserve] = seat === undefined ? goingOf(entry, seen) : stayingOf(record, seat);
  return [
    step(`remove-${slot}-member`, remove, 'its member is removed from the cluster'),
    step(`kill-${slot}-server`, kill, 'its task is ended'),
    step(`unreserve-${slot}`, unreserve, 'its volume is destroyed and its reservation given back'),
  ];
}

type Statuses = readonly [PlanStatus, PlanStatus, PlanStatus];

function stayingOf({ intent }: ClusterRecord, { slot }: Seat): Statuses {
  return [intent?.slot === slot ? 'STARTED' : 'PENDING', 'PENDING', 'PENDING'];
}

function goingOf(entry: Leaving | undefined, seen: Observation | null): Statuses {
  if (entry === undefined) return ['COMPLETE', 'COMPLETE', 'COMPLETE'];
  const { seat } = entry;
  if (seen?.mesos.tasks.get(seat.task)?.kind === 'alive') return ['COMPLETE', 'STARTED', 'PENDING'];
  return ['COMPLETE', 'COMPLETE', seen?.mesos.offered.has(seat.id) === true ? 'STARTED' : 'PENDING'];
}
