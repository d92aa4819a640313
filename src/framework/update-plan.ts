import type { ClusterRecord, Target } from '../protocol/record.ts';
import type { PlanStatus, PublishedPlan } from '../protocol/view.ts';
import type { Observation, Spec } from '../reconcile/observation.ts';
import { type Pass, slotsOf, startPass } from '../reconcile/pass.ts';
import {
  describeUpdate,
  forcedStep,
  isBehind,
  objectionToTarget,
  seatsToUpdate,
  stepName,
  targetOf,
} from '../reconcile/rollout.ts';
import { FULL_STEP, fullFor, fullWaived, isUpgrade } from '../reconcile/upgrade-backup.ts';
import { phaseOf, planOf, type Step, step } from './plan-parts.ts';

/**
 * The plan `update`: a step for every member, complete where it has what the options ask for; before them the full
 * backup that is taken before etcd goes up a minor. Pure.
 */
export function updatePlan(record: ClusterRecord, seen: Observation | null, spec: Spec): PublishedPlan {
  const target = targetOf(spec);
  const waits = waitOf(record, spec, target);
  const pass = seen === null ? null : startPass(spec, record, seen);
  const of = { pass, target, waits };
  const steps = [...fullStep(record, of), ...slotsOf(record.size).map((slot) => stepOf(record, slot, of))];
  const strategy = spec.updateStrategy === 'canary' ? 'serial-canary' : 'serial';
  const plan = planOf('update', strategy, [phaseOf('etcd', strategy, steps)]);
  const errors = errorsOf(record, pass, target);
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

interface Of {
  /** `null`: nothing was seen yet. */
  readonly pass: Pass | null;
  readonly target: Target;
  /** See {@link waitOf}. */
  readonly waits: string | null;
}

function fullStep(record: ClusterRecord, { pass, target, waits }: Of): Step[] {
  if (pass === null || pass.seen.archive === null) return [];
  if (!pass.record.seats.some((seat) => seat.lost === null && isUpgrade(pass, seat, target))) return [];
  const waived = fullWaived(record);
  if (waived !== undefined) {
    const when = new Date(waived.atMs).toISOString();
    return [step(FULL_STEP, 'COMPLETE', `left out, as ${waived.by} said at ${when}`)];
  }
  const { rollout } = record;
  const atMs = rollout?.scope === 'all' ? fullFor(pass, rollout) : null;
  if (atMs !== null)
    return [step(FULL_STEP, 'COMPLETE', `the full of ${new Date(atMs).toISOString()} is kept`)];
  if (rollout?.scope === 'all' && waits === null) {
    return [step(FULL_STEP, 'STARTING', 'waits for a full backup that is read back whole')];
  }
  const what = 'a full backup is taken before the first member goes up a minor';
  return [step(FULL_STEP, 'PENDING', [what, ...(waits === null ? [] : [waits])].join('; '))];
}

function stepOf(record: ClusterRecord, slot: string, { pass, target, waits }: Of): Step {
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
  const lacksArchive = pass !== null && pass.seen.archive === null && isUpgrade(pass, behind, target);
  const full = lacksArchive ? ['no archive: no full is taken'] : [];
  return step(name, 'PENDING', [what, ...full, ...(waits === null ? [] : [waits])].join('; '));
}

function errorsOf(record: ClusterRecord, pass: Pass | null, target: Target): string[] {
  const { rollout } = record;
  const failed = rollout?.failed ?? null;
  const errors =
    failed === null
      ? []
      : [
          `${failed.slot}: ${failed.message} (${new Date(failed.atMs).toISOString()}); nothing further is touched`,
        ];
  if (pass === null || record.epoch.phase !== 'formed') return errors;
  const objection = objectionToTarget(pass, target);
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
