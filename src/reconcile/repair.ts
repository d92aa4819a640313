import { peerUrlOf } from '../protocol/launch.ts';
import type { EtcdMember, MemberStatus } from '../protocol/member-status.ts';
import type { Intent } from '../protocol/record.ts';
import { askToPrepare } from './formation.ts';
import { handOver, heirOf } from './handover.ts';
import { isLevelWithLeader, isServing, type Membership, memberOf } from './membership.ts';
import {
  BUSY_WAKE_MS,
  block,
  type Draft,
  type DraftSeat,
  freshStatus,
  leave,
  order,
  type Pass,
  seatById,
  seatsOf,
  slotsOf,
  wakeWithin,
} from './pass.ts';
import { objectionToPromotion, objectionToRemoval } from './quorum.ts';
import { isRecoveryHeld } from './recovery.ts';
import {
  decommission,
  isSurplus,
  mayStillBeAdded,
  retireSurplus,
  surplusVoters,
  waitsForName,
} from './scaling.ts';

/**
 * The membership of a formed cluster, brought towards its target by one change at a time (S1, S2, S3). Which
 * step comes next follows from the member list; the intent only remembers what is wanted and why.
 */
export function repair(pass: Pass, membership: Membership): void {
  prepareSuccessors(pass, membership);
  partDoubles(pass, membership);
  giveUpUnlisted(pass, membership);
  countAbsence(pass, membership);
  settleIntent(pass, membership);
  if (pass.record.intent === null) pass.record.intent = nextIntent(pass, membership);
  if (pass.record.intent !== null) advance(pass, membership, pass.record.intent);
  retireReplaced(pass, membership);
  retireSurplus(pass, membership);
}

/** A place without data gets an empty directory of this epoch while others still serve. */
function prepareSuccessors(pass: Pass, membership: Membership): void {
  for (const seat of pass.record.seats) {
    const status = freshStatus(pass, seat);
    if (status === null || seat.lost !== null || seat.taskEnd !== null || seat.data?.started === true)
      continue;
    const member = memberOf(membership, seat);
    if (member === undefined && !isPrepared(pass, seat)) {
      askToPrepare(pass, seat, 'a member to come');
    } else if (member !== undefined && status.phase === 'idle' && status.identity === null) {
      // A record that was made from what was found could not know that something was there.
      const { number: epoch, attempt } = pass.record.epoch;
      seat.data = { epoch, attempt, started: true, memberId: member.id, floor: null };
      seat.lost = { cause: 'data', message: 'the cluster lists it, and its volume is blank' };
    }
  }
}

/**
 * Two sound places of a slot hold a member, and nothing tells why: a record that was made from what was found does not
 * know of a move that was in progress; and an agent may come back once its member was replaced. The place whose
 * member is off the list, or would be next, is given up.
 */
function partDoubles(pass: Pass, membership: Membership): void {
  if (pass.record.intent !== null) return;
  for (const seat of pass.record.seats) {
    const [one, other, ...more] = seatsOf(pass, seat.slot).filter(
      (place) =>
        place.lost === null && (place.data?.started === true || memberOf(membership, place) !== undefined),
    );
    if (one === undefined || other === undefined || more.length > 0) continue;
    const keep = preferredOf(membership, one, other);
    if (keep === undefined) continue;
    const leaving = keep.id === one.id ? other : one;
    leaving.lost = { cause: 'doubled', message: `${keep.hostname} holds the member of its slot` };
  }
}

/**
 * Its etcd is down, and a quorum does not list its member: that was removed, and is never started again (S4). A record
 * that was made from what was found does not know that its slot is to get another.
 */
function giveUpUnlisted(pass: Pass, membership: Membership): void {
  if (pass.record.intent !== null) return;
  for (const seat of pass.record.seats) {
    if (seat.lost !== null || seat.data?.started !== true || memberOf(membership, seat) !== undefined)
      continue;
    if (freshStatus(pass, seat)?.phase !== 'stopped') continue;
    seat.lost = { cause: 'data', message: 'the cluster does not list its member any more' };
  }
}

/** A new voter or learner is on its way to stay, as it was wanted; of two voters the one that serves stays. */
function preferredOf(membership: Membership, one: DraftSeat, other: DraftSeat): DraftSeat | undefined {
  const [mine, its] = [memberOf(membership, one), memberOf(membership, other)];
  if (mine === undefined || its === undefined) {
    return mine === undefined ? (its === undefined ? undefined : other) : one;
  }
  if (mine.isLearner !== its.isLearner) return mine.isLearner ? one : other;
  const { healthy } = membership.set;
  return healthy.has(its.id) && (!healthy.has(mine.id) || its.id === membership.leaderId) ? other : one;
}

