import { USUAL_CLUSTER_SIZE } from '../protocol/identifiers.ts';
import type { ClusterRecord, Leaving } from '../protocol/record.ts';
import type { PlanStatus, PublishedPlan } from '../protocol/view.ts';
import type { Observation, Spec } from '../reconcile/observation.ts';
import { slotsOf } from '../reconcile/pass.ts';
import { decommissionPhases } from './decommission-plan.ts';
import { type Phase, phaseOf, planOf, type Step, step } from './plan-parts.ts';
import { recoveryPhases } from './recovery-plan.ts';
import type { SchedulerSnapshot } from './snapshot.ts';
import { heldPlan, updatePlan } from './update-plan.ts';

/**
 * What is done, as the plans, phases and steps of a DC/OS service: read off the record and what is seen, so there
 * is nothing to keep. While the service is uninstalled that work is the plan `deploy`, for which DC/OS waits. Pure.
 */
export function plansOf(
  snapshot: Pick<SchedulerSnapshot, 'record' | 'observation' | 'uninstalled'>,
  spec: Spec,
): PublishedPlan[] {
  const { record, observation, uninstalled } = snapshot;
  if (uninstalled) return [uninstallPlan(null, observation, true)];
  if (record?.uninstall?.confirmed === true) return [uninstallPlan(record, observation, false)];
  const deploy = planOf('deploy', 'serial', [deployPhase(record, observation, spec)]);
  if (record === null) return [deploy];
  if (record.uninstall === null) {
    return [
      deploy,
      planOf('recovery', 'parallel', recoveryPhases(record, observation)),
      updatePlan(record, observation, spec),
      planOf('decommission', 'serial', decommissionPhases(record, observation)),
    ].map((plan) => heldPlan(plan, record));
  }
  const leave = step(
    'leave-to-destroy-data',
    'WAITING',
    'continue gives it; until then no member is touched',
  );
  return [planOf('deploy', 'serial', [phaseOf('confirm', 'serial', [leave])])];
}

function deployPhase(record: ClusterRecord | null, seen: Observation | null, spec: Spec): Phase {
  const slots = slotsOf(record?.size ?? spec.size ?? USUAL_CLUSTER_SIZE);
  return phaseOf(
    'etcd',
    'parallel',
    slots.map((slot) => step(`${slot}:[server]`, statusOf(record, seen, slot), slot)),
  );
}

/** A slot is deployed once it has had a member: what goes wrong later is repaired, and not deployed again. */
function statusOf(record: ClusterRecord | null, seen: Observation | null, slot: string): PlanStatus {
  const seats = record?.seats.filter((seat) => seat.slot === slot) ?? [];
  if (seats.length === 0) return 'PENDING';
  if (record?.epoch.phase === 'formed' && seats.some((seat) => seat.data?.memberId != null))
    return 'COMPLETE';
  return seats.some((seat) => seen?.members.get(seat.id)?.status != null) ? 'STARTED' : 'STARTING';
}

function uninstallPlan(record: ClusterRecord | null, seen: Observation | null, done: boolean): PublishedPlan {
  const leaving = record?.leaving ?? [];
  const hosts = [...new Set(leaving.map(({ seat }) => seat.hostname))].sort();
  const kills = leaving.map((entry) => {
    const over = seen?.mesos.tasks.get(entry.seat.task)?.kind !== 'alive';
    return step(`kill-${entry.seat.task}`, over ? 'COMPLETE' : 'STARTED', entry.seat.slot);
  });
  return planOf('deploy', 'serial', [
    phaseOf('kill-tasks', 'parallel', kills),
    ...hosts.map((host) =>
      phaseOf(
        `unreserve-resources-${host}`,
        'parallel',
        leaving.filter(({ seat }) => seat.hostname === host).map((entry) => unreserveStep(entry, seen)),
      ),
    ),
    phaseOf('deregister-service', 'serial', [
      step('deregister', done ? 'COMPLETE' : 'PENDING', 'tear the framework down and remove the state'),
    ]),
  ]);
}

function unreserveStep({ seat }: Leaving, seen: Observation | null): Step {
  const offered = seen?.mesos.offered.has(seat.id) === true;
  const message = offered ? 'being given back' : `waits for ${seat.hostname} to offer it`;
  return step(`unreserve-${seat.id}`, offered ? 'STARTED' : 'PENDING', message);
}
