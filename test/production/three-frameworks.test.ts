import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createKvClient } from '../../src/etcd/client.ts';
import type { KvClient } from '../../src/etcd/port.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import {
  etcdProcesses,
  holdingOf,
  holdingsOfMaster,
  readRecord,
  tasksOfMaster,
  votersOf,
} from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from '../e2e/scheduler-process.ts';
import { agentNames, smallAgents } from '../e2e/small-agents.ts';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';
import { mesosDnsRecords } from './mesos-dns.ts';

/** Three frameworks share three agents: each has its own role, places, ports, members and names. */

const FRAMEWORKS = ['etcd', 'events', '/prod/k8s-a/etcd'] as const;
const DOMAINS = ['etcd.mesos', 'events.mesos', 'prodk8s-aetcd.mesos'] as const;
const SIZE = 3;
const WHOLE_MS_MAX = 180_000;
const ANSWER_MS_MAX = 5_000;

let directory = '';
let cluster: LocalCluster;
let close: (() => Promise<unknown>)[] = [];
const transport = createHttpTransport();

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-three-'));
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(agentNames(SIZE, '.example')),
  });
  close = [() => transport.close(), () => cluster.close()];
});
afterEach(async ({ task }) => {
  for (const end of close.toReversed()) await end();
  if (task.result?.state === 'fail') console.log(`what was left is in ${directory}`);
  else rmSync(directory, { recursive: true, force: true });
});

const directoryOf = (at: number): string => join(directory, `scheduler-${at}`);
const recordOf = (at: number): ClusterRecord => readRecord(stateOf(directoryOf(at)));

function start(name: string, at: number): SchedulerProcess {
  const scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory: directoryOf(at),
    args: [
      ...['--framework-name', name, '--cluster-size', String(SIZE), '--artifact', 'checkout'],
      ...['--cpus', '0.1', '--mem', '256', '--disk', '1024'],
    ],
  });
  close.push(() => scheduler.stop());
  return scheduler;
}

async function whole(scheduler: SchedulerProcess): Promise<PublishedView> {
  return await until('every member with its name, and nothing left to do', WHOLE_MS_MAX, async () => {
    const view = await scheduler.view();
    const named = view.members.filter(({ nameTask }) => nameTask?.mesosState === 'TASK_RUNNING');
    return view.health.state === 'healthy' && named.length === SIZE && view.mesos.suppressed && view;
  });
}

/** All that must not change of a cluster while others come and go. */
const livesOf = (record: ClusterRecord): unknown => ({
  cluster: record.cluster,
  epoch: record.epoch,
  seats: record.seats.map(({ id, task, nameTask, agentId, ports }) => ({
    id,
    task,
    nameTask,
    agentId,
    ports,
  })),
});

it('three frameworks share three agents; one is torn down and comes back, the others never know', async () => {
  const schedulers = FRAMEWORKS.map(start);
  await Promise.all(schedulers.map(whole));
  const records = FRAMEWORKS.map((_, at) => recordOf(at));

  for (const record of records) {
    expect(new Set(record.seats.map(({ agentId }) => agentId)).size).toBe(SIZE);
    expect((await votersOf(record)).size).toBe(SIZE);
  }
  const ports = records.flatMap(({ seats }) => seats.flatMap((seat) => Object.values(seat.ports)));
  expect(new Set(ports).size).toBe(ports.length);
  await expectHeld(records);
  expect(await rolesOfReservations()).toEqual(['etcd-role', 'events-role', 'prod__k8s-a__etcd-role']);
  for (const [at, record] of records.entries()) await put(record, FRAMEWORKS[at] ?? '');
  for (const [at, record] of records.entries()) expect(await keysOf(record)).toEqual([FRAMEWORKS[at]]);
  for (const [at, record] of records.entries()) expect(await clientsNamed(at)).toEqual(clientsOf(record));

  const [torn, ...left] = records as [ClusterRecord, ...ClusterRecord[]];
  await schedulers[0]?.stop();
  const answer = await fetch(`${cluster.masterUrl}/api/v1`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'TEARDOWN', teardown: { framework_id: { value: torn.framework.id } } }),
  });
  expect(answer.ok).toBe(true);
  await until('its processes have ended', WHOLE_MS_MAX, () => etcdProcesses(torn.cluster).length === 0);
  await Promise.all(schedulers.slice(1).map(whole));

  expect([recordOf(1), recordOf(2)].map(livesOf)).toEqual(left.map(livesOf));
  const tasks = left.flatMap(({ seats }) => seats.flatMap((seat) => [seat.task, seat.nameTask?.task]));
  expect([...(await tasksOfMaster(cluster, transport)).keys()].toSorted()).toEqual(tasks.toSorted());
  // The volumes of the one that was torn down stay where they are, as Mesos has it.
  await expectHeld(records);
  expect(await clientsNamed(0)).toEqual([]);
  for (const [at, record] of left.entries()) {
    expect(await keysOf(record)).toEqual([FRAMEWORKS[at + 1]]);
    await put(record, 'after');
    expect(await clientsNamed(at + 1)).toEqual(clientsOf(record));
  }

  await whole(start(FRAMEWORKS[0], 0));
  expect(recordOf(0).epoch.clusterId).toBe(torn.epoch.clusterId);
  expect(await keysOf(recordOf(0))).toEqual([FRAMEWORKS[0]]);
  expect(await clientsNamed(0)).toEqual(clientsOf(torn));
  expect([recordOf(1), recordOf(2)].map(livesOf)).toEqual(left.map(livesOf));
});

async function expectHeld(records: readonly ClusterRecord[]): Promise<void> {
  const seats = records.flatMap((record) => record.seats);
  expect(Object.fromEntries(await holdingsOfMaster(cluster, transport))).toEqual(
    Object.fromEntries(seats.map((seat) => [seat.id, holdingOf(seat)])),
  );
}

async function rolesOfReservations(): Promise<readonly string[]> {
  const answer = await fetch(`${cluster.masterUrl}/slaves`);
  const { slaves } = (await answer.json()) as { slaves: { reserved_resources: Record<string, unknown> }[] };
  return [...new Set(slaves.flatMap((slave) => Object.keys(slave.reserved_resources)))].toSorted();
}

async function clientsNamed(at: number): Promise<readonly number[]> {
  const state: unknown = await (await fetch(`${cluster.masterUrl}/state`)).json();
  const services = mesosDnsRecords(state).srv.get(`_etcd-client._tcp.${DOMAINS[at]}`) ?? [];
  return services.map(({ port }) => port).toSorted((a, b) => a - b);
}

const clientsOf = (record: ClusterRecord): readonly number[] =>
  record.seats.map(({ ports }) => ports.client).toSorted((a, b) => a - b);

async function put(record: ClusterRecord, key: string): Promise<void> {
  await withClient(record, 0, (client) => client.put(key, 'here', AbortSignal.timeout(ANSWER_MS_MAX)));
}

/** Of another member than the one that is written to. */
async function keysOf(record: ClusterRecord): Promise<readonly string[]> {
  const found = await withClient(record, 1, (client) =>
    client.range('!', '~', 10, AbortSignal.timeout(ANSWER_MS_MAX)),
  );
  return found.map(({ key }) => key);
}

async function withClient<T>(
  record: ClusterRecord,
  seat: number,
  use: (client: KvClient) => Promise<T>,
): Promise<T> {
  const place = record.seats[seat];
  if (place === undefined) throw new Error(`there is no seat ${seat}`);
  const client = createKvClient({ url: clientUrlOf(place) }, clock);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
