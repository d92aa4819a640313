import { afterEach, beforeEach, expect, test } from 'vitest';
import { skipWithout } from '../needs.ts';
import { expectOthersUntouched, placeOf, seatOf, startTrial, type Trial } from './trial.ts';

/*
 * What happens to hosts and agents of a production Mesos, one thing after the other, under a cluster that is
 * written to all the time.
 */

let trial: Trial;

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  trial = await startTrial('hosts', 4);
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

test('hosts reboot, are rebuilt, and agents are shut down, under a cluster that serves', {
  timeout: 480_000,
}, async () => {
  const { mesos: cluster, settled, agentOf } = trial;
  trial.start();
  const born = await settled('three members');
  const { ledger, written } = await trial.startWriter();

  // Rebooted with its disks: the same member, in the same place, on the same volume (L1).
  const rebooted = seatOf(born, 'etcd-0');
  await cluster.killHost(agentOf(rebooted));
  await cluster.restartAgent(agentOf(rebooted));
  const back = await settled('the member of the rebooted host', ({ seats }) =>
    seats.some(({ slot, task }) => slot === 'etcd-0' && task !== rebooted.task),
  );
  expect(placeOf(seatOf(back, 'etcd-0'))).toEqual(placeOf(rebooted));
  expect(back.voters).toEqual(born.voters);
  expectOthersUntouched(born, back, 'etcd-0');
  await written();

  // Rebuilt, at the same address: its disk is gone, and with it the member (L2).
  const rebuilt = seatOf(back, 'etcd-1');
  await cluster.rebuildAgent(agentOf(rebuilt));
  const replaced = await settled('the member of the rebuilt host', ({ seats }) =>
    seats.some(({ slot, id }) => slot === 'etcd-1' && id !== rebuilt.id),
  );
  expect(replaced.voters.get('etcd-1')).not.toBe(back.voters.get('etcd-1'));
  expectOthersUntouched(back, replaced, 'etcd-1');
  await written();

  // Unregistered by SIGUSR1 and started again: another agent by its id, at the same address. Its task was killed.
  const shutDown = seatOf(replaced, 'etcd-2');
  const agent = agentOf(shutDown);
  const formerId = cluster.agentId(agent);
  await cluster.shutDownAgent(agent);
  await cluster.restartAgent(agent);
  expect(cluster.agentId(agent)).not.toBe(formerId);
  const again = await settled('the member of the agent that was shut down', ({ seats }) =>
    seats.some(({ slot, task }) => slot === 'etcd-2' && task !== shutDown.task),
  );
  // Its disk is there, whatever Mesos calls its agent: the same member on the same volume (L1).
  expect(placeOf(seatOf(again, 'etcd-2'))).toEqual({ ...placeOf(shutDown), agentId: cluster.agentId(agent) });
  expect(again.voters).toEqual(replaced.voters);
  expectOthersUntouched(replaced, again, 'etcd-2');
  await written();

  await trial.expectNothingMissing(again, ledger);
});
