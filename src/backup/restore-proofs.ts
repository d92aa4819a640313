import { watchDefectsOf } from '../etcd/versions.ts';
import type { Archive } from './archive.ts';
import type { EtcdBackend } from './backend/backend.ts';
import { hashKv } from './backend/hash-kv.ts';
import type { Proof } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { type Line, readLine } from './restore-line.ts';

/** What members told of their stores while the log was written, held against a backend made of it. */
export interface ProofReport {
  /** How many agree. */
  readonly agreeing: number;
  /** The newest revision at which one does: all up to there is what the cluster had. `null` where none does. */
  readonly newestAgreeing: string | null;
  readonly disagreeing: readonly Disagreement[];
  readonly notComparable: readonly { readonly revision: string; readonly why: string }[];
  /** How many were not looked at, since no more were asked for. */
  readonly leftOut: number;
}
export interface Disagreement {
  readonly proof: Proof;
  /** What the backend has there. */
  readonly hash: number;
  /** Defects of the version that told it by which a watch may lose or alter events. */
  readonly knownDefects: readonly string[];
}

/**
 * Proofs that were told before a full are looked for over so many revisions before it. Where nobody compacts, all that
 * were ever told could be compared: the log would be read from its beginning for each full, and each hash takes a walk
 * through it. They would prove nothing more: a hash covers all before it, and one is asked for after each full.
 */
export const PROOF_LOOKBACK_REVISIONS = 10_000n;

/** Proofs of a log, each once, whatever parts of it are read. */
export interface ProofCollection {
  add(proof: Proof): void;
  /** Those at revisions from `from` to `to`, oldest first. */
  within(from: bigint, to: bigint): readonly Proof[];
}

export function createProofCollection(): ProofCollection {
  const proofs = new Map<string, Proof>();
  return {
    add: (proof) => {
      const { revision, compactRevision, hash, memberId } = proof;
      proofs.set(`${revision} ${compactRevision} ${hash} ${memberId}`, proof);
    },
    within: (from, to) =>
      [...proofs.values()]
        .filter(({ revision }) => BigInt(revision) >= from && BigInt(revision) <= to)
        .toSorted((left, right) => (BigInt(left.revision) < BigInt(right.revision) ? -1 : 1)),
  };
}

/**
 * Adds what was told of revisions from `from` to `to`. A proof stands behind the revisions that came while it was
 * asked for, so the log is read on until one of a later revision. Where it cannot be read, it ends.
 */
export async function collectProofs(
  into: ProofCollection,
  archive: Archive,
  line: Line,
  { from, to, signal }: { readonly from: bigint; readonly to: bigint; readonly signal: AbortSignal },
): Promise<void> {
  try {
    for await (const item of readLine(archive, line, from, signal)) {
      if (item.kind !== 'proof') continue;
      if (BigInt(item.proof.revision) > to) return;
      into.add(item.proof);
    }
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
  }
}

/** So many of them, evenly from the oldest to the newest, which is always one: a hash covers all before it. */
export function spreadOf(proofs: readonly Proof[], countMax: number): readonly Proof[] {
  if (proofs.length <= countMax) return proofs;
  return Array.from(
    { length: countMax },
    (_, index) => proofs[Math.floor(((index + 1) * proofs.length) / countMax) - 1],
  ).filter((proof) => proof !== undefined);
}

/**
 * Computes what proofs told from a backend.
 * @param options.countMax compares no more than so many of those that can be; default all. Each takes a walk through
 * the backend, or two. `onProgress`: how many of all were compared.
 */
export async function compareProofs(
  backend: EtcdBackend,
  told: readonly Proof[],
  options: {
    readonly countMax?: number | undefined;
    readonly onProgress?: (done: number, total: number) => void;
    readonly signal: AbortSignal;
  },
): Promise<ProofReport> {
  let agreeing = 0;
  let newestAgreeing: string | null = null;
  const disagreeing: Disagreement[] = [];
  const isComparable = ({ compactRevision }: Proof): boolean =>
    BigInt(compactRevision) >= backend.compactRevision;
  const notComparable = told
    .filter((proof) => !isComparable(proof))
    .map(({ revision, compactRevision }) => ({
      revision,
      why: `it was told when the store was compacted at ${compactRevision}, and the backup was at ${backend.compactRevision}`,
    }));
  const proofs = spreadOf(told.filter(isComparable), options.countMax ?? told.length);
  for (const [index, proof] of proofs.entries()) {
    options.signal.throwIfAborted();
    options.onProgress?.(index, proofs.length);
    const compactRevision = BigInt(proof.compactRevision);
    const { hash } = await hashKv(backend, { revision: BigInt(proof.revision), compactRevision });
    if (hash === proof.hash) {
      agreeing += 1;
      newestAgreeing = proof.revision;
    } else disagreeing.push({ proof, hash, knownDefects: watchDefectsOf(proof.etcdVersion) });
  }
  if (proofs.length > 0) options.onProgress?.(proofs.length, proofs.length);
  const leftOut = told.length - notComparable.length - proofs.length;
  return { agreeing, newestAgreeing, disagreeing, notComparable, leftOut };
}

/** A disagreement as a sentence for people. */
export function disagreementText({ proof, hash, knownDefects }: Disagreement): string {
  const known = knownDefects.length === 0 ? '' : ` (known: ${knownDefects.join('; ')})`;
  return (
    `at revision ${proof.revision} member ${proof.memberId}, etcd ${proof.etcdVersion}, told the hash ${proof.hash}, ` +
    `what was restored has ${hash}${known}`
  );
}
