import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createKvClient } from '../src/etcd/client.ts';
import { clock, until } from '../test/wait.ts';
import { placeIn, startBenchS3 } from './archive-place.ts';
import { type BenchEtcd, startBenchEtcd } from './bench-etcd.ts';
import { builtProgram } from './built-program.ts';
import { type BenchResult, type Comparison, summarise } from './harness.ts';
import type { LagTarget } from './lag-run.ts';

/** Writes for one measurement, and how many there are in a second. */
const WRITES = 10_000;
const WRITES_PER_SECOND = 1_000;
const VALUE = 'v'.repeat(1000);

/** What archiving comes to while writes come, to `where`, within `aim` seconds. */
const lagTo = (where: string, aim: number) =>
  ({
    half: { name: `a write to durable in ${where}, median`, unit: 's', aim, judged: 'value' },
    most: { name: `a write to durable in ${where}, p99`, unit: 's', aim, judged: 'value' },
    memory: { name: `archiving to ${where}, peak`, unit: 'MB', aim: 150, judged: 'value' },
  }) as const satisfies Readonly<Record<string, Comparison>>;

/**
 * How long after its acknowledgement a write is durable: in a directory at once, beside what the disk alone takes for
 * that; and in an S3 once a second.
 */
export async function measureLag(
  repeats: number,
  directory: string,
  note: (line: string) => void,
): Promise<readonly BenchResult[]> {
  const s3 = await startBenchS3();
  const s3Target = (name: string): LagTarget => ({ place: placeIn(s3, name), segmentMs: 1000 });
  const directoryTarget = (name: string): LagTarget => ({
    place: { directory: join(directory, name) },
    segmentMs: 0,
  });
  const etcd = await startBenchEtcd(directory, null);
  const program = await builtProgram('lag-run');
  const [ours, floors, oursInS3]: [Lags[], Lags[], Lags[]] = [[], [], []];
  try {
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      note(`lag: repeat ${repeat} of ${repeats}`);
      const name = `lag-${repeat}`;
      ours.push(await lagsOf(program, etcd, directoryTarget(name)));
      floors.push(await floorLags(etcd, join(directory, `${name}.floor`)));
      oursInS3.push(await lagsOf(program, etcd, s3Target(name)));
    }
  } finally {
    await etcd.stop();
    await s3.close();
  }
  const none = floors.map(() => ({ lagsMs: [0], peakMb: 0 }));
  return [
    ...summariesOf(lagTo('a directory', 0.05), ours, floors),
    ...summariesOf(lagTo('S3, segments of 1 s', 1.2), oursInS3, none),
  ];
}

/** Of one measurement, a lag for each write. */
interface Lags {
  readonly lagsMs: readonly number[];
  readonly peakMb: number;
}

function summariesOf(
  of: ReturnType<typeof lagTo>,
  ours: readonly Lags[],
  floors: readonly Lags[],
): readonly BenchResult[] {
  const part = (among: readonly Lags[], share: number) =>
    among.map(({ lagsMs }) => {
      const sorted = lagsMs.toSorted((left, right) => left - right);
      return (sorted[Math.floor(sorted.length * share)] ?? Number.NaN) / 1000;
    });
  const peaks = (among: readonly Lags[]) => among.map(({ peakMb }) => peakMb);
  return [
    summarise(of.half, part(ours, 0.5), part(floors, 0.5)),
    summarise(of.most, part(ours, 0.99), part(floors, 0.99)),
    summarise(of.memory, peaks(ours), peaks(floors)),
  ];
}

async function lagsOf(program: string, etcd: BenchEtcd, target: LagTarget): Promise<Lags> {
  const archiver = spawn(process.execPath, [program, etcd.url, JSON.stringify(target)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => archiver.once('close', resolve));
  /** Revisions whose write was acknowledged and that are not durable yet, with when that was. */
  const acknowledged = new Map<bigint, number>();
  const lagsMs: number[] = [];
  let durable = 0n;
  let peakMb = Number.NaN;
  createInterface({ input: archiver.stdout }).on('line', (line) => {
    const [word = '', value = ''] = line.split(' ');
    if (word === 'peak') {
      peakMb = Number(value);
      return;
    }
    durable = BigInt(word);
    for (const [revision, atMs] of acknowledged) {
      if (revision > durable) continue;
      acknowledged.delete(revision);
      lagsMs.push(Math.max(0, Number(value) - atMs));
    }
  });
  try {
    await until('the archive is followed', 30_000, () => durable > 0n);
    await writeSteadily(etcd, (revision) => {
      // Durable before the answer had come to us: there was nothing to wait for.
      if (revision <= durable) lagsMs.push(0);
      else acknowledged.set(revision, performance.timeOrigin + performance.now());
    });
    await until('all is durable', 60_000, () => lagsMs.length === WRITES);
    archiver.kill('SIGTERM');
    await ended;
    return { lagsMs, peakMb };
  } finally {
    archiver.kill('SIGKILL');
    await ended;
  }
}

/** The same writes, each added to a file when it was acknowledged, and synced with all that have come meanwhile. */
async function floorLags(etcd: BenchEtcd, path: string): Promise<Lags> {
  const file = await open(path, 'ax');
  const lagsMs: number[] = [];
  let waiting: number[] = [];
  let isSyncing = false;
  const sync = async (): Promise<void> => {
    if (isSyncing) return;
    isSyncing = true;
    while (waiting.length > 0) {
      const taken = waiting;
      waiting = [];
      await file.appendFile(VALUE.repeat(taken.length));
      await file.datasync();
      const atMs = performance.now();
      for (const sinceMs of taken) lagsMs.push(atMs - sinceMs);
    }
    isSyncing = false;
  };
  try {
    await writeSteadily(etcd, () => {
      waiting.push(performance.now());
      void sync();
    });
    await until('all is durable', 60_000, () => lagsMs.length === WRITES);
    return { lagsMs, peakMb: 0 };
  } finally {
    await file.close();
  }
}

/** Writes to etcd in even steps, whether it answers or not, and tells of each answer. */
async function writeSteadily(etcd: BenchEtcd, onAcknowledged: (revision: bigint) => void): Promise<void> {
  const kv = createKvClient({ url: etcd.url }, clock);
  const never = new AbortController().signal;
  const beganMs = performance.now();
  const writes: Promise<void>[] = [];
  try {
    for (let at = 0; at < WRITES; at += 1) {
      const earlyMs = beganMs + (at * 1000) / WRITES_PER_SECOND - performance.now();
      if (earlyMs > 0) await clock.sleep(earlyMs);
      const put = kv.put(`lag/${at % 1000}`, VALUE, never);
      writes.push(put.then(({ revision }) => onAcknowledged(BigInt(revision))));
    }
    await Promise.all(writes);
  } finally {
    kv.close();
  }
}
