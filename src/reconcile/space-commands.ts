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
import { riskOfDisturbing } from './disruption.ts';
import { type Membership, memberOf } from './membership.ts';
import { type DraftSeat, objectionToOrder, type Pass } from './pass.ts';
import { NO_SPACE_WORK, newRound } from './space.ts';
import { objectionOfUsers } from './users.ts';

/** Members' databases are rewritten without what is free in them, one member at a time, the leader last. */
export interface DefragmentCommand {
  readonly kind: 'defragment';
  /** `null`: every member. */
  readonly slot: string | null;
  /** Who asks. */
  readonly by: string;
  /** It is done although the others are no quorum (S9). Nothing else is overridden. */
  readonly force: boolean;
}

/** An alarm of etcd is let go. */
export interface DisarmCommand {
  readonly kind: 'disarm';
  readonly alarm: 'NOSPACE' | 'CORRUPT';
  readonly by: string;
}

/** What a command about the database makes of the record. Pure, and judged by what is seen at that moment. */
export function applySpaceCommand(
  record: ClusterRecord,
  command: DefragmentCommand | DisarmCommand,
  context: CommandContext,
): AppliedCommand {
  return judged(record, context, (pass, membership) =>
    command.kind === 'defragment' ? defragment(pass, membership, command) : disarm(pass, membership, command),
  );
}

function defragment(
  pass: Pass,
  membership: Membership | null,
  { slot, by, force }: DefragmentCommand,
): CommandAnswer {
  const no = (why: string, hint = WAIT_HINT): CommandAnswer =>
    refused(`nothing is defragmented: ${why}`, hint);
  const { uninstall, epoch, space } = pass.record;
  if (uninstall !== null) return no('the service is being uninstalled');
  if (epoch.phase !== 'formed') return no('the cluster has not formed yet');
  const refusal = objectionOfUsers(pass);
  if (refusal !== null) return no(refusal);
  const places = pass.record.seats.filter((seat) => isAsked(membership, seat, slot));
  if (places.length === 0) return no(slot === null ? 'no member is there' : `${slot} holds no member`);
  const round = space?.round ?? null;
  if (round !== null) {
    const rest = round.slots.join(', ');
    const isCovered = places.every((seat) => round.slots.includes(seat.slot));
    if (isCovered && force && !round.forced) {
      pass.record.space = { ...(space ?? NO_SPACE_WORK), round: { ...round, by, forced: true } };
      return done(`${rest}: defragmented although the others are no quorum`);
    }
    if (isCovered) return already(`${rest} are to be defragmented, as ${round.by} asked`);
    return no(`${rest} are still to be, as ${round.by} asked`);
  }
  for (const seat of places) {
    const objection = objectionToOrder(pass, seat, 'defragment');
    if (objection !== null) return no(objection, 'Every member that is named has to know the order.');
  }
  for (const seat of places) {
    const risk = force ? null : riskOfDisturbing(pass, membership, seat);
    if (risk !== null) return no(`${seat.slot}: ${risk}`, FORCE_HINT);
  }
  const slots = places.map((seat) => seat.slot);
  pass.record.space = {
    ...(space ?? NO_SPACE_WORK),
    round: newRound(pass, { by, reason: 'defragment', forced: force, slots }),
  };
  return done(`${slots.join(', ')}: defragmented one at a time, the leader last`);
}

function isAsked(membership: Membership | null, seat: DraftSeat, slot: string | null): boolean {
  if (seat.lost !== null || seat.data?.started !== true || (slot !== null && seat.slot !== slot))
    return false;
  return membership === null || memberOf(membership, seat)?.isLearner === false;
}

function disarm(pass: Pass, membership: Membership | null, { alarm, by }: DisarmCommand): CommandAnswer {
  const no = (why: string): CommandAnswer => refused(`the alarm ${alarm} is not disarmed: ${why}`, WAIT_HINT);
  const { space } = pass.record;
  const refusal = objectionOfUsers(pass);
  if (refusal !== null) return no(refusal);
  if (membership === null) return no('no member completes a linearizable read');
  if (!membership.speaker.probe.alarms.some((one) => one.alarm === alarm)) {
    return already(`no alarm ${alarm} stands`);
  }
  if (space?.disarm?.alarm === alarm) {
    return already(`${alarm} is being disarmed, as ${space.disarm.by} asked`);
  }
  const objection = objectionToOrder(pass, membership.speaker.seat, 'disarm');
  if (objection !== null) return no(objection);
  pass.record.space = { ...(space ?? NO_SPACE_WORK), disarm: { alarm, by, waitedMs: 0 } };
  return done(`${alarm} is disarmed`);
}

const FORCE_HINT =
  'With force it is done all the same: the cluster takes no writes while a member that it needs rewrites its ' +
  'database, and nothing that was acknowledged is lost.';
