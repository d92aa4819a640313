import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUCKETS, META } from '../src/backup/backend/backend.ts';
import { revisionKey } from '../src/backup/backend/revision-key.ts';
import { sealSnapshot } from '../src/backup/backend/snapshot-file.ts';
import { BoltWriter } from '../src/backup/bolt/writer.ts';
import { createLocalFile } from '../src/runtime/local-file.ts';
import { measureFulls, measureLag } from './archive-stream.ts';
import { keyValue } from './backend-data.ts';
import { restoreOfSnapshots } from './bench-etcd.ts';
import { type Comparison, summarise } from './harness.ts';
import type { Benchmark } from './main.ts';
import type { SpliceRun } from './splice-run.ts';

/** A full with as many keys as fill 500 MiB, and 100,000 events for it. */
const KEYS = 384_000;
/** As many as fill 1 GiB. */
const LARGE_KEYS = 786_000;
const EVENTS = 100_000;
const FULL = '500 MiB';

const COMPARISONS = {
  time: { name: `${EVENTS} events into ${FULL}, against its restore`, unit: 's', aim: 3 },
  memory: { name: `${EVENTS} events into ${FULL}, peak`, unit: 'MB', aim: 300, judged: 'value' },
} as const satisfies Readonly<Record<string, Comparison>>;

const RUN = join(import.meta.dirname, 'splice-run.ts');
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
    const [times, memories, floors]: [number[], number[], number[]] = [[], [], []];
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      note(`repeat ${repeat} of ${repeats}`);
      const { stdout } = await execute(process.execPath, [RUN, full, spliced, String(EVENTS)]);
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
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

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
