import { taskIdOf } from '../protocol/identifiers.ts';
import { type Launchable, launchable, pinnedForSlot } from './artifacts.ts';
import { isDown, objectionToStop } from './disruption.ts';
import type { Membership } from './membership.ts';
import { isNameOver } from './names.ts';
import {
  BUSY_WAKE_MS,
  block,
  type DraftSeat,
  evidenceOf,
  freshStatus,
  order,
  type Pass,
  relaunchWaitMs,
  seatById,
  seatsOf,
  slotsOf,
  wakeWithin,
} from './pass.ts';
import { isPaused } from './paused.ts';
import { isRecoveryHeld } from './recovery.ts';
import { mayComeBack, mayResume, resumptionOf } from './resumption.ts';
import { runOf, runOfMove } from './rollout.ts';
import { mayDestroy } from './scaling.ts';
import { isKept } from './seats.ts';

/** Gives every slot a place, every place a task, every task its etcd; and lets go of what is leaving. */
export function upkeep(pass: Pass, membership: Membership | null): void {
  // A new place for what may only not have been found yet would be taken for the slot's member.
  const isKnown = pass.record.epoch.phase !== 'adopting';
  for (const slot of isKnown ? slotsOf(pass.record.size) : []) wantPlace(pass, slot);
  for (const seat of pass.record.seats) {
    if (seat.lost !== null && !isNeededAgain(pass, membership, seat)) continue;
    if (seat.taskEnd !== null) wantRelaunch(pass, seat);
    else wantEtcd(pass, membership, seat);
  }
  letGo(pass, membership);
}

function wantPlace(pass: Pass, slot: string): void {
  const seats = seatsOf(pass, slot);
  if (seats.some((seat) => seat.lost === null)) return;
  if (seats.length === 0 && isPaused(pass.record, 'deploy') && pass.record.epoch.phase === 'formed') {
    block(pass, 'deploy-paused', slot, 'the slot gets no place while the plan deploy is paused');
    return;
  }
  const reason = seats[0]?.lost?.message ?? 'the slot has no place yet';
  if (seats.length > 0 && isRecoveryHeld(pass, slot)) {
    block(
      pass,
      'recovery-paused',
      slot,
      `${reason}: no other place is taken while the plan recovery is paused`,
    );
    return;
  }
  const next = launchable(pass, runOfMove(pass, slot)?.pinned ?? pinnedForSlot(pass, slot));
  if ('objection' in next) {
    block(pass, 'artifact-missing', slot, next.objection);
    return;
  }
  pass.wants.push({ kind: 'place', slot, run: next.run, reason: withInstead(reason, next) });
  block(pass, 'waits-for-offers', slot, `waits for an offer that fits: ${reason}`);
}

function withInstead(reason: string, { instead }: Launchable): string {
  return instead === null ? reason : `${reason}; ${instead}: the present one is taken`;
}

/** Without a quorum it votes until its removal is committed, and its disk may hold what the others lack. */
function isNeededAgain(pass: Pass, membership: Membership | null, seat: DraftSeat): boolean {
  const isFormed = pass.record.epoch.phase === 'formed';
  // A learner beyond the size may be off the list already, and its vote is not missed.
  if (seat.lost?.cause === 'surplus' && pass.record.intent?.add?.seat === seat.id) return false;
  return isFormed && membership === null && seat.data?.started === true && mayComeBack(seat);
}

/** L1: the same place, the same addresses, the same data, a new task. */
function wantRelaunch(pass: Pass, seat: DraftSeat): void {
  const end = seat.taskEnd;
  if (end === null) return;
  if (seat.storage === 'sandbox') {
    // Nothing of it is left to be launched on: it is replaced once it counts as lost.
    wakeWithin(pass, 1000);
    return;
  }
  const waitMs = relaunchWaitMs(pass, seat);
  if (waitMs > 0) {
    block(
      pass,
      'launch-backs-off',
      seat.slot,
      `its task ended ${seat.quickEnds} times soon after launch: ${end.message}`,
    );
    wakeWithin(pass, waitMs);
    return;
  }
  const { pinned, resources } = runOf(pass, seat);
  const next = launchable(pass, pinned);
  if ('objection' in next) {
    block(pass, 'artifact-missing', seat.slot, next.objection);
    wakeWithin(pass, 1000);
    return;
  }
  const over = `its task is over: ${end.state}${end.message === '' ? '' : `, ${end.message}`}`;
  const reason = withInstead(over, next);
  // A slot may have two places, and a task id names one task.
  const at = seatsOf(pass, seat.slot).indexOf(seat);
  const { freshId } = pass.seen;
  const task = taskIdOf(seat.slot, at === 0 ? freshId : `${freshId}-${at}`);
  pass.wants.push({ kind: 'relaunch', seat: seat.id, task, run: next.run, resources, reason });
  const offered = pass.seen.mesos.offered.get(seat.id);
  if (offered?.complete === true) return;
  wakeWithin(pass, 1000);
  if (offered !== undefined) {
    const message = `${seat.hostname} offers it, but not whole, or not at ${seat.host} where peers look for it`;
    block(pass, 'place-incomplete', seat.slot, message);
  } else if (end.reason === 'REASON_AGENT_DRAINING') {
    const message = `${seat.hostname} is being drained: its volume is not offered until it is reactivated`;
    block(pass, 'agent-draining', seat.slot, message);
  } else {
    const message = `waits for ${seat.hostname} to offer its reservation: ${reason}`;
    block(pass, 'waits-for-volume', seat.slot, message);
  }
}

