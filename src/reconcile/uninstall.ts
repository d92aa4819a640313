import type { Membership } from './membership.ts';
import { block, type DraftSeat, leave, type Pass, wakeWithin } from './pass.ts';
import { unknownTasks } from './strangers.ts';
import { letGo } from './upkeep.ts';

const REASON = 'the service is uninstalled';

/** Asked for, and nobody has said yet that the data may go: all goes on as before. */
export function waitForLeave(pass: Pass, membership: Membership | null): void {
  const message =
    `uninstalling destroys the data, and ${whatIsArchived(pass, membership)}: waits for \`continue\` on the plan ` +
    'deploy, or for --destroy-data';
  block(pass, 'uninstall-waits', null, message);
}

/** An archive stays where it is. It may still lack what was written last, or have been given up. */
function whatIsArchived({ seen, record }: Pass, membership: Membership | null): string {
  if (seen.archive === null) {
    if (record.archive === null) return 'there is no archive of it';
    return `nothing is archived any more; what was is in ${record.archive.place}`;
  }
  const { archivedRevision } = seen.archive;
  if (archivedRevision === '0') return 'what its archive has of it is not known';
  const newest = membership === null ? 'not known' : membership.speaker.probe.revision;
  return `its archive has all up to revision ${archivedRevision}, the newest is ${newest}`;
}

/**
 * Gives all up: every task is killed, every volume destroyed, every reservation given back as its agent offers it.
 * An agent that is gone has nothing to give back; one that stays away for `unreachableTimeoutMs` is skipped, which
 * is noted in the record. Tells whether nothing is left.
 */
export function giveUp(pass: Pass): boolean {
  const { mesos } = pass.seen;
  for (const seat of [...pass.record.seats]) leave(pass, seat, REASON);
  pass.record.intent = null;
  pass.record.disruption = null;
  for (const { seat } of [...pass.record.leaving]) skipIfOutOfReach(pass, seat);
  letGo(pass, null);
  for (const { seat } of mesos.strays) pass.wants.push({ kind: 'release', seat, reason: REASON });
  const tasks = unknownTasks(pass);
  for (const { task, agentId } of tasks) {
    // The master finds the agent of a task by itself; one that it cannot reach is the teardown's.
    if (agentId === null) continue;
    pass.actions.push({ kind: 'kill', task, agentId, graceMs: pass.spec.killGraceMs, reason: REASON });
  }
  const left = pass.record.leaving.length + mesos.strays.length + tasks.length;
  if (left > 0) wakeWithin(pass, 1000);
  return mesos.subscribed && left === 0;
}

function skipIfOutOfReach(pass: Pass, seat: DraftSeat): void {
  const { agentsGone, offered } = pass.seen.mesos;
  const gone = agentsGone.has(seat.agentId);
  const away = seat.absentMs >= pass.spec.unreachableTimeoutMs && !offered.has(seat.id);
  if (!gone && !away) return;
  const why = gone
    ? 'the agent is gone, with all it held'
    : `the agent was out of reach for ${Math.round(seat.absentMs / 1000)} s; what is reserved there stays`;
  pass.record.uninstall?.skipped.push(`${seat.id} on ${seat.hostname} (${seat.agentId}): ${why}`);
  pass.record.leaving = pass.record.leaving.filter((entry) => entry.seat.id !== seat.id);
}
