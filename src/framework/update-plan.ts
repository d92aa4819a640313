import { readPin } from '../protocol/artifact-pin.ts';
import type { ClusterRecord, Target } from '../protocol/record.ts';
import type { PlanStatus, PublishedPlan } from '../protocol/view.ts';
import { readRelease } from '../reconcile/etcd-upgrades.ts';
import type { Observation, Spec } from '../reconcile/observation.ts';
import { slotsOf, startPass } from '../reconcile/pass.ts';
import {
  describeUpdate,
  forcedStep,
  isBehind,
  objectionToTarget,
  seatsToUpdate,
  stepName,
  targetOf,
} from '../reconcile/rollout.ts';
import { phaseOf, planOf, type Step, step } from './plan-parts.ts';

/** The plan `update`: a step for every member, complete where it has what the options ask for. Pure. */
export function updatePlan(record: ClusterRecord, seen: Observation | null, spec: Spec): PublishedPlan {
  const target = targetOf(spec);
  const waits = waitOf(record, spec, target);
  const steps = slotsOf(record.size).map((slot) => stepOf(record, { slot, target, waits }));
  const strategy = spec.updateStrategy === 'canary' ? 'serial-canary' : 'serial';
  const plan = planOf('update', strategy, [phaseOf('etcd', strategy, steps)]);
  const errors = errorsOf(record, seen, spec);
  const status = statusOf(plan.status, waits !== null, errors.length > 0);
  return { ...plan, status, phases: plan.phases.map((phase) => ({ ...phase, status })), errors };
}

function statusOf(status: PlanStatus, waits: boolean, failed: boolean): PlanStatus {
  if (failed) return 'ERROR';
  return waits && status !== 'COMPLETE' ? 'WAITING' : status;
}

/** For whose word it waits; `null`: for none. */
function waitOf(record: ClusterRecord, spec: Spec, target: Target): string | null {
  const { rollout, epoch } = record;
  if (epoch.phase !== 'formed' || seatsToUpdate(record, target, 'all').length === 0) return null;
  const pause = record.plans.paused.find(({ plan }) => plan === 'update');
  if (pause !== undefined) return `paused by ${pause.by} since ${new Date(pause.atMs).toISOString()}`;
  if (rollout?.canary === 'held') return 'waits for etcd-mesos plan continue update';
  // What is rolled out by itself is begun in a moment.
  const isDone = seatsToUpdate(record, target, rollout?.scope ?? 'options').length === 0;
  const startsItself = spec.updateStrategy === 'serial' && epoch.source.kind !== 'adopted';
  if (rollout === null ? isDone || !startsItself : isDone && rollout.scope === 'options') {
    return 'waits for etcd-mesos update start';
  }
  return null;
}

function stepOf(
  record: ClusterRecord,
  of: { readonly slot: string; readonly target: Target; readonly waits: string | null },
): Step {
  const { slot, target, waits } = of;
  const name = stepName(slot);
  const { rollout, disruption } = record;
  const seats = record.seats.filter((seat) => seat.slot === slot);
  const behind = seats.find((seat) => isBehind(seat, target, 'all'));
  const forced = forcedStep(record, slot);
  if (forced !== undefined) {
    const when = new Date(forced.atMs).toISOString();
    return step(name, 'COMPLETE', `left as it is, as ${forced.by} said at ${when}`);
  }
  if (rollout?.failed?.slot === slot) return step(name, 'ERROR', rollout.failed.message);
  if (rollout?.step?.slot === slot) {
    const isBegun = disruption?.kind !== 'update' || disruption.begun;
    const moves = seats.some(({ lost }) => lost?.cause === 'moved');
    const what = moves
      ? 'it is moved: its agent cannot give it what is asked for'
      : 'updated, until it serves again';
    return step(name, isBegun ? 'STARTED' : 'STARTING', what);
  }
  if (behind === undefined) return step(name, seats.length === 0 ? 'PENDING' : 'COMPLETE', slot);
  const what = describeUpdate(behind, { target, scope: 'all' });
  const isUpgrade = minorOf(behind.pinned.artifact) < minorOf(target.artifact);
  const full = isUpgrade ? ['no archive: no full is taken'] : [];
  return step(name, 'PENDING', [what, ...full, ...(waits === null ? [] : [waits])].join('; '));
}

function minorOf(artifact: string): number {
  return readRelease(readPin(artifact).etcd)?.minor ?? Number.NaN;
}

function errorsOf(record: ClusterRecord, seen: Observation | null, spec: Spec): string[] {
  const { rollout } = record;
  const failed = rollout?.failed ?? null;
  const errors =
    failed === null
      ? []
      : [
          `${failed.slot}: ${failed.message} (${new Date(failed.atMs).toISOString()}); nothing further is touched`,
        ];
  if (seen === null || record.epoch.phase !== 'formed') return errors;
  const objection = objectionToTarget(startPass(spec, record, seen), targetOf(spec));
  return objection === null ? errors : [...errors, `no member is updated: ${objection}`];
}

/** Held plans say so, unless there is nothing to hold. */
export function heldPlan(plan: PublishedPlan, record: ClusterRecord): PublishedPlan {
  const pause = record.plans.paused.find((one) => one.plan === plan.name);
  if (pause === undefined) return plan;
  const { by, atMs } = pause;
  const isIdle = plan.status === 'COMPLETE' || plan.status === 'ERROR';
  return { ...plan, status: isIdle ? plan.status : 'WAITING', paused: { by, atMs } };
}