/**
 * Members that an adopted cluster lists and that have no place of ours: the place was gone before the record was
 * made. They get the patience that an agent out of sight gets.
 */
function placeless(pass: Pass, membership: Membership): EtcdMember[] {
  if (pass.record.epoch.source.kind !== 'adopted') return [];
  const slots = slotsOf(pass.record.size);
  return membership.members.filter(
    (member) =>
      !member.isLearner &&
      slots.includes(member.name) &&
      !membership.set.healthy.has(member.id) &&
      !pass.record.seats.some((seat) => memberOf(membership, seat)?.id === member.id),
  );
}

function countAbsence(pass: Pass, membership: Membership): void {
  const { epoch } = pass.record;
  if (placeless(pass, membership).length > 0) epoch.waitedMs += pass.seen.elapsedMs;
  else if (epoch.waitedMs > 0) epoch.waitedMs = 0;
}

function isPrepared(pass: Pass, seat: DraftSeat): boolean {
  const status = freshStatus(pass, seat);
  const { epoch } = pass.record;
  const identity = status?.identity ?? null;
  return (
    status?.phase === 'prepared' &&
    identity !== null &&
    !identity.started &&
    identity.epoch === epoch.number &&
    identity.attempt === epoch.attempt &&
    seat.data !== null
  );
}

/** Closes the intent when it has done its work, or can do none. */
function settleIntent(pass: Pass, membership: Membership): void {
  const { intent } = pass.record;
  if (intent === null) return;
  const listed = partiesOf(pass, membership, intent);
  if (isDone(pass, membership, intent, listed)) pass.record.intent = null;
}

interface Parties {
  readonly removing: EtcdMember | undefined;
  readonly adding: EtcdMember | undefined;
  readonly addSeat: DraftSeat | undefined;
}

function partiesOf(pass: Pass, membership: Membership, intent: Draft<Intent>): Parties {
  const { remove, add } = intent;
  return {
    removing:
      remove === null ? undefined : membership.members.find((member) => member.id === remove.memberId),
    // S2: a retried add is recognised by its peer URL.
    adding:
      add === null
        ? undefined
        : membership.members.find(
            (member) => member.id === add.memberId || member.peerUrls.includes(add.peerUrl),
          ),
    addSeat: add === null ? undefined : seatById(pass, add.seat),
  };
}

function isDone(pass: Pass, membership: Membership, intent: Draft<Intent>, parties: Parties): boolean {
  const { removing, adding, addSeat } = parties;
  if (intent.add === null) return removing === undefined;
  const usable = addSeat !== undefined && addSeat.lost === null;
  // A lost learner's intent ends when the learner is off the list; until then `advance` removes it.
  if (!usable) {
    if (mayStillBeAdded(pass, membership, intent)) return false;
    return adding === undefined || !adding.isLearner;
  }
  if (adding !== undefined) return !adding.isLearner && removing === undefined;
  // etcd refuses to add while another dead voter is listed: that one has to go first.
  const isBlocked = deadVoters(pass, membership).some(({ member }) => member.id !== removing?.id);
  if (removing === undefined || membership.set.healthy.has(removing.id)) {
    if (isBlocked) return true;
    if (removing === undefined) return false;
  }
  const old = intent.remove?.seat == null ? undefined : seatById(pass, intent.remove.seat);
  return !intent.committed && old !== undefined && old.lost === null;
}

/** Seats that are lost while their member still votes, of slots that are to have one. */
function lostVoters(pass: Pass, membership: Membership): { seat: DraftSeat; member: EtcdMember }[] {
  const found: { seat: DraftSeat; member: EtcdMember }[] = [];
  for (const seat of pass.record.seats) {
    if (seat.lost === null || seat.data?.started !== true || isSurplus(pass, seat.slot)) continue;
    const member = memberOf(membership, seat);
    if (member !== undefined && !member.isLearner) found.push({ seat, member });
  }
  return found;
}

/** Those of them that do not serve any more: while one is listed, etcd refuses to add a member. */
function deadVoters(pass: Pass, membership: Membership): ReturnType<typeof lostVoters> {
  return lostVoters(pass, membership).filter(({ member }) => !membership.set.healthy.has(member.id));
}

/** What an intent is to do, and why. */
type Change = Pick<Draft<Intent>, 'slot' | 'reason' | 'remove' | 'add'>;

