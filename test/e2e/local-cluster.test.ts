import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { identify, isAlive, type ProcessIdentity, readProcessTable } from '../../src/local/process-table.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { clock, until } from '../local/container-world.ts';
import { startScheduler } from '../local/scheduler-client.ts';

let directory = '';
let cluster: LocalCluster;
let scheduler: ReturnType<typeof startScheduler>;
/** What the test has started, the last first. */
let ends: (() => Promise<void>)[] = [];

const size = { cpus: 2, memMb: 1024, diskMb: 2048 };
/** @param silenceMs how long an agent may be silent: short to see it unreachable, long to restart it before. */
async function start(silenceMs = 15_000): Promise<void> {
  cluster = await startLocalCluster({
    directory,
    agents: [
      { hostname: 'a.example', ...size, zone: 'z1', attributes: { rack: 'r1' } },
      { hostname: 'b.example', ...size },
    ],
    agentPingTimeoutMs: silenceMs / 3,
    agentPingTimeoutsMax: 3,
    allocationIntervalMs: 50,
  });
  ends.unshift(cluster.close);
  scheduler = startScheduler(cluster.masterUrl);
  ends.unshift(scheduler.close);
}
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-cluster-'));
});
afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
  rmSync(directory, { recursive: true, force: true });
});

const SLEEP = 'echo $$ > pid; exec sleep 600';
async function taskOf(index: number, taskId: string) {
  const task = await until(`${taskId} on disk`, () =>
    cluster.tasks(index).find((entry) => entry.taskId === taskId && entry.taskPid !== null),
  );
  const identity = identify(task.taskPid ?? 0);
  if (identity === null) throw new Error(`task ${taskId} is not there`);
  return { ...task, identity };
}
const gone = (identity: ProcessIdentity) => until(`the end of ${identity.pid}`, () => !isAlive(identity));

test('offers show the agents as they were described', async () => {
  await start();
  const offer = await until('the offer', () =>
    [...scheduler.offers.values()].find(({ hostname }) => hostname === 'a.example'),
  );
  const [begin, end] = cluster.agents[0]?.ports ?? [0, 0];
  expect(offer.resources.find(({ name }) => name === 'ports')?.ranges).toEqual({ range: [{ begin, end }] });
  expect(offer.resources.find(({ name }) => name === 'mem')?.scalar).toEqual({ value: 1024 });
  expect(offer.attributes).toEqual([{ name: 'rack', type: 'TEXT', text: { value: 'r1' } }]);
  expect(offer.domain?.fault_domain?.zone).toEqual({ name: 'z1' });
  expect(offer.agent_id.value).toBe(cluster.agentId(0));
});

test('a task is launched, told of and killed, and its exit is told', async () => {
  await start();
  await scheduler.launch('t1', 'a.example', SLEEP);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR' });
  const { identity } = await taskOf(0, 't1');
  await scheduler.call({ type: 'KILL', kill: { task_id: { value: 't1' } } });
  await scheduler.awaitUpdate('t1', {
    state: 'TASK_KILLED',
    message: 'Command terminated with signal Terminated',
  });
  expect(scheduler.statesOf('t1')).toEqual(['TASK_STARTING', 'TASK_RUNNING', 'TASK_KILLING', 'TASK_KILLED']);
  expect(isAlive(identity)).toBe(false);
  await scheduler.launch('t2', 'b.example', 'exit 9');
  await scheduler.awaitUpdate('t2', { state: 'TASK_FAILED', message: 'Command exited with status 9' });
});

test('an agent that stops answering becomes unreachable and comes back with its task alive', async () => {
  await start(300);
  await scheduler.launch('t1', 'a.example', SLEEP);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  const { identity } = await taskOf(0, 't1');
  cluster.stopAgent(0);
  await scheduler.awaitUpdate('t1', { state: 'TASK_UNREACHABLE', source: 'SOURCE_MASTER' });
  expect(isAlive(identity)).toBe(true);
  const sinceMs = clock.monotonicMs();
  cluster.resumeAgent(0);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', reason: 'REASON_AGENT_REREGISTERED' }, sinceMs);
  expect(isAlive(identity)).toBe(true);
});

test.for(['SIGTERM', 'SIGKILL'] as const)(
  'an agent ended by %s and started again goes on with its tasks',
  async (signal) => {
    await start();
    await scheduler.launch('t1', 'a.example', SLEEP);
    await scheduler.launch('t2', 'a.example', 'while [ ! -e go ]; do sleep 0.02; done; exit 4');
    await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
    await scheduler.awaitUpdate('t2', { state: 'TASK_RUNNING' });
    const { identity } = await taskOf(0, 't1');
    const { sandbox } = await taskOf(0, 't2');
    const before = cluster.agentId(0);
    await cluster.terminateAgent(0, signal);
    spawn('touch', [join(sandbox, 'go')]);
    await cluster.restartAgent(0);
    expect(cluster.agentId(0)).toBe(before);
    await scheduler.awaitUpdate('t2', { state: 'TASK_FAILED', message: 'Command exited with status 4' });
    expect(isAlive(identity)).toBe(true);
    await scheduler.call({ type: 'KILL', kill: { task_id: { value: 't1' } } });
    await scheduler.awaitUpdate('t1', { state: 'TASK_KILLED' });
    expect(scheduler.statesOf('t2')).toEqual(['TASK_STARTING', 'TASK_RUNNING', 'TASK_FAILED']);
  },
);

