import { compareUint64 } from '../protocol/identifiers.ts';
import type { OrderBody } from '../protocol/orders.ts';
import { type Membership, memberOf, witnessesOf } from './membership.ts';
import { block, type DraftSeat, freshStatus, type Pass, seatsOf, viewOf, wakeWithin } from './pass.ts';
import { quorumOf } from './quorum.ts';

/**
 * May a member be started again on the data it left (S4)? While a quorum answers, its list says so. Without one
 * nobody can have left the list but by our own doing, and who may have is started last: the others go first and get
 * time to become a quorum, and to tell. Where they do not, it is needed, or raft keeps it from harm: its own log
 * holds its removal, or the logs of those whose votes it would need do, and they are ahead of it.
 */
export function mayResume(pass: Pass, membership: Membership | null, seat: DraftSeat): boolean {
  if (membership !== null) return memberOf(membership, seat) !== undefined;
  if (!isDoubtful(pass, seat)) return true;
  const obstacle = obstacleTo(pass, seat);
  if (obstacle === null) return true;
  const message = `the cluster may have removed the member on ${seat.hostname}: ${obstacle}`;
  block(pass, 'member-in-doubt', seat.slot, message);
  wakeWithin(pass, 1000);
  return false;
}

/** The word to start a member again on the data it left. */
export function resumptionOf(
  { record: { epoch } }: Pass,
  { data }: DraftSeat,
): OrderBody & { kind: 'start' } {
  return {
    kind: 'start',
    args: {
      mode: 'resume',
      token: epoch.token,
      initialCluster: [],
      clusterId: epoch.clusterId,
      memberId: data?.memberId ?? null,
      floor: data?.floor ?? null,
    },
  };
}

/** It was given up only for its absence, or for another: it can be fetched back. */
export function mayComeBack({ lost }: DraftSeat): boolean {
  return lost !== null && COMES_BACK.has(lost.cause);
}

const COMES_BACK: ReadonlySet<NonNullable<DraftSeat['lost']>['cause']> = new Set([
  'unreachable',
  'maintenance',
  'task-gone',
  'doubled',
  'moved',
  'surplus',
] as const);

function isDoubtful(pass: Pass, seat: DraftSeat): boolean {
  return isBeingRemoved(pass, seat) || rivalOf(pass, seat) !== undefined;
}

/** Its removal was ordered, or that of its successor's addition was, and nobody knows how far that came. */
function isBeingRemoved({ record: { intent } }: Pass, seat: DraftSeat): boolean {
  return intent?.committed === true && intent.remove?.seat === seat.id;
}

/**
 * Which of two places of a slot its member has left is not always known: not to a record that was made from what was
 * found, nor when the move is over and the place is not given back yet.
 */
function rivalOf(pass: Pass, seat: DraftSeat): DraftSeat | undefined {
  const { intent } = pass.record;
  const other = seatsOf(pass, seat.slot).find(({ id, data }) => id !== seat.id && data?.started === true);
  const parties = intent?.committed === true ? [intent.remove?.seat, intent.add?.seat] : [];
  return parties.includes(seat.id) || parties.includes(other?.id) ? undefined : other;
}

function obstacleTo(pass: Pass, seat: DraftSeat): string | null {
  if (isUnlisted(pass, seat)) return 'another member does not list it any more';
  const rival = rivalOf(pass, seat);
  const others = pass.record.seats.filter(
    (other) =>
      other.id !== seat.id &&
      other.data?.started === true &&
      (other.id === rival?.id || !isDoubtful(pass, other)),
  );
  const hopes = others.map((other) => ({ other, hope: hopeOf(pass, other) }));
  const goesFirst = (other: DraftSeat): boolean => other.id !== rival?.id || isAhead(other, seat);
  for (const { other, hope } of hopes) {
    const isAwaited = hope === 'starting' || (hope === 'waiting' && goesFirst(other));
    if (isAwaited) return `${other.slot} on ${other.hostname} goes first, and may tell`;
  }
  const silent = hopes.find(
    ({ other, hope }) =>
      hope === 'silent' && (other.id === rival?.id || hopes.every((one) => one.hope !== 'leaderless')),
  );
  if (silent !== undefined) {
    return `${silent.other.slot} on ${silent.other.hostname} may tell, and does not answer yet`;
  }
  const second = hopes.some(({ other, hope }) => other.id === rival?.id && hope === 'leaderless');
  return second && isTooMany(pass) ? 'so may others, and together they might pass for a quorum' : null;
}

/** A member that knows its cluster, and not this one of it: it was removed. */
function isUnlisted(pass: Pass, seat: DraftSeat): boolean {
  const memberId = seat.data?.memberId ?? null;
  if (memberId === null || !isBeingRemoved(pass, seat)) return false;
  return witnessesOf(pass).some(({ probe }) => {
    const ids = probe.localMembers.map((member) => member.id);
    // One that does not even list itself has learnt nothing yet.
    return ids.includes(probe.memberId) && !ids.includes(memberId);
  });
}

/**
 * What can be hoped of a member: that it is started, that it finds a leader, that it answers at all; or nothing, as
 * its peers can reach it and nobody leads, or as it cannot run.
 */
type Hope = 'waiting' | 'starting' | 'silent' | 'leaderless' | 'none';

function hopeOf(pass: Pass, seat: DraftSeat): Hope {
  const status = freshStatus(pass, seat);
  if (status === null) return seat.lost === null ? 'silent' : 'none';
  if (seat.paused !== null || (seat.lost !== null && !mayComeBack(seat))) return 'none';
  switch (status.phase) {
    case 'running':
    case 'backing-off': {
      if (status.probe !== null && status.probe.leaderId !== null) return 'starting';
      const patienceMs = status.etcd?.servesPeers === true ? LEADERLESS_MS : START_MS_MAX;
      return (viewOf(pass, seat)?.notServingMs ?? 0) < patienceMs ? 'starting' : 'leaderless';
    }
    case 'stopped':
      return status.identity?.started === true ? 'waiting' : 'none';
    default:
      return 'none';
  }
}

/** Members that are up and are a quorum have a leader after this long. */
const LEADERLESS_MS = 10_000;
/** Nobody is waited for longer than this that reads its data before its peers can reach it. */
const START_MS_MAX = 60_000;

/** The one that went on longer holds more; of two that hold the same, one is as good as the other. */
function isAhead(one: DraftSeat, other: DraftSeat): boolean {
  const [left, right] = [one.data?.floor ?? null, other.data?.floor ?? null];
  if (left === null && right === null) return one.id < other.id;
  if (left === null || right === null) return right === null;
  const order = compareUint64(left.term, right.term) || compareUint64(left.index, right.index);
  return order === 0 ? one.id < other.id : order > 0;
}

/**
 * Members that were removed one after the other, each while the next still voted, could elect one of them between
 * themselves only if they are a majority of what once were the voters. An only voter never leaves but by its own
 * vote beside its successor's.
 */
function isTooMany(pass: Pass): boolean {
  const slots = new Set(pass.record.seats.filter((seat) => isDoubtful(pass, seat)).map(({ slot }) => slot));
  return slots.size >= Math.max(2, quorumOf(pass.record.size));
}
