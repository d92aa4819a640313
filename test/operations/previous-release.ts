import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');

/**
 * The last commit of the release before this one: record schema 2, supervisor protocol 1. To be moved, when a release
 * is made, to the last commit of that release; and with it what `src/protocol/` still reads and writes for its sake.
 */
const PREVIOUS_RELEASE = '1385c9dc02a78b3793d1327229a292b8792a1e2c';

export interface PreviousRelease {
  /** Its program, built from its sources. */
  readonly entry: string;
  remove(): void;
}

/** Takes the previous release from the history of these sources and builds it; `null` where there is no history. */
export async function buildPreviousRelease(): Promise<PreviousRelease | null> {
  const git = async (...words: readonly string[]) => await run('git', ['-C', ROOT, ...words]);
  const isKnown = await git('cat-file', '-e', `${PREVIOUS_RELEASE}^{commit}`).then(
    () => true,
    () => false,
  );
  if (!isKnown) return null;
  const directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-previous-'));
  const archive = join(directory, 'sources.tar');
  await git('archive', '--output', archive, PREVIOUS_RELEASE);
  const sources = join(directory, 'sources');
  mkdirSync(sources);
  await run('tar', ['-x', '-f', archive, '-C', sources]);
  symlinkSync(join(ROOT, 'node_modules'), join(sources, 'node_modules'));
  await run(process.execPath, [join(sources, 'scripts/build.ts')]);
  return {
    entry: join(sources, 'dist/etcd-mesos.js'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
