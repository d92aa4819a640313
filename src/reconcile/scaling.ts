import { CLUSTER_SIZES } from '../protocol/identifiers.ts';
import type { EtcdMember } from '../protocol/member-status.ts';
import type { ClusterRecord, Intent } from '../protocol/record.ts';
import {
  type AppliedCommand,
  already,
  type CommandAnswer,
  type CommandContext,
  done,
  judged,
  refused,
} from './command-answers.ts';
import { type Membership, memberOf } from './membership.ts';
import { isNameOver } from './names.ts';
import type { Spec } from './observation.ts';
import {
  block,
  type Draft,
  type DraftSeat,
  leave,
  type Pass,
  seatById,
  seatsOf,
  slotIndexOf,
  slotsOf,
} from './pass.ts';
import { isPaused } from './paused.ts';
import { isEveryVoterHealthy, type Objection, objectionToRemoval, quorumOf } from './quorum.ts';
import { objectionOfUsers } from './users.ts';

/*
 * The number of members. Growing is what repair does with slots that have no member; shrinking gives the slots
 * beyond the size up, the highest first, one after the other (the plan `decommission`). What was not begun of
 * either is taken back by asking for the former size again.
 */

/** The size that an operator asks for. */
export interface ScaleCommand {
  readonly kind: 'scale';
  readonly size: number;
  /** Who asks. */
  readonly by: string;
}

/** As a command: it counts until another one, or until the option says something new. */
export function askToScale(
  record: ClusterRecord,
  command: ScaleCommand,
  context: CommandContext,
): AppliedCommand {
  return judged(record, context, (pass, membership) => askFor(pass, membership, command));
}

function askFor(pass: Pass, membership: Membership | null, { size, by }: ScaleCommand): CommandAnswer {
  const { record, spec, seen } = pass;
  const option = optionOf(record, spec);
  if (size === record.size) {
    const message = `the cluster has ${size} members, or soon will`;
    if (option === (record.sizeOption ?? size)) return already(message);
    // The option says something new that could not be done yet: this is the newer word.
    record.sizeOption = option;
    return done(message);
  }
  const objection = objectionToSize(pass, membership, size);
  if (objection !== null) return refused(`the cluster keeps ${record.size} members: ${objection}`, HINT);
  const message = `the cluster goes from ${record.size} to ${size} members`;
  record.scaling = scalingFrom(record, by, seen.wallMs);
  record.size = size;
  record.sizeOption = option === size ? null : option;
  return done(message);
}

const HINT = 'Nothing was changed. `etcd-mesos status` shows what is under way and what is missing.';

/**
 * Clients that ask DNS are led elsewhere before a member that serves goes: its name is withdrawn when its place is
 * given up. Not insisted on, and by wall time, as nothing depends on it.
 */
export function waitsForName(pass: Pass, membership: Membership, intent: Draft<Intent>): boolean {
  const { memberId, seat: seatId } = intent.remove ?? { memberId: '', seat: null };
  const seat = seatId === null ? undefined : seatById(pass, seatId);
  if (seat?.lost?.cause !== 'surplus' || !membership.set.healthy.has(memberId)) return false;
  const waitedMs = pass.seen.wallMs - intent.openedAtMs;
  return !isNameOver(pass, seat) && waitedMs >= 0 && waitedMs < NAME_MS_MAX;
}
const NAME_MS_MAX = 10_000;

/** Why a size is not taken, for people; `null`: it is. */
export function sizeProblem(size: number): Objection {
  if (CLUSTER_SIZES.some((one) => one === size)) return null;
  const sizes = 'a cluster has 1, 3, 5 or 7 members';
  if (!Number.isInteger(size) || size < 1 || size > 7) return `${size} members are asked for; ${sizes}`;
  return `${size} members are asked for; ${sizes}: ${size} survive no more failures than ${size - 1}`;
}

function objectionToSize(pass: Pass, membership: Membership | null, size: number): Objection {
  const { epoch, uninstall } = pass.record;
  const problem = sizeProblem(size);
  if (problem !== null) return problem;
  if (uninstall !== null) return 'the service is being uninstalled';
  if (epoch.phase !== 'formed') return 'it has not formed yet';
  const objection = objectionOfUsers(pass);
  if (objection !== null) return objection;
  if (membership === null) {
    return 'no member completes a linearizable read, so that whether they are a quorum is not known';
  }
  return size < pass.record.size ? objectionToShrink(pass, membership, size) : null;
}

