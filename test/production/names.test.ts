import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, type TestContext } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { etcdProcesses, readRecord } from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from '../e2e/scheduler-process.ts';
import { agentNames, smallAgents } from '../e2e/small-agents.ts';
import { lacks, skipUnless, skipWithout } from '../needs.ts';
import { freePorts, until } from '../wait.ts';
import { type DnsRecords, mesosDnsRecords } from './mesos-dns.ts';
import { canResolveApart, runApart, spawnApart, startNameServer } from './resolver.ts';

/** What Mesos-DNS would tell of a cluster, and whether etcd's own programs find it by that. */

const SIZE = 3;
const WHOLE_MS_MAX = 120_000;
const SEEN_MS_MAX = 60_000;

let directory = '';
let cluster: LocalCluster;
let close: (() => Promise<unknown>)[] = [];
/** What Mesos-DNS knows: what it saw at its last look. */
let records: DnsRecords = { a: new Map(), srv: new Map() };

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-names-'));
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(agentNames(SIZE, '.example')),
  });
  close = [() => cluster.close()];
});
afterEach(async ({ task }) => {
  for (const end of close.toReversed()) await end();
  if (task.result?.state === 'fail') console.log(`what was left is in ${directory}`);
  else rmSync(directory, { recursive: true, force: true });
});

async function look(): Promise<DnsRecords> {
  records = mesosDnsRecords(await (await fetch(`${cluster.masterUrl}/state`)).json());
  return records;
}
const portsOf = async (name: string): Promise<number[]> =>
  ((await look()).srv.get(name) ?? []).map(({ port }) => port).toSorted((a, b) => a - b);
const sorted = (ports: readonly (number | undefined)[]) => ports.toSorted((a = 0, b = 0) => a - b);

function startFramework(name: string): SchedulerProcess {
  const scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory: join(directory, 'scheduler'),
    args: [
      ...['--framework-name', name, '--cluster-size', String(SIZE), '--artifact', 'checkout'],
      ...['--cpus', '0.1', '--mem', '256', '--disk', '1024'],
    ],
  });
  close.push(() => scheduler.stop());
  return scheduler;
}

async function whole(scheduler: SchedulerProcess) {
  return await until('every member with its name', WHOLE_MS_MAX, async () => {
    const view = await scheduler.view();
    const named = view.members.filter(({ nameTask }) => nameTask?.mesosState === 'TASK_RUNNING');
    return view.health.state === 'healthy' && named.length === SIZE && view;
  });
}

it.for([
  ['etcd', 'etcd.mesos'],
  ['/prod/k8s-a/etcd', 'prodk8s-aetcd.mesos'],
] as const)('%s is found by its names, by etcd’s gateway too', async ([name, domain], context) => {
  skipWithout(context, 'etcdctl');
  const { members } = await whole(startFramework(name));
  expect(await portsOf(`_etcd-server._tcp.${domain}`)).toEqual(
    sorted(members.map(({ ports }) => ports?.peer)),
  );
  const clients = sorted(members.map(({ ports }) => ports?.client));
  expect(await portsOf(`_etcd-client._tcp.${domain}`)).toEqual(clients);
  // The scheduler answers by the framework's name.
  expect(records.a.get(domain)).toEqual(['127.0.0.1']);
  for (const { target } of records.srv.get(`_etcd-client._tcp.${domain}`) ?? []) {
    expect(records.a.get(target)).toEqual(['127.0.0.1']);
  }

  skipUnless(context, await canResolveApart(), 'a mount namespace and port 53');
  const server = await startNameServer(() => records);
  close.push(() => server.close());
  const [port = 0] = await freePorts(1);
  const listen = `127.0.0.1:${port}`;
  const gateway = spawnApart(server, directory, [
    'etcd',
    ...['gateway', 'start', `--discovery-srv=${domain}`, '--insecure-discovery', `--listen-addr=${listen}`],
  ]);
  close.push(() => endOf(gateway));
  const etcdctl = (...args: readonly string[]) =>
    runApart(server, directory, ['etcdctl', '--dial-timeout=2s', '--command-timeout=5s', ...args]);
  await until('a write through the gateway', SEEN_MS_MAX, () => {
    if (gateway.exitCode !== null) throw new Error(`the gateway ended with ${gateway.exitCode}`);
    return etcdctl(`--endpoints=${listen}`, 'put', 'name', name);
  });
  expect(await etcdctl(`--endpoints=${listen}`, 'get', 'name', '--print-value-only')).toBe(`${name}\n`);
  expect(server.asked).toContain(`SRV _etcd-client._tcp.${domain}`);
  const found = await etcdctl(
    `--discovery-srv=${domain}`,
    '--insecure-discovery',
    'get',
    'name',
    '--print-value-only',
  );
  expect(found).toBe(`${name}\n`);
});

