import type { ClusterRecord } from '../protocol/record.ts';
import {
  type AppliedCommand,
  already,
  type CommandAnswer,
  type CommandContext,
  done,
  judged,
  refused,
  WAIT_HINT,
} from './command-answers.ts';
import { describeDisruption, obstacleToDisturb, openDisruption, riskOfDisturbing } from './disruption.ts';
import { candidatesOf } from './handover.ts';
import { objectionToMove } from './maintenance.ts';
import { type Membership, memberOf } from './membership.ts';
import { type DraftSeat, type Pass, seatsOf } from './pass.ts';
import { isPaused } from './paused.ts';
import { objectionToDisruption } from './quorum.ts';
import { isSurplus } from './scaling.ts';
import { objectionOfUsers } from './users.ts';

/** What an operator may do to one member. */
export const POD_VERBS = ['restart', 'replace', 'pause', 'resume'] as const;
export type PodVerb = (typeof POD_VERBS)[number];

export interface PodCommand {
  readonly kind: 'pod';
  readonly verb: PodVerb;
  readonly slot: string;
  /** Who asks. */
  readonly by: string;
  /** A restart or a pause is done although the others are no quorum (S9). Nothing else is overridden. */
  readonly force: boolean;
}

export interface MoveLeaderCommand {
  readonly kind: 'move-leader';
  /** The slot that is to lead; `null`: the member that is best placed to. */
  readonly to: string | null;
  readonly by: string;
}

/** What a command to a member makes of the record. Pure, and judged by what is seen at that moment. */
export function applyPodCommand(
  record: ClusterRecord,
  command: PodCommand | MoveLeaderCommand,
  context: CommandContext,
): AppliedCommand {
  return judged(record, context, (pass, membership) =>
    command.kind === 'move-leader'
      ? moveLeader(pass, membership, command)
      : commandPod(pass, membership, command),
  );
}

function commandPod(pass: Pass, membership: Membership | null, command: PodCommand): CommandAnswer {
  const seat = seatOf(pass, command.slot);
  if (seat === undefined) return refused(`${command.slot} has no place yet`, WAIT_HINT);
  switch (command.verb) {
    case 'restart':
      return restart(pass, membership, seat, command);
    case 'replace':
      return replace(pass, membership, seat, command);
    case 'pause':
      return pause(pass, membership, seat, command);
    case 'resume':
      return resume(pass, seat);
  }
}

/** The place that holds the slot's member; its successor only where there is no other. */
function seatOf(pass: Pass, slot: string): DraftSeat | undefined {
  const seats = seatsOf(pass, slot);
  return (
    seats.find((seat) => seat.lost === null && seat.data?.started === true) ??
    seats.find((seat) => seat.lost === null) ??
    seats[0]
  );
}

function restart(
  pass: Pass,
  membership: Membership | null,
  seat: DraftSeat,
  command: PodCommand,
): CommandAnswer {
  const { slot, paused, taskEnd } = seat;
  const { disruption } = pass.record;
  if (disruption?.kind === 'restart' && disruption.seat === seat.id) {
    return already(`${slot} is being restarted, as ${disruption.by} asked`, disruption.id);
  }
  if (paused !== null) return refused(`${slot} is paused by ${paused.by}`, `Use pod resume ${slot}.`);
  if (seat.storage === 'sandbox') {
    const why = 'its data lies in the sandbox of its task, and would end with it';
    return refused(`${slot} is not restarted: ${why}`, `Use pod replace ${slot}.`);
  }
  if (taskEnd !== null && seat.lost === null) {
    return already(`the task of ${slot} has ended (${taskEnd.state}) and is to be launched again`);
  }
  return (
    objectionTo(pass, membership, seat, command) ??
    disturbed(pass, membership, { seat, command, message: `${slot} is restarted in place` })
  );
}

function pause(
  pass: Pass,
  membership: Membership | null,
  seat: DraftSeat,
  command: PodCommand,
): CommandAnswer {
  const { slot, paused } = seat;
  if (paused !== null) return already(`${slot} is paused by ${paused.by}`);
  const { disruption } = pass.record;
  if (disruption?.kind === 'pause' && disruption.seat === seat.id) {
    return already(`${slot} is being paused, as ${disruption.by} asked`, disruption.id);
  }
  const message = `${slot} is paused: its etcd is stopped until pod resume ${slot}`;
  return (
    objectionTo(pass, membership, seat, command) ?? disturbed(pass, membership, { seat, command, message })
  );
}

function resume(pass: Pass, seat: DraftSeat): CommandAnswer {
  const { disruption } = pass.record;
  const isBeingPaused = disruption?.kind === 'pause' && disruption.seat === seat.id;
  if (seat.paused === null && !isBeingPaused) return already(`${seat.slot} is not paused`);
  seat.paused = null;
  if (isBeingPaused) pass.record.disruption = null;
  return done(`${seat.slot} is resumed: its etcd is started again`);
}

/** S9, and what force would cost. */
function objectionTo(
  pass: Pass,
  membership: Membership | null,
  seat: DraftSeat,
  { verb, slot, force }: PodCommand,
): CommandAnswer | null {
  const obstacle = obstacleToDisturb(pass, seat);
  if (obstacle !== null) return refused(`${slot} is not touched: ${obstacle}`, WAIT_HINT);
  const risk = riskOfDisturbing(pass, membership, seat);
  if (risk === null || force) return null;
  const cost = costOf(membership, seat, verb);
  return refused(`${slot} is not touched: ${risk}`, `With force it is done all the same: ${cost}.`);
}

