import { describeArtifact, isSameArtifact, readPin } from '../protocol/artifact-pin.ts';
import type { ClusterRecord, Rollout, Seat, Target } from '../protocol/record.ts';
import { clusterVersionOf, isSameOptions } from './artifacts.ts';
import type { Pinned } from './decision.ts';
import { objectionToDisturb, obstacleToDisturb, openDisruption } from './disruption.ts';
import { objectionToVersion } from './etcd-upgrades.ts';
import { type Membership, memberOf } from './membership.ts';
import { servesClients } from './names.ts';
import type { Spec } from './observation.ts';
import {
  BUSY_WAKE_MS,
  block,
  type Draft,
  type DraftSeat,
  freshStatus,
  type Pass,
  seatById,
  seatsOf,
  slotsOf,
  wakeWithin,
} from './pass.ts';
import { isPaused } from './paused.ts';
import { isEveryVoterHealthy } from './quorum.ts';
import { askForFull, etcdOf, lacksFull, rememberFull } from './upgrade-backup.ts';
import { objectionOfUsers, tellsNothing } from './users.ts';

/*
 * Brings members that run to what the options ask for by now: one after the other, the leader last, the next only
 * after the whole cluster has been well for a while, and none after one that failed.
 */

/**
 * For how long the whole cluster has to be well between two members. For five seconds after a member is back etcd
 * itself does not count on it, and refuses changes of the membership.
 */
const STEADY_MS = 6_000;
/** Tasks of an updated member that end soon after their launch, until it counts as failed. */
const QUICK_ENDS_MAX = 5;

export type RolloutScope = Rollout['scope'];

export function targetOf({ artifact, etcd, resources }: Spec): Target {
  return { artifact, etcd, resources };
}

/** What of a seat is to be changed. */
export interface Difference {
  readonly artifact: boolean;
  readonly options: boolean;
  /** Processors or memory: its agent may have room for them. */
  readonly share: boolean;
  /** A larger volume: only another place has that. A smaller one is not worth a move. */
  readonly disk: boolean;
}

export function differenceOf(seat: Seat, target: Target): Difference {
  const { cpus, memMb, diskMb } = target.resources;
  return {
    artifact: !isSameArtifact(seat.pinned.artifact, target.artifact),
    options: !isSameOptions(target.etcd, seat.pinned.etcd),
    share: !isSameAmount(seat.resources.cpus, cpus) || !isSameAmount(seat.resources.memMb, memMb),
    disk: seat.resources.diskMb < diskMb && !isSameAmount(seat.resources.diskMb, diskMb),
  };
}

/** As Mesos compares them: in thousandths. */
function isSameAmount(one: number, other: number): boolean {
  return Math.round(one * 1000) === Math.round(other * 1000);
}

export function isBehind(seat: Seat, target: Target, scope: RolloutScope): boolean {
  const { artifact, options, share, disk } = differenceOf(seat, target);
  return options || share || disk || (artifact && scope === 'all');
}

/** The seats that members of the cluster have or are to have. */
export function seatsToUpdate(record: ClusterRecord, target: Target, scope: RolloutScope): readonly Seat[] {
  const slots = slotsOf(record.size);
  return record.seats.filter(
    (seat) => slots.includes(seat.slot) && seat.lost === null && isBehind(seat, target, scope),
  );
}

export const stepName = (slot: string): string => `${slot}:[server]`;

/** Whether an operator said of the update of this slot that it be left as it is. */
export function forcedStep(
  { plans }: ClusterRecord,
  slot: string,
): ClusterRecord['plans']['forced'][number] | undefined {
  return plans.forced.find(({ plan, step }) => plan === 'update' && step === stepName(slot));
}

/** Why members may not be brought to this artifact; `null`: they may, or run it. */
export function objectionToTarget(pass: Pass, target: Target): string | null {
  for (const seat of pass.record.seats) {
    if (seat.lost !== null || isSameArtifact(seat.pinned.artifact, target.artifact)) continue;
    const objection = objectionToVersion({
      from: etcdOf(pass, seat),
      to: readPin(target.artifact).etcd,
      cluster: clusterVersionOf(pass),
      full: pass.record.upgradeFull,
    });
    if (objection !== null) return `${seat.slot}: ${objection}`;
  }
  return null;
}

/** The next roll-out, as it is opened. */
export function newRollout(
  pass: Pass,
  of: Pick<Rollout, 'scope' | 'by' | 'forced' | 'canary'>,
): Draft<Rollout> {
  return {
    id: `rollout-${pass.seen.freshId}`,
    target: structuredClone(targetOf(pass.spec)),
    ...of,
    openedAtMs: pass.seen.wallMs,
    step: null,
    noRoom: [],
    steadyMs: 0,
    failed: null,
  };
}

