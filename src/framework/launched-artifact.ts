import { isSameArtifact, readPin, sha256Of } from '../protocol/artifact-pin.ts';
import type { Artifact, SchedulerConfig } from './config.ts';

/**
 * How what is pinned comes to an agent now. What cannot be had any more is not asked for: then it is the present
 * artifact, under whose name the core launches it.
 */
export function artifactOf(
  pinned: string,
  { spec, artifact }: Pick<SchedulerConfig, 'spec' | 'artifact'>,
): Artifact {
  if (isSameArtifact(pinned, spec.artifact)) return artifact;
  const pin = readPin(pinned);
  const sha256 = sha256Of(pin);
  const kept = sha256 === null ? undefined : spec.kept.get(sha256);
  if (sha256 !== null && kept !== undefined) return { kind: 'uri', uri: kept, sha256 };
  switch (pin.source?.from) {
    case 'uri':
      return sha256 === null ? artifact : { kind: 'uri', uri: pin.source.uri, sha256 };
    case 'checkout': {
      const { node, entry, etcdBinary } = pin.source;
      return { kind: 'checkout', node, entry, etcdBinary };
    }
    default:
      return artifact;
  }
}
