import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { PlanStatus } from '../protocol/view.ts';
import { servesClients } from '../reconcile/names.ts';
import type { Observation } from '../reconcile/observation.ts';
import { slotIndexOf, slotsOf } from '../reconcile/pass.ts';
import { isPaused } from '../reconcile/paused.ts';
import { type Phase, phaseOf, type Step, step } from './plan-parts.ts';

/**
 * The plan `recovery`, as DC/OS shows it: a phase for every slot whose member is out without anybody having asked for
 * that, and nothing while all serve. Read off the record and what is seen. Pure.
 */
export function recoveryPhases(record: ClusterRecord, seen: Observation | null): Phase[] {
  if (record.epoch.phase !== 'formed') return [];
  const slots = new Set([...slotsOf(record.size), ...record.seats.map(({ slot }) => slot)]);
  return [...slots]
    .filter((slot) => slotIndexOf(slot) < record.size)
    .map((slot) => ({ slot, steps: stepsOf(record, seen, slot) }))
    .filter(({ steps }) => steps.length > 0)
    .map(({ slot, steps }) => phaseOf(slot, 'serial', steps));
}

function stepsOf(record: ClusterRecord, seen: Observation | null, slot: string): Step[] {
  const { intent, rollout } = record;
  const seats = record.seats.filter((seat) => seat.slot === slot);
  const lost = seats.find((seat) => seat.lost !== null);
  if (lost?.lost != null) {
    if (lost.lost.cause === 'moved' && rollout?.step?.seat === lost.id) return [];
    const successor = seats.find((seat) => seat.lost === null);
    return replacement(record, seen, { reason: lost.lost.message, slot, successor });
  }
  if (intent?.slot === slot && intent.remove !== null) {
    return [step(`${slot}:[server]`, 'STARTED', intent.reason)];
  }
  const [seat] = seats;
  return seat === undefined ? [] : inPlace(record, seen, seat);
}

/** L2: a new place, a new member on it, and the old place given back. */
function replacement(
  record: ClusterRecord,
  seen: Observation | null,
  of: { readonly slot: string; readonly reason: string; readonly successor: Seat | undefined },
): Step[] {
  const { slot, reason, successor } = of;
  const notBegun: PlanStatus = isPaused(record, 'recovery') ? 'WAITING' : 'PENDING';
  const isOpen = successor !== undefined && record.intent?.add?.seat === successor.id;
  const joined = successor !== undefined && serves(seen, successor);
  const joining = isOpen ? 'STARTED' : notBegun;
  return [
    step(
      `${slot}:[place]`,
      successor === undefined ? notBegun : 'COMPLETE',
      `${reason}: another place is found`,
    ),
    step(
      `${slot}:[server]`,
      successor === undefined ? 'PENDING' : joined ? 'COMPLETE' : joining,
      'a new member joins, catches up and votes',
    ),
    step(
      `${slot}:[retire]`,
      joined ? 'STARTED' : 'PENDING',
      'the old member is off the list and its place given back',
    ),
  ];
}

/** L0 and L1: what comes back where it was. */
function inPlace({ disruption }: ClusterRecord, seen: Observation | null, seat: Seat): Step[] {
  const { slot, taskEnd, task, hostname } = seat;
  if (seat.paused !== null || seat.data?.started !== true || disruption?.seat === seat.id) return [];
  const name = `${slot}:[server]`;
  if (taskEnd !== null) {
    return [
      step(name, 'PENDING', `its task is over (${taskEnd.state}) and is launched again on ${hostname}`),
    ];
  }
  if (seen?.mesos.tasks.get(task)?.kind === 'unreachable') {
    const seconds = Math.round(seat.absentMs / 1000);
    return [step(name, 'PENDING', `${hostname} has been out of the master's sight for ${seconds} s`)];
  }
  return seen === null || serves(seen, seat) ? [] : [step(name, 'STARTING', 'its etcd does not serve yet')];
}

/** Its etcd votes and knows a leader, by its supervisor's last word; or it answers, and keeps to itself how it is. */
function serves(seen: Observation | null, seat: Seat): boolean {
  const view = seen?.members.get(seat.id);
  const status = view?.failingMs === 0 ? view.status : null;
  return status?.task === seat.task && servesClients(status) && status.probe?.isLearner !== true;
}
