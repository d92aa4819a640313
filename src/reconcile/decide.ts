import type { ClusterRecord } from '../protocol/record.ts';
import { adopt } from './adopting.ts';
import type { Action, Decision, Want } from './decision.ts';
import { carryDisruption } from './disruption.ts';
import { foldEvidence } from './evidence.ts';
import { form } from './formation.ts';
import { moveFromMaintenance } from './maintenance.ts';
import { healthOf, type Membership, membershipOf } from './membership.ts';
import { keepNames } from './names.ts';
import type { Observation, Spec } from './observation.ts';
import { seeThroughOlderCopy } from './older-copy.ts';
import {
  block,
  type DraftSeat,
  freshStatus,
  order,
  type Pass,
  seatById,
  seatsOf,
  startPass,
} from './pass.ts';
import { quorumOf } from './quorum.ts';
import { repair } from './repair.ts';
import { rollOut } from './rollout.ts';
import { scale } from './scaling.ts';
import { keepSpace } from './space.ts';
import { clearStrangers, unknownMembers } from './strangers.ts';
import { giveUp, waitForLeave } from './uninstall.ts';
import { upkeep } from './upkeep.ts';
import { objectionOfUsers } from './users.ts';

/**
 * What to do next, and why, from what was asked for, what is remembered and what is seen. Pure: the same three
 * values give the same decision, so it may run again after a crash at any point.
 */
export function decide(spec: Spec, record: ClusterRecord, seen: Observation): Decision {
  const pass = startPass(spec, record, seen);
  seeThroughOlderCopy(pass);
  foldEvidence(pass);
  if (pass.record.uninstall?.confirmed === true) return giveUpAll(pass);
  const forming = pass.record.epoch.phase !== 'formed';
  // An old copy of the record may speak of a cluster to come where one runs: then nothing is begun.
  const overtaken = forming && unknownMembers(pass).length > 0;
  if (forming && !overtaken) bringAbout(pass);
  const membership = membershipOf(pass);
  const objection = objectionOfUsers(pass);
  // Where etcd would refuse it nothing is begun or gone on with that takes its consent.
  const changeable = objection === null ? membership : null;
  if (objection !== null) block(pass, 'needs-user', null, `${objection}; until then no member is changed`);
  if (!overtaken) scale(pass, changeable);
  if (!forming) {
    moveFromMaintenance(pass, changeable);
    keepSpace(pass, changeable);
    if (changeable !== null) repair(pass, changeable);
    else if (objection === null) block(pass, 'no-quorum', null, NO_QUORUM);
  }
  carryDisruption(pass, membership);
  if (!forming) rollOut(pass, membership);
  if (!overtaken) upkeep(pass, membership);
  keepNames(pass, membership);
  clearStrangers(pass, membership);
  if (pass.record.uninstall !== null) waitForLeave(pass, membership);
  return decisionOf(pass, { actions: permitted(pass), membership, givenUp: false });
}

function giveUpAll(pass: Pass): Decision {
  const membership = membershipOf(pass);
  const givenUp = giveUp(pass);
  keepNames(pass, membership);
  return decisionOf(pass, { actions: pass.actions, membership, givenUp });
}

function decisionOf(
  pass: Pass,
  rest: Pick<Decision, 'actions' | 'givenUp'> & { readonly membership: Membership | null },
): Decision {
  const { actions, givenUp, membership } = rest;
  return {
    record: pass.record,
    wants: pass.seen.mesos.subscribed ? pass.wants.filter((want) => isAnsweredFor(pass, want)) : [],
    actions,
    blocked: pass.blocked,
    health: healthOf(pass, membership),
    fullWanted: pass.fullWanted,
    givenUp,
    wakeMs: pass.wakeMs,
  };
}

function bringAbout(pass: Pass): void {
  if (pass.record.epoch.phase === 'adopting') adopt(pass);
  else form(pass);
}

/**
 * Absence is acted on only after the master was asked about the tasks that it concerns, and about no others: of an
 * agent that has not come back to a new master it says nothing for ten minutes.
 */
function isAnsweredFor(pass: Pass, want: Want): boolean {
  const { unanswered, agentsGone } = pass.seen.mesos;
  switch (want.kind) {
    case 'place':
      return seatsOf(pass, want.slot).every(
        (seat) => !unanswered.has(seat.task) || agentsGone.has(seat.agentId),
      );
    case 'relaunch':
      return !unanswered.has(seatById(pass, want.seat)?.task ?? '');
    case 'name': {
      const seat = seatById(pass, want.seat);
      return !unanswered.has(seat?.task ?? '') && !unanswered.has(seat?.nameTask?.task ?? '');
    }
    case 'release': {
      const leaving = pass.record.leaving.find(({ seat }) => seat.id === want.seat)?.seat;
      if (leaving === undefined) return unanswered.size === 0;
      return !unanswered.has(leaving.task) && !unanswered.has(leaving.nameTask?.task ?? '');
    }
  }
}

const NO_QUORUM = 'no member completes a linearizable read: the membership is left as it is';

/**
 * A new leader speaks only after a majority of the supervisors that hold data has taken its generation. The others
 * are told as soon as they answer: each that an older leader finds first would still obey it.
 */
function permitted(pass: Pass): Action[] {
  const { generation } = pass.record;
  // One that was given up and does not answer may never do so again: nobody waits for it.
  const holders = pass.record.seats.filter(
    (seat) => seat.data?.started === true && (seat.lost === null || freshStatus(pass, seat) !== null),
  );
  const unfenced = holders.filter((seat) => (freshStatus(pass, seat)?.fence.generation ?? 0) < generation);
  if (holders.length === 0 || holders.length - unfenced.length >= quorumOf(holders.length)) {
    for (const seat of unfenced) {
      const isSpokenTo = pass.actions.some((action) => action.kind === 'order' && action.seat.id === seat.id);
      if (!isSpokenTo) fence(pass, seat);
    }
    return oneChange(pass.actions);
  }
  pass.actions.splice(0, pass.actions.length, ...pass.actions.filter((action) => action.kind !== 'order'));
  for (const seat of unfenced) fence(pass, seat);
  block(pass, 'taking-over', null, 'waits for a majority of the supervisors to take the new generation');
  return pass.actions;
}

function fence(pass: Pass, seat: DraftSeat): void {
  if (freshStatus(pass, seat) === null) return;
  order(pass, seat, { kind: 'fence', args: {} }, `generation ${pass.record.generation} leads now`);
}

const CHANGES: ReadonlySet<string> = new Set([
  'member-add',
  'member-remove',
  'member-promote',
  'move-leader',
]);

/** S2 once more, at the door: whatever the steps concluded, one change to the cluster leaves at a time. */
function oneChange(actions: readonly Action[]): Action[] {
  let taken = false;
  return actions.filter((action) => {
    if (action.kind !== 'order' || !CHANGES.has(action.body.kind)) return true;
    const first = !taken;
    taken = true;
    return first;
  });
}