/** S1 for what would be left in the end. */
function objectionToShrink(pass: Pass, { set, ...rest }: Membership, size: number): Objection {
  const staying = slotsOf(size).filter((slot) =>
    seatsOf(pass, slot).some((seat) => {
      const member = memberOf({ set, ...rest }, seat);
      return member !== undefined && set.voters.has(member.id) && set.healthy.has(member.id);
    }),
  );
  const quorum = quorumOf(size);
  if (staying.length >= quorum) return null;
  const [first, last] = [slotsOf(size)[0], slotsOf(size).at(-1)];
  const whose = first === last ? `the member of ${first}` : `the members of ${first} to ${last}`;
  return `${whose} would stay, of which ${staying.length} are healthy; a quorum of ${size} is ${quorum}`;
}

function scalingFrom(record: ClusterRecord, by: string, atMs: number): ClusterRecord['scaling'] {
  return { from: Math.max(record.size, record.scaling?.from ?? 1), by, atMs, waitedMs: 0, standInMs: 0 };
}

/** Takes up what the option says, and what follows from the size for places that hold no voter. */
export function scale(pass: Pass, membership: Membership | null): void {
  takeUpOption(pass, membership);
  if (membership === null) return;
  keepOrGiveUpRemoval(pass, membership);
  giveUpJoiners(pass, membership);
  noteReached(pass, membership);
}

/** What `--cluster-size` says; where it is left out, what it said last: that is no wish. */
function optionOf({ size, sizeOption }: ClusterRecord, spec: Spec): number {
  return spec.size ?? sizeOption ?? size;
}

/** Only a change of the option asks for another size: one that stays the same does not undo a command. */
function takeUpOption(pass: Pass, membership: Membership | null): void {
  const { record, spec, seen } = pass;
  const option = optionOf(record, spec);
  if (option === (record.sizeOption ?? record.size)) return;
  // While it is only looked for, the size says how many members there may be, and nothing is done with it.
  const isFree = option === record.size || record.epoch.phase === 'adopting';
  const objection = isFree ? null : objectionToSize(pass, membership, option);
  if (objection !== null) {
    const message = `--cluster-size is ${option}, the cluster keeps ${record.size} members: ${objection}`;
    block(pass, 'size-waits', null, message);
    return;
  }
  if (option !== record.size) record.scaling = scalingFrom(record, 'the option --cluster-size', seen.wallMs);
  record.size = option;
  record.sizeOption = null;
}

/** Beyond the size that is wanted. */
export function isSurplus({ record }: Pass, slot: string): boolean {
  return slotIndexOf(slot) >= record.size;
}

interface SurplusVoter {
  readonly member: EtcdMember;
  readonly slot: string;
  /** `null`: a member of an adopted cluster whose place was not found. */
  readonly seat: DraftSeat | null;
}

/** Voters beyond the size: first those that do not serve, as there is the least to lose; then the highest slot. */
export function surplusVoters(pass: Pass, membership: Membership): SurplusVoter[] {
  const { voters, healthy } = membership.set;
  const placed = pass.record.seats.flatMap((seat) => {
    const member = memberOf(membership, seat);
    return member !== undefined && voters.has(member.id) ? [{ member, slot: seat.slot, seat }] : [];
  });
  const adopted = pass.record.epoch.source.kind === 'adopted' ? membership.members : [];
  const placeless = adopted
    .filter(
      ({ id, name }) => voters.has(id) && SLOT.test(name) && placed.every((one) => one.member.id !== id),
    )
    .map((member) => ({ member, slot: member.name, seat: null }));
  const serves = ({ member }: SurplusVoter): number => (healthy.has(member.id) ? 1 : 0);
  return [...placed, ...placeless]
    .filter(({ slot }) => isSurplus(pass, slot))
    .sort((one, other) => serves(one) - serves(other) || slotIndexOf(other.slot) - slotIndexOf(one.slot));
}
const SLOT = /^etcd-\d$/;

