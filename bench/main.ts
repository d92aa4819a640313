import { type BenchResult, print, REPEATS_MIN } from './harness.ts';

/** `npm run bench -- NAME [--json] [--repeats N]` */
const BENCHMARKS: Readonly<Record<string, () => Promise<Benchmark>>> = {
  'deploy-repair': async () => (await import('./deploy-repair.ts')).deployRepair,
};

/** Says what it is doing through `note`; `repeats` is at least {@link REPEATS_MIN}. */
export type Benchmark = (repeats: number, note: (line: string) => void) => Promise<readonly BenchResult[]>;

const words = process.argv.slice(2);
const json = words.includes('--json');
const name = words.find((word) => !word.startsWith('--') && word !== words[words.indexOf('--repeats') + 1]);
const load = name === undefined ? undefined : BENCHMARKS[name];
const repeats = words.includes('--repeats') ? Number(words[words.indexOf('--repeats') + 1]) : REPEATS_MIN;
if (load === undefined || !Number.isInteger(repeats) || repeats < REPEATS_MIN) {
  process.stderr.write(
    `usage: npm run bench -- NAME [--json] [--repeats N]\n` +
      `NAME is one of ${Object.keys(BENCHMARKS).join(', ')}; N is at least ${REPEATS_MIN}.\n`,
  );
  process.exit(2);
}
const benchmark = await load();
print(await benchmark(repeats, (line) => process.stderr.write(`${line}\n`)), json);
