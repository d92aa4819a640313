/** Quorum arithmetic: the only place that has it. */

/** How many of `voters` must agree: ⌊n/2⌋+1. */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** A configuration as far as safety is concerned: who votes, and who of them is known to be healthy. */
export interface VoterSet {
  readonly voters: ReadonlySet<string>;
  /** May name members that do not vote; they do not count. */
  readonly healthy: ReadonlySet<string>;
}

/** `null` where the change is safe, else why it is not. */
export type Objection = string | null;

export function hasQuorum(set: VoterSet): boolean {
  return healthyVoters(set) >= quorumOf(set.voters.size);
}

export function isEveryVoterHealthy({ voters, healthy }: VoterSet): boolean {
  return [...voters].every((id) => healthy.has(id));
}

/** S1 for the removal of a voter. A learner's removal needs no permission. */
export function objectionToRemoval(set: VoterSet, memberId: string): Objection {
  if (!set.voters.has(memberId)) return null;
  const voters = new Set([...set.voters].filter((id) => id !== memberId));
  return objectionToChange(set, { voters, healthy: set.healthy });
}

/** S1 for a learner that has caught up and is to vote: it counts as healthy. */
export function objectionToPromotion(set: VoterSet, memberId: string): Objection {
  return objectionToChange(set, {
    voters: new Set([...set.voters, memberId]),
    healthy: new Set([...set.healthy, memberId]),
  });
}

/** S9: may this voter be stopped for a while, of our own will? */
export function objectionToDisruption(set: VoterSet, memberId: string): Objection {
  const others = { voters: set.voters, healthy: new Set([...set.healthy].filter((id) => id !== memberId)) };
  if (!set.voters.has(memberId) || hasQuorum(others)) return null;
  return `without it ${healthyVoters(others)} of ${set.voters.size} voters are healthy, a quorum is ${quorumOf(set.voters.size)}`;
}

function objectionToChange(before: VoterSet, after: VoterSet): Objection {
  if (after.voters.size === 0) return 'no voter would be left';
  if (!hasQuorum(before)) {
    return `only ${healthyVoters(before)} of ${before.voters.size} voters are healthy, a quorum is ${quorumOf(before.voters.size)}`;
  }
  if (!hasQuorum(after)) {
    return `then ${healthyVoters(after)} of ${after.voters.size} voters would be healthy, a quorum is ${quorumOf(after.voters.size)}`;
  }
  return null;
}

function healthyVoters(set: VoterSet): number {
  return [...set.voters].filter((id) => set.healthy.has(id)).length;
}
