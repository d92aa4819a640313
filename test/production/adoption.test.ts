import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { etcdProcesses } from '../e2e/etcd-on-mesos.ts';
import { skipWithout } from '../needs.ts';
import { until } from '../wait.ts';
import { expectSameMembers, PHASE_MS_MAX, startTrial, type Trial } from './trial.ts';

/*
 * All that is left of a cluster is on the agents: nothing of it runs, no master knows the framework, and what the
 * scheduler knew is lost. The labels of the reservations lead back to it.
 */

let trial: Trial;

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  trial = await startTrial('adoption', 4);
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

test.for(['the same order key', 'another order key'])(
  'volumes alone bring the cluster back, with %s',
  async (key) => {
    const keyOf = (name: string): string[] => ['--order-key-file', join(trial.directory, `${name}.pem`)];
    const first = trial.start(...keyOf('first'));
    const born = await trial.settled('three members');
    const { ledger, stop } = await trial.startWriter();
    expect(await first.stop()).toBe(0);
    await stop();
    await trial.ask({ type: 'TEARDOWN', teardown: { framework_id: { value: born.record.framework.id } } });
    await until('the end of every etcd', PHASE_MS_MAX, () => etcdProcesses(born.record.cluster).length === 0);
    trial.forget();

    trial.start(...keyOf(key === 'another order key' ? 'second' : 'first'));
    const after = await trial.settled('three members again');
    expectSameMembers(born, after);
    expect(after.record.framework.id).not.toBe(born.record.framework.id);
    expect(trial.story().some((text) => text.startsWith('found 3 places'))).toBe(true);
    await trial.expectNothingMissing(after, ledger);
    await (await trial.startWriter()).written();
  },
);