test('a killed host leaves nothing, can be wiped and marked gone, and comes back as another', async () => {
  await start(300);
  // One child in a session of its own with a clean environment, one that ignores SIGTERM.
  const family = 'env -i setsid sleep 600 & echo $! > clean; (trap "" TERM; echo x > up; sleep 600) & wait';
  await scheduler.launch('t1', 'a.example', family);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  const { identity, sandbox, executorPid } = await taskOf(0, 't1');
  await until('the family', () => existsSync(join(sandbox, 'up')) && existsSync(join(sandbox, 'clean')));
  const executor = identify(executorPid ?? 0);
  const child = await until('the child', () =>
    identify(Number(readFileSync(join(sandbox, 'clean'), 'utf8'))),
  );
  const before = cluster.agentId(0);
  await cluster.killHost(0);
  for (const process of [identity, executor, child]) expect(process !== null && isAlive(process)).toBe(false);
  await scheduler.awaitUpdate('t1', { state: 'TASK_UNREACHABLE' });
  cluster.wipe(0);
  await cluster.markGone(0);
  await scheduler.awaitUpdate('t1', { state: 'TASK_GONE_BY_OPERATOR' });
  await cluster.rebuildAgent(0);
  expect(cluster.agentId(0)).not.toBe(before);
  await scheduler.launch('t2', 'a.example', SLEEP);
  await scheduler.awaitUpdate('t2', { state: 'TASK_RUNNING' });
});

test('an agent rebuilt at its address loses its tasks', async () => {
  await start();
  await scheduler.launch('t1', 'b.example', SLEEP);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  const { identity } = await taskOf(1, 't1');
  const before = cluster.agentId(1);
  await cluster.rebuildAgent(1);
  await scheduler.awaitUpdate('t1', { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED' });
  expect(isAlive(identity)).toBe(false);
  expect(scheduler.failures).toContain(before);
});

test('an agent marked gone ends and its tasks with it', async () => {
  await start();
  await scheduler.launch('t1', 'a.example', SLEEP);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  const { identity } = await taskOf(0, 't1');
  await cluster.markGone(0);
  await scheduler.awaitUpdate('t1', { state: 'TASK_GONE_BY_OPERATOR' });
  await gone(identity);
});

test('an agent that is shut down kills its tasks and unregisters', async () => {
  await start();
  await scheduler.launch('t1', 'a.example', 'trap "" TERM; while :; do sleep 0.05; done');
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  const { identity } = await taskOf(0, 't1');
  await cluster.shutDownAgent(0);
  await scheduler.awaitUpdate('t1', { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED' });
  await gone(identity);
});

test('a master that is restarted gets agents, framework and task back', async () => {
  await start();
  await scheduler.launch('t1', 'a.example', SLEEP);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  const { identity } = await taskOf(0, 't1');
  const framework = scheduler.frameworkId();
  await cluster.restartMaster();
  await until('a second subscription', () => scheduler.subscriptions() === 2);
  await until(
    'offers of both',
    () => new Set([...scheduler.offers.values()].map((o) => o.hostname)).size === 2,
  );
  expect(scheduler.frameworkId()).toBe(framework);
  const sinceMs = clock.monotonicMs();
  await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [] } });
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING', reason: 'REASON_RECONCILIATION' }, sinceMs);
  expect(isAlive(identity)).toBe(true);
});

test('a cluster on the directory of an earlier one has its ports, agents and volumes', async () => {
  await start();
  const agents = cluster.agents;
  const ids = [cluster.agentId(0), cluster.agentId(1)];
  await scheduler.launch('t1', 'a.example', SLEEP);
  await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
  for (const end of ends.splice(0)) await end();
  await start();
  expect(cluster.agents).toEqual(agents);
  expect([cluster.agentId(0), cluster.agentId(1)]).toEqual(ids);
  expect(cluster.tasks(0)).toMatchObject([{ taskId: 't1', state: 'TASK_FAILED' }]);
});

test('a port that is taken is named, and nothing is left of the start', async () => {
  await start();
  const port = Number(new URL(cluster.masterUrl).port);
  const other = join(directory, 'other');
  const attempt = startLocalCluster({
    directory: other,
    masterPort: port,
    agents: [{ hostname: 'a.example', ...size }],
  });
  await expect(attempt).rejects.toMatchObject({
    code: 'port-in-use',
    message: `port ${port} of 127.0.0.1 is in use`,
  });
  const left = [...readProcessTable().keys()].filter((pid) => commandOf(pid).includes(other));
  expect(left).toEqual([]);
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
