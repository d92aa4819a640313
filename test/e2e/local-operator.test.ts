import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LocalCluster, LocalClusterOptions } from '../../src/local/local-cluster.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { until } from '../local/container-world.ts';
import { startScheduler } from '../local/scheduler-client.ts';

let directory = '';
let cluster: LocalCluster;
let scheduler: ReturnType<typeof startScheduler>;
/** What the test has started, the last first. */
let ends: (() => Promise<void>)[] = [];

const size = { cpus: 2, memMb: 1024, diskMb: 2048 };
async function start(options: Partial<LocalClusterOptions> = {}): Promise<void> {
  cluster = await startLocalCluster({
    directory,
    agents: [{ hostname: 'a.example', ...size }],
    agentPingTimeoutMs: 5000,
    allocationIntervalMs: 50,
    ...options,
  });
  ends.unshift(cluster.close);
}
async function run(command: string): Promise<void> {
  scheduler = startScheduler(cluster.masterUrl);
  ends.unshift(scheduler.close);
  await scheduler.launch('t1', 'a.example', command);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR' });
}
const offered = () => [...scheduler.offers.values()].some(({ hostname }) => hostname === 'a.example');
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-operator-'));
});
afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
  rmSync(directory, { recursive: true, force: true });
});

test('a drained agent has killed its task and is offered again when it is reactivated', async () => {
  await start();
  await run('exec sleep 600');
  await cluster.drainAgent(0, { maxGraceMs: 2000 });
  await scheduler.awaitUpdate('t1', { state: 'TASK_KILLED', reason: 'REASON_AGENT_DRAINING' });
  expect(offered()).toBe(false);
  const id = cluster.agentId(0);
  await cluster.restartAgent(0);
  expect(cluster.agentId(0)).toBe(id);
  await until('the end of the drain', () => cluster.reactivateAgent(0).then(() => true));
  await until('an offer', offered);
});

test('a machine under maintenance has no agent; afterwards it has another', async () => {
  await start();
  await run('exec sleep 600');
  const before = cluster.agentId(0);
  await cluster.scheduleMaintenance([0], { startInMs: 0, durationMs: 3_600_000 });
  await until('offers with unavailability', () =>
    [...scheduler.offers.values()].some(({ unavailability }) => unavailability !== undefined),
  );
  await cluster.startMaintenance(0);
  await scheduler.awaitUpdate('t1', { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED' });
  await expect(cluster.restartAgent(0)).rejects.toMatchObject({ code: 'start-failed' });
  await cluster.stopMaintenance(0);
  await cluster.restartAgent(0);
  expect(cluster.agentId(0)).not.toBe(before);
  await until('an offer', offered);
});

test('a host that was rebooted has its agent again, and its task as failed', async () => {
  await start();
  await run('exec sleep 600');
  const before = cluster.agentId(0);
  await cluster.rebootHost(0);
  expect(cluster.agentId(0)).toBe(before);
  await scheduler.awaitUpdate('t1', { state: 'TASK_FAILED', reason: 'REASON_EXECUTOR_TERMINATED' });
});

test('a master that asks for credentials has them from schedulers by secret or token, and from its operator', async () => {
  const tokensFile = join(directory, 'tokens');
  writeFileSync(tokensFile, 'good-token etcd-principal\n');
  const acls = { register_frameworks: [{ principals: { type: 'ANY' }, roles: { values: ['etcd'] } }] };
  await start({ access: { credentials: { operator: 'o', 'etcd-principal': 's' }, tokensFile, acls } });
  const info = { user: 'root', name: 'x', roles: ['etcd'], principal: 'etcd-principal' };
  const capabilities = ['MULTI_ROLE', 'RESERVATION_REFINEMENT'].map((type) => ({ type }));
  const subscribe = async (authorization: string | null): Promise<number> => {
    const response = await fetch(`${cluster.masterUrl}/api/v1/scheduler`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(authorization === null ? {} : { authorization }),
      },
      body: JSON.stringify({ type: 'SUBSCRIBE', subscribe: { framework_info: { ...info, capabilities } } }),
    });
    await response.body?.cancel();
    return response.status;
  };
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  expect(await subscribe(null)).toBe(401);
  expect(await subscribe(basic('etcd-principal:wrong'))).toBe(401);
  expect(await subscribe(basic('operator:o'))).toBe(400);
  expect(await subscribe(basic('etcd-principal:s'))).toBe(200);
  expect(await subscribe('token=good-token')).toBe(200);
  writeFileSync(tokensFile, '');
  expect(await subscribe('token=good-token')).toBe(401);
  await cluster.drainAgent(0);
});
