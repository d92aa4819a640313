import { compareUint64 } from '../protocol/identifiers.ts';
import type { SpaceRecord } from '../protocol/record.ts';
import { doVotersDiffer, hashesAt, verdictOf } from './hashes.ts';
import { type Membership, memberOf, witnessesOf } from './membership.ts';
import {
  BUSY_WAKE_MS,
  block,
  type Draft,
  type DraftSeat,
  freshStatus,
  objectionToOrder,
  order,
  type Pass,
  wakeWithin,
} from './pass.ts';
import { quorumOf } from './quorum.ts';
import { mayResume, resumptionOf } from './resumption.ts';

/** A revision is compacted, or its members end, while its hashes are gathered: then another is asked for. */
const GATHER_MS = 30_000;

type Space = Draft<SpaceRecord>;

/**
 * A CORRUPT alarm, or a member whose etcd refuses to start because its data is not its peers': who it is that differs
 * is for a majority's hashes to say. That one is lost (L2); without a majority it is an operator's to say.
 *
 * One peer whose data differs keeps the etcd of every sound member from starting: who refuses where not all others
 * are of one mind is started unchecked, once, to tell its own hash.
 */
export function judgeCorruption(pass: Pass, membership: Membership, space: Space): void {
  const alarms = membership.speaker.probe.alarms.filter(({ alarm }) => alarm === 'CORRUPT');
  const refusing = refusingSeats(pass);
  // What was begun is seen through: one that was started to tell does not refuse any more.
  const isSettled = haveAllTold(pass, membership, space) && !doVotersDiffer(pass, membership.set.voters);
  if (alarms.length === 0 && refusing.length === 0 && (space.hashes === null || isSettled)) {
    space.hashes = null;
    return;
  }
  wakeWithin(pass, BUSY_WAKE_MS);
  gather(pass, membership, space);
  const { set, members } = membership;
  const revision = space.hashes?.revision ?? null;
  const verdict = verdictOf(pass, set.voters);
  if (revision === null || verdict === null) {
    block(
      pass,
      'corrupt',
      null,
      `${whatIsWrong(alarms, refusing)}; no majority of hashes tells yet who it is`,
    );
    if (haveAllTold(pass, membership, space)) startUnchecked(pass, membership, refusing);
    return;
  }
  for (const seat of pass.record.seats) {
    const id = memberOf(membership, seat)?.id ?? '';
    // Its own etcd compared it with its peers, and they are of one mind.
    const isAlone = refusing.includes(seat) && !verdict.sound.has(id) && verdict.differing.size === 0;
    const isOther = verdict.differing.has(id) || isAlone;
    if (!isOther || seat.lost !== null || !set.voters.has(id)) continue;
    const count = `${verdict.sound.size} of ${set.voters.size} voters`;
    seat.lost = { cause: 'data', message: `its data differs from that of ${count} at revision ${revision}` };
  }
  startUnchecked(pass, membership, refusing);
  const gone = alarms.find(({ memberId }) => !members.some(({ id }) => id === memberId));
  const isWhole = [...set.voters].every((id) => verdict.sound.has(id));
  if (gone !== undefined && isWhole) {
    const args = { memberId: gone.memberId, alarm: 'CORRUPT' } as const;
    const reason = `member ${gone.memberId} was removed, and all others hold the same at revision ${revision}`;
    order(pass, membership.speaker.seat, { kind: 'disarm', args }, reason);
  } else if (isWhole && alarms.length > 0) {
    const text = `a CORRUPT alarm stands, but all voters hold the same at revision ${revision}`;
    block(pass, 'corrupt', null, `${text}: \`etcd-mesos alarm disarm CORRUPT\` lets it go`);
  }
}

/**
 * Without a quorum, as a majority refuses to start beside one that runs: it is more likely to be right, and once its
 * members run their hashes tell. Where fewer refuse than are a quorum, whoever is missing may yet come and tell.
 */
export function startMajorityUnchecked(pass: Pass, space: Space): void {
  if (witnessesOf(pass).some(({ probe }) => probe.leaderId !== null)) return;
  const refusing = refusingSeats(pass);
  const known = pass.record.seats.filter(({ data }) => data?.started === true).length;
  if (refusing.length < quorumOf(Math.max(known, pass.record.size))) return;
  startUnchecked(pass, null, refusing);
  // Once a quorum answers they are asked at a revision of that moment.
  space.hashes = { revision: '0', waitedMs: GATHER_MS };
}

/** Whose etcd says that its data is not its peers'. */
function refusingSeats(pass: Pass): DraftSeat[] {
  return pass.record.seats.filter((seat) => seat.lost === null && freshStatus(pass, seat)?.differs === true);
}

function startUnchecked(pass: Pass, membership: Membership | null, refusing: readonly DraftSeat[]): void {
  for (const seat of refusing) {
    if (seat.lost !== null || !mayResume(pass, membership, seat)) continue;
    const { kind, args } = resumptionOf(pass, seat);
    const reason = 'its peers are not of one mind, and one of them keeps it from starting';
    order(pass, seat, { kind, args: { ...args, unchecked: true } }, reason);
  }
}

/** Every voter that runs, and whose supervisor knows how to, has told the hash that was asked for last. */
function haveAllTold(pass: Pass, { witnesses, set }: Membership, { hashes }: Space): boolean {
  const known = hashes === null ? null : hashesAt(pass, hashes.revision);
  return witnesses
    .filter(
      ({ seat, probe }) => set.voters.has(probe.memberId) && objectionToOrder(pass, seat, 'hash-kv') === null,
    )
    .every(({ probe }) => known?.has(probe.memberId) === true);
}

/** Asks every voter for its hash at one revision, which all have applied. */
function gather(pass: Pass, membership: Membership, space: Space): void {
  const voters = membership.witnesses.filter(({ probe }) => membership.set.voters.has(probe.memberId));
  const known = space.hashes === null ? null : hashesAt(pass, space.hashes.revision);
  if (space.hashes !== null && !haveAllTold(pass, membership, space)) {
    space.hashes.waitedMs += pass.seen.elapsedMs;
  }
  if (space.hashes === null || space.hashes.waitedMs >= GATHER_MS) {
    const lowest = voters.map(({ probe }) => probe.revision).toSorted(compareUint64)[0];
    space.hashes = lowest === undefined ? null : { revision: lowest, waitedMs: 0 };
    return;
  }
  const { revision } = space.hashes;
  for (const { seat, probe } of voters) {
    if (known?.has(probe.memberId) === true || compareUint64(probe.revision, revision) < 0) continue;
    order(pass, seat, { kind: 'hash-kv', args: { revision } }, 'members are compared by their hashes');
  }
}

function whatIsWrong(
  alarms: readonly { readonly memberId: string }[],
  refusing: readonly { readonly slot: string }[],
): string {
  const [alarm] = alarms;
  if (alarm !== undefined) return `a CORRUPT alarm names member ${alarm.memberId}`;
  const [seat] = refusing;
  if (seat === undefined) return 'the data of voters is not the same';
  return `the etcd of ${seat.slot} finds that its data is not its peers’`;
}
