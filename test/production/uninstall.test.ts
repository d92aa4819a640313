import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createSockets } from '../../src/runtime/sockets.ts';
import { createZooKeeper } from '../../src/zookeeper/client.ts';
import type { ZooKeeperSession } from '../../src/zookeeper/port.ts';
import { runCli } from '../cli/run-cli.ts';
import { etcdProcesses, holdingsOfMaster, taskProcesses, tasksOfMaster } from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler } from '../e2e/scheduler-process.ts';
import { lacksZooKeeper, skipWithout } from '../needs.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from '../wait.ts';
import { startZooKeeper, type ZooKeeperServer } from '../zookeeper-server.ts';

/*
 * The service is given up, and nothing of it is left: no task, no process, no reservation, no volume, no framework, no
 * state; whoever asks, and with an agent that is lost.
 */

const WHOLE_MS_MAX = 60_000;
const GONE_MS_MAX = 60_000;
const SMALL = [
  '--artifact=checkout',
  '--cpus=0.2',
  '--mem=256',
  '--disk=1024',
  '--quota-backend-bytes=64MiB',
];
const FRAMEWORK = '/prod/k8s-a/etcd';

let directory = '';
let cluster: LocalCluster | null = null;
let schedulers: SchedulerProcess[] = [];
let zooKeeper: ZooKeeperServer | null = null;
const transport = createHttpTransport();

beforeEach((context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-uninstall-'));
  schedulers = [];
});
afterEach(async () => {
  for (const scheduler of schedulers) await scheduler.stop();
  await cluster?.close();
  await zooKeeper?.dispose();
  cluster = null;
  zooKeeper = null;
  rmSync(directory, { recursive: true, force: true });
});

const AGENTS = [1, 2, 3, 4].map((index) => ({
  hostname: `agent-${index}.example`,
  cpus: 2,
  memMb: 2048,
  diskMb: 4096,
}));

async function startMesos(): Promise<LocalCluster> {
  cluster = await startLocalCluster({ directory: join(directory, 'mesos'), agents: AGENTS });
  return cluster;
}

function start(mesos: LocalCluster, name: string, ...args: readonly string[]): SchedulerProcess {
  const scheduler = startScheduler({
    masterUrl: mesos.masterUrl,
    directory: join(directory, name),
    args: [...SMALL, `--framework-name=${FRAMEWORK}`, ...args],
  });
  schedulers.push(scheduler);
  return scheduler;
}

const whole = async (scheduler: SchedulerProcess): Promise<PublishedView> =>
  await until('three healthy members', WHOLE_MS_MAX, async () => {
    const view = await scheduler.view();
    return view.health.state === 'healthy' && view.health.voters === 3 ? view : null;
  });

const done = async (scheduler: SchedulerProcess): Promise<PublishedView> =>
  await until('the service is uninstalled', GONE_MS_MAX, async () => {
    const view = await scheduler.view();
    return view.uninstall?.done === true ? view : null;
  });

/** What is left of the service in Mesos and on this machine; but for what lies on the agents named. */
async function leftovers(
  mesos: LocalCluster,
  view: PublishedView,
  lost: readonly number[],
): Promise<readonly unknown[]> {
  const gone = new Set(lost.map((index) => mesos.agentId(index)));
  const tasks = [...(await tasksOfMaster(mesos, transport))].filter(([, { agentId }]) => !gone.has(agentId));
  const holdings = [...(await holdingsOfMaster(mesos, transport))].filter(
    ([, { agentId }]) => !gone.has(agentId),
  );
  const volumes = mesos.agents.flatMap(({ directory: work }, index) =>
    lost.includes(index) ? [] : volumesIn(work),
  );
  const cluster_ = view.cluster ?? '';
  return [...tasks, ...holdings, ...volumes, ...taskProcesses(cluster_), ...etcdProcesses(cluster_)];
}

