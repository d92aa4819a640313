import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, glob, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { VERSION } from '../src/base/build.ts';
import { BUNDLE } from './bundle.ts';

/*
 * Bundles src/ into dist/: `etcd-mesos.js`, a chunk for each command behind it, and source maps. Everything is
 * inside, so that dist/ runs where there is no node_modules: in a member's sandbox and in an image.
 *
 *     node scripts/build.ts [--force]      without --force nothing is done when dist/ is of these sources
 */

const root = path.resolve(import.meta.dirname, '..');
const outputDirectory = path.join(root, 'dist');
/** Built beside the old one and then put in its place: a failing build leaves what was there. */
const freshDirectory = path.join(root, `.cache/dist-${process.pid}`);

/** What the bytes of dist/ depend on. */
const SOURCES = ['src/**/*.ts', 'package-lock.json', 'scripts/build.ts', 'scripts/bundle.ts'];

/** Commands whose start somebody waits for: what they load is compiled now. */
const WARMED = ['run-member', 'scheduler'];

const id = await buildId();
const isCurrent = (await readBuildId()) === id && !process.argv.includes('--force');
process.stdout.write(`etcd-mesos ${VERSION} build ${id}${isCurrent ? ' is there already' : ''}\n`);
if (!isCurrent) {
  try {
    await bundle();
  } catch {
    // What is wrong was said by esbuild already.
    process.exit(1);
  }
  for (const command of WARMED) warm(command);
}

async function bundle(): Promise<void> {
  await build({
    ...BUNDLE,
    absWorkingDir: root,
    entryPoints: { 'etcd-mesos': 'src/cli/etcd-mesos.ts' },
    outdir: freshDirectory,
    chunkNames: 'chunks/[name]-[hash]',
    sourcemap: true,
    sourcesContent: false,
    define: { __ETCD_MESOS_BUILD__: JSON.stringify(id) },
  });
  await chmod(path.join(freshDirectory, 'etcd-mesos.js'), 0o755);
  await writeFile(
    path.join(freshDirectory, 'package.json'),
    `${JSON.stringify({ name: 'etcd-mesos', version: VERSION, build: id, type: 'module' })}\n`,
  );
  await rm(outputDirectory, { recursive: true, force: true });
  await rename(freshDirectory, outputDirectory);
}

/** The first 12 hex digits of a hash over paths and contents of {@link SOURCES}. */
async function buildId(): Promise<string> {
  const files: string[] = [];
  for await (const file of glob(SOURCES, { cwd: root })) files.push(file);
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const content = await readFile(path.join(root, file));
    hash.update(`${file} ${content.byteLength}\n`).update(content);
  }
  return hash.digest('hex').slice(0, 12);
}

/** The id of what dist/ holds; `null` where it holds nothing whole. */
async function readBuildId(): Promise<string | null> {
  try {
    const parsed: unknown = JSON.parse(await readFile(path.join(outputDirectory, 'package.json'), 'utf8'));
    return (parsed as { build?: string }).build ?? null;
  } catch {
    return null;
  }
}

/**
 * Node keeps the compiled code of what a process has loaded when the process ends. Without options and environment
 * a role loads all it needs, says what it lacks and ends.
 */
function warm(command: string): void {
  spawnSync(process.execPath, [path.join(outputDirectory, 'etcd-mesos.js'), command], {
    env: {},
    stdio: 'ignore',
    timeout: 30_000,
  });
}
