import { compareUint64 } from '../protocol/identifiers.ts';
import { peerUrlOf } from '../protocol/launch.ts';
import type { EtcdMember, MemberStatus, Probe } from '../protocol/member-status.ts';
import type { ClusterHealth } from './decision.ts';
import { type HashVerdict, verdictOf } from './hashes.ts';
import { FRESH_MS } from './observation.ts';
import { type DraftSeat, freshStatus, type Pass, viewOf } from './pass.ts';
import type { VoterSet } from './quorum.ts';
import { silentSeats } from './users.ts';

/** A seat with what its own etcd said lately. */
export interface Witness {
  readonly seat: DraftSeat;
  readonly status: MemberStatus;
  readonly probe: Probe;
  /** Age of the probe, milliseconds. */
  readonly ageMs: number;
}

/** The member list as a quorum knows it. */
export interface Membership {
  readonly clusterId: string;
  readonly members: readonly EtcdMember[];
  readonly set: VoterSet;
  readonly leaderId: string | null;
  /** The one that orders about the membership go to: the leader's seat, else the best informed. */
  readonly speaker: Witness;
  readonly witnesses: readonly Witness[];
}

/** The member list by the word of a member that completed a linearizable read; `null` if none did lately. */
export function readMembership(pass: Pass, clusterId: string): Membership | null {
  const witnesses = witnessesOf(pass).filter((witness) => witness.probe.clusterId === clusterId);
  // A list holds all that was committed before it was asked for: the youngest knows the most.
  const best = youngest(witnesses.filter((witness) => witness.probe.confirmedMembers !== null));
  if (best === null) return null;
  const members = best.probe.confirmedMembers ?? [];
  const leaderId = best.probe.leaderId;
  const leader = witnesses.find(
    (witness) => witness.probe.memberId === leaderId && witness.probe.confirmedMembers !== null,
  );
  const voters = new Set(members.filter((member) => !member.isLearner).map((member) => member.id));
  const verdict = verdictOf(pass, voters);
  return {
    clusterId,
    members,
    leaderId,
    speaker: leader ?? best,
    witnesses,
    set: {
      voters,
      healthy: new Set(
        witnesses
          .filter((witness) => isHealthy(witness, verdict) && !isBeingStopped(pass, witness.seat))
          .map((witness) => witness.probe.memberId),
      ),
    },
  };
}

/** Of the cluster that the record names; `null` also before it has formed. */
export function membershipOf(pass: Pass): Membership | null {
  const { clusterId } = pass.record.epoch;
  return clusterId === null ? null : readMembership(pass, clusterId);
}

/** Every seat whose etcd answered its supervisor lately. */
export function witnessesOf(pass: Pass): Witness[] {
  const found: Witness[] = [];
  for (const seat of pass.record.seats) {
    const status = freshStatus(pass, seat);
    const view = viewOf(pass, seat);
    if (status === null || status.probe === null || status.phase !== 'running' || view === undefined)
      continue;
    const ageMs = view.ageMs + status.probe.ageMs;
    if (ageMs <= FRESH_MS) found.push({ seat, status, probe: status.probe, ageMs });
  }
  return found;
}

/**
 * Local evidence only: a member does not become ill because its cluster has no quorum. An alarm may name a sound one,
 * when the leader is who differs: what a majority holds is sound, whatever an alarm says.
 */
function isHealthy({ probe, status }: Witness, verdict: HashVerdict | null): boolean {
  const isNamed = probe.alarms.some(
    (alarm) => alarm.alarm === 'CORRUPT' && alarm.memberId === probe.memberId,
  );
  const corrupt =
    verdict === null
      ? isNamed
      : verdict.differing.has(probe.memberId) || (isNamed && !verdict.sound.has(probe.memberId));
  return probe.leaderId !== null && !corrupt && status.dataProblem === null;
}

/** It was told to stop, of our own will: it may answer a little longer, and nothing may be built on that. */
function isBeingStopped(pass: Pass, seat: DraftSeat): boolean {
  const { disruption } = pass.record;
  if (seat.paused !== null) return true;
  if (disruption === null || !disruption.begun) return false;
  if (disruption.seat !== seat.id || disruption.task !== seat.task) return false;
  if (disruption.kind === 'defragment') return !isDefragmented(pass, seat);
  return disruption.kind === 'restart' || disruption.kind === 'update';
}

/** Whether the run that is open for this seat was done. */
export function isDefragmented(pass: Pass, seat: DraftSeat): boolean {
  const { disruption } = pass.record;
  const status = freshStatus(pass, seat);
  return status !== null && disruption !== null && status.space.defragmented === disruption.id;
}

export function memberOf(membership: Membership, seat: DraftSeat): EtcdMember | undefined {
  const { memberId } = seat.data ?? { memberId: null };
  if (memberId !== null) return membership.members.find((member) => member.id === memberId);
  return membership.members.find((member) => member.peerUrls.includes(peerUrlOf(seat)));
}

/** Its member votes and serves. */
export function isServing(membership: Membership, seat: DraftSeat): boolean {
  const member = memberOf(membership, seat);
  return member !== undefined && !member.isLearner && membership.set.healthy.has(member.id);
}

/** S3: has this learner applied what the leader had applied at the leader's last look? */
export function isLevelWithLeader(membership: Membership, seat: DraftSeat): boolean {
  const learner = membership.witnesses.find((witness) => witness.seat.id === seat.id);
  const leader = membership.witnesses.find((witness) => witness.probe.memberId === membership.leaderId);
  if (learner === undefined || leader === undefined) return false;
  if (leader.ageMs > LEADER_AGE_MS_MAX || learner.probe.leaderId !== membership.leaderId) return false;
  return (
    compareUint64(learner.probe.raftAppliedIndex, leader.probe.raftAppliedIndex) >= 0 &&
    compareUint64(learner.probe.revision, leader.probe.revision) >= 0
  );
}

/** A leader's position older than this is no measure for a learner. */
const LEADER_AGE_MS_MAX = 2_000;

export function healthOf(pass: Pass, membership: Membership | null): ClusterHealth {
  const witnesses = membership?.witnesses ?? witnessesOf(pass);
  const leader =
    membership?.leaderId ?? witnesses.find((one) => one.probe.leaderId !== null)?.probe.leaderId ?? null;
  const silent = silentSeats(pass);
  const standing = silent.filter((seat) => freshStatus(pass, seat)?.needsUser?.quorum === true).length;
  if (membership !== null) {
    const { voters, healthy } = membership.set;
    const healthyVoters = [...voters].filter((id) => healthy.has(id)).length + standing;
    const whole = healthyVoters === voters.size && voters.size >= pass.record.size;
    const state = silent.length > 0 ? 'needs-user' : whole ? 'healthy' : 'degraded';
    return { state, voters: voters.size, healthyVoters, leader };
  }
  const known = pass.record.seats.filter((seat) => seat.data?.started === true).length;
  const base = {
    voters: known,
    healthyVoters: witnesses.filter((one) => isHealthy(one, null)).length + standing,
    leader,
  };
  if (pass.record.epoch.phase !== 'formed') return { state: 'forming', ...base };
  if (silent.length > 0) return { state: 'needs-user', ...base };
  if (witnesses.length === 0) return { state: 'unknown', ...base };
  return { state: leader === null ? 'quorum-lost' : 'degraded', ...base };
}

function youngest(witnesses: readonly Witness[]): Witness | null {
  let best: Witness | null = null;
  for (const witness of witnesses) {
    if (best === null || witness.ageMs < best.ageMs) best = witness;
  }
  return best;
}
