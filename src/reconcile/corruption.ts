import { compareUint64 } from '../protocol/identifiers.ts';
import type { SpaceRecord } from '../protocol/record.ts';
import { hashesAt, verdictOf } from './hashes.ts';
import { type Membership, memberOf } from './membership.ts';
import { BUSY_WAKE_MS, block, type Draft, freshStatus, order, type Pass, wakeWithin } from './pass.ts';

/** A revision is compacted, or its members end, while its hashes are gathered: then another is asked for. */
const GATHER_MS = 30_000;

type Space = Draft<SpaceRecord>;

/**
 * A CORRUPT alarm, or a member whose etcd refuses to start because its data is not its peers': who it is that differs
 * is for a majority's hashes to say. That one is lost (L2); without a majority it is an operator's to say.
 */
export function judgeCorruption(pass: Pass, membership: Membership, space: Space): void {
  const alarms = membership.speaker.probe.alarms.filter(({ alarm }) => alarm === 'CORRUPT');
  const refusing = pass.record.seats.filter(
    (seat) => seat.lost === null && freshStatus(pass, seat)?.differs === true,
  );
  if (alarms.length === 0 && refusing.length === 0) {
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
    return;
  }
  for (const seat of pass.record.seats) {
    const id = memberOf(membership, seat)?.id ?? '';
    // Its own etcd compared it with its peers, and a majority of them is of one mind.
    const isOther = verdict.differing.has(id) || (refusing.includes(seat) && !verdict.sound.has(id));
    if (!isOther || seat.lost !== null || !set.voters.has(id)) continue;
    const count = `${verdict.sound.size} of ${set.voters.size} voters`;
    seat.lost = { cause: 'data', message: `its data differs from that of ${count} at revision ${revision}` };
  }
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

/** Asks every voter for its hash at one revision, which all have applied. */
function gather(pass: Pass, membership: Membership, space: Space): void {
  const voters = membership.witnesses.filter(({ probe }) => membership.set.voters.has(probe.memberId));
  const known = space.hashes === null ? null : hashesAt(pass, space.hashes.revision);
  const isComplete = known !== null && voters.every(({ probe }) => known.has(probe.memberId));
  if (space.hashes !== null) space.hashes.waitedMs += isComplete ? 0 : pass.seen.elapsedMs;
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
  return `the etcd of ${refusing[0]?.slot ?? 'a member'} finds that its data is not its peers’`;
}
