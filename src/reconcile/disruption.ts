import { DEFRAGMENT_MS_MAX } from '../protocol/orders.ts';
import type { Disruption } from '../protocol/record.ts';
import { handOver, heirOf } from './handover.ts';
import { isDefragmented, isLevelWithLeader, type Membership, memberOf } from './membership.ts';
import {
  BUSY_WAKE_MS,
  block,
  type Draft,
  type DraftSeat,
  evidenceOf,
  freshStatus,
  order,
  type Pass,
  seatById,
  wakeWithin,
} from './pass.ts';
import { type Objection, objectionToDisruption } from './quorum.ts';
import { whyUnread } from './users.ts';

/*
 * What we do to a member that serves, of our own will (S9): one at a time, and only while the others are a quorum.
 * Which step comes next follows from what is seen; the record only remembers what is wanted, and that it was begun.
 */

/** S9: may the member of this seat be stopped for a while? `null`: it may. */
export function objectionToDisturb(pass: Pass, membership: Membership | null, seat: DraftSeat): Objection {
  return obstacleToDisturb(pass, seat) ?? riskOfDisturbing(pass, membership, seat);
}

/** What stands in the way whatever an operator says: something else is under way, or there is no member. */
export function obstacleToDisturb({ record }: Pass, seat: DraftSeat): Objection {
  const { epoch, uninstall, intent, disruption } = record;
  if (uninstall !== null) return 'the service is being uninstalled';
  if (epoch.phase !== 'formed') return 'the cluster has not formed yet';
  if (intent !== null) return `the member of ${intent.slot} is being changed: ${intent.reason}`;
  if (disruption !== null) return `${describeDisruption(disruption)} is under way`;
  if (seat.lost !== null) return `${seat.slot} is being replaced: ${seat.lost.message}`;
  return seat.data?.started === true ? null : `${seat.slot} holds no member yet`;
}

/** What an operator may take upon themselves: that the others cannot go on without it, or might not. */
export function riskOfDisturbing(pass: Pass, membership: Membership | null, seat: DraftSeat): Objection {
  if (membership === null) {
    return `${whyUnread(pass)}: whether the others are a quorum is not known`;
  }
  const paused = pass.record.seats.find((other) => other.id !== seat.id && other.paused !== null);
  if (paused !== undefined) return `${paused.slot} is paused`;
  const busy = pass.record.seats.find(
    (other) => other.id !== seat.id && (freshStatus(pass, other)?.busy ?? null) !== null,
  );
  if (busy !== undefined) return `${busy.slot} is defragmenting`;
  const member = memberOf(membership, seat);
  return member === undefined ? null : objectionToDisruption(membership.set, member.id);
}

/** Opens one on a seat to which there is no objection. It takes effect in a pass after this was stored. */
export function openDisruption(
  pass: Pass,
  seat: DraftSeat,
  what: Pick<Disruption, 'kind' | 'by' | 'reason' | 'forced'> & Partial<Pick<Disruption, 'heir' | 'id'>>,
): void {
  pass.record.disruption = {
    id: `disruption-${pass.seen.freshId}`,
    heir: null,
    ...what,
    slot: seat.slot,
    seat: seat.id,
    task: seat.task,
    openedAtMs: pass.seen.wallMs,
    handoverMs: 0,
    begun: false,
  };
}

/** For people: `the restart of etcd-1`. */
export function describeDisruption({ kind, slot }: Pick<Disruption, 'kind' | 'slot'>): string {
  return `the ${NOUNS[kind]} ${slot}`;
}

const NOUNS: Readonly<Record<Disruption['kind'], string>> = {
  restart: 'restart of',
  update: 'update of',
  pause: 'pause of',
  defragment: 'defragmentation of',
  'move-leader': 'handover of leadership by',
};

