import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { constants, copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/*
 * The archives that members were launched from, which this machine has: a seat keeps what it was launched with, so
 * they are served for as long as they lie here. Nothing is ever removed.
 */

export interface KeptArchive {
  /** Absolute. */
  readonly path: string;
  /** Lower-case hex; an agent holds what it fetched against it before anything runs. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** The newest are served; a cluster has no more members than seven, and two artifacts at most. */
const SERVED_MAX = 64;
/** The manifest comes first in an archive. */
const MANIFEST_TIMEOUT_MS = 20_000;

/** What the cache has whole. An archive that is shorter or longer than when it came is left out. */
export async function keptArchives(cacheDirectory: string): Promise<readonly KeptArchive[]> {
  const names = await readdir(cacheDirectory).catch(() => []);
  const found: (KeptArchive & { readonly modifiedMs: number })[] = [];
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    try {
      const index = JSON.parse(await readFile(path.join(cacheDirectory, name), 'utf8')) as ArchiveIndex;
      const file = path.join(cacheDirectory, path.basename(index.name));
      const { size, mtimeMs } = await stat(file);
      if (size !== index.sizeBytes || !/^[0-9a-f]{64}$/.test(index.sha256)) continue;
      found.push({ path: file, sha256: index.sha256, sizeBytes: size, modifiedMs: mtimeMs });
    } catch {
      // Not an archive that came here whole.
    }
  }
  return found.toSorted((a, b) => b.modifiedMs - a.modifiedMs).slice(0, SERVED_MAX);
}

/** Of an archive that lies beside it. */
interface ArchiveIndex {
  readonly name: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Copies an archive to those that are kept, unless it is there. Rejects as the file system does. */
export async function keepArchive(archive: KeptArchive, cacheDirectory: string): Promise<void> {
  await mkdir(cacheDirectory, { recursive: true });
  const { sha256, sizeBytes } = archive;
  const kept = await keptArchives(cacheDirectory);
  if (kept.some((one) => one.sha256 === sha256)) return;
  const name = `etcd-mesos-kept-${sha256.slice(0, 16)}`;
  const staging = path.join(cacheDirectory, `staging-${randomUUID()}`);
  const at = (suffix: string): string => path.join(cacheDirectory, `${name}${suffix}`);
  try {
    await copyFile(archive.path, staging, constants.COPYFILE_FICLONE);
    await rename(staging, at('.tar.gz'));
    // Last, and whole at once: whoever finds it finds the archive.
    const index: ArchiveIndex = { name: `${name}.tar.gz`, sha256, sizeBytes };
    await writeFile(staging, `${JSON.stringify(index)}\n`);
    await rename(staging, at('.json'));
  } finally {
    await rm(staging, { force: true });
  }
}

/** The version of etcd that the manifest of an archive names; `null` where it has none. */
export async function etcdVersionIn(archive: string): Promise<string | null> {
  const args = ['-xOf', archive, '--occurrence=1', 'etcd-mesos/MANIFEST.json'];
  try {
    const options = { timeout: MANIFEST_TIMEOUT_MS, maxBuffer: 4 * 1024 * 1024 };
    const { stdout } = await promisify(execFile)('tar', args, options);
    const { etcd } = JSON.parse(stdout) as { etcd?: unknown };
    return typeof etcd === 'string' ? etcd : null;
  } catch {
    return null;
  }
}