/** Only an etcd before 3.6 looks for servers without being one. */
const ETCD_HAS_PROXY = lacks('etcd')
  ? false
  : execFileSync('etcd', ['--help'], { encoding: 'utf8', stdio: 'pipe' }).includes('--proxy ');
if (ETCD_HAS_PROXY) it('etcd looks peers up by the name of servers', looksPeersUp);

async function looksPeersUp(context: TestContext): Promise<void> {
  skipUnless(context, await canResolveApart(), 'a mount namespace and port 53');
  await whole(startFramework('etcd'));
  const targets = ((await look()).srv.get('_etcd-server._tcp.etcd.mesos') ?? []).map(({ target }) => target);
  expect(targets).toHaveLength(SIZE);
  const server = await startNameServer(() => records);
  close.push(() => server.close());
  const [port = 0] = await freePorts(1);
  const proxy = spawnApart(server, directory, [
    'etcd',
    ...['--proxy', 'on', '--discovery-srv=etcd.mesos', '--data-dir', join(directory, 'proxy')],
    ...['--listen-client-urls', `http://127.0.0.1:${port}`],
  ]);
  close.push(() => endOf(proxy));
  // What it makes of them is no matter: some releases insist on servers with TLS beside them.
  await until('every peer is looked up', SEEN_MS_MAX, () =>
    ['SRV _etcd-server._tcp.etcd.mesos', ...targets.map((target) => `A ${target}`)].every((question) =>
      server.asked.includes(question),
    ),
  );
}

it('a member that does not serve has no client name, and gets it back', async () => {
  const scheduler = startFramework('etcd');
  const before = await whole(scheduler);
  const clients = await portsOf('_etcd-client._tcp.etcd.mesos');
  const servers = await portsOf('_etcd-server._tcp.etcd.mesos');
  const victim = before.members.find(({ leader }) => !leader);
  const { cluster: id } = readRecord(stateOf(join(directory, 'scheduler')));
  const pid = etcdProcesses(id).find(({ seat }) => seat === victim?.seat)?.pid ?? 0;
  // Its port still accepts connections: nobody but its supervisor can tell.
  process.kill(pid, 'SIGSTOP');
  try {
    await until('the name is withdrawn', SEEN_MS_MAX, async () => {
      const left = await portsOf('_etcd-client._tcp.etcd.mesos');
      return left.length === SIZE - 1 && !left.includes(victim?.ports?.client ?? 0);
    });
    expect(await portsOf('_etcd-server._tcp.etcd.mesos')).toEqual(servers);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const after = await whole(scheduler);
  expect(await portsOf('_etcd-client._tcp.etcd.mesos')).toEqual(clients);
  const lives = (view: typeof after) =>
    view.members.map(({ slot, task, memberId }) => ({ slot, task, memberId }));
  expect(lives(after)).toEqual(lives(before));
});

it('a name outlives a scheduler that is away, and not its member', async () => {
  const scheduler = startFramework('etcd');
  await whole(scheduler);
  await scheduler.stop();
  const { seats } = readRecord(stateOf(join(directory, 'scheduler')));
  const [gone, ...others] = seats;
  const supervisor = cluster
    .tasks(cluster.agents.findIndex(({ hostname }) => hostname === gone?.hostname))
    .find(({ taskId }) => taskId === gone?.task);
  process.kill(supervisor?.taskPid ?? 0, 'SIGKILL');
  const left = sorted(others.map(({ ports }) => ports.client));
  // It bears some looks that fail, which takes most of a minute on a busy machine.
  await until('the name ends by itself', 2 * SEEN_MS_MAX, async () => {
    return JSON.stringify(await portsOf('_etcd-client._tcp.etcd.mesos')) === JSON.stringify(left);
  });
  expect(readFileSync(join(directory, 'scheduler/scheduler.log'), 'utf8')).not.toContain('withdrawn');
});

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'close');
}