/** Takes the open disruption one step on, or closes it. */
export function carryDisruption(pass: Pass, membership: Membership | null): void {
  const { disruption } = pass.record;
  if (disruption === null) return;
  const seat = seatById(pass, disruption.seat);
  // What was begun is finished by upkeep, which launches what has ended; what was not is not begun any more.
  const isDropped = pass.record.uninstall !== null || pass.record.epoch.phase !== 'formed';
  if (seat === undefined || seat.lost !== null || isDropped) {
    pass.record.disruption = null;
    return;
  }
  wakeWithin(pass, BUSY_WAKE_MS);
  if (disruption.kind === 'move-leader') {
    moveLeader(pass, membership, disruption, seat);
  } else if (disruption.kind === 'pause') {
    if (seat.paused === null) stop(pass, membership, disruption, seat);
    else if (isDown(pass, seat)) pass.record.disruption = null;
    else if (isTooLate(pass, disruption)) {
      seat.paused = null;
      pass.record.disruption = null;
    }
  } else if (seat.task === disruption.task && seat.taskEnd === null) {
    if (disruption.kind === 'defragment') rewrite(pass, membership, disruption, seat);
    else stop(pass, membership, disruption, seat);
  } else if (isBack(pass, membership, seat)) pass.record.disruption = null;
}

/** S9, each time that the etcd of a paused member is told to stop. */
export function objectionToStop(pass: Pass, membership: Membership | null, seat: DraftSeat): Objection {
  const { disruption } = pass.record;
  if (disruption?.seat === seat.id && disruption.forced) return null;
  if (membership === null) return whyUnread(pass);
  const member = memberOf(membership, seat);
  return member === undefined ? null : objectionToDisruption(membership.set, member.id);
}

/** Its supervisor, or the end of its task, says that its etcd does not run. */
export function isDown(pass: Pass, seat: DraftSeat): boolean {
  const phase = freshStatus(pass, seat)?.phase;
  return seat.taskEnd !== null || (phase !== undefined && phase !== 'running' && phase !== 'backing-off');
}

/** Over when it was done and the member serves again. A task that ended meanwhile is upkeep's. */
function rewrite(
  pass: Pass,
  membership: Membership | null,
  disruption: Draft<Disruption>,
  seat: DraftSeat,
): void {
  if (!isDefragmented(pass, seat)) stop(pass, membership, disruption, seat);
  else if (isServingAgain(pass, membership, seat)) pass.record.disruption = null;
}

/** Its new task runs a member that is level with the leader again. */
function isBack(pass: Pass, membership: Membership | null, seat: DraftSeat): boolean {
  if (seat.taskEnd !== null || seat.task === pass.record.disruption?.task) return false;
  return isServingAgain(pass, membership, seat);
}

function isServingAgain(pass: Pass, membership: Membership | null, seat: DraftSeat): boolean {
  // Forced where nobody could tell: then it is enough that it runs.
  if (membership === null) {
    return pass.record.disruption?.forced === true && freshStatus(pass, seat)?.phase === 'running';
  }
  const member = memberOf(membership, seat);
  if (member === undefined) return freshStatus(pass, seat) !== null;
  return membership.set.healthy.has(member.id) && isLevelWithLeader(membership, seat);
}

function stop(
  pass: Pass,
  membership: Membership | null,
  disruption: Draft<Disruption>,
  seat: DraftSeat,
): void {
  const what = describeDisruption(disruption);
  // What it is busy with ends by itself, in a time that its order sets.
  const isBusy = (freshStatus(pass, seat)?.busy ?? null) !== null;
  if (!isBusy && evidenceOf(pass, seat.task)?.kind === 'alive' && isTooLate(pass, disruption)) {
    pass.record.disruption = null;
    block(
      pass,
      'disruption-given-up',
      seat.slot,
      `${what} could not be done in ${GIVE_UP_MS / 60_000} minutes`,
    );
    return;
  }
  const objection = objectionNow(pass, membership, disruption, seat);
  if (objection !== null) {
    block(pass, 'disruption-waits', seat.slot, `${what} waits: ${objection}`);
    return;
  }
  if (!disruption.begun && waitsForHandover(pass, membership, disruption, seat)) return;
  disruption.begun = true;
  const { by, reason } = disruption;
  if (disruption.kind === 'pause') {
    // Upkeep holds it down from now on.
    seat.paused = { by, atMs: pass.seen.wallMs };
  } else if (disruption.kind === 'defragment') {
    const limitMs = defragmentLimitMs(freshStatus(pass, seat)?.probe?.dbSizeBytes ?? 0);
    const args = { run: disruption.id, limitMs };
    order(pass, seat, { kind: 'defragment', args }, `${what}: ${reason}`);
  } else if (evidenceOf(pass, seat.task)?.kind === 'alive') {
    const { killGraceMs: graceMs } = pass.spec;
    const why = `${what}: ${reason}`;
    pass.actions.push({ kind: 'kill', task: seat.task, agentId: seat.agentId, graceMs, reason: why });
  }
}

