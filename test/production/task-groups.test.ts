import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { identify, isAlive } from '../../src/local/process-table.ts';
import type { Offer, Operation, Resource } from '../../src/mesos/wire.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { until } from '../local/container-world.ts';
import { startScheduler } from '../local/scheduler-client.ts';

let directory = '';
let cluster: LocalCluster;
let scheduler: ReturnType<typeof startScheduler>;
let ends: (() => Promise<void>)[] = [];

const size = { cpus: 2, memMb: 1024, diskMb: 2048 };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-groups-'));
  cluster = await startLocalCluster({
    directory,
    agents: [
      { hostname: 'with.example', ...size, sandboxPathVolumes: true },
      { hostname: 'without.example', ...size },
    ],
    allocationIntervalMs: 50,
    agentPingTimeoutMs: 5_000,
  });
  ends = [cluster.close];
  scheduler = startScheduler(cluster.masterUrl);
  ends.unshift(scheduler.close);
});
afterEach(async () => {
  for (const end of ends) await end();
  rmSync(directory, { recursive: true, force: true });
});

const allocation_info = { role: 'etcd' };
const reservations = [{ type: 'DYNAMIC', role: 'etcd' }] as const;
const scalar = (name: string, value: number): Resource => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  allocation_info,
});
const disk: Resource = { ...scalar('disk', 64), reservations };
const volume: Resource = {
  ...disk,
  disk: { persistence: { id: 'volume' }, volume: { mode: 'RW', container_path: 'data' } },
};

async function takeOffer(hostname: string): Promise<Offer> {
  const offer = await until(`an offer of ${hostname}`, () =>
    [...scheduler.offers.values()].find((candidate) => candidate.hostname === hostname),
  );
  scheduler.offers.delete(offer.id.value);
  return offer;
}

function group(
  offer: Offer,
  tasks: Readonly<Record<string, string>>,
  own: readonly Resource[] = [],
): Operation {
  return {
    type: 'LAUNCH_GROUP',
    launch_group: {
      executor: {
        type: 'DEFAULT',
        executor_id: { value: 'pod' },
        framework_id: { value: scheduler.frameworkId() ?? '' },
        resources: [scalar('cpus', 0.1), scalar('mem', 32), scalar('disk', 32)],
      },
      task_group: {
        tasks: Object.entries(tasks).map(([id, value]) => ({
          name: id,
          task_id: { value: id },
          agent_id: offer.agent_id,
          resources: [scalar('cpus', 0.1), scalar('mem', 32), ...own],
          command: { shell: true, value },
        })),
      },
    },
  };
}

const accept = (offer: Offer, ...operations: readonly Operation[]) =>
  scheduler.call({
    type: 'ACCEPT',
    accept: { offer_ids: [offer.id], operations, filters: { refuse_seconds: 0 } },
  });
const create: readonly Operation[] = [
  { type: 'RESERVE', reserve: { resources: [disk] } },
  { type: 'CREATE', create: { volumes: [volume] } },
];

test('groups share an executor that outlives its agent, and end one by one', async () => {
  const offer = await takeOffer('with.example');
  await accept(offer, ...create, group(offer, { main: 'touch data/x && exec sleep 600' }, [volume]));
  await scheduler.awaitUpdate('main', { state: 'TASK_RUNNING' });
  await accept(await takeOffer('with.example'), group(offer, { side: 'exec sleep 600' }));
  await scheduler.awaitUpdate('side', { state: 'TASK_RUNNING' });
  const main = cluster.tasks(0).find(({ taskId }) => taskId === 'main');
  const identity = identify(main?.taskPid ?? 0);
  await until('what the task wrote', () => existsSync(join(main?.sandbox ?? '', 'data/x')));
  expect(existsSync(join(cluster.agents[0]?.directory ?? '', 'volumes/roles/etcd/volume/x'))).toBe(true);

  await cluster.restartAgent(0);
  expect(identity !== null && isAlive(identity)).toBe(true);
  await scheduler.call({ type: 'KILL', kill: { task_id: { value: 'side' } } });
  await scheduler.awaitUpdate('side', { state: 'TASK_KILLED' });
  expect(identity !== null && isAlive(identity)).toBe(true);
  expect(scheduler.executorsEnded).toEqual([]);
  await scheduler.call({ type: 'KILL', kill: { task_id: { value: 'main' } } });
  await scheduler.awaitUpdate('main', { state: 'TASK_KILLED' });
  await until('the end of the executor', () => scheduler.executorsEnded.length > 0);
  expect(scheduler.executorsEnded).toEqual([{ executorId: 'pod', status: 0 }]);
  expect(scheduler.failures).toEqual([]);
});

test('without volume/sandbox_path a task of a group does not find its volume', async () => {
  const offer = await takeOffer('without.example');
  await accept(offer, ...create, group(offer, { main: 'touch data/x' }, [volume]));
  await scheduler.awaitUpdate('main', { state: 'TASK_FAILED', message: 'Command exited with status 1' });
});