/** What was begun goes first, then what is lost, then what is missing, then what is too much. */
function nextIntent(pass: Pass, membership: Membership): Draft<Intent> | null {
  const change =
    joiningOf(pass, membership) ??
    leftoverOf(pass, membership) ??
    decommission(pass, membership, 'dead') ??
    lossOf(pass, membership) ??
    absenceOf(pass, membership) ??
    decommission(pass, membership, 'serving');
  if (change === undefined) return null;
  const { slot, reason, remove, add } = change;
  const id = `intent-${pass.seen.freshId}`;
  return { id, slot, reason, openedAtMs: pass.seen.wallMs, committed: false, remove, add };
}

function joiningOf(pass: Pass, membership: Membership): Change | undefined {
  const joining = learnerOnItsWay(pass, membership);
  if (joining === undefined) return undefined;
  const { seat, member } = joining;
  const old = lostVoters(pass, membership).find((other) => other.seat.slot === seat.slot);
  const leaving = old?.member ?? placeless(pass, membership).find(({ name }) => name === seat.slot);
  return {
    slot: seat.slot,
    reason: 'a learner on its way',
    remove: leaving === undefined ? null : { memberId: leaving.id, seat: old?.seat.id ?? null },
    add: { ...additionOf(seat), memberId: member.id },
  };
}

function leftoverOf(pass: Pass, membership: Membership): Change | undefined {
  const leftover = membership.members.find((member) => isUnexplained(pass, membership, member));
  if (leftover === undefined) return undefined;
  const slots = slotsOf(pass.record.size);
  const mine = pass.record.seats.find((seat) => leftover.peerUrls.includes(peerUrlOf(seat)));
  // One that never started has no name.
  const slot = mine?.slot ?? slots.find((name) => name === leftover.name) ?? slots[0] ?? 'etcd-0';
  return {
    slot,
    reason: 'a member that nothing explains',
    remove: { memberId: leftover.id, seat: mine?.id ?? null },
    add: null,
  };
}

/** Of voters whose place is lost: those that serve no more before the others. */
function lossOf(pass: Pass, membership: Membership): Change | undefined {
  const dead = deadVoters(pass, membership);
  for (const { seat, member } of dead.length > 0 ? dead : lostVoters(pass, membership)) {
    const { slot } = seat;
    const reason = seat.lost?.message ?? 'lost';
    const remove = { memberId: member.id, seat: seat.id };
    if (seatsOf(pass, slot).some((other) => other.lost === null && isServing(membership, other))) {
      return { slot, reason, remove, add: null };
    }
    const successor = successorOf(pass, membership, slot);
    if (successor === undefined) {
      block(pass, 'waits-for-successor', slot, `${reason}: waits for a place to replace it`);
      continue;
    }
    if (isRecoveryHeld(pass, slot)) {
      block(pass, 'recovery-paused', slot, `${reason}: not replaced while the plan recovery is paused`);
      continue;
    }
    return { slot, reason, remove, add: dead.length > 1 ? null : additionOf(successor) };
  }
  return undefined;
}

/** Of members without a place, and of slots without a member: only where no voter's place is lost. */
function absenceOf(pass: Pass, membership: Membership): Change | undefined {
  if (lostVoters(pass, membership).length > 0) return undefined;
  const away = pass.record.epoch.waitedMs < pass.spec.unreachableTimeoutMs ? [] : placeless(pass, membership);
  for (const { id, name: slot } of away) {
    const successor = successorOf(pass, membership, slot);
    if (successor === undefined || isRecoveryHeld(pass, slot)) continue;
    const add = away.length > 1 ? null : additionOf(successor);
    return { slot, reason: 'its place was not found again', remove: { memberId: id, seat: null }, add };
  }
  const surplus = surplusVoters(pass, membership).length;
  if (membership.set.voters.size - surplus >= pass.record.size) return undefined;
  for (const slot of slotsOf(pass.record.size)) {
    if (seatsOf(pass, slot).some((seat) => memberOf(membership, seat) !== undefined)) continue;
    const successor = successorOf(pass, membership, slot);
    if (successor === undefined) continue;
    return { slot, reason: 'the slot has no member', remove: null, add: additionOf(successor) };
  }
  return undefined;
}

function additionOf(seat: DraftSeat): NonNullable<Change['add']> {
  return { seat: seat.id, peerUrl: peerUrlOf(seat), memberId: null };
}

/**
 * A learner without an intent whose place is sound: an add that took effect late; or a member list from before
 * its promotion, which another member still tells. To remove it would be wrong then, to go on is right in both.
 */
