import { assert } from '../base/assert.ts';
import type { ClusterRecord, PlanName } from '../protocol/record.ts';
import {
  type AppliedCommand,
  already,
  type CommandAnswer,
  type CommandContext,
  done,
  judged,
  refused,
} from './command-answers.ts';
import { objectionToDisturb, obstacleToDisturb } from './disruption.ts';
import { membershipOf } from './membership.ts';
import { type Pass, seatById, slotsOf } from './pass.ts';
import { isPaused } from './paused.ts';
import {
  forcedStep,
  newRollout,
  objectionToTarget,
  seatsToUpdate,
  stepName,
  targetOf,
  withdraw,
} from './rollout.ts';
import { FULL_STEP, fullWaived, lacksFull } from './upgrade-backup.ts';

/** What an operator can tell a plan, in the words of DC/OS. */
export const PLAN_VERBS = ['start', 'interrupt', 'continue', 'restart', 'forceComplete'] as const;
export type PlanVerb = (typeof PLAN_VERBS)[number];

export interface PlanCommand {
  readonly kind: 'plan';
  readonly plan: PlanName;
  readonly verb: PlanVerb;
  /** Name of a step of the plan; `null`: the whole plan. */
  readonly step: string | null;
  /** Although the other members are no quorum meanwhile (S9). */
  readonly force: boolean;
  readonly by: string;
}

/** Steps that were forced and are remembered. */
const FORCED_MAX = 32;

export function tellPlan(
  record: ClusterRecord,
  command: PlanCommand,
  context: CommandContext,
): AppliedCommand {
  return judged(record, context, (pass) => told(pass, command));
}

function told(pass: Pass, command: PlanCommand): CommandAnswer {
  const { plan, verb } = command;
  const { record } = pass;
  if (record.uninstall !== null) return refused('the service is being uninstalled');
  if (verb === 'interrupt') return hold(pass, command);
  if (verb === 'continue' && isPaused(record, plan)) return release(pass, command);
  if (plan === 'update') return tellUpdate(pass, command);
  if (verb === 'continue') return already(`nothing of the plan ${plan} waits for a word`);
  if (verb === 'start') {
    return refused(
      `the plan ${plan} is never started by hand`,
      'It begins by itself when there is something to do.',
    );
  }
  return refused(
    `a step of the plan ${plan} is neither forced nor begun anew: it follows from what is seen`,
    'Pause the plan to have nothing more of it begun; pod replace gives a member another place.',
  );
}

function tellUpdate(pass: Pass, command: PlanCommand): CommandAnswer {
  switch (command.verb) {
    case 'forceComplete':
      return forceComplete(pass, command);
    case 'restart':
      return restart(pass, command);
    case 'start':
      return start(pass, command);
    case 'continue':
      return pass.record.rollout === null ? start(pass, command) : goOn(pass, command);
    case 'interrupt':
      return hold(pass, command);
  }
}

function hold(pass: Pass, { plan, by }: PlanCommand): CommandAnswer {
  if (isPaused(pass.record, plan)) return already(`the plan ${plan} is paused already`);
  if (plan === 'deploy' && pass.record.epoch.phase !== 'formed') {
    const hint = 'Scale the cluster, or uninstall it, if it is not what was meant.';
    return refused('the plan deploy is not paused: a cluster that is half made serves nobody', hint);
  }
  const { record } = pass;
  record.plans.paused.push({ plan, by, atMs: pass.seen.wallMs });
  const { rollout, disruption } = record;
  if (plan === 'update' && rollout !== null) {
    const isTouched = disruption?.kind === 'update' && disruption.begun;
    withdraw(pass, rollout);
    const seat = rollout.step === null ? undefined : seatById(pass, rollout.step.seat);
    if (!isTouched && seat?.lost == null) rollout.step = null;
  }
  const message = `"${plan}" plan has been paused: what was begun is finished, nothing more is begun`;
  return done(message);
}

function release(pass: Pass, { plan }: PlanCommand): CommandAnswer {
  const { plans } = pass.record;
  plans.paused = plans.paused.filter((one) => one.plan !== plan);
  return done(`"${plan}" plan has been resumed`);
}

/** The word that another artifact, and with `canary` everything, waits for. */
function start(pass: Pass, { by, force }: PlanCommand): CommandAnswer {
  const { record, spec } = pass;
  const target = targetOf(spec);
  const left = seatsToUpdate(record, target, 'all');
  if (left.length === 0) return already('every member has what the options ask for');
  if (record.epoch.phase !== 'formed') return refused('the cluster has not formed yet');
  const objection = objectionToTarget(pass, target);
  if (objection !== null) return refused(`no member is updated: ${objection}`);
  const { rollout } = record;
  if (rollout?.scope === 'all' && (rollout.forced || !force)) {
    return already('the update was started before');
  }
  const risk = riskOf(pass, force);
  if (risk !== null) return refused(risk.message, risk.hint);
  const canary = spec.updateStrategy === 'canary' ? ('first' as const) : ('none' as const);
  record.rollout =
    rollout === null
      ? newRollout(pass, { scope: 'all', by, forced: force, canary })
      : { ...rollout, scope: 'all', by, forced: rollout.forced || force };
  const slots = left.map(({ slot }) => slot).join(', ');
  const message = `the update has been started: ${slots}, one after the other, the leader last`;
  const { rollout: begun } = record;
  const isFullDue = begun !== null && record.seats.some((seat) => lacksFull(pass, begun, seat));
  const full = isFullDue ? '; a full backup is taken first' : '';
  const held = isPaused(record, 'update') ? '; the plan is paused: continue it' : '';
  return done(message + full + held);
}

