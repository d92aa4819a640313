import { parseArgs } from 'node:util';
import { type Benchmark, print, REPEATS_MIN } from './harness.ts';

/** `npm run bench -- NAME [--json] [--repeats N]` */
const BENCHMARKS: Readonly<Record<string, () => Promise<Benchmark>>> = {
  archive: async () => (await import('./archive.ts')).archive,
  'deploy-repair': async () => (await import('./deploy-repair.ts')).deployRepair,
  offers: async () => (await import('./offers.ts')).offers,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    repeats: { type: 'string', default: `${REPEATS_MIN}` },
  },
});
const load = BENCHMARKS[positionals[0] ?? ''];
const repeats = Number(values.repeats);
if (load === undefined || !Number.isInteger(repeats) || repeats < REPEATS_MIN) {
  process.stderr.write(
    `usage: npm run bench -- NAME [--json] [--repeats N]\n` +
      `NAME is one of ${Object.keys(BENCHMARKS).join(', ')}; N is at least ${REPEATS_MIN}.\n`,
  );
  process.exit(2);
}
const benchmark = await load();
print(await benchmark(repeats, (line) => process.stderr.write(`${line}\n`)), values.json);