/** Over once anybody else leads; what does not come about is not insisted on. */
function moveLeader(
  pass: Pass,
  membership: Membership | null,
  disruption: Draft<Disruption>,
  seat: DraftSeat,
): void {
  const leaderId = membership?.leaderId ?? null;
  const member = membership === null ? undefined : memberOf(membership, seat);
  const isOver = leaderId !== null && leaderId !== member?.id;
  if (isOver || disruption.handoverMs >= HANDOVER_MS_MAX) {
    pass.record.disruption = null;
    return;
  }
  disruption.handoverMs += pass.seen.elapsedMs;
  const { heir, by, reason } = disruption;
  if (membership === null || leaderId === null || pass.record.intent !== null) return;
  if (heir === null || !membership.set.healthy.has(heir) || !membership.set.voters.has(heir)) return;
  disruption.begun = true;
  handOver(pass, membership, heir, `${reason}, by ${by}`);
}

/** It reads and writes the whole database: a slow disk takes a second for each 20 MB. */
function defragmentLimitMs(dbSizeBytes: number): number {
  return Math.min(DEFRAGMENT_MS_MAX, 60_000 + Math.ceil(dbSizeBytes / 20_000));
}

/** What could not be begun, or a task that does not end, is not waited for longer: by then nobody expects it. */
const GIVE_UP_MS = 600_000;

/** By wall time: a jump gives up too early, or waits on for what is safe at any time. */
function isTooLate({ seen }: Pass, { openedAtMs }: Draft<Disruption>): boolean {
  return seen.wallMs - openedAtMs >= GIVE_UP_MS;
}

/** The world may have changed since it was opened, and between two tries to end the task. */
function objectionNow(
  pass: Pass,
  membership: Membership | null,
  { begun, forced, kind }: Draft<Disruption>,
  seat: DraftSeat,
): Objection {
  const { intent } = pass.record;
  if (!begun && intent !== null) return `the member of ${intent.slot} is being changed: ${intent.reason}`;
  if (!begun && kind === 'defragment') {
    // A database that is being received from the leader is not to be rewritten at the same time.
    const isLevel = membership !== null && isLevelWithLeader(membership, seat);
    if (!isLevel) return `${seat.slot} is not level with the leader`;
  }
  return forced ? null : riskOfDisturbing(pass, membership, seat);
}

/** A leader hands over first. Where it does not, it goes as it is: etcd hands over by itself when it is told to end. */
function waitsForHandover(
  pass: Pass,
  membership: Membership | null,
  disruption: Draft<Disruption>,
  seat: DraftSeat,
): boolean {
  const member = membership === null ? undefined : memberOf(membership, seat);
  if (membership === null || member === undefined || disruption.handoverMs >= HANDOVER_MS_MAX) return false;
  const heir = heirOf(pass, membership, member.id);
  if (heir === undefined) return false;
  disruption.handoverMs += pass.seen.elapsedMs;
  handOver(pass, membership, heir, `before ${describeDisruption(disruption)}: ${disruption.reason}`);
  return true;
}

/** An order takes at most 10 s: so it was given, and perhaps once more. */
export const HANDOVER_MS_MAX = 15_000;