type Removal = Pick<Draft<Intent>, 'slot' | 'reason' | 'remove' | 'add'>;

/** The removal of a voter beyond the size that is next; its place is given up with it. */
export function decommission(
  pass: Pass,
  membership: Membership,
  which: 'dead' | 'serving',
): Removal | undefined {
  const { healthy } = membership.set;
  const next = surplusVoters(pass, membership).find(
    ({ member }) => healthy.has(member.id) === (which === 'serving'),
  );
  if (next === undefined) return undefined;
  const { slot, member, seat } = next;
  const objection = objectionToDecommission(pass, membership, next);
  if (objection !== null) {
    block(pass, 'decommission-waits', slot, `${reasonOf(pass, slot)}, and stays for now: ${objection}`);
    return undefined;
  }
  const reason = reasonOf(pass, slot);
  if (seat !== null) seat.lost ??= { cause: 'surplus', message: reason };
  return { slot, reason, remove: { memberId: member.id, seat: seat?.id ?? null }, add: null };
}

function reasonOf(pass: Pass, slot: string): string {
  return `${slot} is beyond the size, ${pass.record.size}`;
}

/**
 * S1 is not all: a voter that serves is not given up while another is away that should be waited for. One whose place
 * is lost and that finds no other is not: the place that gets free may be the one it waits for.
 */
function objectionToDecommission(pass: Pass, membership: Membership, of: SurplusVoter): Objection {
  const { record } = pass;
  const { set } = membership;
  const { member } = of;
  if (isPaused(record, 'decommission')) return 'the plan decommission is paused';
  const objection = objectionToRemoval(set, member.id);
  if (objection !== null || !set.healthy.has(member.id)) return objection;
  if (record.disruption !== null)
    return `the ${record.disruption.kind} of ${record.disruption.slot} is not over`;
  const away = awayOf(pass, membership);
  const [awaited] = away.filter((one) => !one.isPlaceless);
  if (awaited !== undefined) return `${awaited.what} does not serve`;
  const standInMs = record.scaling?.standInMs ?? 0;
  if (set.voters.size - away.length > record.size || standInMs >= STAND_IN_MS_MAX) return null;
  return 'it stands in for a member that is still to come';
}

/** A serving voter beyond the size stays this long for the sake of a lost one that finds no place. */
const STAND_IN_MS_MAX = 60_000;

/** Voters that do not serve. `isPlaceless`: its place is lost, and it has no other yet. */
function awayOf(
  pass: Pass,
  membership: Membership,
): { readonly what: string; readonly isPlaceless: boolean }[] {
  const { voters, healthy } = membership.set;
  return [...voters].flatMap((id) => {
    if (healthy.has(id)) return [];
    const seat = pass.record.seats.find((one) => memberOf(membership, one)?.id === id);
    if (seat === undefined) return [{ what: `member ${id}`, isPlaceless: false }];
    const isPlaceless = seatsOf(pass, seat.slot).every(({ lost }) => lost !== null);
    return [{ what: `${seat.slot} on ${seat.hostname}`, isPlaceless }];
  });
}

/** The intent that removes a voter beyond the size, while that voter is listed. */
function openRemoval(pass: Pass, membership: Membership): SurplusVoter | undefined {
  const { intent } = pass.record;
  if (intent === null || intent.add !== null || intent.remove === null) return undefined;
  const { memberId, seat: seatId } = intent.remove;
  const member = membership.members.find(({ id }) => id === memberId);
  const seat = seatId === null ? null : (seatById(pass, seatId) ?? null);
  if (member === undefined || member.isLearner) return undefined;
  const isMine = seat?.lost?.cause === 'surplus' || isSurplus(pass, intent.slot);
  return isMine ? { member, seat, slot: intent.slot } : undefined;
}

