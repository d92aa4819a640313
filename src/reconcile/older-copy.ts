import { slotOfTask } from '../protocol/identifiers.ts';
import type { MemberStatus } from '../protocol/member-status.ts';
import { newEpoch } from '../protocol/record.ts';
import { evidenceOf, freshStatus, type Pass } from './pass.ts';
import { unknownMembers } from './strangers.ts';

/**
 * Somebody may put an older copy of the record back. The tasks that run tell, and what the supervisors remember on
 * their volumes: orders of a later generation, a start that the record does not know of. Whoever stores what follows
 * from that owns the newest record: had another scheduler taken over instead, storing fails.
 */
export function seeThroughOlderCopy(pass: Pass): void {
  takeUpTasks(pass);
  const statuses = pass.record.seats.flatMap((seat) => freshStatus(pass, seat) ?? []);
  raiseGeneration(pass, statuses);
  if (statuses.some((status) => isStartedSince(pass, status))) adoptAnew(pass);
}

/**
 * A slot's task on the agent of its place, where the task that the record names is over: a launch that it does not know
 * of, or one before the last that was only said to be gone. Should it be on another place after all, its supervisor
 * is not found at this one, and takes no order that is meant for it.
 */
function takeUpTasks(pass: Pass): void {
  for (const { task, agentId } of unknownMembers(pass)) {
    const [seat, ...others] = pass.record.seats.filter(
      (one) => one.slot === slotOfTask(task) && one.agentId === agentId && one.lost === null,
    );
    if (seat === undefined || others.length > 0 || evidenceOf(pass, seat.task)?.kind !== 'over') continue;
    seat.task = task;
    seat.taskEnd = null;
    seat.absentMs = 0;
  }
}

/** Above every one that they have taken: else they would refuse our orders for ever. */
function raiseGeneration({ record }: Pass, statuses: readonly MemberStatus[]): void {
  const taken = statuses.map(({ fence }) => (fence.epoch === record.epoch.number ? fence.generation : 0));
  const highest = Math.max(0, ...taken);
  if (highest > record.generation) record.generation = highest + 1;
}

/** S5: a start is ordered only after `go` is stored; so a member that was started while we prepare was so later. */
function isStartedSince({ record }: Pass, { identity }: MemberStatus): boolean {
  const { phase, number, attempt } = record.epoch;
  if (identity === null || !identity.started || identity.epoch !== number) return false;
  return phase === 'preparing' ? identity.attempt >= attempt : phase === 'go' && identity.attempt > attempt;
}

/** What the volumes hold decides, as if the record had been lost. */
function adoptAnew({ record }: Pass): void {
  const { number, openedAtMs } = record.epoch;
  Object.assign(record.epoch, newEpoch({ number, attempt: 1, token: 'not-read-yet', openedAtMs }), {
    source: { kind: 'adopted' },
    phase: 'adopting',
  });
  for (const seat of record.seats) seat.data = null;
}
