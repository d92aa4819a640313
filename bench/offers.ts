import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWorld } from '../test/sim/world.ts';
import { freePorts } from '../test/wait.ts';
import { until } from './by-hand.ts';
import { type Benchmark, type BenchResult, type Comparison, summarise } from './harness.ts';
import { OFFERS, startOffersMaster } from './offers-master.ts';
import { startScheduler, stop } from './scheduler-process.ts';

/** What 10,000 agents' offers cost the scheduler that wants one member, and what it costs them at rest. */
const COMPARISONS = {
  accept: { name: `${OFFERS} offers to the accepted one`, unit: 's', aim: 1, judged: 'value' },
  cpu: { name: `${OFFERS} offers until all are answered`, unit: 'CPU s', aim: 3, judged: 'ratio' },
  memory: { name: `${OFFERS} offers, peak above idle`, unit: 'MB', aim: 150, judged: 'value' },
} as const satisfies Readonly<Record<string, Comparison>>;
type Part = keyof typeof COMPARISONS;

const AT_REST = {
  name: 'ten simulated minutes at rest',
  unit: 'offers',
  aim: 0,
  judged: 'value',
} as const satisfies Comparison;

const FLOOR = join(import.meta.dirname, 'offers-floor.ts');
/** What a process does after its start is over by then. */
const IDLE_MS = 1_500;
const WAIT_MS = 60_000;
const TICKS_A_SECOND = 100;

export const offers: Benchmark = async (repeats, note) => {
  const ours: Record<Part, number[]> = { accept: [], cpu: [], memory: [] };
  const floors: Record<Part, number[]> = { accept: [], cpu: [], memory: [] };
  for (let repeat = 1; repeat <= repeats; repeat += 1) {
    note(`repeat ${repeat} of ${repeats}`);
    // Somewhere else each time, and never at the very end, where a scan would be at its worst.
    const fitting = Math.floor((OFFERS * repeat) / (repeats + 1));
    collect(floors, await measured(fitting, (master) => spawn(process.execPath, [FLOOR, master], QUIET)));
    collect(ours, await measured(fitting, wantsOneMember));
  }
  const rest = await offersAtRest();
  return [
    ...(Object.keys(COMPARISONS) as Part[]).map(
      (part): BenchResult => summarise(COMPARISONS[part], ours[part], floors[part]),
    ),
    summarise(AT_REST, [rest], [0]),
  ];
};

const QUIET = { stdio: 'ignore' } as const;

function collect(into: Record<Part, number[]>, of: Readonly<Record<Part, number>>): void {
  for (const part of Object.keys(of) as Part[]) into[part].push(of[part]);
}

async function measured(
  fitting: number,
  start: (master: string, directory: string, port: number) => ChildProcess,
): Promise<Record<Part, number>> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-bench-'));
  const [port = 0] = await freePorts(1);
  const master = await startOffersMaster(fitting);
  const child = start(master.url, directory, port);
  try {
    await within('the subscription', master.subscribed);
    await until(async () => await isIdle(child.pid ?? 0));
    const before = await usageOf(child.pid ?? 0);
    // The kernel remembers the peak from here on.
    await writeFile(`/proc/${child.pid}/clear_refs`, '5');
    const { acceptMs } = await within('an answer to all offers', master.offer());
    const after = await usageOf(child.pid ?? 0);
    return {
      accept: acceptMs / 1000,
      cpu: after.cpuSeconds - before.cpuSeconds,
      memory: after.peakMb - before.residentMb,
    };
  } finally {
    await stop(child);
    await master.close();
    await rm(directory, { recursive: true, force: true });
  }
}

const wantsOneMember = (master: string, directory: string, port: number): ChildProcess =>
  startScheduler(master, directory, port, ['--cluster-size=1', '--log-level=error']);

/** Fails when it does not come: a benchmark that waits for ever says nothing. */
async function within<T>(what: string, wanted: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`${what} did not come within ${WAIT_MS / 1000} s`)),
    WAIT_MS,
  );
  try {
    return await Promise.race([wanted, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** It has used next to no processor time for a while. */
async function isIdle(pid: number): Promise<boolean> {
  const before = await usageOf(pid);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  return (await usageOf(pid)).cpuSeconds - before.cpuSeconds < 0.05;
}

interface Usage {
  readonly cpuSeconds: number;
  readonly residentMb: number;
  readonly peakMb: number;
}

async function usageOf(pid: number): Promise<Usage> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND,
    residentMb: megabytes('VmRSS'),
    peakMb: megabytes('VmHWM'),
  };
}

/** Offers that reach a scheduler whose cluster is whole, in ten minutes of virtual time. */
async function offersAtRest(): Promise<number> {
  const world = createWorld({ seed: 1, size: 3, hosts: 5, latencyMs: 1, debug: false });
  try {
    world.startScheduler();
    await world.runUntil('the cluster is whole', () => world.unrest().length === 0, 15 * 60_000);
    const before = world.offersReceived();
    await world.run(10 * 60_000);
    return world.offersReceived() - before;
  } finally {
    world.end();
  }
}
