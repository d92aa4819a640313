import { compareUint64 } from '../protocol/identifiers.ts';
import type { LogPosition } from '../protocol/member-status.ts';
import type { TaskEnd } from '../protocol/record.ts';
import { type DraftSeat, evidenceOf, freshStatus, type Pass, relaunchWaitMs, viewOf } from './pass.ts';

/** A floor in the record may lag this many log entries behind: it is not worth a write for each. */
const FLOOR_LAG_ENTRIES = 5_000n;

/** A task that ends sooner after its launch than this did not really run. */
const QUICK_END_MS = 30_000;

/** Writes into the record what was learnt of tasks, agents and volumes since the last pass. */
export function foldEvidence(pass: Pass): void {
  for (const seat of pass.record.seats) {
    foldTask(pass, seat);
    foldStatus(pass, seat);
    foldLoss(pass, seat);
  }
  for (const leaving of pass.record.leaving) foldTask(pass, leaving.seat);
}

function foldTask(pass: Pass, seat: DraftSeat): void {
  const { mesos, elapsedMs } = pass.seen;
  const evidence = evidenceOf(pass, seat.task);
  // What an earlier subscription told was folded then, and is no fresh evidence of absence now.
  if (!mesos.subscribed || evidence === undefined || mesos.unanswered.has(seat.task)) return;
  switch (evidence.kind) {
    case 'alive':
      // What was only asserted can be taken back; an end that executor or agent reported cannot. A launch that was
      // refused is said of one that took effect too, where its call arrived twice.
      if (seat.taskEnd?.standing !== 'ended') seat.taskEnd = null;
      if (seat.taskEnd === null) {
        seat.absentMs = 0;
        if (wasOnlyAway(seat) && !isBeingReplaced(pass, seat)) seat.lost = null;
      }
      return;
    case 'unreachable':
      seat.absentMs += elapsedMs;
      return;
    case 'over':
      if (seat.taskEnd === null || outranks(evidence.end, seat.taskEnd)) {
        const lived = evidence.end.atMs - seat.launchedAtMs;
        if (seat.taskEnd === null && lived >= 0 && lived < QUICK_END_MS) seat.quickEnds += 1;
        seat.taskEnd = evidence.end;
        raiseFloor(pass, seat, 0n);
      }
      // A place that is on offer whole is not absent: it only waits for its relaunch. And before that is due,
      // nobody has asked for the offer.
      if (mesos.offered.get(seat.id)?.complete === true) seat.absentMs = 0;
      else if (relaunchWaitMs(pass, seat) === 0) seat.absentMs += elapsedMs;
      if (seat.lost?.cause === 'unreachable' && mesos.offered.get(seat.id)?.volume === true) {
        if (!isBeingReplaced(pass, seat)) seat.lost = null;
      }
      return;
  }
}

/** Given up for its absence alone: a task that runs there again takes that back. */
function wasOnlyAway({ lost }: DraftSeat): boolean {
  return lost?.cause === 'unreachable' || lost?.cause === 'task-gone';
}

function outranks(next: TaskEnd, previous: TaskEnd): boolean {
  return previous.standing === 'asserted' && next.standing !== 'asserted';
}

/** The member list was, or is about to be, changed to do without this seat: too late to take it back. */
function isBeingReplaced(pass: Pass, seat: DraftSeat): boolean {
  const { intent } = pass.record;
  return intent?.committed === true && intent.remove?.seat === seat.id;
}

function foldStatus(pass: Pass, seat: DraftSeat): void {
  const status = freshStatus(pass, seat);
  const { data } = seat;
  if (status === null || data === null) return;
  const { identity } = status;
  const same = identity !== null && identity.epoch === data.epoch && identity.attempt === data.attempt;
  if (same && data.memberId === null && identity.memberId !== null && pass.record.epoch.phase === 'formed') {
    data.memberId = identity.memberId;
  }
  if (status.phase === 'running' && (status.probe !== null || status.needsUser !== null)) seat.quickEnds = 0;
  raiseFloor(pass, seat, FLOOR_LAG_ENTRIES);
}

/** Remembers the highest log position the member ever reported (S4), once it moved by more than `lag`. */
function raiseFloor(pass: Pass, seat: DraftSeat, lag: bigint): void {
  const reported = viewOf(pass, seat)?.status?.floor ?? null;
  const { data } = seat;
  if (reported === null || data === null || viewOf(pass, seat)?.status?.task !== seat.task) return;
  if (data.floor === null || isAhead(reported, data.floor, lag)) data.floor = reported;
}

function isAhead(next: LogPosition, previous: LogPosition, lag: bigint): boolean {
  const terms = compareUint64(next.term, previous.term);
  return terms > 0 || (terms === 0 && BigInt(next.index) > BigInt(previous.index) + lag);
}

