import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { describeError } from '../base/errors.ts';
import {
  type ArtifactContents,
  ArtifactError,
  type ArtifactManifest,
  type ArtifactParts,
  fingerprint,
  readContents,
} from './artifact-contents.ts';

export { ArtifactError, type ArtifactManifest } from './artifact-contents.ts';

/** The archive that a member's task brings: all that its agent need not have. */
export interface BuiltArtifact {
  /** Absolute. */
  readonly path: string;
  /** Of the archive, lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** `3.6.12` */
  readonly etcdVersion: string;
  /** `v24.21.0` */
  readonly nodeVersion: string;
  /** Of etcd-mesos. */
  readonly version: string;
  readonly build: string;
}

export interface ArtifactOptions extends ArtifactParts {
  /**
   * Made when it is not there. Archives stay in it: a seat keeps what it was launched with, so an old one is
   * wanted as long as a member that was pinned to it lives.
   */
  readonly cacheDirectory: string;
}

/** The one folder of the archive. */
const ARTIFACT_FOLDER = 'etcd-mesos';
const PACK_TIMEOUT_MS = 10 * 60_000;
/** Higher levels take several times as long for a hundredth of the size. */
const GZIP_LEVEL = 6;

/**
 * Packs node, this etcd-mesos, etcd and etcdctl into `etcd-mesos-<version>-<sha256>.tar.gz`:
 *
 *     etcd-mesos/MANIFEST.json    versions, size and sha256 of every file
 *     etcd-mesos/bin/             node, etcd, etcdctl
 *     etcd-mesos/lib/             etcd-mesos.js and its chunks
 *
 * Equal contents give equal bytes: names in order, no times, no owners. What was packed before is found again by
 * its contents and checked by its hash. Rejects with an {@link ArtifactError} or an `EtcdBinaryError`.
 */
export async function buildArtifact(options: ArtifactOptions): Promise<BuiltArtifact> {
  const cacheDirectory = path.resolve(options.cacheDirectory);
  await makeDirectory(cacheDirectory);
  const contents = await readContents(options);
  const manifestText = `${JSON.stringify(contents.manifest, null, 2)}\n`;
  const key = createHash('sha256').update(`${process.versions.zlib} ${GZIP_LEVEL}\n${manifestText}`);
  const indexFile = path.join(cacheDirectory, `${key.digest('hex').slice(0, 16)}.json`);

  const kept = await findKept(indexFile, cacheDirectory, contents.manifest);
  if (kept !== null) return kept;
  const staging = path.join(cacheDirectory, `staging-${randomUUID()}`);
  try {
    await stage(contents, manifestText, path.join(staging, ARTIFACT_FOLDER));
    const packed = await pack(staging, path.join(staging, 'archive'));
    const name = `${ARTIFACT_FOLDER}-${contents.manifest.version}-${packed.sha256.slice(0, 16)}.tar.gz`;
    await rename(path.join(staging, 'archive'), path.join(cacheDirectory, name));
    // Last, and whole at once: whoever finds it finds the archive.
    await writeFile(path.join(staging, 'index'), `${JSON.stringify({ name, ...packed })}\n`);
    await rename(path.join(staging, 'index'), indexFile);
    return describe(path.join(cacheDirectory, name), packed, contents.manifest);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (cause) {
    throw new ArtifactError('pack-failed', `the artifact has no place: ${describeError(cause)}`, {
      cause,
      hint: 'It is packed below --state-dir: name a directory that this user may write to, as one in the sandbox.',
    });
  }
}

interface Packed {
  readonly sha256: string;
  readonly sizeBytes: number;
}

function describe(file: string, packed: Packed, manifest: ArtifactManifest): BuiltArtifact {
  return {
    path: file,
    sha256: packed.sha256,
    sizeBytes: packed.sizeBytes,
    etcdVersion: manifest.etcd,
    nodeVersion: manifest.node,
    version: manifest.version,
    build: manifest.build,
  };
}

/** `null` where it was never packed, or what is left of it is not what was packed. */
async function findKept(
  indexFile: string,
  cacheDirectory: string,
  manifest: ArtifactManifest,
): Promise<BuiltArtifact | null> {
  try {
    const index = JSON.parse(await readFile(indexFile, 'utf8')) as Packed & { readonly name: string };
    const file = path.join(cacheDirectory, path.basename(index.name));
    const found = await fingerprint(file);
    return found.sha256 === index.sha256 ? describe(file, found, manifest) : null;
  } catch {
    return null;
  }
}

/** Copies first and hashes the copies: the manifest tells of the bytes that are packed. */
async function stage(contents: ArtifactContents, manifestText: string, folder: string): Promise<void> {
  for (const file of contents.manifest.files) {
    const source = contents.sources.get(file.path) ?? '';
    const target = path.join(folder, file.path);
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(source, target);
    await chmod(target, file.path.startsWith('bin/') ? 0o755 : 0o644);
    if ((await fingerprint(target)).sha256 !== file.sha256) {
      throw new ArtifactError('changed', `${source} changed while it was packed`, { hint: 'Try again.' });
    }
  }
  await writeFile(path.join(folder, 'MANIFEST.json'), manifestText, { mode: 0o644 });
}

async function pack(staging: string, target: string): Promise<Packed> {
  const args = [
    ...['--create', '--format=ustar', '--sort=name', '--mtime=@0', '--mode=u=rwX,go=rX'],
    ...['--owner=0', '--group=0', '--numeric-owner', `--directory=${staging}`, ARTIFACT_FOLDER],
  ];
  const tar = spawn('tar', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
    timeout: PACK_TIMEOUT_MS,
  });
  let complaint = '';
  tar.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    tar.once('error', reject);
    tar.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`tar ended with ${code}: ${complaint.trim()}`)),
    );
  });
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
      done(null, chunk);
    },
  });
  try {
    const written = pipeline(
      tar.stdout,
      createGzip({ level: GZIP_LEVEL }),
      measure,
      createWriteStream(target, { flush: true }),
    );
    await Promise.all([ended, written]);
  } catch (cause) {
    throw new ArtifactError('pack-failed', 'the artifact could not be packed', {
      cause,
      hint: 'It needs GNU tar and about 300 MB of free disk.',
    });
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}
