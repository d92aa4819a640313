import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEtcdVersion } from '../src/etcd/versions.ts';
import type { LocalCluster } from '../src/local/local-cluster.ts';
import { identify, isAlive } from '../src/local/process-table.ts';
import { type MemberStatus, memberStatusSchema } from '../src/protocol/member-status.ts';
import { type PublishedMember, type PublishedView, publishedViewSchema } from '../src/protocol/view.ts';
import { findEtcdProgram } from '../src/runtime/etcd-program.ts';
import { startLocalCluster } from '../src/runtime/local.ts';
import { freePorts } from '../test/wait.ts';
import { createHandCluster, until, untilServes } from './by-hand.ts';
import { type Benchmark, type BenchResult, type Comparison, summarise } from './harness.ts';
import { PROGRAM, startScheduler, stop } from './scheduler-process.ts';

/** A cluster from nothing and its repairs, against a practised operator's hands with the same etcd. */
const COMPARISONS = {
  deploy: { name: 'scheduler start to three healthy voters', unit: 's', aim: 1.5 },
  etcd: { name: 'etcd SIGKILL to healthy', unit: 's', aim: 1.3 },
  supervisor: { name: 'supervisor SIGKILL to healthy', unit: 's', aim: 2 },
  agent: { name: 'agent marked gone to three voters', unit: 's', aim: 1.5 },
} as const satisfies Readonly<Record<string, Comparison>>;
type Part = keyof typeof COMPARISONS;

/** Neither run of a pair may profit from the five seconds that etcd wants its members to be connected. */
const SETTLE_MS = 5_500;

export const deployRepair: Benchmark = async (repeats, note) => {
  const etcd = await findEtcdProgram('etcd');
  const ours: Record<Part, number[]> = { deploy: [], etcd: [], supervisor: [], agent: [] };
  const floors: Record<Part, number[]> = { deploy: [], etcd: [], supervisor: [], agent: [] };
  const record = (into: Record<Part, number[]>, seconds: Readonly<Record<Part, number>>): void => {
    for (const part of Object.keys(seconds) as Part[]) into[part].push(seconds[part]);
  };
  for (let repeat = 1; repeat <= repeats; repeat += 1) {
    note(`repeat ${repeat} of ${repeats}: by hand`);
    record(
      floors,
      await byHand({ binary: etcd.path, version: parseEtcdVersion(`etcd Version: ${etcd.version}`) }),
    );
    note(`repeat ${repeat} of ${repeats}: by the scheduler`);
    record(ours, await byScheduler());
  }
  return (Object.keys(COMPARISONS) as Part[]).map(
    (part): BenchResult => summarise(COMPARISONS[part], ours[part], floors[part]),
  );
};

async function byHand(etcd: Parameters<typeof createHandCluster>[0]): Promise<Record<Part, number>> {
  const hand = await createHandCluster(etcd);
  try {
    const deploy = await seconds(() => hand.bootstrap());
    await settle();
    const follower = await hand.follower();
    await hand.kill(follower);
    const restart = await seconds(() => hand.restart(follower));
    await settle();
    const victim = await hand.follower();
    await hand.kill(victim);
    const replace = await seconds(() => hand.replace(victim));
    return { deploy, etcd: restart, supervisor: restart, agent: replace };
  } finally {
    await hand.close();
  }
}

async function byScheduler(): Promise<Record<Part, number>> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-bench-'));
  const agents = [1, 2, 3, 4].map((index) => ({
    hostname: `agent-${index}`,
    cpus: 4,
    memMb: 4096,
    diskMb: 20_480,
  }));
  const mesos = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents,
    program: [process.execPath, PROGRAM],
  });
  const [port = 0] = await freePorts(1);
  const api = `http://127.0.0.1:${port}`;
  let scheduler: ChildProcess | null = null;
  try {
    const deploy = await seconds(async () => {
      scheduler = startScheduler(mesos.masterUrl, directory, port, ['--cpus=0.5', '--mem=512']);
      const urls = await clientUrls(api);
      await Promise.all(urls.map(untilServes));
    });
    await settle();
    const etcd = await repair(api, async (member, status) => {
      process.kill(status.etcd?.pid ?? 0, 'SIGKILL');
      return async () => untilServes(clientUrl(member));
    });
    await settle();
    const supervisor = await repair(api, async (member, status) => {
      const etcd = identify(status.etcd?.pid ?? 0);
      process.kill(supervisorPid(mesos, member), 'SIGKILL');
      return async () => {
        // Its etcd dies with it, a moment later: until then it would be taken for the new one.
        await until(async () => etcd === null || !isAlive(etcd));
        await untilServes(clientUrl(member));
      };
    });
    await settle();
    const agent = await repair(api, async (member) => {
      const index = mesos.agents.findIndex((one) => one.hostname === member.hostname);
      await mesos.killHost(index);
      mesos.wipe(index);
      return async () => {
        await mesos.markGone(index);
        await until(async () => {
          const next = (await view(api)).members.find(
            (one) => one.slot === member.slot && one.role === 'voter',
          );
          if (next === undefined || next.memberId === member.memberId) return false;
          await untilServes(clientUrl(next));
          return true;
        });
      };
    });
    return { deploy, etcd, supervisor, agent };
  } finally {
    await stop(scheduler);
    await mesos.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Strikes a follower; the clock runs from when the blow is dealt until what `strike` returns is done. */
async function repair(
  api: string,
  strike: (member: PublishedMember, status: MemberStatus) => Promise<() => Promise<void>>,
): Promise<number> {
  const member = (await view(api)).members.find((one) => one.role === 'voter' && !one.leader);
  if (member === undefined) throw new Error('no follower is listed');
  const url = `http://${member.host}:${member.ports?.supervisor ?? 0}/v1/status`;
  const status = memberStatusSchema.parse(await fetchJson(url));
  const healed = await strike(member, status);
  return await seconds(healed);
}

async function clientUrls(api: string): Promise<string[]> {
  let urls: string[] = [];
  await until(async () => {
    urls = (await view(api)).endpoints.client;
    return urls.length === 3;
  });
  return urls;
}

function supervisorPid(mesos: LocalCluster, member: PublishedMember): number {
  const index = mesos.agents.findIndex((one) => one.hostname === member.hostname);
  const pid = mesos.tasks(index).find((task) => task.taskId === member.task)?.taskPid;
  if (pid == null) throw new Error(`the process of ${member.task} is not known`);
  return pid;
}

const clientUrl = (member: PublishedMember): string => `http://${member.host}:${member.ports?.client ?? 0}`;

async function view(api: string): Promise<PublishedView> {
  return publishedViewSchema.parse(await fetchJson(`${api}/v1/view`));
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  return await response.json();
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}
