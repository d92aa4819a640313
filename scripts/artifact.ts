import path from 'node:path';
import { parseArgs } from 'node:util';
import { describeError } from '../src/base/errors.ts';
import { buildArtifact } from '../src/runtime/artifact.ts';

/*
 * Packs what a member's task brings, from dist/ as it is:
 *
 *     npm run artifact -- [--output DIR] [--etcd PATH] [--etcdctl PATH] [--node PATH]
 *
 * Prints the archive's path, size and sha256, and the versions inside.
 */
const { values } = parseArgs({
  options: {
    output: { type: 'string', default: path.resolve(import.meta.dirname, '../.cache/artifacts') },
    etcd: { type: 'string' },
    etcdctl: { type: 'string' },
    node: { type: 'string' },
  },
});
try {
  const { output, ...parts } = values;
  process.stdout.write(
    `${JSON.stringify(await buildArtifact({ cacheDirectory: output, ...parts }), null, 2)}\n`,
  );
} catch (error) {
  const hint = (error as { hint?: string }).hint;
  process.stderr.write(`${describeError(error)}${hint === undefined ? '' : `\n${hint}`}\n`);
  process.exitCode = 1;
}