/** What was not ordered yet, and is not wanted or not safe any more, is taken back; so are orders without effect. */
function keepOrGiveUpRemoval(pass: Pass, membership: Membership): void {
  const { intent, scaling } = pass.record;
  const open = openRemoval(pass, membership);
  const isOrdered = intent?.committed === true;
  if (open !== undefined && !isOrdered) {
    const isWanted = !isSurplus(pass, open.slot);
    if (isWanted || objectionToDecommission(pass, membership, open) !== null) takeBack(pass, open);
  }
  if (scaling === null) return;
  const isStandIn = slotsOf(pass.record.size).some((slot) =>
    seatsOf(pass, slot).every(({ lost }) => lost !== null),
  );
  scaling.standInMs = isStandIn ? scaling.standInMs + pass.seen.elapsedMs : 0;
  const isStuck = open !== undefined && objectionToRemoval(membership.set, open.member.id) !== null;
  const waits = isOrdered && (isStuck || isAddedInVain(pass, membership, intent));
  scaling.waitedMs = waits ? scaling.waitedMs + pass.seen.elapsedMs : 0;
  if (open !== undefined && isStuck && scaling.waitedMs >= ORDER_MS_MAX) takeBack(pass, open);
}

/** Longer than an order takes: one that was not carried out by then never will be. */
const ORDER_MS_MAX = 15_000;

/** The addition of a member that nobody wants any more was ordered, and does not show: it may still come. */
function isAddedInVain(pass: Pass, { members }: Membership, { add }: Draft<Intent>): boolean {
  const seat = add === null ? undefined : seatById(pass, add.seat);
  if (add === null || seat?.lost?.cause !== 'surplus') return false;
  return members.every(({ id, peerUrls }) => id !== add.memberId && !peerUrls.includes(add.peerUrl));
}

/** An addition that was ordered before its slot was given up may be carried out yet. */
export function mayStillBeAdded(pass: Pass, membership: Membership, intent: Draft<Intent>): boolean {
  const { scaling } = pass.record;
  if (scaling === null || !intent.committed || !isAddedInVain(pass, membership, intent)) return false;
  return scaling.waitedMs < ORDER_MS_MAX;
}

function takeBack(pass: Pass, { seat }: SurplusVoter): void {
  pass.record.intent = null;
  if (seat?.lost?.cause === 'surplus') seat.lost = null;
}

/**
 * Beyond the size nobody joins any more: a learner is removed, a place without a member given back. And a voter that
 * is to stay after all stays.
 */
function giveUpJoiners(pass: Pass, membership: Membership): void {
  for (const seat of pass.record.seats) {
    const member = memberOf(membership, seat);
    const votes = member !== undefined && !member.isLearner;
    if (isSurplus(pass, seat.slot)) {
      if (!votes) seat.lost ??= { cause: 'surplus', message: reasonOf(pass, seat.slot) };
    } else if (votes && seat.lost?.cause === 'surplus' && pass.record.intent?.remove?.seat !== seat.id) {
      seat.lost = null;
    }
  }
}

/** As many members as are wanted, in the slots where they are wanted. */
function noteReached(pass: Pass, membership: Membership): void {
  const { record } = pass;
  if (record.scaling === null) return;
  const votes = (seat: DraftSeat): boolean => memberOf(membership, seat)?.isLearner === false;
  const isFull = slotsOf(record.size).every((slot) => seatsOf(pass, slot).some(votes));
  const isOver = surplusVoters(pass, membership).length > 0;
  if (isFull && !isOver && record.seats.every(({ slot }) => !isSurplus(pass, slot))) record.scaling = null;
}

/** A place beyond the size whose member is off the list is given back; what it held goes as `mayDestroy` says. */
export function retireSurplus(pass: Pass, membership: Membership): void {
  const { intent } = pass.record;
  for (const seat of [...pass.record.seats]) {
    if (!isSurplus(pass, seat.slot) && seat.lost?.cause !== 'surplus') continue;
    const needed = intent?.add?.seat === seat.id || intent?.remove?.seat === seat.id;
    if (needed || seat.lost === null || memberOf(membership, seat) !== undefined) continue;
    if (seat.lost.cause !== 'foreign-data') {
      seat.lost = { cause: 'surplus', message: reasonOf(pass, seat.slot) };
    }
    leave(pass, seat, seat.lost.message);
  }
}

/** S8: what a member beyond the size held goes once its removal is committed and all the others are healthy. */
export function mayDestroy(membership: Membership | null, seat: DraftSeat): boolean {
  if (seat.lost?.cause !== 'surplus' || seat.data?.started !== true) return true;
  if (membership === null || memberOf(membership, seat) !== undefined) return false;
  return isEveryVoterHealthy(membership.set);
}
