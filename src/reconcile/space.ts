import { compareUint64 } from '../protocol/identifiers.ts';
import type { Probe } from '../protocol/member-status.ts';
import type { SpaceRecord } from '../protocol/record.ts';
import { judgeCorruption, startMajorityUnchecked } from './corruption.ts';
import { objectionToDisturb, openDisruption } from './disruption.ts';
import { type Membership, memberOf, type Witness } from './membership.ts';
import {
  BUSY_WAKE_MS,
  block,
  type Draft,
  type DraftSeat,
  objectionToOrder,
  order,
  type Pass,
  wakeWithin,
} from './pass.ts';

/*
 * etcd's database: members are defragmented one at a time, a full one is relieved once by what harms nobody, and what
 * needs a human is said. What comes next follows from the stage that is recorded and from what members say.
 */

/** Below this part of the quota an alarm is let go, and above it people are told. */
export const COMFORTABLE = 0.8;
/** A file with less than this part of it free is not worth the disturbance. */
const FRAGMENTED = 0.2;
/** Rounds of one relief: one before a compaction, one after it, and for members that were away. */
const ROUNDS_MAX = 6;
/** How long a compaction, or the end of an alarm, is waited for. */
const STEP_MS_MAX = 120_000;
/** How long an archive that is behind is waited for, before only what it has is compacted. */
const ARCHIVE_MS_MAX = 10_000;
/** Freed since it was given up, as a part of what was in use: reason enough to try again. */
const FREED = 0.1;
/** Defragmentations of a round that may come to nothing. */
const FAILURES_MAX = 3;
/** In whose name things are done that nobody asked for. */
export const ITSELF = 'etcd-mesos';

/** Nothing is under way. */
export const NO_SPACE_WORK: SpaceRecord = { round: null, relief: null, hashes: null, disarm: null };

type DraftSpace = Draft<SpaceRecord>;
type Relief = NonNullable<DraftSpace['relief']>;

/** One step of all that is under way about the database. */
export function keepSpace(pass: Pass, membership: Membership | null): void {
  const { record } = pass;
  if (record.uninstall !== null) {
    record.space = null;
    return;
  }
  const space: DraftSpace = record.space ?? { ...NO_SPACE_WORK };
  record.space = space;
  if (membership !== null) {
    judgeCorruption(pass, membership, space);
    disarmAsked(pass, membership, space);
    relieve(pass, membership, space);
  } else startMajorityUnchecked(pass, space);
  defragmentNext(pass, membership, space);
  if (Object.values(space).every((part) => part === null)) record.space = null;
}

/** A round of defragmentations; `id` names its runs. */
export function newRound(
  pass: Pass,
  of: Pick<NonNullable<SpaceRecord['round']>, 'by' | 'reason' | 'forced' | 'slots'>,
): NonNullable<DraftSpace['round']> {
  const { by, reason, forced, slots } = of;
  const { freshId, wallMs: atMs } = pass.seen;
  return { id: `round-${freshId}`, by, reason, forced, slots: [...slots], atMs, begun: 0 };
}

// ---- one member after the other ----

function defragmentNext(pass: Pass, membership: Membership | null, space: DraftSpace): void {
  const { round } = space;
  if (round === null) return;
  const places = placesOf(pass, round.slots);
  const started = places.length;
  round.slots = places.filter((seat) => !wasDone(pass, round.id, seat)).map(({ slot }) => slot);
  if (round.slots.length === 0) space.round = null;
  else wakeWithin(pass, BUSY_WAKE_MS);
  if (space.round === null || pass.record.disruption !== null) return;
  if (round.begun >= started + FAILURES_MAX) {
    block(pass, 'defragment-given-up', null, `${round.slots.join(', ')} could not be defragmented`);
    space.round = null;
    return;
  }
  const next = placesOf(pass, round.slots).toSorted(
    (one, other) => Number(leads(membership, one)) - Number(leads(membership, other)),
  )[0];
  if (next === undefined) return;
  const objection =
    objectionToOrder(pass, next, 'defragment') ??
    (round.forced ? null : objectionToDisturb(pass, membership, next));
  if (objection !== null) {
    block(pass, 'defragment-waits', next.slot, `to defragment ${next.slot} waits: ${objection}`);
    return;
  }
  const { by, reason, forced } = round;
  openDisruption(pass, next, { id: runOf(round.id, next), kind: 'defragment', by, reason, forced });
  round.begun += 1;
}

/** Names what one member does in a round: what was done is not done again, whoever asks. */
function runOf(roundId: string, { slot }: DraftSeat): string {
  return `${roundId}-${slot}`;
}

function wasDone(pass: Pass, roundId: string, seat: DraftSeat): boolean {
  const isOpen = pass.record.disruption?.seat === seat.id;
  return !isOpen && pass.seen.members.get(seat.id)?.status?.space.defragmented === runOf(roundId, seat);
}

/** Places of the slots that hold a member and are to keep it. */
function placesOf(pass: Pass, slots: readonly string[]): DraftSeat[] {
  return pass.record.seats.filter(
    (seat) => slots.includes(seat.slot) && seat.lost === null && seat.data?.started === true,
  );
}