/** One step on with what is rolled out. Runs once the cluster has formed. */
export function rollOut(pass: Pass, membership: Membership | null): void {
  if (pass.record.uninstall !== null) return;
  followOptions(pass);
  const { rollout } = pass.record;
  if (rollout === null) return;
  finishStep(pass, membership, rollout);
  retryStep(pass, rollout);
  if (rollout.step === null) beginStep(pass, membership, rollout);
  if (rollout.failed !== null) {
    const { slot, message } = rollout.failed;
    const cure = 'continue the plan update to try again, or put the former options back';
    block(pass, 'update-failed', slot, `the update stopped: ${message}; ${cure}`);
  }
  complete(pass, rollout);
}

// ---- what is asked for ----

function followOptions(pass: Pass): void {
  const { record, spec } = pass;
  const target = targetOf(spec);
  if (record.rollout !== null && !isSameTarget(record.rollout.target, target))
    supersede(pass, record.rollout);
  if (record.rollout !== null || spec.updateStrategy !== 'serial') return;
  // Of a place that was found it is not known what its member was given: that waits for a word.
  if (record.epoch.source.kind === 'adopted') return;
  if (seatsToUpdate(record, target, 'options').length === 0) return;
  record.rollout = newRollout(pass, {
    scope: 'options',
    by: 'the options of the scheduler',
    forced: false,
    canary: 'none',
  });
}

function isSameTarget(one: Target, other: Target): boolean {
  const { resources: left } = one;
  const { resources: right } = other;
  return (
    isSameArtifact(one.artifact, other.artifact) &&
    isSameOptions(one.etcd, other.etcd) &&
    (['cpus', 'memMb', 'diskMb'] as const).every((name) => isSameAmount(left[name], right[name]))
  );
}

/**
 * Other options came in the middle of a roll-out. Back to what a member still has it goes without a word: that is
 * how one that failed is healed. Another artifact waits for its own.
 */
function supersede(pass: Pass, before: Draft<Rollout>): void {
  const { record, spec } = pass;
  const target = targetOf(spec);
  withdraw(pass, before);
  dropForced(pass);
  const isBack = record.seats.some((seat) => seat.lost === null && !isBehind(seat, target, 'all'));
  const isAsked = isSameArtifact(before.target.artifact, target.artifact) || isBack;
  if (spec.updateStrategy === 'canary' && !isBack) {
    record.rollout = null;
    return;
  }
  const scope = before.scope === 'all' && isAsked ? 'all' : 'options';
  record.rollout = newRollout(pass, { scope, by: before.by, forced: before.forced, canary: 'none' });
}

function dropForced({ record }: Pass): void {
  if (record.plans.forced.every(({ plan }) => plan !== 'update')) return;
  record.plans.forced = record.plans.forced.filter(({ plan }) => plan !== 'update');
}

/** Takes back what was announced to a member and has not touched it yet. */
export function withdraw(pass: Pass, { step }: Draft<Rollout>): void {
  const { disruption, intent } = pass.record;
  if (disruption?.kind === 'update' && !disruption.begun) pass.record.disruption = null;
  const seat = step === null ? undefined : seatById(pass, step.seat);
  const isGoing = intent?.committed === true && intent.remove?.seat === seat?.id;
  if (seat?.lost?.cause === 'moved' && !isGoing) seat.lost = null;
}

// ---- one member ----

function finishStep(pass: Pass, membership: Membership | null, rollout: Draft<Rollout>): void {
  const { step } = rollout;
  if (isWell(pass, membership)) {
    rollout.steadyMs = Math.min(STEADY_MS, rollout.steadyMs + pass.seen.elapsedMs);
  } else if (rollout.steadyMs > 0) rollout.steadyMs = 0;
  if (step === null) return;
  const seat = seatById(pass, step.seat);
  if (ownDisruption(pass, step.seat) !== null) {
    awaitMember(pass, rollout, seat);
    return;
  }
  wakeWithin(pass, BUSY_WAKE_MS);
  if (seatsOf(pass, step.slot).some(({ lost }) => lost !== null) || rollout.steadyMs < STEADY_MS) return;
  if (seat !== undefined && differenceOf(seat, rollout.target).share && !rollout.noRoom.includes(seat.id)) {
    if (!isPinnedBehind(seat, rollout)) rollout.noRoom = [...rollout.noRoom, seat.id].slice(-32);
  }
  const isUpdated = seatsOf(pass, step.slot).every((one) => !isBehind(one, rollout.target, rollout.scope));
  if (isUpdated && rollout.canary === 'first') rollout.canary = 'held';
  rollout.step = null;
}

