import { peerUrlOf } from '../protocol/launch.ts';
import { memberOf, readMembership, witnessesOf } from './membership.ts';
import {
  BUSY_WAKE_MS,
  block,
  type DraftSeat,
  freshStatus,
  leave,
  order,
  type Pass,
  seatById,
  wakeWithin,
} from './pass.ts';
import { quorumOf } from './quorum.ts';

/**
 * The birth of an epoch (S5): `preparing`, until the members that start together are prepared; `go`, stored
 * before the first of them is told to start; `formed`, once a quorum of them reports one cluster.
 */
export function form(pass: Pass): void {
  dropWhatNeverHeldData(pass);
  if (pass.record.epoch.phase === 'preparing') prepare(pass);
  else bringUp(pass);
}

/** Before anything was started a lost place costs nothing: it is exchanged for another. */
function dropWhatNeverHeldData(pass: Pass): void {
  for (const seat of [...pass.record.seats]) {
    if (seat.lost !== null && seat.data?.started !== true) leave(pass, seat, seat.lost.message);
  }
}

function prepare(pass: Pass): void {
  const { epoch, size } = pass.record;
  const ready: DraftSeat[] = [];
  for (const seat of pass.record.seats) {
    const status = freshStatus(pass, seat);
    if (status === null || seat.taskEnd !== null) continue;
    const { identity } = status;
    const prepared =
      identity !== null &&
      identity.epoch === epoch.number &&
      identity.attempt === epoch.attempt &&
      !identity.started;
    if (prepared && status.phase === 'prepared') ready.push(seat);
    else askToPrepare(pass, seat, 'a member of the new cluster');
  }
  if (ready.length >= quorumOf(size)) epoch.waitedMs += pass.seen.elapsedMs;
  const complete = ready.length >= size;
  if (!complete && (ready.length < quorumOf(size) || epoch.waitedMs < pass.spec.bootstrapWindowMs)) {
    wakeWithin(pass, BUSY_WAKE_MS);
    block(pass, 'forming', null, `${ready.length} of ${size} members are prepared`);
    return;
  }
  epoch.phase = 'go';
  epoch.waitedMs = 0;
  epoch.members = ready.map((seat) => ({ slot: seat.slot, seat: seat.id, peerUrl: peerUrlOf(seat) }));
  for (const seat of ready) if (seat.data !== null) seat.data.started = true;
  bringUp(pass);
}

/** Orders an empty data directory for the present attempt; harmless to repeat until a start. */
export function askToPrepare(pass: Pass, seat: DraftSeat, what: string): void {
  const { number, attempt, token } = pass.record.epoch;
  if (seat.data === null || seat.data.epoch !== number || seat.data.attempt !== attempt) {
    seat.data = { epoch: number, attempt, started: false, memberId: null, floor: null };
  }
  order(pass, seat, { kind: 'prepare', args: { token } }, `prepare an empty data directory for ${what}`);
}

function bringUp(pass: Pass): void {
  const { epoch } = pass.record;
  if (noteFormed(pass)) return;
  epoch.waitedMs += pass.seen.elapsedMs;
  const founders = epoch.members.map((member) => seatById(pass, member.seat));
  const alive = founders.filter((seat) => seat !== undefined && seat.lost === null);
  if (alive.length < quorumOf(epoch.members.length)) {
    tryAnew(pass, `${founders.length - alive.length} of ${founders.length} founding members are lost`);
    return;
  }
  block(pass, 'forming', null, `waits for a quorum of ${epoch.members.length} started members`);
  wakeWithin(pass, BUSY_WAKE_MS);
}

/** Nothing was published and nothing acknowledged yet, so a failed birth is wiped and begun again. */
function tryAnew(pass: Pass, reason: string): void {
  const { epoch, cluster } = pass.record;
  epoch.attempt += 1;
  epoch.token = tokenOf(cluster, epoch.number, epoch.attempt, pass.seen.freshId);
  epoch.phase = 'preparing';
  epoch.waitedMs = 0;
  epoch.members = [];
  for (const seat of [...pass.record.seats]) {
    if (seat.lost !== null) leave(pass, seat, reason);
    else seat.data = null;
  }
  block(pass, 'forming', null, `attempt ${epoch.attempt}: ${reason}`);
  wakeWithin(pass, BUSY_WAKE_MS);
}

export function tokenOf(cluster: string, epoch: number, attempt: number, freshId: string): string {
  return `${cluster}-${epoch}-${attempt}-${freshId.slice(0, 8)}`;
}

/** Formed when a member that completed a linearizable read, and so speaks for a quorum, names the cluster. */
function noteFormed(pass: Pass): boolean {
  const { epoch } = pass.record;
  const spokesman = witnessesOf(pass).find((witness) => {
    const { data } = witness.seat;
    const founder = epoch.members.some((member) => member.seat === witness.seat.id);
    return founder && data?.attempt === epoch.attempt && witness.probe.confirmedMembers !== null;
  });
  if (spokesman === undefined) return false;
  const { clusterId } = spokesman.probe;
  const membership = readMembership(pass, clusterId);
  if (membership === null) return false;
  epoch.phase = 'formed';
  epoch.clusterId = clusterId;
  for (const { seat: id } of epoch.members) {
    const seat = seatById(pass, id);
    const member = seat === undefined ? undefined : memberOf(membership, seat);
    if (seat?.data != null && member !== undefined) seat.data.memberId = member.id;
  }
  return true;
}
