import { nameTaskIdOf } from '../protocol/identifiers.ts';
import type { MemberStatus } from '../protocol/member-status.ts';
import type { Membership } from './membership.ts';
import { memberOf } from './membership.ts';
import { block, type DraftSeat, evidenceOf, freshStatus, type Pass, viewOf, wakeWithin } from './pass.ts';
import { mayServe } from './seats.ts';
import { tellsNothing } from './users.ts';

/**
 * Name tasks: one beside every voter that serves clients, so that who asks DNS for the client port is told of
 * these and no others. What becomes of a name task never touches its member.
 */
export function keepNames(pass: Pass, membership: Membership | null): void {
  const { seats, leaving } = pass.record;
  for (const { seat, reason } of leaving) withdraw(pass, seat, reason);
  for (const seat of seats) {
    forget(pass, seat);
    const over = reasonAgainst(pass, membership, seat);
    if (over !== null) withdraw(pass, seat, over);
    else if (deserves(pass, membership, seat)) wantName(pass, seat);
  }
}

/** Whether what a supervisor says of its etcd means that clients are served, as far as it can be known. */
export function servesClients(status: MemberStatus): boolean {
  if (tellsNothing(status)) return true;
  return status.phase === 'running' && status.probe !== null && status.probe.leaderId !== null;
}

/** Nothing of the seat's name task is left that its agent could still run. */
export function isNameOver(pass: Pass, seat: DraftSeat): boolean {
  return seat.nameTask === null || evidenceOf(pass, seat.nameTask.task)?.kind === 'over';
}

/**
 * A name outlives an election and a start of etcd on its data: its member must have said for this long, without a
 * break, that it does not serve; longer where an election may take longer.
 */
const NOT_SERVING_MS = 15_000;
const ELECTIONS = 5;
/** A name task that ended sooner after its launch than this is not launched again before this. */
const QUICK_END_MS = 30_000;
/** SIGTERM to SIGKILL: there is nothing that it could put in order. */
const KILL_GRACE_MS = 2_000;

/** An end that somebody saw is final; what is only said to be gone stays recorded until it is replaced. */
function forget(pass: Pass, seat: DraftSeat): void {
  if (seat.nameTask === null) return;
  const evidence = evidenceOf(pass, seat.nameTask.task);
  const ended = evidence?.kind === 'over' && evidence.end.standing !== 'asserted';
  if (pass.seen.mesos.agentsGone.has(seat.agentId) || (ended && backoffMs(pass, seat) === 0)) {
    seat.nameTask = null;
  }
}

/** Milliseconds before a name task that ended by itself and hardly ran is tried again. */
function backoffMs(pass: Pass, seat: DraftSeat): number {
  const evidence = seat.nameTask === null ? undefined : evidenceOf(pass, seat.nameTask.task);
  if (seat.nameTask === null || evidence?.kind !== 'over' || evidence.end.standing === 'asserted') return 0;
  const livedMs = evidence.end.atMs - seat.nameTask.launchedAtMs;
  const waitedMs = pass.seen.wallMs - evidence.end.atMs;
  const quick = livedMs >= 0 && livedMs < QUICK_END_MS && evidence.end.state !== 'TASK_KILLED';
  // Wall time only spaces the tries.
  return quick && waitedMs >= 0 && waitedMs < QUICK_END_MS ? QUICK_END_MS - waitedMs : 0;
}

/** Why the seat must have no name; `null` where it may keep the one it has. */
function reasonAgainst(pass: Pass, membership: Membership | null, seat: DraftSeat): string | null {
  if (seat.lost !== null && !mayServe(seat)) return seat.lost.message;
  if (seat.taskEnd !== null) return `the task of its member is over: ${seat.taskEnd.state}`;
  if (seat.paused !== null) return `its member is paused by ${seat.paused.by}`;
  const view = viewOf(pass, seat);
  if (membership !== null && memberOf(membership, seat)?.isLearner !== false)
    return 'its member does not vote';
  if (view === undefined) return null;
  const seconds = (durationMs: number) => `${Math.round(durationMs / 1000)} s`;
  const patienceMs = Math.max(NOT_SERVING_MS, ELECTIONS * seat.pinned.etcd.electionTimeoutMs);
  if (view.failingMs === 0 && view.notServingMs >= patienceMs) {
    return `its member has not served for ${seconds(view.notServingMs)}`;
  }
  // A supervisor that is out of our reach may serve all others; its agent looks at the port itself.
  const evidence = seat.nameTask === null ? undefined : evidenceOf(pass, seat.nameTask.task);
  const shut = evidence?.kind === 'alive' && evidence.healthy === false;
  if (shut && view.failingMs >= patienceMs) {
    return `its supervisor has not answered for ${seconds(view.failingMs)}, and its client port is closed`;
  }
  return null;
}

/** A voter by the word of a quorum that serves by its own, as of now. */
function deserves(pass: Pass, membership: Membership | null, seat: DraftSeat): boolean {
  const status = freshStatus(pass, seat);
  if (status === null || !servesClients(status)) return false;
  // A learner confirms no quorum, nor does who is cut off from it.
  if (tellsNothing(status)) return pass.record.epoch.phase === 'formed' && status.needsUser?.quorum === true;
  const member = membership === null ? undefined : memberOf(membership, seat);
  return member?.isLearner === false && membership?.set.healthy.has(member.id) === true;
}

function wantName(pass: Pass, seat: DraftSeat): void {
  if (!isNameOver(pass, seat)) return;
  const waitMs = backoffMs(pass, seat);
  if (waitMs > 0) {
    block(
      pass,
      'name-backs-off',
      seat.slot,
      'its name task, by which DNS tells of it, ended soon after launch',
    );
    wakeWithin(pass, waitMs);
    return;
  }
  const message = `DNS does not tell clients of it: waits for ${seat.hostname} to offer its name task's share`;
  block(pass, 'waits-for-name', seat.slot, message);
  const task = nameTaskIdOf(seat.slot, pass.seen.freshId);
  pass.wants.push({ kind: 'name', seat: seat.id, task, reason: 'its member serves' });
}

function withdraw(pass: Pass, seat: DraftSeat, reason: string): void {
  if (seat.nameTask === null) return;
  const { task } = seat.nameTask;
  if (evidenceOf(pass, task)?.kind !== 'alive') return;
  pass.actions.push({ kind: 'kill', task, agentId: seat.agentId, graceMs: KILL_GRACE_MS, reason });
  wakeWithin(pass, 1000);
}
