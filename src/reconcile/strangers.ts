import { isNameTaskId } from '../protocol/identifiers.ts';
import type { Membership } from './membership.ts';
import { isServing, memberOf } from './membership.ts';
import { block, evidenceOf, type Pass, seatsOf, slotsOf, wakeWithin } from './pass.ts';
import { isEveryVoterHealthy } from './quorum.ts';

/**
 * What runs or is reserved under our name and is not in the record: a leftover; or, should the record be an old
 * copy that was put back, the very members of the cluster. So it is only cleared away while it is certain that
 * the record knows every member there is.
 */
export function clearStrangers(pass: Pass, membership: Membership | null): void {
  const current = isRecordCurrent(pass, membership);
  const { strays } = pass.seen.mesos;
  const idle = strays.filter(({ slot }) => current && isReplaced(pass, membership, slot));
  const reason = 'a reservation of ours that the record does not know';
  for (const { seat } of idle) pass.wants.push({ kind: 'release', seat, reason });
  for (const { seat, slot } of current ? strays.filter((stray) => !idle.includes(stray)) : []) {
    const message = `${seat} is not in the record; it is given back when another member of ${slot} votes and serves`;
    block(pass, 'volume-may-be-needed', slot, message);
  }
  if (!current && strays.length > 0) {
    const names = strays.map(({ seat }) => seat).join(', ');
    const message = `${names}: reserved under our name, not in the record, which may be an old copy`;
    block(pass, 'unknown-reservations', null, message);
  }
  // Every voter serves, by the word of the very task that the record names.
  const whole = current && membership !== null && isEveryVoterHealthy(membership.set);
  for (const { task, agentId } of unknownTasks(pass)) {
    // No member hangs on a name task, whoever's it is.
    const mayGo = isNameTaskId(task) ? current : whole;
    if (!mayGo || agentId === null) {
      block(pass, 'unknown-tasks', null, `task ${task} runs under our name and is not in the record`);
      continue;
    }
    const { killGraceMs: graceMs } = pass.spec;
    const reason = 'a task of ours that the record does not know';
    pass.actions.push({ kind: 'kill', task, agentId, graceMs, reason });
    wakeWithin(pass, 1000);
  }
}

/** Members' tasks among them. A name task tells nothing of a cluster. */
export function unknownMembers(pass: Pass): readonly UnknownTask[] {
  return unknownTasks(pass).filter(({ task }) => !isNameTaskId(task));
}

/** Tasks of our framework that are said to live and that the record does not know. */
export function unknownTasks(pass: Pass): readonly UnknownTask[] {
  const { seats, leaving } = pass.record;
  const known = new Set(
    [...seats, ...leaving.map(({ seat }) => seat)].flatMap(({ task, nameTask }) =>
      nameTask === null ? [task] : [task, nameTask.task],
    ),
  );
  return [...pass.seen.mesos.tasks.keys()].flatMap((task) => {
    const evidence = evidenceOf(pass, task);
    return evidence?.kind === 'alive' && !known.has(task) ? [{ task, agentId: evidence.agentId }] : [];
  });
}

interface UnknownTask {
  readonly task: string;
  readonly agentId: string | null;
}

/**
 * S8: nobody needs what lies on a volume of that slot, as another member of the slot votes and serves; or, of a slot
 * that is to have none, as all that vote serve.
 */
function isReplaced(pass: Pass, membership: Membership | null, slot: string): boolean {
  if (membership === null) return pass.record.epoch.phase !== 'formed';
  const isWanted = slotsOf(pass.record.size).includes(slot);
  if (!isWanted) return isEveryVoterHealthy(membership.set);
  return seatsOf(pass, slot).some((seat) => isServing(membership, seat));
}

/** Every member that a quorum lists has a seat in the record. */
function isRecordCurrent(pass: Pass, membership: Membership | null): boolean {
  // What is not in the record yet may be the very data that is looked for.
  if (pass.record.epoch.phase !== 'formed') return false;
  if (membership === null) return false;
  return membership.members.every((member) =>
    pass.record.seats.some((seat) => memberOf(membership, seat)?.id === member.id),
  );
}