/** Where the members without one are no quorum, no member could ever be updated without leave. */
function riskOf(pass: Pass, force: boolean): { readonly message: string; readonly hint: string } | null {
  if (force) return null;
  const membership = membershipOf(pass);
  const [seat] = pass.record.seats.filter(({ lost }) => lost === null);
  if (seat === undefined || membership === null || membership.set.voters.size > 2) return null;
  if (obstacleToDisturb(pass, seat) !== null) return null;
  const message = objectionToDisturb(pass, membership, seat);
  if (message === null) return null;
  const hint = 'With --force members are updated all the same: no write is acknowledged while one restarts.';
  return { message: `no member is updated: ${message}`, hint };
}

/** After a pause, after the canary, after a failure. */
function goOn(pass: Pass, command: PlanCommand): CommandAnswer {
  const { rollout } = pass.record;
  if (rollout === null) return already('nothing of the plan update waits for a word');
  if (rollout.failed !== null) return tryAgain(pass);
  if (rollout.canary === 'held') {
    rollout.canary = 'none';
    rollout.by = command.by;
    return done('the update goes on with the other members');
  }
  // What of it waits for a word is another artifact.
  return start(pass, command);
}

function tryAgain(pass: Pass): CommandAnswer {
  const { rollout } = pass.record;
  const failed = rollout?.failed ?? null;
  assert(rollout !== null && failed !== null, 'nothing failed');
  rollout.failed = null;
  if (rollout.step !== null) {
    rollout.step.waitedMs = 0;
    const seat = seatById(pass, rollout.step.seat);
    if (seat !== undefined) seat.quickEnds = 0;
  }
  return done(`the update of ${failed.slot} is tried again`);
}

function restart(pass: Pass, { step }: PlanCommand): CommandAnswer {
  const { record } = pass;
  const { rollout } = record;
  if (rollout === null) return already('no member is being updated');
  const forced = record.plans.forced.filter(
    (one) => one.plan === 'update' && (step === null || one.step === step),
  );
  record.plans.forced = record.plans.forced.filter((one) => !forced.includes(one));
  const isFailed = rollout.failed !== null && (step === null || stepName(rollout.failed.slot) === step);
  if (isFailed) return tryAgain(pass);
  if (forced.length > 0) {
    const names = forced.map((one) => one.step).join(', ');
    return done(`${names}: done after all`);
  }
  return already('nothing of it failed or was forced: members that have what is asked for are not restarted');
}

/** That member is left as it is. */
function forceComplete(pass: Pass, command: PlanCommand): CommandAnswer {
  const { step, by } = command;
  const { record } = pass;
  const { rollout } = record;
  if (step === FULL_STEP && rollout !== null) return goWithoutFull(pass, command);
  const slot = slotsOf(record.size).find((one) => stepName(one) === step);
  if (rollout === null) {
    return refused('no update is under way', 'etcd-mesos plan show update tells what there is.');
  }
  if (slot === undefined)
    return refused('a step is forced, not the whole plan', 'Name the phase and the step.');
  const isBehind = seatsToUpdate(record, rollout.target, rollout.scope).some((seat) => seat.slot === slot);
  const isTheirs = rollout.step?.slot === slot || rollout.failed?.slot === slot;
  if (forcedStep(record, slot) !== undefined || (!isBehind && !isTheirs)) {
    return already(`${slot} is complete already`);
  }
  const { disruption } = record;
  if (isBehind) {
    rememberForced(pass, stepName(slot), by);
    if (rollout.step?.slot === slot) withdraw(pass, rollout);
  }
  const isTouched = disruption?.kind === 'update' && disruption.begun && disruption.slot === slot;
  if (rollout.failed?.slot === slot) rollout.failed = null;
  if (rollout.step?.slot === slot && !isTouched) rollout.step = null;
  const then = isTouched ? '; the others wait until it serves' : '';
  return done(`${slot} is left as it is, as ${by} says${then}`);
}

/** Etcd goes up a minor without a full backup of before. */
function goWithoutFull(pass: Pass, { by }: PlanCommand): CommandAnswer {
  if (fullWaived(pass.record) !== undefined) return already(`${FULL_STEP} is left out already`);
  rememberForced(pass, FULL_STEP, by);
  const message = `the upgrade goes on without a full backup of before, as ${by} says`;
  return done(message);
}

function rememberForced({ record, seen }: Pass, step: string, by: string): void {
  const entry = { plan: 'update' as const, step, by, atMs: seen.wallMs };
  record.plans.forced = [...record.plans.forced, entry].slice(-FORCED_MAX);
}
