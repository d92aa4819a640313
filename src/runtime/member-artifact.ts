import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { BUILD_ID, VERSION } from '../base/build.ts';
import { describeError } from '../base/errors.ts';
import { artifactPath, type ServedArtifact } from '../framework/api-artifact.ts';
import type { Artifact } from '../framework/config.ts';
import { tarballId, writePin } from '../protocol/artifact-pin.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import { buildArtifact } from './artifact.ts';
import { etcdVersionIn, type KeptArchive, keepArchive, keptArchives } from './artifact-cache.ts';
import { fingerprint } from './artifact-contents.ts';
import { type EtcdProgram, findEtcdProgram } from './etcd-program.ts';
import { StartError } from './start-error.ts';

/** What members run, and how it comes to their agents. */
export interface MemberArtifact {
  readonly artifact: Artifact;
  /** Says it in the record: an `ArtifactPin`. */
  readonly name: string;
  /** The tarballs that the scheduler serves: the present one, if it serves that, and those of before. */
  readonly served: readonly ServedArtifact[];
  /** Their URIs by SHA-256. */
  readonly kept: ReadonlyMap<string, string>;
  /** For people. */
  readonly warnings: readonly string[];
}

/** The etcd of this machine that members will run; `null` where a tarball brings one that was packed elsewhere. */
export async function etcdOf(options: SchedulerOptions): Promise<EtcdProgram | null> {
  if (options.artifactUri !== null || options.artifactFile !== null) return null;
  return await findEtcdProgram(options.etcdBinary ?? 'etcd');
}

/**
 * Finds or packs what members run.
 * Rejects with a {@link StartError} or an `ArtifactError`.
 * @param baseUrl where agents reach the scheduler's API.
 */
export async function memberArtifactOf(
  options: SchedulerOptions,
  etcd: EtcdProgram | null,
  baseUrl: string,
): Promise<MemberArtifact> {
  const cacheDirectory = path.join(options.stateDir, 'artifacts');
  const uriOf = (name: string): string => baseUrl + artifactPath(name);
  const before = (await keptArchives(cacheDirectory)).map((kept) =>
    servedFrom(path.basename(kept.path), kept),
  );
  const withOthers = (
    present: Pick<MemberArtifact, 'artifact' | 'name'>,
    own: readonly ServedArtifact[] = [],
    warnings: readonly string[] = [],
  ): MemberArtifact => {
    const served = [...own, ...before.filter(({ name }) => own.every((one) => one.name !== name))];
    // The present one, named first, is the one that counts.
    const kept = new Map(served.toReversed().map(({ sha256, name }) => [sha256, uriOf(name)]));
    return { ...present, served, kept, warnings };
  };
  if (options.artifact === 'checkout') return withOthers(checkout(etcd));
  const { artifactEtcdVersion, artifactUri: uri } = options;
  if (uri !== null && options.artifactSha256 !== null) {
    const sha256 = options.artifactSha256;
    const pin = { id: tarballId(sha256), etcd: artifactEtcdVersion, source: { from: 'uri', uri } } as const;
    return withOthers({ artifact: { kind: 'uri', uri, sha256 }, name: writePin(pin) });
  }
  const file = options.artifactFile ?? (await pack(options, etcd, cacheDirectory));
  const { sizeBytes, sha256 } = await measure(file);
  if (options.artifactSha256 !== null && options.artifactSha256 !== sha256) {
    throw new StartError(
      'artifact-unusable',
      `${file} has the SHA-256 ${sha256}, not ${options.artifactSha256}`,
      {
        hint: 'It is not the tarball that --artifact-sha256 means, or it was damaged.',
      },
    );
  }
  const own = servedFrom(path.basename(file), { path: file, sizeBytes, sha256 });
  const version = artifactEtcdVersion ?? (await etcdVersionIn(file));
  const pin = { id: tarballId(sha256), etcd: version, source: { from: 'scheduler' } } as const;
  const present = {
    artifact: { kind: 'uri', uri: uriOf(own.name), sha256 },
    name: writePin(pin),
  } as const;
  const warnings =
    options.artifactFile === null ? [] : await keep({ path: file, sizeBytes, sha256 }, cacheDirectory);
  return withOthers(present, [own], warnings);
}

/** A tarball of the operator's may be moved away while members that run from it live. */
async function keep(archive: KeptArchive, cacheDirectory: string): Promise<readonly string[]> {
  try {
    await keepArchive(archive, cacheDirectory);
    return [];
  } catch (error) {
    const what = `the tarball ${archive.path} could not be copied to ${cacheDirectory}`;
    return [`${what}, and has to stay where it is: ${describeError(error)}`];
  }
}

function servedFrom(name: string, { path: file, sizeBytes, sha256 }: KeptArchive): ServedArtifact {
  const open = () => Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>;
  return { name, sizeBytes, sha256, open };
}

function checkout(etcd: EtcdProgram | null): Pick<MemberArtifact, 'artifact' | 'name'> {
  const where = { node: process.execPath, entry: programEntry(), etcdBinary: etcd?.path ?? 'etcd' };
  const name = writePin({
    id: `checkout:${VERSION}-${BUILD_ID}`,
    etcd: etcd?.version ?? null,
    source: { from: 'checkout', ...where },
  });
  return { artifact: { kind: 'checkout', ...where }, name };
}

/** The file with which this etcd-mesos is started: the source where it runs from its sources. */
export function programEntry(): string {
  const source = path.join(import.meta.dirname, '../cli/main.ts');
  if (import.meta.filename.endsWith('.ts') && existsSync(source)) return source;
  return path.resolve(process.argv[1] ?? source);
}

async function pack(
  options: SchedulerOptions,
  etcd: EtcdProgram | null,
  cacheDirectory: string,
): Promise<string> {
  const built = await buildArtifact({
    cacheDirectory,
    etcd: etcd?.path,
    etcdctl: options.etcdctlBinary ?? undefined,
  });
  return built.path;
}

async function measure(file: string): Promise<{ sizeBytes: number; sha256: string }> {
  try {
    return await fingerprint(file);
  } catch (cause) {
    throw new StartError('artifact-unusable', `the tarball ${file} cannot be read: ${describeError(cause)}`, {
      cause,
      hint: 'Check --artifact-file.',
    });
  }
}