function leads(membership: Membership | null, seat: DraftSeat): boolean {
  if (membership === null) return false;
  const member = memberOf(membership, seat);
  return member !== undefined && member.id === membership.leaderId;
}

// ---- alarms ----

function standing(membership: Membership, name: 'NOSPACE' | 'CORRUPT'): Probe['alarms'] {
  return membership.speaker.probe.alarms.filter(({ alarm }) => alarm === name);
}

function disarm(pass: Pass, membership: Membership, name: 'NOSPACE' | 'CORRUPT', reason: string): void {
  const [first] = standing(membership, name);
  if (first === undefined) return;
  const args = { memberId: first.memberId, alarm: name };
  order(pass, membership.speaker.seat, { kind: 'disarm', args }, reason);
}

function disarmAsked(pass: Pass, membership: Membership, space: DraftSpace): void {
  const asked = space.disarm;
  if (asked === null) return;
  asked.waitedMs += pass.seen.elapsedMs;
  if (standing(membership, asked.alarm).length === 0 || asked.waitedMs >= STEP_MS_MAX) space.disarm = null;
  else disarm(pass, membership, asked.alarm, `${asked.by} has it disarmed`);
}

// ---- NOSPACE ----

interface Fill {
  readonly witness: Witness;
  readonly sizeBytes: number;
  readonly inUseBytes: number;
  readonly quotaBytes: number;
}

function fillsOf({ witnesses, set }: Membership): Fill[] {
  return witnesses
    .filter(({ probe }) => set.voters.has(probe.memberId))
    .map((witness) => ({
      witness,
      sizeBytes: witness.probe.dbSizeBytes,
      inUseBytes: witness.probe.dbSizeInUseBytes,
      quotaBytes: witness.seat.pinned.etcd.quotaBytes,
    }));
}

const isLarge = ({ sizeBytes, quotaBytes }: Fill): boolean => sizeBytes >= COMFORTABLE * quotaBytes;
const isFragmented = ({ sizeBytes, inUseBytes }: Fill): boolean =>
  sizeBytes - inUseBytes >= FRAGMENTED * sizeBytes;

/** One round of what harms nobody; where that bears no fruit the rest is an operator's. */
function relieve(pass: Pass, membership: Membership, space: DraftSpace): void {
  if (standing(membership, 'NOSPACE').length === 0) {
    space.relief = null;
    return;
  }
  space.relief ??= newRelief(pass);
  const { relief } = space;
  const fills = fillsOf(membership);
  // Under a CORRUPT alarm nothing is compacted, and who differs is about to go.
  const isHeld = standing(membership, 'CORRUPT').length > 0;
  if (space.round !== null || fills.length === 0 || isHeld) return;
  wakeWithin(pass, BUSY_WAKE_MS);
  switch (relief.stage) {
    case 'found':
      goOn(relief, 'defragmented');
      beginRound(
        pass,
        space,
        fills.filter((fill) => isLarge(fill) && isFragmented(fill)),
      );
      return;
    case 'defragmented':
      if (fills.some(isLarge)) compact(pass, membership, relief);
      else letGo(pass, membership, relief, fills);
      return;
    case 'compacted':
      // How much is free is told by 3.4 only after a write, and none is taken: so all that are large.
      goOn(relief, 'settled');
      beginRound(pass, space, fills.filter(isLarge));
      return;
    case 'settled': {
      // One that was away meanwhile comes back with the file that it had.
      const left = fills.filter((fill) => isLarge(fill) && isFragmented(fill));
      const there = left.filter(({ witness }) => witness.seat.lost === null);
      if (there.length > 0 && relief.rounds < ROUNDS_MAX) beginRound(pass, space, there);
      // A place that is given up comes back, or its member is replaced: it is no reason to call an operator.
      else if (there.length < left.length) blockNoSpace(pass, fills);
      else letGo(pass, membership, relief, fills);
      return;
    }
    case 'fruitless':
      relief.waitedMs += pass.seen.elapsedMs;
      if (wasFreed(relief, fills) || isDueAgain(relief, fills) || holdsMore(pass, membership, relief)) {
        space.relief = newRelief(pass);
      } else blockNoSpace(pass, fills);
      return;
  }
}

function newRelief(pass: Pass): Relief {
  const { wallMs: sinceMs } = pass.seen;
  return { sinceMs, stage: 'found', compactTo: null, waitedMs: 0, inUseBytes: 0, rounds: 0 };
}

function goOn(relief: Relief, stage: Relief['stage']): void {
  relief.stage = stage;
  relief.waitedMs = 0;
}

function beginRound(pass: Pass, space: DraftSpace, fills: readonly Fill[]): void {
  if (fills.length === 0) return;
  if (space.relief !== null) space.relief.rounds += 1;
  const slots = fills.map(({ witness }) => witness.seat.slot);
  space.round = newRound(pass, { by: ITSELF, reason: 'writes are refused: NOSPACE', forced: false, slots });
}

