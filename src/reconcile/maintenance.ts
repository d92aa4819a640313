import { describeDisruption } from './disruption.ts';
import { type Membership, memberOf } from './membership.ts';
import type { DraftSeat, Pass } from './pass.ts';
import { isPaused } from './paused.ts';
import type { Objection } from './quorum.ts';
import { isSurplus } from './scaling.ts';

/**
 * A member leaves an agent whose maintenance is announced before the agent goes: its place counts as lost, and as
 * the member serves, it votes until its successor elsewhere is ready to. One at a time, and only while all is well;
 * until its removal has begun it can stay after all.
 */
export function moveFromMaintenance(pass: Pass, membership: Membership | null): void {
  for (const seat of pass.record.seats) {
    if (seat.lost?.cause === 'maintenance' && mayStay(pass, membership, seat)) seat.lost = null;
  }
  // To move a member that serves is to begin its recovery early.
  if (isPaused(pass.record, 'recovery')) return;
  if (membership === null || objectionToMove(pass, membership) !== null) return;
  const next = candidates(pass, membership)[0];
  if (next === undefined) return;
  const { startMs, seat } = next;
  const when = startMs <= pass.seen.wallMs ? 'since' : 'from';
  const message = `${seat.hostname} is under maintenance ${when} ${new Date(startMs).toISOString()}`;
  seat.lost = { cause: 'maintenance', message };
}

/** The maintenance was cancelled; or there is worse to repair first; or its task ended and may be launched there. */
function mayStay(pass: Pass, membership: Membership | null, seat: DraftSeat): boolean {
  const { intent, seats } = pass.record;
  if (intent?.committed === true && intent.remove?.seat === seat.id) return false;
  const worse = seats.some(
    (other) => other.id !== seat.id && other.lost !== null && other.data?.started === true,
  );
  return (
    membership === null || worse || seat.taskEnd !== null || !pass.seen.mesos.maintenance.has(seat.agentId)
  );
}

/** Why no member that serves may be moved now: one is only while every voter there should be serves, and all rests. */
export function objectionToMove(pass: Pass, { set }: Membership): Objection {
  const { intent, disruption, seats, size } = pass.record;
  if (intent !== null) return `the member of ${intent.slot} is being changed: ${intent.reason}`;
  if (disruption !== null) return `${describeDisruption(disruption)} is under way`;
  const lost = seats.find((seat) => seat.lost !== null);
  if (lost !== undefined) return `${lost.slot} is being replaced: ${lost.lost?.message ?? ''}`;
  const healthy = [...set.voters].filter((id) => set.healthy.has(id)).length;
  if (set.voters.size >= size && healthy === set.voters.size) return null;
  return `${healthy} of ${Math.max(size, set.voters.size)} voters are healthy, and all have to be`;
}

/** Whose agent goes first; the leader's last, as it costs an election. */
function candidates(pass: Pass, membership: Membership): { seat: DraftSeat; startMs: number }[] {
  const found = pass.record.seats.flatMap((seat) => {
    const startMs = pass.seen.mesos.maintenance.get(seat.agentId);
    const member = memberOf(membership, seat);
    if (startMs === undefined || member === undefined || member.isLearner || seat.taskEnd !== null) return [];
    if (isSurplus(pass, seat.slot)) return [];
    return [{ seat, startMs, leads: member.id === membership.leaderId ? 1 : 0 }];
  });
  return found.sort((a, b) => a.startMs - b.startMs || a.leads - b.leads);
}
