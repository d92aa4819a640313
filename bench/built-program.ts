import { join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE } from '../scripts/bundle.ts';

const BUILT = join(import.meta.dirname, '../.cache/bench');

/**
 * Bundles a program of this directory, since what node does to run TypeScript takes memory of its own, and has it begin
 * as the real one does. Resolves with its path.
 */
export async function builtProgram(name: string): Promise<string> {
  await build({
    ...BUNDLE,
    entryPoints: { program: join(import.meta.dirname, `${name}.ts`) },
    inject: [join(import.meta.dirname, 'as-started.ts')],
    outdir: join(BUILT, name),
    outExtension: { '.js': '.mjs' },
  });
  return join(BUILT, name, 'program.mjs');
}
