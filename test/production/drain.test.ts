import { afterEach, beforeEach, expect, test } from 'vitest';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';
import {
  expectOthersUntouched,
  expectSameMembers,
  PHASE_MS_MAX,
  placeOf,
  seatOf,
  startTrial,
  type Trial,
  type Whole,
} from './trial.ts';

/*
 * Operators drain agents: tasks are killed at once and nothing is offered of the agent, not even the volumes that
 * are still there, until it is reactivated.
 */

/** For which nothing rash may be done. */
const CALM_MS = 3_000;

let trial: Trial;

const begin = async (agents: number): Promise<void> => {
  trial = await startTrial('drain', agents);
};
beforeEach((context) => skipWithout(context, 'etcd', 'setpriv'));
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

/** Mesos refuses it for as long as the drain goes on. */
const reactivate = async (agent: number): Promise<boolean> =>
  await until('the agent is reactivated', PHASE_MS_MAX, async () => {
    await trial.mesos.reactivateAgent(agent);
    return true;
  });

const blocksOf = async (scheduler: { view(): Promise<{ blocked: readonly { code: string }[] }> }) =>
  (await scheduler.view()).blocked.map(({ code }) => code);

test('a drained agent gets its member back, one that is gone or takes too long does not', async () => {
  await begin(5);
  const { agentOf, mesos } = trial;
  const patient = trial.start();
  const born = await trial.settled('three members');
  const writer = await trial.startWriter();

  // Reactivated in time: the same member on its volume (L1).
  const drained = seatOf(born, 'etcd-0');
  await mesos.drainAgent(agentOf(drained));
  await until('it says that the agent is drained', PHASE_MS_MAX, async () =>
    (await blocksOf(patient)).includes('agent-draining'),
  );
  await writer.written();
  await reactivate(agentOf(drained));
  const back = await trial.settled('the member of the drained agent', ({ seats }) =>
    seats.some(({ slot, task }) => slot === 'etcd-0' && task !== drained.task),
  );
  expectSameMembers(born, back);
  expectOthersUntouched(born, back, 'etcd-0');

  // Drained and marked gone: replaced, though nothing has had the time to run out.
  const gone = seatOf(back, 'etcd-1');
  await mesos.drainAgent(agentOf(gone), { markGone: true });
  const replaced = await trial.settled('the successor of the member that is gone', ({ seats }) =>
    seats.some(({ slot, id }) => slot === 'etcd-1' && id !== gone.id),
  );
  expect(replaced.voters.get('etcd-1')).not.toBe(back.voters.get('etcd-1'));
  expectOthersUntouched(back, replaced, 'etcd-1');
  await writer.written();

  // Not reactivated in time: replaced, and its place is given back when it is offered at last.
  expect(await patient.stop()).toBe(0);
  const hasty = trial.start('--volume-timeout', '5s');
  const late = seatOf(replaced, 'etcd-2');
  await trial.settled('three members, by another scheduler');
  await mesos.drainAgent(agentOf(late));
  await until('a successor serves', PHASE_MS_MAX, async () => {
    const { health, members } = await hasty.view();
    const young = members.find(({ slot, seat }) => slot === 'etcd-2' && seat !== late.id);
    return young?.role === 'voter' && health.state === 'healthy' && health.voters === 3;
  });
  await reactivate(agentOf(late));
  const end = await trial.settled('three members, and nothing of the one that took too long');
  expect(placeOf(seatOf(end, 'etcd-2'))).not.toEqual(placeOf(late));
  expectOthersUntouched(replaced, end, 'etcd-2');
  await writer.written();
  await trial.expectNothingMissing(end, writer.ledger);
});

/** Two of three members are drained at once; resolves once their agents are and nobody can write any more. */
async function drainTwo(born: Whole): Promise<readonly number[]> {
  const agents = [seatOf(born, 'etcd-0'), seatOf(born, 'etcd-1')].map(trial.agentOf);
  await Promise.all(agents.map((agent) => trial.mesos.drainAgent(agent)));
  return agents;
}

test('two agents drained at once take the quorum with them, and bring it back', async () => {
  await begin(4);
  const scheduler = trial.start();
  const born = await trial.settled('three members');
  const writer = await trial.startWriter();
  const agents = await drainTwo(born);
  const lost = await until('it says what is lost and why', PHASE_MS_MAX, async () => {
    const view = await scheduler.view();
    const drained = view.blocked.filter(({ code }) => code === 'agent-draining');
    return view.health.state === 'quorum-lost' && drained.length === 2 && view;
  });
  expect(lost.intent).toBeNull();
  await Promise.all(agents.map(reactivate));
  const after = await trial.settled('three members again');
  expectSameMembers(born, after);
  await writer.written();
  await trial.expectNothingMissing(after, writer.ledger);
});

test('without a quorum no patience that ends makes a member go', async () => {
  await begin(4);
  const scheduler = trial.start('--volume-timeout', '6s');
  const born = await trial.settled('three members');
  const writer = await trial.startWriter();
  const agents = await drainTwo(born);
  await until('both are given up', PHASE_MS_MAX, async () => {
    const { health } = await scheduler.view();
    const { seats } = trial.record();
    return health.state === 'quorum-lost' && seats.filter(({ lost }) => lost !== null).length === 2;
  });
  // A successor may be placed meanwhile, but no member is removed for it.
  await clock.sleep(CALM_MS);
  expect((await scheduler.view()).intent).toBeNull();
  expect(trial.story().filter((text) => text.startsWith('remove member'))).toEqual([]);
  const { number, attempt, clusterId } = born.record.epoch;
  expect(trial.record().epoch).toMatchObject({ number, attempt, clusterId });
  await Promise.all(agents.map(reactivate));
  // Their volumes brought the quorum back; with it those that were given up may be replaced.
  const after = await trial.settled('three members again');
  expectOthersUntouched(born, after, 'etcd-0', 'etcd-1');
  expect(after.record.epoch).toMatchObject({ number, attempt, clusterId });
  await writer.written();
  await trial.expectNothingMissing(after, writer.ledger);
});
