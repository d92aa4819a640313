import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUCKETS, META } from '../src/backup/backend/backend.ts';
import { revisionKey } from '../src/backup/backend/revision-key.ts';
import { sealSnapshot } from '../src/backup/backend/snapshot-file.ts';
import { BoltWriter } from '../src/backup/bolt/writer.ts';
import { replay } from '../src/backup/replay.ts';
import { createReplayClient } from '../src/etcd/replay-client.ts';
import { createLocalFile } from '../src/runtime/local-file.ts';
import { clock } from '../test/wait.ts';
import { measureFulls } from './archive-fulls.ts';
import { measureLag } from './archive-lag.ts';
import { batchesAfter, keyValue } from './backend-data.ts';
import { restoreOfSnapshots, startBenchEtcd } from './bench-etcd.ts';
import { builtProgram } from './built-program.ts';
import { type Benchmark, type Comparison, summarise } from './harness.ts';
import type { SpliceRun } from './splice-run.ts';

/** A full with as many keys as fill 500 MiB, and 100,000 events for it. */
const KEYS = 384_000;
/** As many as fill 1 GiB. */
const LARGE_KEYS = 786_000;
const EVENTS = 100_000;
const FULL = '500 MiB';
const REPLAY_MS_MAX = 20 * 60_000;

const COMPARISONS = {
  time: { name: `${EVENTS} events into ${FULL}, against its restore`, unit: 's', aim: 3 },
  memory: { name: `${EVENTS} events into ${FULL}, peak`, unit: 'MB', aim: 300, judged: 'value' },
  replay: { name: `${EVENTS} events replayed, against their splice`, unit: 's', aim: 20 },
} as const satisfies Readonly<Record<string, Comparison>>;

const execute = promisify(execFile);

/** Fulls, the lag of the log, and splices, each against what etcd's own tools take where they do the same. */
export const archive: Benchmark = async (repeats, note) => {
  const restore = restoreOfSnapshots();
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-bench-'));
  try {
    const [full, spliced, data] = ['full.db', 'spliced.db', 'data'].map((name) => join(directory, name));
    if (full === undefined || spliced === undefined || data === undefined) throw new Error('three paths');
    note(`writing a full of ${FULL}`);
    await writeFull(full, KEYS);
    const program = await builtProgram('splice-run');
    const [times, memories, floors]: [number[], number[], number[]] = [[], [], []];
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      note(`repeat ${repeat} of ${repeats}`);
      const { stdout } = await execute(process.execPath, [program, full, spliced, String(EVENTS)]);
      const run = JSON.parse(stdout) as SpliceRun;
      times.push(run.seconds);
      memories.push(run.peakMb);
      const startedMs = performance.now();
      await execute(restore, ['snapshot', 'restore', spliced, `--data-dir=${data}`], {
        env: { ETCDCTL_API: '3' },
        cwd: directory,
      });
      floors.push((performance.now() - startedMs) / 1000);
      for (const path of [spliced, data]) await rm(path, { recursive: true });
    }
    note('a replay of the same events, once');
    const replayed = await secondsOfReplay(directory, full);
    await rm(full);
    const [large, ofFulls, ofLag] = ['large.db', 'fulls', 'lag'].map((name) => join(directory, name));
    if (large === undefined || ofFulls === undefined || ofLag === undefined) throw new Error('three paths');
    for (const made of [ofFulls, ofLag]) await mkdir(made);
    note('writing a full of 1 GiB');
    await writeFull(large, LARGE_KEYS);
    return [
      ...(await measureFulls(repeats, ofFulls, large, note)),
      ...(await measureLag(repeats, ofLag, note)),
      summarise(COMPARISONS.time, times, floors),
      summarise(
        COMPARISONS.memory,
        memories,
        memories.map(() => 0),
      ),
      summarise(COMPARISONS.replay, [replayed], times),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

/** How long the slow way takes, in which an etcd is started on the full and all is written into it again. */
async function secondsOfReplay(directory: string, full: string): Promise<number> {
  const startedMs = performance.now();
  const etcd = await startBenchEtcd(directory, full, ['--unsafe-no-fsync']);
  const client = createReplayClient({ url: etcd.url }, clock);
  const signal = AbortSignal.timeout(REPLAY_MS_MAX);
  try {
    const after = BigInt(KEYS + 1);
    const to = after + BigInt(EVENTS);
    await replay(client, batchesAfter(after, EVENTS), { after, to, times: new Map(), signal });
    return (performance.now() - startedMs) / 1000;
  } finally {
    client.close();
    await etcd.stop();
    await rm(join(directory, 'etcd'), { recursive: true });
  }
}

async function writeFull(path: string, keys: number): Promise<void> {
  const file = await createLocalFile(path);
  const writer = new BoltWriter(file, 4096);
  writer.begin(BUCKETS.key);
  for (let index = 0; index < keys; index += 1) {
    const revision = BigInt(index + 2);
    writer.append(revisionKey(revision, 0, false), keyValue(index, revision, 1n));
    await writer.drain();
  }
  writer.begin(BUCKETS.meta);
  writer.append(META.consistentIndex, Buffer.alloc(8, 1));
  await writer.finish();
  await sealSnapshot(file);
  await file.sync();
  await file.close();
}
