import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Edit, MUTANTS, type Mutant } from './mutants.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Why the bug can not be planted in the sources as they are; empty when it can. */
export function misfits({ edits }: Mutant): readonly string[] {
  return edits.flatMap((edit) => {
    const times = readFileSync(path.join(ROOT, edit.file), 'utf8').split(edit.find).length - 1;
    return times === 1 ? [] : [`${edit.file} has ${times} times: ${edit.find}`];
  });
}

/**
 * Modules that this process loads from now on have the bug in them; so it comes before whatever imports them. Throws
 * when it can not be planted.
 * @returns files that were to be changed and were not loaded.
 */
export function plant(mutant: Mutant): () => readonly string[] {
  const problems = misfits(mutant);
  if (problems.length > 0) throw new Error(`${mutant.name} does not apply: ${problems.join('; ')}`);
  const missing = new Set(mutant.edits.map(({ file }) => file));
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const file = url.startsWith('file:') ? path.relative(ROOT, fileURLToPath(url)) : '';
      const mine = mutant.edits.filter((edit) => edit.file === file);
      if (mine.length === 0) return loaded;
      missing.delete(file);
      return { ...loaded, source: mine.reduce(edited, String(loaded.source)) };
    },
  });
  return () => [...missing];
}

function edited(source: string, { find, replace }: Edit): string {
  return source.split(find).join(replace);
}

/** The planted bug of that name; throws where there is none. */
export function mutantNamed(name: string): Mutant {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`there is no planted bug ${name}`);
  return mutant;
}
