import { execFile, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { createKvClient } from '../src/etcd/client.ts';
import { clock, until } from '../test/wait.ts';
import { type BenchEtcd, startBenchEtcd } from './bench-etcd.ts';
import type { FullRun } from './full-run.ts';
import { type BenchResult, type Comparison, summarise } from './harness.ts';

/** Writes for one measurement of the lag, and how many there are in a second. */
const WRITES = 10_000;
const WRITES_PER_SECOND = 1_000;

const COMPARISONS = {
  fullTime: { name: 'a full of 1 GiB, against etcdctl snapshot save', unit: 's', aim: 1 },
  fullMemory: { name: 'a full of 1 GiB, peak', unit: 'MB', aim: 150, judged: 'value' },
  half: { name: 'write to durable at 1,000 a second, median', unit: 's', aim: 0.05, judged: 'value' },
  most: { name: 'write to durable at 1,000 a second, p99', unit: 's', aim: 0.05, judged: 'value' },
  memory: { name: 'archiving 1,000 writes a second, peak', unit: 'MB', aim: 150, judged: 'value' },
} as const satisfies Readonly<Record<string, Comparison>>;

const execute = promisify(execFile);
const program = (name: string): string => join(import.meta.dirname, name);
const alone = (comparison: Comparison, values: readonly number[]): BenchResult =>
  summarise(
    comparison,
    values,
    values.map(() => 0),
  );

/** Fulls in a process of their own against etcd's own `snapshot save` to the same disk. */
export async function measureFulls(
  repeats: number,
  directory: string,
  snapshot: string,
  note: (line: string) => void,
): Promise<readonly BenchResult[]> {
  const etcd = await startBenchEtcd(directory, snapshot);
  try {
    const [times, memories, floors]: [number[], number[], number[]] = [[], [], []];
    const [archive, saved] = [join(directory, 'archive'), join(directory, 'saved.db')];
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      note(`full: repeat ${repeat} of ${repeats}`);
      const { stdout } = await execute(process.execPath, [program('full-run.ts'), etcd.url, archive]);
      const run = JSON.parse(stdout) as FullRun;
      times.push(run.seconds);
      memories.push(run.peakMb);
      await rm(archive, { recursive: true });
      const startedMs = performance.now();
      await execute('etcdctl', [`--endpoints=${etcd.url}`, 'snapshot', 'save', saved], {
        env: { ...process.env, ETCDCTL_API: '3' },
      });
      floors.push((performance.now() - startedMs) / 1000);
      await rm(saved);
    }
    return [summarise(COMPARISONS.fullTime, times, floors), alone(COMPARISONS.fullMemory, memories)];
  } finally {
    await etcd.stop();
  }
}

/** How long after its acknowledgement a write is durable in a directory that is written continuously. */
export async function measureLag(
  repeats: number,
  directory: string,
  note: (line: string) => void,
): Promise<readonly BenchResult[]> {
  const etcd = await startBenchEtcd(directory, null);
  try {
    const [medians, p99s, memories]: [number[], number[], number[]] = [[], [], []];
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      note(`lag: repeat ${repeat} of ${repeats}`);
      const { lagsMs, peakMb } = await lagsOf(etcd, join(directory, `lag-${repeat}`));
      const sorted = lagsMs.toSorted((left, right) => left - right);
      medians.push((sorted[Math.floor(sorted.length / 2)] ?? Number.NaN) / 1000);
      p99s.push((sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN) / 1000);
      memories.push(peakMb);
    }
    return [
      alone(COMPARISONS.half, medians),
      alone(COMPARISONS.most, p99s),
      alone(COMPARISONS.memory, memories),
    ];
  } finally {
    await etcd.stop();
  }
}

async function lagsOf(
  etcd: BenchEtcd,
  archive: string,
): Promise<{ readonly lagsMs: readonly number[]; readonly peakMb: number }> {
  const archiver = spawn(process.execPath, [program('lag-run.ts'), etcd.url, archive], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => archiver.once('close', resolve));
  /** Revisions whose write was acknowledged and that are not durable yet, with when that was. */
  const acknowledged = new Map<bigint, number>();
  const lagsMs: number[] = [];
  let durable = 0n;
  let durableAtMs = 0;
  let peakMb = Number.NaN;
  createInterface({ input: archiver.stdout }).on('line', (line) => {
    const [word = '', value = ''] = line.split(' ');
    if (word === 'peak') {
      peakMb = Number(value);
      return;
    }
    [durable, durableAtMs] = [BigInt(word), Number(value)];
    for (const [revision, atMs] of acknowledged) {
      if (revision > durable) continue;
      acknowledged.delete(revision);
      lagsMs.push(Math.max(0, durableAtMs - atMs));
    }
  });
  const kv = createKvClient({ url: etcd.url }, clock);
  const never = new AbortController().signal;
  try {
    await until('the archive is followed', 30_000, () => durable > 0n);
    const value = 'v'.repeat(1000);
    const beganMs = performance.now();
    const writes: Promise<void>[] = [];
    for (let at = 0; at < WRITES; at += 1) {
      const lateMs = beganMs + (at * 1000) / WRITES_PER_SECOND - performance.now();
      if (lateMs > 0) await clock.sleep(lateMs);
      writes.push(
        kv.put(`lag/${at % 1000}`, value, never).then(({ revision }) => {
          const number = BigInt(revision);
          // Durable before the answer had come to us: there was nothing to wait for.
          if (number <= durable) lagsMs.push(0);
          else acknowledged.set(number, performance.timeOrigin + performance.now());
        }),
      );
    }
    await Promise.all(writes);
    await until('all is durable', 60_000, () => lagsMs.length === WRITES);
    archiver.kill('SIGTERM');
    await ended;
    return { lagsMs, peakMb };
  } finally {
    kv.close();
    archiver.kill('SIGKILL');
    await ended;
  }
}