/** Is the seat lost to its member for good? Only on evidence, or when patience with absence has run out. */
function foldLoss(pass: Pass, seat: DraftSeat): void {
  if (seat.lost !== null && seat.lost.cause !== 'unreachable' && seat.lost.cause !== 'maintenance') return;
  // While it is not known what a place holds, only its end is a loss.
  const isKnown = pass.record.epoch.phase !== 'adopting';
  const found = gone(pass, seat) ?? (isKnown ? (dataProblem(pass, seat) ?? outOfPatience(pass, seat)) : null);
  if (found !== null) seat.lost = found;
}

function gone(pass: Pass, seat: DraftSeat): DraftSeat['lost'] {
  if (pass.seen.mesos.agentsGone.has(seat.agentId)) {
    return { cause: 'agent-gone', message: `agent ${seat.hostname} (${seat.agentId}) is gone for good` };
  }
  if (seat.storage === 'sandbox' && seat.taskEnd?.standing === 'ended' && seat.data?.started === true) {
    return {
      cause: 'volume-gone',
      message: `its task on ${seat.hostname} ended, and its data with the sandbox: ${seat.taskEnd.message}`,
    };
  }
  const offered = pass.seen.mesos.offered.get(seat.id);
  if (seat.taskEnd !== null && offered !== undefined && !offered.volume) {
    return { cause: 'volume-gone', message: `${seat.hostname} offers the reservation without its volume` };
  }
  return null;
}

function dataProblem(pass: Pass, seat: DraftSeat): DraftSeat['lost'] {
  const status = freshStatus(pass, seat);
  if (status === null || seat.data === null) return null;
  if (status.dataProblem !== null) {
    const cause = status.dataProblem === 'data-foreign' ? 'foreign-data' : 'data';
    return { cause, message: status.problem ?? `its volume: ${status.dataProblem}` };
  }
  if (status.phase === 'removed') {
    return { cause: 'data', message: 'etcd says that this member was removed from its cluster' };
  }
  // S5: what was started once is never prepared again, so a blank volume is a lost member.
  if (seat.data.started && status.phase === 'idle' && status.identity === null) {
    return { cause: 'data', message: 'its volume is blank, but etcd was started on it before' };
  }
  return null;
}

function outOfPatience(pass: Pass, seat: DraftSeat): DraftSeat['lost'] {
  const { spec, record } = pass;
  const seconds = Math.round(seat.absentMs / 1000);
  if (seat.data?.started !== true) {
    // Nothing to lose: a place that does not come up is exchanged early.
    if (failsHereAlone(pass, seat)) {
      const message = `its task ended ${seat.quickEnds} times soon after launch on ${seat.hostname}`;
      return { cause: 'never-launched', message: `${message}: ${seat.taskEnd?.message ?? ''}` };
    }
    const patienceMs = seat.taskEnd === null ? spec.launchTimeoutMs : offerPatienceMs(seat.taskEnd);
    const silentMs = seat.taskEnd === null ? silenceMs(pass, seat) : seat.absentMs;
    if (silentMs < patienceMs) return null;
    return {
      cause: 'never-launched',
      message: `no supervisor came up on ${seat.hostname} in ${Math.round(silentMs / 1000)} s`,
    };
  }
  if (record.epoch.phase !== 'formed' && seat.taskEnd === null) return null;
  if (seat.taskEnd?.standing === 'ended' || seat.taskEnd?.standing === 'never-ran') {
    if (seat.absentMs < spec.volumeTimeoutMs) return null;
    return { cause: 'task-gone', message: `its task ended and its volume was not offered for ${seconds} s` };
  }
  if (seat.absentMs < spec.unreachableTimeoutMs) return null;
  return {
    cause: 'unreachable',
    message: `${seat.hostname} has been out of the master's sight for ${seconds} s`,
  };
}

/**
 * For how long a place that never held data and whose task is over may wait to be offered again. Where a task ran,
 * something is reserved, and comes with the next round of offers; else perhaps nothing ever was. What is reserved
 * there after all is offered later, as a stray, and given back then.
 */
function offerPatienceMs({ standing }: TaskEnd): number {
  return standing === 'ended' ? 10_000 : 3_000;
}

/** Launches that may end soon on a place without data; with the pauses between them they take some 20 s. */
const QUICK_ENDS_MAX = 6;

/**
 * A host may lack what a task needs, or somebody may hold one of its ports. Where no supervisor comes up anywhere
 * else either, another place would fare no better.
 */
function failsHereAlone(pass: Pass, seat: DraftSeat): boolean {
  if (seat.taskEnd === null || seat.quickEnds < QUICK_ENDS_MAX) return false;
  return pass.record.seats.some((other) => other.id !== seat.id && freshStatus(pass, other) !== null);
}

function silenceMs(pass: Pass, seat: DraftSeat): number {
  const view = viewOf(pass, seat);
  if (view !== undefined && view.failingMs === 0 && view.status !== null) return 0;
  return Math.max(view?.failingMs ?? 0, seat.absentMs);
}
