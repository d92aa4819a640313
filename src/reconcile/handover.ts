import { compareUint64 } from '../protocol/identifiers.ts';
import type { Membership, Witness } from './membership.ts';
import { order, type Pass } from './pass.ts';
import { isSurplus } from './scaling.ts';

/**
 * To whom a member that leads hands over before it goes, else the others wait an election timeout for nothing: the
 * healthy voter whose log goes furthest. `undefined`: it does not lead, or nobody could take over.
 */
export function heirOf(pass: Pass, membership: Membership, memberId: string): string | undefined {
  const { healthy } = membership.set;
  const leads = membership.leaderId === memberId && membership.speaker.probe.memberId === memberId;
  if (!leads || !healthy.has(memberId)) return undefined;
  return candidatesOf(pass, membership).find((id) => id !== memberId);
}

/** Healthy voters whose places are to stay, the most advanced first. */
export function candidatesOf(pass: Pass, { set, witnesses }: Membership): string[] {
  const stays = ({ seat }: Witness): number => (seat.lost === null && !isSurplus(pass, seat.slot) ? 0 : 1);
  return witnesses
    .filter(({ probe }) => set.voters.has(probe.memberId) && set.healthy.has(probe.memberId))
    .toSorted(
      (one, other) =>
        stays(one) - stays(other) ||
        compareUint64(other.probe.raftIndex, one.probe.raftIndex) ||
        (one.probe.memberId < other.probe.memberId ? -1 : 1),
    )
    .map(({ probe }) => probe.memberId);
}

/** The leader is told to hand over. What it does not do is told again. */
export function handOver(pass: Pass, membership: Membership, heir: string, reason: string): void {
  order(pass, membership.speaker.seat, { kind: 'move-leader', args: { memberId: heir } }, reason);
}