function costOf(membership: Membership | null, seat: DraftSeat, verb: PodVerb): string {
  const until = verb === 'pause' ? 'until it is resumed' : 'until it is back';
  const back = 'A task that has ended waits for its volume to be offered';
  if (membership === null) {
    return `where it is what is left of a quorum the cluster serves nobody ${until}. ${back}, and for a majority of the supervisors`;
  }
  const member = memberOf(membership, seat);
  const stops = member !== undefined && objectionToDisruption(membership.set, member.id) !== null;
  if (!stops) return `${until} the next member that fails may take the quorum with it`;
  return `the cluster takes no writes ${until}, and nothing that was acknowledged is lost. ${back}`;
}

function disturbed(
  pass: Pass,
  membership: Membership | null,
  of: { readonly seat: DraftSeat; readonly command: PodCommand; readonly message: string },
): CommandAnswer {
  const { seat, command, message } = of;
  const isForced = riskOfDisturbing(pass, membership, seat) !== null;
  openDisruption(pass, seat, {
    kind: command.verb === 'pause' ? 'pause' : 'restart',
    by: command.by,
    reason: `pod ${command.verb}`,
    forced: isForced,
  });
  const forced = isForced ? ', forced' : '';
  return done(`${message}${forced}`, pass.record.disruption?.id);
}

/**
 * A member that serves votes until its successor is ready to; one that does not is replaced at once, whatever it
 * would have been waited for. Its data is destroyed once its successor votes (S8).
 */
function replace(
  pass: Pass,
  membership: Membership | null,
  seat: DraftSeat,
  { slot, by }: PodCommand,
): CommandAnswer {
  const { record } = pass;
  const { uninstall, epoch, intent } = record;
  const given = seatsOf(pass, slot).find((one) => one.lost !== null)?.lost ?? null;
  if (given !== null) return already(`${slot} is being replaced: ${given.message}`);
  if (uninstall !== null || epoch.phase !== 'formed') {
    const why = uninstall === null ? 'the cluster has not formed yet' : 'the service is being uninstalled';
    return refused(`${slot} is not replaced: ${why}`, WAIT_HINT);
  }
  if (isSurplus(pass, slot)) {
    return refused(
      `${slot} is not replaced: ${record.size} members are wanted, and it is beyond them`,
      WAIT_HINT,
    );
  }
  if (isPaused(record, 'recovery')) {
    return refused(
      `${slot} is not replaced: the plan recovery is paused`,
      'Continue the plan recovery first.',
    );
  }
  const objectionByUsers = objectionOfUsers(pass);
  if (objectionByUsers !== null) return refused(`${slot} is not replaced: ${objectionByUsers}`, WAIT_HINT);
  if (membership === null) {
    return refused(
      `${slot} is not replaced: no member completes a linearizable read, and its disk may hold what others lack`,
      'Bring the others back first; no member list can be changed without a quorum.',
    );
  }
  const member = memberOf(membership, seat);
  const serves = member !== undefined && membership.set.healthy.has(member.id);
  const isParty = intent?.add?.seat === seat.id || intent?.remove?.seat === seat.id;
  const objection = serves
    ? objectionToMove(pass, membership)
    : isParty
      ? `its member is being changed: ${intent.reason}`
      : null;
  if (objection !== null) return refused(`${slot} is not replaced: ${objection}`, WAIT_HINT);
  seat.lost = { cause: 'moved', message: `${by} has it replaced` };
  if (serves) return done(`${slot} is replaced: it votes until its successor is ready to`);
  const safe = 'the others are a quorum, so they hold all that was acknowledged';
  return done(`${slot} is replaced without waiting for it any longer; its data is given up: ${safe}`);
}

function moveLeader(pass: Pass, membership: Membership | null, { to, by }: MoveLeaderCommand): CommandAnswer {
  const { uninstall, epoch, intent, disruption } = pass.record;
  const no = (why: string): CommandAnswer => refused(`leadership is not moved: ${why}`, WAIT_HINT);
  if (uninstall !== null) return no('the service is being uninstalled');
  if (epoch.phase !== 'formed') return no('the cluster has not formed yet');
  if (membership === null || membership.leaderId === null) {
    return no(objectionOfUsers(pass) ?? 'nobody leads');
  }
  const { speaker, leaderId } = membership;
  if (disruption !== null) return no(`${describeDisruption(disruption)} is under way`);
  if (intent !== null) return no(`the member of ${intent.slot} is being changed: ${intent.reason}`);
  if (speaker.probe.memberId !== leaderId) return no('the supervisor of the leader does not answer');
  const leader = speaker.seat;
  if (to === leader.slot) return already(`${to} leads already`);
  const candidates = candidatesOf(pass, membership).filter((id) => id !== leaderId);
  const wanted = to === null ? candidates[0] : candidates.find((id) => isAt(pass, membership, id, to));
  const target = pass.record.seats.find((seat) => memberOf(membership, seat)?.id === wanted);
  if (wanted === undefined || target === undefined) {
    return no(to === null ? 'no other voter is healthy' : `${to} is no healthy voter`);
  }
  openDisruption(pass, leader, {
    kind: 'move-leader',
    by,
    reason: 'leader move',
    forced: false,
    heir: wanted,
  });
  const message = `${leader.slot} hands leadership to ${target.slot}`;
  return done(message, pass.record.disruption?.id);
}

function isAt(pass: Pass, membership: Membership, memberId: string, slot: string): boolean {
  return seatsOf(pass, slot).some((seat) => memberOf(membership, seat)?.id === memberId);
}