function isPinnedBehind(seat: Seat, { target, scope }: Draft<Rollout>): boolean {
  const { artifact, options } = differenceOf(seat, target);
  return options || (artifact && scope === 'all');
}

/** The disruption with which the roll-out has this seat's member down. */
function ownDisruption(pass: Pass, seatId: string): Pass['record']['disruption'] {
  const { disruption } = pass.record;
  return disruption?.kind === 'update' && disruption.seat === seatId ? disruption : null;
}

function awaitMember(pass: Pass, rollout: Draft<Rollout>, seat: DraftSeat | undefined): void {
  const { step } = rollout;
  const disruption = step === null ? null : ownDisruption(pass, step.seat);
  if (step === null || disruption === null || !disruption.begun || rollout.failed !== null) return;
  const status = seat === undefined ? null : freshStatus(pass, seat);
  // It answers, and whether it is level cannot be seen: that is no failure of it.
  if (status !== null && tellsNothing(status)) return;
  step.waitedMs += pass.seen.elapsedMs;
  const message = failureOf(pass, step.waitedMs, seat, disruption.task);
  if (message !== null) rollout.failed = { slot: step.slot, message, atMs: pass.seen.wallMs };
}

function failureOf(
  pass: Pass,
  waitedMs: number,
  seat: DraftSeat | undefined,
  oldTask: string,
): string | null {
  if (seat === undefined) return null;
  const status = freshStatus(pass, seat);
  const said = seat.taskEnd?.message || seat.taskEnd?.state || status?.problem || 'its etcd does not serve';
  if (seat.task !== oldTask && seat.quickEnds >= QUICK_ENDS_MAX) {
    return `its task ended ${seat.quickEnds} times soon after its launch: ${said}`;
  }
  if (waitedMs < pass.spec.updateStepTimeoutMs) return null;
  return `it did not serve again in ${Math.round(waitedMs / 1000)} s: ${said}`;
}

/** Other options came while a member that was updated is not back: it is updated once more. */
function retryStep(pass: Pass, rollout: Draft<Rollout>): void {
  const { disruption } = pass.record;
  // A roll-out that has taken over from another knows of no step yet.
  if (disruption?.kind !== 'update' || !disruption.begun || rollout.step !== null) return;
  const seat = seatById(pass, disruption.seat);
  if (seat === undefined || isPaused(pass.record, 'update')) return;
  rollout.step = { slot: seat.slot, seat: seat.id, waitedMs: 0 };
  if (seat.task === disruption.task || !isBehind(seat, rollout.target, rollout.scope)) return;
  if (seat.taskEnd === null && isServing(pass, seat)) return;
  pass.record.disruption = null;
  seat.quickEnds = 0;
  openUpdate(pass, rollout, seat);
  // What has ended already needs no more than to be launched with it.
  const reopened = ownDisruption(pass, seat.id);
  if (reopened !== null && seat.taskEnd !== null) reopened.begun = true;
}

function isServing(pass: Pass, seat: DraftSeat): boolean {
  const status = freshStatus(pass, seat);
  return status !== null && servesClients(status);
}

function beginStep(pass: Pass, membership: Membership | null, rollout: Draft<Rollout>): void {
  const seat = nextSeat(pass, membership, rollout);
  if (seat === undefined) return;
  const objection = objectionToTarget(pass, rollout.target);
  if (rollout.scope === 'all' && objection !== null) {
    block(pass, 'update-refused', null, `no member is updated: ${objection}`);
    return;
  }
  if (rollout.failed !== null) return;
  if (rollout.canary === 'held' || isPaused(pass.record, 'update')) return;
  wakeWithin(pass, 1000);
  if (rollout.steadyMs < STEADY_MS) {
    block(
      pass,
      'update-waits',
      seat.slot,
      `its update waits until the whole cluster has been well for a while`,
    );
    return;
  }
  if (lacksFull(pass, rollout, seat)) {
    askForFull(pass, rollout, seat);
    return;
  }
  const obstacle =
    (needsMove(seat, rollout) ? objectionOfUsers(pass) : null) ??
    (rollout.forced ? obstacleToDisturb(pass, seat) : objectionToDisturb(pass, membership, seat));
  if (obstacle !== null) {
    block(pass, 'update-waits', seat.slot, `its update waits: ${obstacle}`);
    return;
  }
  rememberFull(pass, rollout, seat);
  rollout.step = { slot: seat.slot, seat: seat.id, waitedMs: 0 };
  if (needsMove(seat, rollout)) {
    seat.lost = { cause: 'moved', message: `${seat.hostname} cannot give it what the update asks for` };
  } else openUpdate(pass, rollout, seat);
}