function learnerOnItsWay(
  pass: Pass,
  membership: Membership,
): { seat: DraftSeat; member: EtcdMember } | undefined {
  for (const seat of pass.record.seats) {
    const member = seat.lost === null ? memberOf(membership, seat) : undefined;
    if (member?.isLearner === true) return { seat, member };
  }
  return undefined;
}

/** A learner without an intent, or a member that never started and has no seat of ours. */
function isUnexplained(pass: Pass, membership: Membership, member: EtcdMember): boolean {
  if (member.isLearner) return true;
  const mine = pass.record.seats.some((seat) => memberOf(membership, seat)?.id === member.id);
  if (mine || surplusVoters(pass, membership).some((one) => one.member.id === member.id)) return false;
  if (member.name !== '' && placeless(pass, membership).includes(member)) {
    block(
      pass,
      'member-without-place',
      member.name,
      `member ${member.id} is listed and has no place of ours`,
    );
    return false;
  }
  if (member.name !== '') {
    block(
      pass,
      'foreign-member',
      null,
      `member ${member.name} (${member.id}) is in the cluster, but none of ours`,
    );
    return false;
  }
  return true;
}

/** S1: the old one goes only when its successor's reservation, volume and idle supervisor are there. */
function successorOf(pass: Pass, membership: Membership, slot: string): DraftSeat | undefined {
  return seatsOf(pass, slot).find(
    (seat) =>
      seat.lost === null &&
      seat.taskEnd === null &&
      isPrepared(pass, seat) &&
      memberOf(membership, seat) === undefined,
  );
}

function advance(pass: Pass, membership: Membership, intent: Draft<Intent>): void {
  const { removing, adding, addSeat } = partiesOf(pass, membership, intent);
  wakeWithin(pass, BUSY_WAKE_MS);
  if (intent.add !== null && (addSeat === undefined || addSeat.lost !== null)) {
    if (adding?.isLearner === true) remove(pass, membership, intent, adding, 'the learner is lost');
    return;
  }
  if (adding === undefined || addSeat === undefined) {
    // Out of the master's sight, about to be away, or given up and back, but serving: it votes until its successor
    // is ready to.
    const serving = membership.set.healthy.has(intent.remove?.memberId ?? '');
    if (removing !== undefined && (intent.add === null || !serving)) {
      // S1: whoever was prepared when this was begun may have gone since.
      if (addSeat !== undefined && !isPrepared(pass, addSeat)) waitForSuccessor(pass, intent);
      else remove(pass, membership, intent, removing, intent.reason);
    } else if (addSeat !== undefined) add(pass, membership, intent, addSeat);
    return;
  }
  if (intent.add !== null) intent.add.memberId = adding.id;
  if (addSeat.data !== null) addSeat.data.memberId = adding.id;
  if (adding.isLearner) nurse(pass, membership, intent, { adding, addSeat, removing });
  else if (removing !== undefined && freshStatus(pass, addSeat) !== null) {
    remove(pass, membership, intent, removing, intent.reason);
  }
}

/** A listed learner: started, awaited, promoted; the voter it replaces goes first (never more than the target). */
function nurse(
  pass: Pass,
  membership: Membership,
  intent: Draft<Intent>,
  parties: { adding: EtcdMember; addSeat: DraftSeat; removing: EtcdMember | undefined },
): void {
  const { adding, addSeat, removing } = parties;
  const status = freshStatus(pass, addSeat);
  if (status !== null && (status.phase === 'prepared' || hasOldList(status))) {
    startJoiner(pass, membership, addSeat, adding);
    return;
  }
  // S1: with its task it may have ended, and the voter that it replaces may be back before it.
  if (status === null) return;
  const dead = removing !== undefined && !membership.set.healthy.has(removing.id);
  const level = isLevelWithLeader(membership, addSeat);
  if (!level && !dead) return;
  // An only voter cannot go first, nor one that is needed while another is dead: then, for a moment, its
  // successor votes beside it.
  if (removing !== undefined && objectionToRemoval(membership.set, removing.id) === null) {
    remove(pass, membership, intent, removing, intent.reason);
    return;
  }
  if (!level) return;
  const objection = objectionToPromotion(membership.set, adding.id);
  if (objection !== null) block(pass, 'unsafe', intent.slot, `not promoted: ${objection}`);
  else {
    const body = {
      kind: 'member-promote',
      args: { memberId: adding.id, voters: votersOf(membership) },
    } as const;
    order(pass, membership.speaker.seat, body, `${intent.slot} has caught up with the leader`);
  }
}

