import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { MUTANTS, type Mutant } from './mutants.ts';

/** What came of one planted bug. */
export interface Hunt {
  readonly mutant: Mutant;
  /** The first seed that showed it; `null` when none did. */
  readonly seed: number | null;
  /** What was seen, or why it could not be planted. */
  readonly text: string;
}

const MAIN = path.join(import.meta.dirname, 'main.ts');
const LOADER = path.join(import.meta.dirname, 'mutant-loader.ts');
/** Bugs hunted at once. */
const AT_ONCE = 2;

/** Hunts every bug with seeds from 1; tells of each as it is done. */
export async function huntMutants(options: {
  readonly seeds: number;
  /** Only these; default all. */
  readonly names?: readonly string[];
  readonly onHunt: (hunt: Hunt) => void;
}): Promise<readonly Hunt[]> {
  const wanted = MUTANTS.filter(({ name }) => options.names === undefined || options.names.includes(name));
  const left = [...wanted];
  const hunts: Hunt[] = [];
  const worker = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const done = await hunt(mutant, options.seeds);
      hunts.push(done);
      options.onHunt(done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return hunts;
}

async function hunt(mutant: Mutant, seeds: number): Promise<Hunt> {
  const child = spawn(
    process.execPath,
    ['--import', LOADER, MAIN, '--seeds', String(seeds), '--until-failure'],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, SIM_MUTANT: mutant.name } },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  await once(child, 'close');
  const failed = /^FAILED seed +(\d+).*\n(.*)$/m.exec(output);
  if (failed !== null) return { mutant, seed: Number(failed[1]), text: failed[2] ?? '' };
  const last = output.trim().split('\n').at(-1) ?? '';
  const text = child.exitCode === 0 ? `not seen in ${seeds} seeds` : `ended with ${child.exitCode}: ${last}`;
  return { mutant, seed: null, text };
}
