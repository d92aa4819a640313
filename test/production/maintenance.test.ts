import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Seat } from '../../src/protocol/record.ts';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';
import {
  expectOthersUntouched,
  expectSameMembers,
  PHASE_MS_MAX,
  placeOf,
  type Sights,
  SLOTS,
  seatOf,
  startTrial,
  type Trial,
  type Whole,
} from './trial.ts';

/*
 * Operators announce that machines will be away: members move before they are, while the cluster is written to all
 * the time.
 */

/** From the announcement to the maintenance. */
const AHEAD_MS = 60_000;
const LASTS_MS = 3_600_000;
/** For which nothing may happen any more. */
const CALM_MS = 3_000;

let trial: Trial;

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  trial = await startTrial('maintenance', 5);
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

const announce = async (...seats: readonly Seat[]): Promise<void> =>
  await trial.mesos.scheduleMaintenance(seats.map(trial.agentOf), {
    startInMs: AHEAD_MS,
    durationMs: LASTS_MS,
  });

/** What the framework has answered to the announcement of a machine's maintenance. */
async function answersAbout(hostname: string): Promise<readonly string[]> {
  const answer = (await trial.ask({ type: 'GET_MAINTENANCE_STATUS' })) as MaintenanceStatus;
  const machines = answer.get_maintenance_status.status.draining_machines ?? [];
  const machine = machines.find(({ id }) => id.hostname === hostname);
  return (machine?.statuses ?? []).map(({ status }) => status);
}
interface MaintenanceStatus {
  readonly get_maintenance_status: {
    readonly status: {
      readonly draining_machines?: readonly {
        readonly id: { readonly hostname: string };
        readonly statuses?: readonly { readonly status: string }[];
      }[];
    };
  };
}

const moved = async (...before: readonly Seat[]): Promise<Whole> =>
  await trial.settled('every member has moved', ({ seats }) =>
    seats.every(({ agentId }) => before.every((seat) => seat.agentId !== agentId)),
  );

/** The orders that change the member list: a learner comes first, and its elder votes until it is level. */
async function expectMoves(count: number): Promise<void> {
  const orders = await until('the story of the moves', PHASE_MS_MAX, () => {
    // An order that was given twice names the same member.
    const told = new Set(trial.story().flatMap((text) => CHANGE.exec(text)?.[0] ?? []));
    return told.size >= 3 * count && [...told].map((text) => text.split(' ')[0]);
  });
  expect(orders).toEqual(Array.from({ length: count }, () => ['add', 'remove', 'promote']).flat());
}
/** One that failed, because etcd was not ready for it, says more. */
const CHANGE = /^(add a learner at|remove member|promote member) \S+$/;

/** What was looked at in passing may not have been everything: these are bounds. */
function expectOneAtATime(sights: Sights): void {
  expect(sights.votersMin).toBeGreaterThanOrEqual(SLOTS.length - 1);
  expect(sights.votersMax).toBe(SLOTS.length);
  expect(sights.membersMax).toBeLessThanOrEqual(SLOTS.length + 1);
  expect(sights.lostMax).toBeLessThanOrEqual(1);
}

test('a member moves before the maintenance of its agent begins, and its agent may go', async () => {
  trial.start();
  const born = await trial.settled('three members');
  const writer = await trial.startWriter();
  const watch = trial.watch();

  const old = seatOf(born, 'etcd-1');
  await announce(old);
  const after = await moved(old);
  const young = seatOf(after, 'etcd-1');
  expect(young.id).not.toBe(old.id);
  expect(after.voters.get('etcd-1')).not.toBe(born.voters.get('etcd-1'));
  expectOthersUntouched(born, after, 'etcd-1');
  await until('Mesos is told that the agent may go', PHASE_MS_MAX, async () =>
    (await answersAbout(old.hostname)).includes('ACCEPT'),
  );
  await expectMoves(1);
  expectOneAtATime(await watch.stop());

  await trial.mesos.startMaintenance(trial.agentOf(old));
  await clock.sleep(CALM_MS);
  const later = await trial.settled('three members as before');
  expectSameMembers(after, later);
  expectOthersUntouched(after, later);
  await writer.written();
  await trial.expectNothingMissing(later, writer.ledger);
});

test('members of two agents that are announced together move one after the other', async () => {
  trial.start();
  const born = await trial.settled('three members');
  const writer = await trial.startWriter();
  const watch = trial.watch();
  const old = [seatOf(born, 'etcd-0'), seatOf(born, 'etcd-2')];
  await announce(...old);
  const after = await moved(...old);
  expectOthersUntouched(born, after, 'etcd-0', 'etcd-2');
  await expectMoves(2);
  expectOneAtATime(await watch.stop());
  await writer.written();
  await trial.expectNothingMissing(after, writer.ledger);
});

test('maintenance that is cancelled at once leaves a whole cluster', async () => {
  trial.start();
  const born = await trial.settled('three members');
  const writer = await trial.startWriter();
  const watch = trial.watch();
  await announce(seatOf(born, 'etcd-1'));
  await until('a member is to move', PHASE_MS_MAX, () =>
    trial.record().seats.some(({ lost }) => lost?.cause === 'maintenance'),
  );
  await trial.mesos.scheduleMaintenance([], { startInMs: 0, durationMs: 0 });
  const after = await trial.settled('three members again');
  // It is back where it was, or its move had gone too far.
  expectOthersUntouched(born, after, 'etcd-1');
  if (after.voters.get('etcd-1') === born.voters.get('etcd-1')) expectSameMembers(born, after);
  else expect(placeOf(seatOf(after, 'etcd-1'))).not.toEqual(placeOf(seatOf(born, 'etcd-1')));
  expect(after.voters.size).toBe(SLOTS.length);
  expectOneAtATime(await watch.stop());
  await writer.written();
  await trial.expectNothingMissing(after, writer.ledger);
});
