import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { BUILD_ID, VERSION } from '../base/build.ts';
import { describeError } from '../base/errors.ts';
import { artifactPath, type ServedArtifact } from '../framework/api-artifact.ts';
import type { Artifact } from '../framework/config.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import { buildArtifact } from './artifact.ts';
import { fingerprint } from './artifact-contents.ts';
import { type EtcdProgram, findEtcdProgram } from './etcd-program.ts';
import { StartError } from './start-error.ts';

/** What members run, and how it comes to their agents. */
export interface MemberArtifact {
  readonly artifact: Artifact;
  /** Names it in the record: the same name is the same bytes. */
  readonly name: string;
  /** `null` where the scheduler serves none. */
  readonly served: ServedArtifact | null;
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
  if (options.artifact === 'checkout') return checkout(etcd?.path ?? 'etcd');
  if (options.artifactUri !== null && options.artifactSha256 !== null) {
    const { artifactUri: uri, artifactSha256: sha256 } = options;
    return { artifact: { kind: 'uri', uri, sha256 }, name: `sha256:${sha256}`, served: null };
  }
  const file = options.artifactFile ?? (await pack(options, etcd));
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
  const name = path.basename(file);
  return {
    artifact: { kind: 'uri', uri: baseUrl + artifactPath(name), sha256 },
    name: `sha256:${sha256}`,
    served: {
      name,
      sizeBytes,
      sha256,
      open: () => Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>,
    },
  };
}

function checkout(etcdBinary: string): MemberArtifact {
  const artifact = { kind: 'checkout', node: process.execPath, entry: programEntry(), etcdBinary } as const;
  return { artifact, name: `checkout:${VERSION}-${BUILD_ID}`, served: null };
}

/** The file with which this etcd-mesos is started: the source where it runs from its sources. */
export function programEntry(): string {
  const source = path.join(import.meta.dirname, '../cli/main.ts');
  if (import.meta.filename.endsWith('.ts') && existsSync(source)) return source;
  return path.resolve(process.argv[1] ?? source);
}

async function pack(options: SchedulerOptions, etcd: EtcdProgram | null): Promise<string> {
  const built = await buildArtifact({
    cacheDirectory: path.join(options.stateDir, 'artifacts'),
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
