import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLedger, type Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { isNameTaskId } from '../../src/protocol/identifiers.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';
import { etcdProcesses, readRecord, tasksOfMaster, votersOf } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';
import { agentNames, smallAgents } from './small-agents.ts';

/*
 * Mesos forgets the framework and ends all its tasks. What is left are reservations and volumes of its role, and
 * on them the only copy of the cluster's state.
 */

const LIMIT_MS = 90_000;
const TEST_MS_MAX = 240_000;

let directory = '';
let cluster: LocalCluster;
let ends: (() => Promise<unknown>)[] = [];

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-removed-'));
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(agentNames(4)),
  });
  ends = [cluster.close];
});
afterEach(async () => {
  for (const end of ends) await end();
  if (directory !== '') rmSync(directory, { recursive: true, force: true });
});

function start(...args: readonly string[]): SchedulerProcess {
  const scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory,
    args: ['--cpus', '0.1', '--mem', '256', '--disk', '1024', '--artifact', 'checkout', ...args],
  });
  ends.unshift(scheduler.stop);
  return scheduler;
}

interface Whole {
  readonly record: ClusterRecord;
  readonly voters: ReadonlyMap<string, string>;
}

/** Three voters that serve, under a framework id other than `not`. */
async function whole(scheduler: SchedulerProcess, not: string | null): Promise<Whole> {
  return await until('three voters', LIMIT_MS, async () => {
    await scheduler.view();
    const record = readRecord(stateOf(directory));
    const { id } = record.framework;
    if (id === null || id === not || record.epoch.phase !== 'formed') return null;
    if (record.seats.some(({ taskEnd }) => taskEnd !== null) || record.intent !== null) return null;
    return { record, voters: await votersOf(record) };
  });
}

async function startWriter(): Promise<{ readonly ledger: Ledger; stop(): Promise<void> }> {
  const ledger = createLedger({
    clock,
    endpoints: () => readRecord(stateOf(directory)).seats.map(clientUrlOf),
    open: (url) => createKvClient({ url }, clock),
    prefix: 'removed-framework/',
  });
  const ended = new AbortController();
  const running = ledger.run(ended.signal);
  const stop = async (): Promise<void> => {
    ended.abort();
    await running;
  };
  ends.unshift(stop);
  await until('acknowledged writes', 30_000, () => ledger.acknowledged() > 100);
  return { ledger, stop };
}

async function expectSame(before: Whole, after: Whole): Promise<void> {
  const places = ({ record }: Whole) =>
    record.seats.map(({ id, volumeId, agentId }) => [id, volumeId, agentId]);
  expect(after.voters).toEqual(before.voters);
  expect(places(after)).toEqual(places(before));
  expect(after.record.epoch).toMatchObject({ number: 1, clusterId: before.record.epoch.clusterId });
  const serving = etcdProcesses(after.record.cluster).map(({ seat }) => seat);
  expect(serving.toSorted()).toEqual(after.record.seats.map(({ id }) => id).toSorted());
  const transport = createHttpTransport();
  const tasks = await tasksOfMaster(cluster, transport);
  await transport.close();
  // Names come once their members serve, one by one.
  const members = [...tasks.keys()].filter((task) => !isNameTaskId(task));
  expect(members.toSorted()).toEqual(after.record.seats.map(({ task }) => task).toSorted());
}

async function expectNothingMissing({ record }: Whole, ledger: Ledger): Promise<void> {
  for (const seat of record.seats) {
    const client = createKvClient({ url: clientUrlOf(seat) }, clock);
    try {
      expect(await ledger.missingFrom(client, AbortSignal.timeout(30_000))).toEqual([]);
    } finally {
      client.close();
    }
  }
}

async function tearDown(frameworkId: string | null): Promise<void> {
  const response = await fetch(`${cluster.masterUrl}/api/v1`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'TEARDOWN', teardown: { framework_id: { value: frameworkId } } }),
  });
  expect(response.status).toBe(200);
}

test('torn down by an operator, it comes back with the same members and all data', {
  timeout: TEST_MS_MAX,
}, async () => {
  const scheduler = start();
  const before = await whole(scheduler, null);
  const { ledger } = await startWriter();
  await tearDown(before.record.framework.id);
  const after = await whole(scheduler, before.record.framework.id);
  await expectSame(before, after);
  const written = ledger.acknowledged();
  await until('another acknowledged write', 30_000, () => ledger.acknowledged() > written);
  await expectNothingMissing(after, ledger);
});

test('removed while no scheduler ran, the next one brings it back', { timeout: TEST_MS_MAX }, async () => {
  const first = start('--failover-timeout', '2s');
  const before = await whole(first, null);
  const { ledger, stop } = await startWriter();
  expect(await first.stop()).toBe(0);
  await until('the end of every etcd', LIMIT_MS, () => etcdProcesses(before.record.cluster).length === 0);
  await stop();
  const after = await whole(start(), before.record.framework.id);
  await expectSame(before, after);
  await expectNothingMissing(after, ledger);
});
