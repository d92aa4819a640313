import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, constants, glob, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { BUILD_ID } from '../base/build.ts';
import { CodedError } from '../base/errors.ts';
import { judgeVersion, parseEtcdVersion } from '../etcd/versions.ts';

/** What can be wrong with the parts that an artifact is made of, and with making it. */
export class ArtifactError extends CodedError<
  /** The etcd-mesos that is to go in was not built. */
  | 'code-missing'
  /** node, etcd or etcdctl is not there or is no program. */
  | 'program-missing'
  /** The program is there but does not run, or not where it has nothing but itself. */
  | 'program-unsuitable'
  /** A part changed while it was packed. */
  | 'changed'
  /** tar, or the disk. */
  | 'pack-failed'
> {}

/** Where the parts come from; whatever is absent is taken from this process and its PATH. */
export interface ArtifactParts {
  /** A node that needs no library of its own beside it. Default: the one that runs this. */
  readonly node?: string | undefined;
  /** Path, or a name looked up in PATH. Default `etcd`. */
  readonly etcd?: string | undefined;
  /** Path, or a name looked up in PATH. Default `etcdctl`. */
  readonly etcdctl?: string | undefined;
  /** What `npm run build` made. Default: the build that this is, or dist/ where it runs from its sources. */
  readonly code?: string | undefined;
}

/** Everything that goes into an artifact, before it is packed: the same contents give the same archive. */
export interface ArtifactContents {
  readonly manifest: ArtifactManifest;
  /** By path inside the archive's top folder: the file's place on this machine. */
  readonly sources: ReadonlyMap<string, string>;
}

/** `MANIFEST.json` of an artifact. */
export interface ArtifactManifest {
  readonly name: 'etcd-mesos';
  readonly version: string;
  /** Id of the build of etcd-mesos. */
  readonly build: string;
  /** `v24.21.0` */
  readonly node: string;
  /** `3.6.12` */
  readonly etcd: string;
  /** Sorted by path, without the manifest itself. */
  readonly files: readonly ArtifactFile[];
}
export interface ArtifactFile {
  /** Relative to the archive's top folder. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

const PROGRAM_TIMEOUT_MS = 20_000;
/** Source maps are for developers, and the compile cache belongs to one machine. */
const CODE_FILES = ['etcd-mesos.js', 'package.json', 'chunks/*.js', '**/*.LEGAL.txt'];

/** Finds, runs and hashes the parts. Rejects with an {@link ArtifactError} or an `EtcdBinaryError`. */
export async function readContents(parts: ArtifactParts): Promise<ArtifactContents> {
  const [node, etcd, etcdctl] = await Promise.all([
    locate('node', parts.node ?? process.execPath),
    locate('etcd', parts.etcd ?? 'etcd'),
    locate('etcdctl', parts.etcdctl ?? 'etcdctl'),
  ]);
  const code = parts.code ?? ownBuildDirectory();
  const [build, nodeVersion, etcdVersion] = await Promise.all([
    readBuild(code),
    askNode(node),
    askEtcd(etcd),
    run(etcdctl, ['version']),
  ]);
  const sources = new Map([
    ['bin/etcd', etcd],
    ['bin/etcdctl', etcdctl],
    ['bin/node', node],
  ]);
  for await (const file of glob(CODE_FILES, { cwd: code })) sources.set(`lib/${file}`, path.join(code, file));
  const files: ArtifactFile[] = [];
  for (const file of [...sources.keys()].sort()) {
    files.push({ path: file, ...(await fingerprint(sources.get(file) ?? '')) });
  }
  return {
    manifest: { name: 'etcd-mesos', ...build, node: nodeVersion, etcd: etcdVersion, files },
    sources,
  };
}

/** Size and SHA-256 of a file, read once. */
export async function fingerprint(file: string): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.byteLength;
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

/** A bundle lies in dist/, its chunks one folder below; the sources lie in src/runtime. */
function ownBuildDirectory(): string {
  if (BUILD_ID === 'source') return path.resolve(import.meta.dirname, '../../dist');
  const here = import.meta.dirname;
  return path.basename(here) === 'chunks' ? path.dirname(here) : here;
}

async function readBuild(code: string): Promise<{ version: string; build: string }> {
  try {
    await access(path.join(code, 'etcd-mesos.js'), constants.R_OK);
    const parsed: unknown = JSON.parse(await readFile(path.join(code, 'package.json'), 'utf8'));
    const { version, build } = parsed as { version: string; build: string };
    return { version, build };
  } catch (cause) {
    throw new ArtifactError('code-missing', `${code} holds no build of etcd-mesos`, {
      cause,
      hint: 'Run `npm run build` first.',
    });
  }
}

/** The absolute path of a program, links followed: what is behind them is what gets packed. */
async function locate(name: string, given: string): Promise<string> {
  const folders = given.includes('/') ? [''] : (process.env['PATH'] ?? '').split(':');
  for (const folder of folders) {
    const candidate = path.resolve(folder, given);
    try {
      await access(candidate, constants.R_OK | constants.X_OK);
      if ((await stat(candidate)).isFile()) return await realpath(candidate);
    } catch {
      // Not this one.
    }
  }
  const where = given.includes('/') ? `${given} is not there or not executable` : `no ${given} in PATH`;
  throw new ArtifactError('program-missing', `${name}: ${where}`, {
    hint: `Install ${name}, or name the path of one.`,
  });
}

/** Debian's own node is a small program around a shared library, useless on a machine that lacks it. */
async function askNode(node: string): Promise<string> {
  const script = 'JSON.stringify([process.version, Boolean(process.config.variables.node_shared)])';
  const [version, isShared] = JSON.parse(await run(node, ['-p', script])) as [string, boolean];
  const [major = 0, minor = 0] = version.slice(1).split('.').map(Number);
  const problem = isShared
    ? 'needs the shared library libnode beside it'
    : major < 22 || (major === 22 && minor < 22)
      ? `is ${version}, older than 22.22`
      : null;
  if (problem === null) return version;
  throw new ArtifactError('program-unsuitable', `node: ${node} ${problem}`, {
    hint: 'Use the node of ./scripts/up, which lies in .cache/toolchain or node_modules/node.',
  });
}

async function askEtcd(etcd: string): Promise<string> {
  const version = parseEtcdVersion(await run(etcd, ['--version']));
  const { refusal } = judgeVersion(version);
  if (refusal === null) return version.text;
  throw new ArtifactError('program-unsuitable', `etcd: ${etcd}: ${refusal}`, {
    hint: 'Name the path of a newer etcd.',
  });
}

async function run(program: string, args: readonly string[]): Promise<string> {
  try {
    // An empty environment, as little as it will have in a sandbox.
    const options = { env: {}, timeout: PROGRAM_TIMEOUT_MS, maxBuffer: 64 * 1024 };
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (cause) {
    throw new ArtifactError('program-unsuitable', `${program} ${args.join(' ')} failed`, {
      cause,
      hint: 'It has to run on this machine, which has to be of the same kind as the agents.',
    });
  }
}
