import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import { EtcdError, type StreamClient } from '../etcd/port.ts';
import type { Proof } from './documents.ts';

export interface ProverOptions {
  /** Whose hashes are told: what was restored anew may listen where a member of it was. */
  readonly clusterId: string;
  /** URL of the member that is followed; `null` while none is. */
  readonly member: () => string | null;
  /** The last revision that came from it; 0 before the first. */
  readonly seenRevision: () => bigint;
  readonly connect: (url: string) => StreamClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two proofs, at most. */
  readonly intervalMs: number;
}

/**
 * Has a member compute the hash of all that it has, from time to time, for whoever restores to compare. An event that
 * a watch lost shows in a hash only until a compaction has taken it: where compactions overtake the proofs, these come
 * more often.
 */
export interface Prover {
  /** The newest one that was given. */
  readonly last: Proof | null;
  /** Takes one at the next look, if anything came since the last. */
  soon(): void;
  /** Takes one now; `null` when nothing came since the last, or when the member gives none. */
  take(signal: AbortSignal): Promise<Proof | null>;
  /** Gives them to `put` until `signal` aborts. */
  run(put: (proof: Proof) => void, signal: AbortSignal): Promise<void>;
}

/** Between two looks whether a proof is due. */
const LOOK_MS = 1_000;
/** So much less than the interval may lie between two proofs, at least. */
const HURRY = 16;
/** A wait that was short enough grows by so much. */
const EASE = 1.125;
/** A member spends at most one in so many milliseconds with hashes. */
const SPARING = 10;

export function createProver(options: ProverOptions): Prover {
  const { clock, logger, intervalMs } = options;
  let last: Proof | null = null;
  let waitMs = intervalMs;
  let dueMs = Number.NEGATIVE_INFINITY;
  /** The last that was followed: at the end nobody is any more. */
  let url: string | null = null;

  const isNew = (): boolean => {
    const seen = options.seenRevision();
    return seen > 0n && (last === null || seen > BigInt(last.revision));
  };
  /** Half as long where a compaction has taken what no proof covers, a little longer where none has. */
  const pace = (before: Proof | null, proof: Proof): void => {
    const isOvertaken = before !== null && BigInt(proof.compactRevision) > BigInt(before.revision);
    waitMs = isOvertaken ? Math.max(intervalMs / HURRY, waitMs / 2) : Math.min(intervalMs, waitMs * EASE);
    if (isOvertaken) {
      logger.debug('revisions were compacted before a proof', {
        from: before.revision,
        to: proof.compactRevision,
      });
    }
  };

  const take = async (signal: AbortSignal): Promise<Proof | null> => {
    url = options.member() ?? url;
    if (url === null || !isNew()) return null;
    const startedMs = clock.monotonicMs();
    const client = options.connect(url);
    try {
      const revision = String(options.seenRevision());
      const { version, memberId, clusterId } = await client.status(signal);
      if (clusterId !== options.clusterId) {
        throw new EtcdError('other', `it is of cluster ${clusterId}, not of ${options.clusterId}`);
      }
      const { hash, compactRevision } = await client.hashKv(revision, signal);
      const proof = { revision, hash, compactRevision, etcdVersion: version, memberId, atMs: clock.wallMs() };
      pace(last, proof);
      last = proof;
      return proof;
    } catch (error) {
      logger.debug('no proof was given', { problem: describeError(error) });
      return null;
    } finally {
      client.close();
      const endedMs = clock.monotonicMs();
      dueMs = endedMs + Math.max(waitMs, (endedMs - startedMs) * SPARING);
    }
  };

  return {
    get last() {
      return last;
    },
    soon: () => {
      dueMs = Number.NEGATIVE_INFINITY;
    },
    take,
    run: async (put, signal) => {
      for (;;) {
        await clock.sleep(Math.min(LOOK_MS, intervalMs), signal);
        if (signal.aborted) return;
        if (clock.monotonicMs() < dueMs || options.member() === null) continue;
        const proof = await take(signal);
        if (proof !== null) put(proof);
      }
    },
  };
}
