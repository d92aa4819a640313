import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ArchivePlace, placeIn, startBenchS3 } from './archive-place.ts';
import { startBenchEtcd } from './bench-etcd.ts';
import { builtProgram } from './built-program.ts';
import type { FullRun } from './full-run.ts';
import { type BenchResult, type Comparison, summarise } from './harness.ts';

const COMPARISONS = {
  fullTime: { name: 'a full of 1 GiB, against etcdctl snapshot save', unit: 's', aim: 1 },
  fullMemory: { name: 'a full of 1 GiB, peak', unit: 'MB', aim: 150, judged: 'value' },
  fullMemoryS3: { name: 'a full of 1 GiB to S3, peak', unit: 'MB', aim: 150, judged: 'value' },
} as const satisfies Readonly<Record<string, Comparison>>;

const execute = promisify(execFile);
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
  const s3 = await startBenchS3();
  const program = await builtProgram('full-run');
  const run = async (place: ArchivePlace): Promise<FullRun> => {
    const { stdout } = await execute(process.execPath, [program, etcd.url, JSON.stringify(place)]);
    return JSON.parse(stdout) as FullRun;
  };
  try {
    const [times, memories, floors]: [number[], number[], number[]] = [[], [], []];
    const [archive, saved] = [join(directory, 'archive'), join(directory, 'saved.db')];
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      note(`full: repeat ${repeat} of ${repeats}`);
      const { seconds, peakMb } = await run({ directory: archive });
      times.push(seconds);
      memories.push(peakMb);
      await rm(archive, { recursive: true });
      const startedMs = performance.now();
      await execute('etcdctl', [`--endpoints=${etcd.url}`, 'snapshot', 'save', saved], {
        env: { ...process.env, ETCDCTL_API: '3' },
      });
      floors.push((performance.now() - startedMs) / 1000);
      await rm(saved);
    }
    note('full: once more, to S3');
    const toS3 = await run(placeIn(s3, 'full'));
    return [
      summarise(COMPARISONS.fullTime, times, floors),
      alone(COMPARISONS.fullMemory, memories),
      alone(COMPARISONS.fullMemoryS3, [toS3.peakMb]),
    ];
  } finally {
    await s3.close();
    await etcd.stop();
  }
}