function volumesIn(workDirectory: string): readonly string[] {
  const roles = join(workDirectory, 'volumes', 'roles');
  try {
    // A role with slashes is a folder whose name has them escaped, or several: files of any depth count.
    return readdirSync(roles, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

/** The framework is known to the master no more. */
async function isRegistered(mesos: LocalCluster): Promise<boolean> {
  const response = await fetch(`${mesos.masterUrl}/state`);
  const { frameworks } = (await response.json()) as { frameworks: readonly { name: string }[] };
  return frameworks.some(({ name }) => name === FRAMEWORK);
}

const plan = async (scheduler: SchedulerProcess): Promise<number> =>
  (await fetch(`${scheduler.apiUrl()}/v1/plans/deploy`)).status;

test('by SDK_UNINSTALL, with an agent that is marked gone: as DC/OS does it', async () => {
  const mesos = await startMesos();
  const first = start(mesos, 'files');
  const view = await whole(first);
  expect(await plan(first)).toBe(200);
  await first.stop();
  const lost = mesos.agents.findIndex(({ hostname }) =>
    view.members.some((member) => member.hostname === hostname),
  );
  await mesos.killHost(lost);
  await mesos.markGone(lost);

  const second = start(mesos, 'files', '--uninstall=true');
  await until('it says what it waits for', WHOLE_MS_MAX, async () =>
    (await second.view()).blocked.some(({ code }) => code === 'uninstall-waits'),
  );
  expect(await plan(second)).toBe(202);
  const { cluster: before } = await second.view();
  expect((await fetch(`${second.apiUrl()}/v1/plans/deploy/continue`, { method: 'POST' })).status).toBe(200);
  const end = await done(second);
  expect(await plan(second)).toBe(200);
  expect(end.uninstall?.skipped.join()).toMatch(/the agent is gone/);
  expect(await leftovers(mesos, { ...view, cluster: before }, [lost])).toEqual([]);
  expect(await isRegistered(mesos)).toBe(false);
  expect(
    readdirSync(join(directory, 'files', 'state')).filter((name) => /^(record|.*\.jsonl)$/.test(name)),
  ).toEqual([]);

  // DC/OS may start it once more before it removes it: then it must not register again.
  expect(await second.stop()).toBe(0);
  const third = start(mesos, 'files', '--uninstall=true');
  await done(third);
  expect(await plan(third)).toBe(200);
  expect((await fetch(`${third.apiUrl()}/v1/health`)).status).toBe(200);
  expect(await isRegistered(mesos)).toBe(false);
  await third.stop();

  // And an install after that begins another cluster.
  const fourth = start(mesos, 'files');
  expect((await whole(fourth)).cluster).not.toBe(before);
});

test('by the command, given to a standby, with the state in ZooKeeper and an agent that never comes back', async (context) => {
  if (lacksZooKeeper()) context.skip('ZooKeeper is missing');
  const zk = await startZooKeeper();
  zooKeeper = zk;
  const mesos = await startMesos();
  const token = join(directory, 'token');
  writeFileSync(token, 'a-secret-token\n');
  const state = [
    `--zk-framework-persist=zk://${zk.address}/services`,
    '--zk-session-timeout=4s',
    '--unreachable-timeout=10s',
    `--api-token-file=${token}`,
  ];
  const leader = start(mesos, 'one', ...state);
  const view = await whole(leader);
  const standby = start(mesos, 'two', ...state);
  await until(
    'the standby hands on',
    WHOLE_MS_MAX,
    async () => (await standby.view()).cluster === view.cluster,
  );
  const lost = mesos.agents.findIndex(({ hostname }) =>
    view.members.some((member) => member.hostname === hostname),
  );
  await mesos.killHost(lost);

  const said = await runCli([
    'uninstall',
    '--destroy-data',
    '--no-wait',
    `--token-file=${token}`,
    `--scheduler=${standby.apiUrl()}`,
  ]);
  expect(said).toMatchObject({ code: 0, stderr: '' });
  const end = await done(leader);
  expect(end.uninstall?.skipped.join()).toContain('out of reach');
  expect(await leftovers(mesos, view, [lost])).toEqual([]);
  expect(await isRegistered(mesos)).toBe(false);
  // It leads now, finds that all is given up, and begins nothing.
  await until('the standby says so too', GONE_MS_MAX, async () => (await plan(standby)) === 200);
  expect(await isRegistered(mesos)).toBe(false);
  await Promise.all([leader.stop(), standby.stop()]);
  expect(await nodesIn(zk)).toEqual(['/services', '/zookeeper']);
});

/** All nodes but ZooKeeper's own. */
async function nodesIn(server: ZooKeeperServer): Promise<readonly string[]> {
  const client = createZooKeeper({
    sockets: createSockets(),
    clock,
    random: createSystemRandom(),
    log: silentLogger,
    servers: [{ host: '127.0.0.1', port: server.port }],
    sessionTimeoutMs: 4_000,
  });
  try {
    return await nodesBelow(await client.session(), '/');
  } finally {
    await client.close();
  }
}

async function nodesBelow(session: ZooKeeperSession, path: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await session.children(path)).toSorted()) {
    const child = path === '/' ? `/${name}` : `${path}/${name}`;
    found.push(child, ...(child === '/zookeeper' ? [] : await nodesBelow(session, child)));
  }
  return found;
}