/** The membership changed after it was told to join and before it did: etcd refuses the list that it was given. */
function hasOldList({ phase, etcd, floor }: MemberStatus): boolean {
  const line = etcd?.lastExit?.line ?? '';
  return phase === 'backing-off' && floor === null && line.includes('error validating peerURLs');
}

function startJoiner(pass: Pass, membership: Membership, seat: DraftSeat, joiner: EtcdMember): void {
  const { epoch } = pass.record;
  if (seat.data === null) return;
  seat.data.started = true;
  const others = membership.members.filter((member) => member.id !== joiner.id);
  order(
    pass,
    seat,
    {
      kind: 'start',
      args: {
        mode: 'join',
        token: epoch.token,
        // etcd compares the URLs; an old member of the same slot may still hold the slot's name.
        initialCluster: [
          ...others.flatMap((member) =>
            member.peerUrls.map((peerUrl) => ({ name: `member-${member.id}`, peerUrl })),
          ),
          { name: seat.slot, peerUrl: peerUrlOf(seat) },
        ],
        clusterId: epoch.clusterId,
        memberId: joiner.id,
        floor: null,
      },
    },
    `${seat.slot} joins as a learner`,
  );
}

function remove(
  pass: Pass,
  membership: Membership,
  intent: Draft<Intent>,
  member: EtcdMember,
  reason: string,
): void {
  const objection = objectionToRemoval(membership.set, member.id);
  if (objection !== null) {
    block(pass, 'unsafe', intent.slot, `member ${member.id} is not removed: ${objection}`);
    return;
  }
  if (waitsForName(pass, membership, intent)) return;
  // Not insisted on for ever.
  const isPatient = pass.seen.wallMs - intent.openedAtMs <= HANDOVER_MS_MAX;
  const heir = isPatient ? heirOf(pass, membership, member.id) : undefined;
  if (heir !== undefined) {
    handOver(pass, membership, heir, `the leader is about to be removed: ${reason}`);
    return;
  }
  const speaker =
    membership.speaker.probe.memberId === member.id ? otherSpeaker(membership, member) : membership.speaker;
  if (speaker === undefined) return;
  intent.committed = true;
  order(
    pass,
    speaker.seat,
    { kind: 'member-remove', args: { memberId: member.id, voters: votersOf(membership) } },
    reason,
  );
}

/** A leader that could not hand over this long after the change was begun is removed as it is. */
const HANDOVER_MS_MAX = 600_000;

function otherSpeaker(membership: Membership, member: EtcdMember): Membership['speaker'] | undefined {
  return membership.witnesses.find(
    (witness) => witness.probe.memberId !== member.id && witness.probe.confirmedMembers !== null,
  );
}

function add(pass: Pass, membership: Membership, intent: Draft<Intent>, seat: DraftSeat): void {
  if (!isPrepared(pass, seat)) {
    waitForSuccessor(pass, intent);
    return;
  }
  intent.committed = true;
  const body = {
    kind: 'member-add',
    args: { peerUrl: peerUrlOf(seat), voters: votersOf(membership) },
  } as const;
  order(pass, membership.speaker.seat, body, `${intent.slot}: ${intent.reason}`);
}

function waitForSuccessor(pass: Pass, intent: Draft<Intent>): void {
  block(pass, 'waits-for-successor', intent.slot, 'waits for the new place to be prepared');
}

/** By whom S1 was judged: the supervisor makes the change only if they are still the voters. */
function votersOf(membership: Membership): string[] {
  return [...membership.set.voters].sort();
}

/** S8: what a slot held before goes when its member is off the list and the new one votes and has applied. */
function retireReplaced(pass: Pass, membership: Membership): void {
  for (const seat of [...pass.record.seats]) {
    const { intent } = pass.record;
    const needed = intent?.add?.seat === seat.id || (intent?.remove?.seat === seat.id && intent.add !== null);
    if (needed || memberOf(membership, seat) !== undefined) continue;
    if (seat.data?.started !== true) {
      const holder = seatsOf(pass, seat.slot).find((other) => other.id !== seat.id && other.lost === null);
      const spare = holder !== undefined && memberOf(membership, holder) !== undefined;
      if (seat.lost !== null || spare)
        leave(pass, seat, seat.lost?.message ?? 'its slot needs no successor any more');
    } else if (seat.lost !== null && seatsOf(pass, seat.slot).some((one) => isServing(membership, one))) {
      leave(pass, seat, `replaced: ${seat.lost.message}`);
    }
  }
}