/** Starts the etcd of a member that is listed and whose supervisor waits for the word (S4). */
function wantEtcd(pass: Pass, membership: Membership | null, seat: DraftSeat): void {
  const status = freshStatus(pass, seat);
  const { data } = seat;
  if (status === null) {
    wakeWithin(pass, BUSY_WAKE_MS);
    if (evidenceOf(pass, seat.task)?.kind === 'alive') {
      block(
        pass,
        'supervisor-silent',
        seat.slot,
        `its task runs on ${seat.hostname}, its supervisor does not answer`,
      );
    }
    return;
  }
  if (status.phase === 'failed') {
    block(pass, 'member-failed', seat.slot, status.problem ?? 'its supervisor cannot go on');
    return;
  }
  if (seat.paused !== null) {
    holdDown(pass, membership, seat);
    return;
  }
  if (data === null || !data.started || status.identity === null) return;
  if (status.phase === 'stopped' && status.identity.started) {
    if (mayResume(pass, membership, seat))
      order(pass, seat, resumptionOf(pass, seat), 'start etcd on the data it left');
  } else if (status.phase === 'prepared') startFounder(pass, seat);
}

/** An operator has its etcd down: its supervisor stays, and answers. */
function holdDown(pass: Pass, membership: Membership | null, seat: DraftSeat): void {
  const { by, atMs } = seat.paused ?? { by: 'nobody', atMs: 0 };
  const since = new Date(atMs).toISOString();
  block(pass, 'member-paused', seat.slot, `${by} has it paused since ${since}, until \`pod resume\``);
  if (isDown(pass, seat)) return;
  // The stop may have been waiting for its supervisor while others went down.
  const objection = objectionToStop(pass, membership, seat);
  if (objection !== null) {
    block(pass, 'disruption-waits', seat.slot, `its etcd is not stopped yet: ${objection}`);
    return;
  }
  const body = { kind: 'stop', args: { graceMs: pass.spec.killGraceMs } } as const;
  order(pass, seat, body, `paused by ${by}`);
}

/** A founding member that was never started, of an epoch that is past its `go`. */
function startFounder(pass: Pass, seat: DraftSeat): void {
  const { epoch } = pass.record;
  if (epoch.phase === 'preparing' || !epoch.members.some((member) => member.seat === seat.id)) return;
  if (seat.data?.attempt !== epoch.attempt || !isDoorOpen(pass, seat)) return;
  order(
    pass,
    seat,
    {
      kind: 'start',
      args: {
        mode: 'bootstrap',
        token: epoch.token,
        initialCluster: epoch.members.map((member) => ({ name: member.slot, peerUrl: member.peerUrl })),
        clusterId: null,
        memberId: null,
        floor: null,
      },
    },
    `start with ${epoch.members.length} founding members`,
  );
}

/**
 * A founder asks the others, in the order of their URLs, whether the cluster runs already, and waits a second for
 * each that listens and does not serve yet. So the first in that order starts alone, and once peers can reach it
 * all others start together: they ask it, and nobody else.
 */
function isDoorOpen(pass: Pass, seat: DraftSeat): boolean {
  const { epoch } = pass.record;
  const [first] = epoch.members.toSorted((left, right) => (left.peerUrl < right.peerUrl ? -1 : 1));
  const opener = first === undefined || first.seat === seat.id ? undefined : seatById(pass, first.seat);
  if (opener === undefined || opener.lost !== null || opener.taskEnd !== null) return true;
  const status = freshStatus(pass, opener);
  if (status === null || epoch.phase === 'formed' || epoch.waitedMs >= DOOR_MS_MAX) return true;
  return status.phase === 'running' ? status.etcd?.servesPeers === true : status.phase !== 'prepared';
}

/** The others do not wait longer for the first founder. */
const DOOR_MS_MAX = 3_000;

/** Tasks of leaving seats are killed, what they reserved is given back when it is offered. */
export function letGo(pass: Pass, membership: Membership | null): void {
  const { agentsGone, offered } = pass.seen.mesos;
  pass.record.leaving = pass.record.leaving.filter(
    ({ seat }) => !agentsGone.has(seat.agentId) && !leavesNothing(pass, seat),
  );
  for (const { seat, reason } of pass.record.leaving) {
    const evidence = evidenceOf(pass, seat.task);
    if (evidence?.kind === 'alive') {
      wakeWithin(pass, 1000);
      const { killGraceMs: graceMs } = pass.spec;
      pass.actions.push({ kind: 'kill', task: seat.task, agentId: seat.agentId, graceMs, reason });
    } else if (isKept(seat) && pass.record.uninstall?.confirmed !== true) {
      const message = `the volume ${seat.volumeId} on ${seat.hostname} is kept: ${seat.lost?.message ?? reason}`;
      block(pass, 'foreign-volume', seat.slot, message);
    } else if (!mayDestroy(membership, seat) && pass.record.uninstall?.confirmed !== true) {
      const message = `the volume ${seat.volumeId} on ${seat.hostname} is kept until every member serves: ${reason}`;
      block(pass, 'surplus-kept', seat.slot, message);
    } else if (offered.has(seat.id) && isNameOver(pass, seat)) {
      pass.wants.push({ kind: 'release', seat: seat.id, reason });
    }
  }
}

/** Beside a sandbox nothing is reserved: with its tasks it is gone. */
function leavesNothing(pass: Pass, seat: DraftSeat): boolean {
  if (seat.storage !== 'sandbox') return false;
  return evidenceOf(pass, seat.task)?.kind === 'over' && isNameOver(pass, seat);
}
