import type { MemberStatus } from '../protocol/member-status.ts';
import { type DraftSeat, freshStatus, type Pass } from './pass.ts';
import type { Objection } from './quorum.ts';

/*
 * An operator may turn etcd's own authentication on, and nobody can name it a user here. Its members are well then and
 * serve who names one; what they keep to themselves is not known, and says neither that a quorum is lost nor that a
 * member is to be restarted or replaced.
 */

/** Its etcd does not even tell how it is. */
export function tellsNothing({ phase, probe, needsUser }: MemberStatus): boolean {
  return phase === 'running' && probe === null && needsUser !== null;
}

/** Whose etcd serves and keeps to itself how it is. */
export function silentSeats(pass: Pass): readonly DraftSeat[] {
  return asking(pass)
    .filter(({ status }) => tellsNothing(status))
    .map(({ seat }) => seat);
}

/** Why nothing is asked of etcd that it would refuse; `null`: it asks for no user. */
export function objectionOfUsers(pass: Pass): Objection {
  const told = [...new Set(asking(pass).map(({ seat }) => seat.slot))].join(', ');
  if (told === '') return null;
  return `etcd’s authentication is on (told by ${told}), and no user is known here: \`etcdctl auth disable\` turns it off`;
}

interface Told {
  readonly seat: DraftSeat;
  readonly status: MemberStatus;
}

/** Whose etcd asks for a user, where that is so of the cluster. */
function asking(pass: Pass): readonly Told[] {
  const told = pass.record.seats.flatMap((seat): Told[] => {
    const status = freshStatus(pass, seat);
    return status === null ? [] : [{ seat, status }];
  });
  // A quorum's word that it is off: who still asks, cut off from the others, has not heard of that.
  const isOff = told.some(
    ({ status: { probe, needsUser } }) =>
      needsUser === null && probe !== null && probe.confirmedMembers !== null,
  );
  return isOff ? [] : told.filter(({ status }) => status.needsUser !== null);
}

/** Why the member list is not known, where it is not. */
export function whyUnread(pass: Pass): string {
  return objectionOfUsers(pass) ?? 'no member completes a linearizable read';
}
