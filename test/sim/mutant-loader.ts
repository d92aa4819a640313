import { registerHooks } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Edit, MUTANTS } from './mutants.ts';

/*
 * `node --import ./test/sim/mutant-loader.ts …` with SIM_MUTANT set: the sources are read with that bug in them. Every
 * edit must apply exactly once, else the process ends with {@link DOES_NOT_APPLY}.
 */

/** Exit code for a bug that can not be planted any more. */
export const DOES_NOT_APPLY = 3;

const root = path.resolve(import.meta.dirname, '../..');
const name = process.env['SIM_MUTANT'] ?? '';
const mutant = MUTANTS.find((one) => one.name === name);
if (mutant === undefined) giveUp(`there is no mutant ${name}`);
else plant(mutant.edits);

function plant(edits: readonly Edit[]): void {
  const planted = new Set<string>();
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const file = url.startsWith('file:') ? path.relative(root, fileURLToPath(url)) : '';
      const mine = edits.filter((edit) => edit.file === file);
      if (mine.length === 0) return loaded;
      planted.add(file);
      const source = mine.reduce(edited, String(loaded.source));
      return { ...loaded, source };
    },
  });
  process.on('exit', (code) => {
    if (code === DOES_NOT_APPLY) return;
    const missing = edits.filter(({ file }) => !planted.has(file));
    if (missing[0] !== undefined) giveUp(`${missing[0].file} was never loaded`);
  });
}

function edited(source: string, { file, find, replace }: Edit): string {
  const parts = source.split(find);
  if (parts.length !== 2) giveUp(`${file} has it ${parts.length - 1} times: ${find}`);
  return parts.join(replace);
}

function giveUp(why: string): void {
  process.stderr.write(`${name} does not apply: ${why}\n`);
  process.exit(DOES_NOT_APPLY);
}
