import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { until } from '../local/container-world.ts';
import { startScheduler } from '../local/scheduler-client.ts';
import { lacksZooKeeper } from '../needs.ts';
import { startZooKeeper, type ZooKeeperServer } from '../zookeeper-server.ts';

const size = { cpus: 2, memMb: 1024, diskMb: 2048 };
const SESSION_MS = 5_000;

describe.skipIf(lacksZooKeeper())('two local masters and a ZooKeeper', () => {
  let directory = '';
  let zooKeeper: ZooKeeperServer;
  let cluster: LocalCluster;
  /** What the test has started, the last first. */
  let ends: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-masters-'));
    zooKeeper = await startZooKeeper({ tickMs: 200 });
    ends.unshift(zooKeeper.dispose);
    cluster = await startLocalCluster({
      directory,
      agents: [
        { hostname: 'a.example', ...size },
        { hostname: 'b.example', ...size },
      ],
      masters: 2,
      zookeeper: `zk://${zooKeeper.address}/mesos`,
      zookeeperSessionMs: SESSION_MS,
      allocationIntervalMs: 50,
    });
    ends.unshift(cluster.close);
  });
  afterEach(async () => {
    for (const end of ends) await end();
    ends = [];
    rmSync(directory, { recursive: true, force: true });
  });

  function subscribe(frameworkId: string | null = null) {
    const scheduler = startScheduler(cluster.masterUrls.join(','), frameworkId);
    ends.unshift(scheduler.close);
    return scheduler;
  }
  const leader = async () => await cluster.awaitLeadingMaster();
  const ids = () => cluster.agents.map((_, index) => cluster.agentId(index));

  test('the leading one is killed: the other leads, with the same agents and the task still running', async () => {
    const scheduler = subscribe();
    await scheduler.launch('t1', 'a.example', 'exec sleep 600');
    await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR' });
    const before = ids();
    const first = await leader();
    await cluster.markGone(1);
    await cluster.terminateMaster(first, 'SIGKILL');
    expect(await leader()).toBe(1 - first);
    await until('the second subscription', () => scheduler.subscriptions() === 2);
    await until('the agent is back', () =>
      [...scheduler.offers.values()].some(({ hostname }) => hostname === 'a.example'),
    );
    await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [] } });
    await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', reason: 'REASON_RECONCILIATION' });
    expect(ids()).toEqual(before);
    expect(cluster.tasks(0).map(({ state }) => state)).toEqual(['TASK_RUNNING']);
    // That it is gone is known to the new leader too.
    const question = { task_id: { value: 'elsewhere' }, agent_id: { value: before[1] ?? '' } };
    await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [question] } });
    await scheduler.awaitUpdate('elsewhere', { state: 'TASK_GONE_BY_OPERATOR' });
    await cluster.restartMaster(first);
    expect(await leader()).toBe(1 - first);
  });

  test('ZooKeeper stops: nobody leads, tasks run on, and when it is back one leads again', async () => {
    const scheduler = subscribe();
    await scheduler.launch('t1', 'a.example', 'exec sleep 600');
    await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR' });
    const before = ids();
    await zooKeeper.stop();
    await until('nobody leads', async () => (await cluster.leadingMaster()) === null);
    expect(cluster.tasks(0).map(({ state }) => state)).toEqual(['TASK_RUNNING']);
    await zooKeeper.wipe();
    await zooKeeper.start();
    await leader();
    await until('the second subscription', () => scheduler.subscriptions() >= 2);
    await until('an offer of the agent that has room', () =>
      [...scheduler.offers.values()].some(({ hostname }) => hostname === 'b.example'),
    );
    expect(ids()).toEqual(before);
  });

  test('a leading master that was paused finds that another leads, and ends', async () => {
    const first = await leader();
    cluster.stopMaster(first);
    await until('the other leads', async () => (await cluster.leadingMaster()) === 1 - first);
    cluster.resumeMaster(first);
    const scheduler = subscribe();
    await until('it is subscribed', () => scheduler.subscriptions() === 1);
    expect(await cluster.leadingMaster()).toBe(1 - first);
  });
});