/** No further than a kept window, and never beyond what an archive holds. */
function compact(pass: Pass, membership: Membership, relief: Relief): void {
  if (relief.compactTo === null && relief.waitedMs < ARCHIVE_MS_MAX && isArchiveBehind(pass, membership)) {
    relief.waitedMs += pass.seen.elapsedMs;
    return;
  }
  relief.compactTo ??= compactionTarget(pass, membership);
  const { compactTo } = relief;
  if (compactTo === null) {
    giveUp(relief, fillsOf(membership));
    return;
  }
  const wasDone = membership.witnesses.some(
    ({ status }) => status.space.compacted !== null && compareUint64(status.space.compacted, compactTo) >= 0,
  );
  relief.waitedMs += pass.seen.elapsedMs;
  if (wasDone || relief.waitedMs >= STEP_MS_MAX) {
    goOn(relief, 'compacted');
    return;
  }
  const { set, witnesses, speaker } = membership;
  // The leader has enough to do; and the same one each time, who knows that it was done.
  const asked =
    witnesses.find(
      ({ probe }) =>
        set.voters.has(probe.memberId) &&
        set.healthy.has(probe.memberId) &&
        probe.memberId !== membership.leaderId,
    ) ?? speaker;
  const reason = `writes are refused: NOSPACE; the newest ${pass.spec.compactKeepRevisions} revisions are kept`;
  order(pass, asked.seat, { kind: 'compact', args: { revision: compactTo } }, reason);
}

function compactionTarget(pass: Pass, membership: Membership): string | null {
  const { archive } = pass.seen;
  const window = windowOf(pass, membership);
  const bound = archive === null ? window : BigInt(archive.archivedRevision);
  const target = window < bound ? window : bound;
  return target > 0n ? target.toString() : null;
}

/** Up to where nobody wants history any more. */
function windowOf(pass: Pass, { speaker }: Membership): bigint {
  return BigInt(speaker.probe.revision) - BigInt(pass.spec.compactKeepRevisions);
}

function isArchiveBehind(pass: Pass, membership: Membership): boolean {
  const { archive } = pass.seen;
  return archive !== null && BigInt(archive.archivedRevision) < windowOf(pass, membership);
}

function letGo(pass: Pass, membership: Membership, relief: Relief, fills: readonly Fill[]): void {
  const isEnough = fills.every(
    ({ inUseBytes, sizeBytes, quotaBytes }) =>
      inUseBytes < COMFORTABLE * quotaBytes && sizeBytes < quotaBytes * ((1 + COMFORTABLE) / 2),
  );
  relief.waitedMs += pass.seen.elapsedMs;
  if (!isEnough || relief.waitedMs >= STEP_MS_MAX) giveUp(relief, fills);
  else disarm(pass, membership, 'NOSPACE', `less than ${COMFORTABLE * 100} % of the quota is in use`);
}

function giveUp(relief: Relief, fills: readonly Fill[]): void {
  goOn(relief, 'fruitless');
  relief.inUseBytes = Math.max(0, ...fills.map(({ inUseBytes }) => inUseBytes));
}

/** Keys were deleted, somebody compacted, or the quota is larger: there is something to gain again. */
function wasFreed(relief: Relief, fills: readonly Fill[]): boolean {
  return fills.every(
    ({ inUseBytes, quotaBytes }) =>
      inUseBytes < COMFORTABLE * quotaBytes && inUseBytes <= (1 - FREED) * relief.inUseBytes,
  );
}

/** There is space, and it only came to nothing: a member was away, or an order went unanswered. */
function isDueAgain(relief: Relief, fills: readonly Fill[]): boolean {
  const isFree = fills.every(({ inUseBytes, quotaBytes }) => inUseBytes < COMFORTABLE * quotaBytes);
  return isFree && relief.waitedMs >= STEP_MS_MAX;
}

/** What kept history from being compacted was the archive, and it has caught up. */
function holdsMore(pass: Pass, membership: Membership, { waitedMs, compactTo }: Relief): boolean {
  if (pass.seen.archive === null || waitedMs < STEP_MS_MAX) return false;
  const target = compactionTarget(pass, membership);
  return target !== null && (compactTo === null || compareUint64(target, compactTo) > 0);
}

function blockNoSpace(pass: Pass, fills: readonly Fill[]): void {
  const full = fills.toSorted(
    (one, other) => other.inUseBytes / other.quotaBytes - one.inUseBytes / one.quotaBytes,
  );
  const [worst] = full;
  if (worst === undefined) return;
  const { witness, inUseBytes, quotaBytes } = worst;
  const share = Math.round((100 * inUseBytes) / quotaBytes);
  block(
    pass,
    'no-space',
    witness.seat.slot,
    `etcd refuses writes: ${share} % of the quota is in use, and no more can be freed without an operator. ` +
      '`etcd-mesos space` shows the largest prefixes: delete keys or raise --etcd-quota-bytes, then `etcd-mesos defragment`',
  );
}