function openUpdate(pass: Pass, rollout: Draft<Rollout>, seat: DraftSeat): void {
  const { by, forced } = rollout;
  openDisruption(pass, seat, { kind: 'update', by, forced, reason: describeUpdate(seat, rollout) });
}

/** For people: what of it changes. */
export function describeUpdate(seat: Seat, { target, scope }: Pick<Rollout, 'target' | 'scope'>): string {
  const { artifact, options, share, disk } = differenceOf(seat, target);
  const parts = [
    ...(artifact && scope === 'all'
      ? [`${describeArtifact(seat.pinned.artifact)} becomes ${describeArtifact(target.artifact)}`]
      : []),
    ...(options ? ['other options of etcd'] : []),
    ...(share || disk ? ['other resources'] : []),
  ];
  return parts.length === 0 ? 'the update' : parts.join(', ');
}

/** The leader goes last, then only the others have had to hold an election for it. */
function nextSeat(
  pass: Pass,
  membership: Membership | null,
  { target, scope }: Draft<Rollout>,
): DraftSeat | undefined {
  const leads = (seat: DraftSeat): number =>
    membership !== null && memberOf(membership, seat)?.id === membership.leaderId ? 1 : 0;
  return seatsToUpdate(pass.record as ClusterRecord, target, scope)
    .map(({ id }) => seatById(pass, id) as DraftSeat)
    .filter((seat) => forcedStep(pass.record as ClusterRecord, seat.slot) === undefined)
    .toSorted((one, other) => leads(one) - leads(other))[0];
}

/** Every member there should be serves, and nothing is under way. */
function isWell(pass: Pass, membership: Membership | null): boolean {
  const { intent, disruption, seats, size } = pass.record;
  if (membership === null || intent !== null || disruption !== null) return false;
  const { voters } = membership.set;
  return (
    seats.every((seat) => seat.lost === null && seat.taskEnd === null && seat.paused === null) &&
    voters.size >= size &&
    membership.members.length === voters.size &&
    isEveryVoterHealthy(membership.set)
  );
}

/** In a sandbox the data ends with the task. */
function needsMove(seat: DraftSeat, rollout: Draft<Rollout>): boolean {
  const { disk } = differenceOf(seat, rollout.target);
  return seat.storage === 'sandbox' || disk || rollout.noRoom.includes(seat.id);
}

function complete(pass: Pass, rollout: Draft<Rollout>): void {
  const left = seatsToUpdate(pass.record as ClusterRecord, rollout.target, rollout.scope);
  const isOver = rollout.step === null && left.length === 0 && pass.record.disruption?.kind !== 'update';
  if (!isOver) return;
  pass.record.rollout = null;
  dropForced(pass);
}

// ---- what tasks are launched with ----

export interface Run {
  readonly pinned: Pinned;
  readonly resources: Seat['resources'];
}

/** What the next task of a seat is given: what it has, or what the roll-out that has ended its task brings. */
export function runOf(pass: Pass, seat: DraftSeat): Run {
  const { rollout, disruption } = pass.record;
  const same = { pinned: seat.pinned, resources: seat.resources };
  if (rollout === null || rollout.failed !== null) return same;
  if (disruption?.kind !== 'update' || disruption.seat !== seat.id || disruption.task !== seat.task)
    return same;
  return updated(pass, rollout, seat);
}

/** The same of a new place for a slot that the roll-out moves; `null`: it does not. */
export function runOfMove(pass: Pass, slot: string): Run | null {
  const { rollout } = pass.record;
  const old = pass.record.seats.find((seat) => seat.slot === slot && seat.lost?.cause === 'moved');
  if (rollout === null || old === undefined || rollout.step?.seat !== old.id) return null;
  return updated(pass, rollout, old);
}

function updated(pass: Pass, rollout: Draft<Rollout>, seat: DraftSeat): Run {
  const { target, scope } = rollout;
  const { cpus, memMb } = target.resources;
  // The word for another artifact may come while a member is down for its options alone.
  const bringsArtifact = scope === 'all' && !lacksFull(pass, rollout, seat);
  return {
    pinned: { artifact: bringsArtifact ? target.artifact : seat.pinned.artifact, etcd: target.etcd },
    resources: { cpus, memMb, diskMb: seat.resources.diskMb },
  };
}
