import { describeError } from '../base/errors.ts';
import type { Clock, Ids, Logger } from '../base/ports.ts';
import type { StreamClient } from '../etcd/port.ts';
import type { Schedule } from '../protocol/schedule.ts';
import type { Archive, Epoch } from './archive.ts';
import { watchAuth } from './auth-watch.ts';
import { type Backlog, createBacklog } from './backlog.ts';
import type { Gap, Proof } from './documents.ts';
import { createFindings } from './findings.ts';
import { type ArchiveSource, createFollower, type Follower } from './follower.ts';
import type { Full } from './full.ts';
import { createFullTaker, type KnownFull } from './full-taker.ts';
import { createInbox } from './inbox.ts';
import { beginLifetime } from './lifetime.ts';
import { createLogFeed } from './log-feed.ts';
import { type LogWriter, openLogWriter } from './log-writer.ts';
import { createProver } from './prover.ts';
import { createRetainer } from './retainer.ts';
import {
  type DoneVerification,
  type VerificationOptions,
  verifyBySchedule,
} from './scheduled-verification.ts';
import { openSpool, type Spool, type SpoolPlace } from './spool.ts';
import { ArchiveStoreError } from './store-port.ts';
import { createStoreRetry } from './store-retry.ts';

/**
 * Keeps an archive level with its cluster: follows a member, writes what it does to the log, and takes a full when
 * there is none that the log goes on from. What it says to be archived is durable.
 */
export interface Archiver {
  status(): ArchiverStatus;
  /**
   * Takes a full as soon as no other is being taken. Rejects when that one try fails, or when `ended` settles.
   * @param options.verify it is read back whole before it counts; default `false`.
   */
  fullNow(reason: string, options?: { readonly verify?: boolean }): Promise<Full>;
  /**
   * Resolves when the signal it was started with has aborted, what had come was written, for three seconds at most,
   * and everything has come to rest; what hangs a second later is left to itself. Rejects with an `ArchiveError`,
   * `fenced` above all, when it must not go on.
   */
  readonly ended: Promise<void>;
}

export interface ArchiverOptions {
  readonly archive: Archive;
  readonly epoch: Epoch;
  /** Of the leader whose archiver this is. */
  readonly generation: number;
  /** A UUID of that leader's run: what ended under it may be gone on from under it. Default: a fresh one. */
  readonly writer?: string;
  /** Members in the order in which they are tried: followers first. */
  readonly members: (signal: AbortSignal) => Promise<readonly ArchiveSource[]>;
  readonly connect: (url: string) => StreamClient;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /**
   * Opens where what the archive's store does not take is kept meanwhile; `null`: in memory alone. So it is too where
   * this rejects with an {@link ArchiveStoreError}, and the status says why.
   */
  readonly spool: (() => Promise<SpoolPlace | null>) | null;
  /** When a full is due; `null`: only where one is needed or asked for. */
  readonly fullSchedule: Schedule | null;
  /** Called after each full, to remove what need not be kept; `null`: all is. What it throws is only told. */
  readonly retain: ((signal: AbortSignal) => Promise<void>) | null;
  /** `null`: the archive is not verified by itself. */
  readonly verification: VerificationOptions | null;
  readonly limits?: Partial<ArchiverLimits>;
}

export interface ArchiverLimits {
  /**
   * How long revisions are gathered before they are written; 0: each is written as it comes, which is for a store
   * with objects that grow.
   */
  readonly segmentMs: number;
  /** Written at once when there is so much. */
  readonly batchBytesMax: number;
  /** What may wait to be written, in memory; beyond it it goes to the spool, or the member is not read from. */
  readonly waitingBytesMax: number;
  /** A growing segment that has so many bytes is followed by the next. */
  readonly segmentBytesMax: number;
  /** A growing segment that is so old is followed by the next. */
  readonly segmentAgeMsMax: number;
  /** Between two proofs, at most. */
  readonly proofMs: number;
  /** Between two looks whether users or roles were changed. */
  readonly authMs: number;
  /** So many bytes of log since the newest full make the next due; `null`: any number may. */
  readonly logBytesPerFull: number | null;
  /** A store that has not answered for so long is away, as one that refuses. */
  readonly silenceMsMax: number;
}

export const ARCHIVER_LIMITS: ArchiverLimits = {
  segmentMs: 1000,
  batchBytesMax: 4 * 1024 * 1024,
  waitingBytesMax: 64 * 1024 * 1024,
  segmentBytesMax: 64 * 1024 * 1024,
  segmentAgeMsMax: 10 * 60 * 1000,
  proofMs: 5 * 60 * 1000,
  authMs: 30 * 1000,
  logBytesPerFull: 1024 * 1024 * 1024,
  silenceMsMax: 10 * 1000,
};

export interface ArchiverStatus {
  /** `away`: the store does not take anything. */
  readonly state: 'starting' | 'following' | 'no-member' | 'away' | 'ended';
  /** Everything up to here is durable. */
  readonly archivedRevision: bigint;
  /** The last revision that came from a member. */
  readonly seenRevision: bigint;
  /** How long the oldest revision that is not durable has been waiting; 0 when there is none. */
  readonly lagMs: number;
  /** What waits to be written, in memory. */
  readonly waitingBytes: number;
  /** What of it waits in the spool. */
  readonly spooledBytes: number;
  /** The newest ones that were found by this archiver. */
  readonly gaps: readonly Gap[];
  readonly lastFull: KnownFull | null;
  /** Why there is a full to be taken; `null` when there is none. */
  readonly fullWanted: string | null;
  /** By the schedule; `null`: there is none. In the past while it is being taken, or cannot be. */
  readonly nextFullAtMs: number | null;
  /** The newest one that this archiver was given; `null` before the first. */
  readonly lastProof: Proof | null;
  /** The newest one by schedule; `null` before the first. */
  readonly lastVerification: DoneVerification | null;
  readonly memberUrl: string | null;
  /** What is in the way, for people; `null` when nothing is. */
  readonly problem: string | null;
}

/** Starts to archive; it goes on until `signal` aborts or it must not. */
export function startArchiver(options: ArchiverOptions, signal: AbortSignal): Archiver {
  const { archive, epoch, generation, members, connect, clock, logger } = options;
  const limits = { ...ARCHIVER_LIMITS, ...options.limits };
  const lifetime = beginLifetime(signal, { clock, logger });
  const { running, closed } = lifetime;
  const store = createStoreRetry({ lifetime, silenceMsMax: limits.silenceMsMax, clock, logger });
  const inbox = createInbox({ bytesMax: limits.waitingBytesMax, batchBytesMax: limits.batchBytesMax });
  let writer: LogWriter | null = null;
  let follower: Follower | null = null;
  let backlog: Backlog | null = null;
  let spoolProblem: string | null = null;
  const memberUrl = (): string | null => follower?.status().url ?? null;
  const seenRevision = (): bigint => follower?.status().seenRevision ?? 0n;
  const prover = createProver({
    clusterId: epoch.document.clusterId,
    member: memberUrl,
    seenRevision,
    connect,
    clock,
    logger,
    intervalMs: limits.proofMs,
  });
  const retainer = createRetainer(options.retain, logger);
  const fulls = createFullTaker({
    archive,
    epoch,
    generation,
    member: async (within) => memberUrl() ?? (await members(within))[0]?.url ?? null,
    connect,
    clock,
    logger,
    schedule: options.fullSchedule,
    logBytesMax: limits.logBytesPerFull,
    onTaken: (within) => {
      prover.soon();
      retainer.soon(within);
    },
  });
  const findings = createFindings({ fulls, putGap: (gap) => inbox.putGap(gap), clock, logger });

  /** `null` where there is none, or its disk does not let us: then what waits is in memory alone. */
  const spoolAfter = async (archived: bigint, id: string): Promise<Spool | null> => {
    try {
      const place = (await options.spool?.()) ?? null;
      if (place === null) return null;
      const shared = { place, archive, epoch, generation, writer: id, clock, logger };
      const { spool, gaps, problem } = await openSpool(shared, archived, running);
      spoolProblem = problem;
      for (const gap of gaps) findings.noteGap(gap);
      return spool;
    } catch (error) {
      if (!(error instanceof ArchiveStoreError)) throw error;
      spoolProblem = `there is no spool: ${describeError(error)}`;
      logger.warn('there is no spool', { problem: describeError(error) });
      return null;
    }
  };

  const run = async (): Promise<void> => {
    const { writer: id = options.ids.uuid() } = options;
    const log = await store.persist('opening', async () => {
      const { segmentBytesMax, segmentAgeMsMax } = limits;
      const shared = { archive, epoch, generation, writer: id, clock };
      const opened = await openLogWriter({ ...shared, segmentBytesMax, segmentAgeMsMax }, closed);
      try {
        await fulls.load(opened.base, running);
        return opened;
      } catch (error) {
        await opened.close().catch(() => undefined);
        throw error;
      }
    });
    if (log === null) return;
    writer = log;
    const { lastRevision, sequence } = log.position;
    logger.info('the archive goes on', {
      epoch: epoch.document.epoch,
      revision: String(lastRevision),
      sequence,
    });
    const spool = await spoolAfter(lastRevision, id);
    const after = spool?.lastRevision ?? lastRevision;
    const following = createFollower({
      clusterId: epoch.document.clusterId,
      start: after === 0n ? 0n : after + 1n,
      members,
      connect,
      inbox,
      clock,
      logger,
      onGap: findings.noteGap,
    });
    follower = following;
    const waiting = createBacklog({
      inbox,
      spool,
      after,
      isAway: () => store.problem !== null,
      onLost: () => {
        following.rewind(log.position.lastRevision);
        return log.position.lastRevision;
      },
      clock,
      logger,
    });
    backlog = waiting;
    const feed = createLogFeed({
      log,
      backlog: waiting,
      store,
      lifetime,
      segmentMs: limits.segmentMs,
      clock,
      onWritten: fulls.noteWritten,
    });
    const parts = [
      following.run(running),
      feed.run(),
      waiting.run(running),
      prover.run((proof) => inbox.putProof(proof), running),
      fulls.run(running),
      watchAuth(
        {
          member: memberUrl,
          connect,
          clock,
          logger,
          intervalMs: limits.authMs,
          archived: () => authRevisionOf(fulls.status().lastFull),
          onChange: findings.noteAuth,
        },
        running,
      ),
    ];
    if (options.verification !== null) {
      const around = { clock, logger, onDone: findings.noteVerification };
      parts.push(verifyBySchedule(options.verification, around, running));
    }
    let isPeaceful = false;
    try {
      await Promise.all(parts);
      // When all that had come is written the hash of it is the last word.
      const proof = waiting.isEmpty ? await prover.take(closed) : null;
      if (proof !== null) await feed.write({ kind: 'proof', proof });
      isPeaceful = true;
    } finally {
      lifetime.end();
      await Promise.allSettled([...parts, retainer.rest()]);
      await waiting.close(isPeaceful);
      await log.close().catch(() => undefined);
    }
  };

  const ended = lifetime.lasting(run());
  // Whoever does not look at how it ended is not brought down by it.
  ended.catch(() => undefined);

  return {
    ended,
    fullNow: async (reason, { verify = false } = {}) => await fulls.now({ reason, verify }, running),
    status: () => {
      const following = follower?.status() ?? { url: null, seenRevision: 0n, problem: null };
      const oldestAtMs = backlog?.oldestAtMs ?? null;
      const { lastFull, wanted, nextAtMs, problem } = fulls.status();
      const problems = [
        store.problem,
        backlog?.problem,
        spoolProblem,
        following.problem,
        problem,
        retainer.problem,
      ].filter((text) => text !== null && text !== undefined);
      return {
        state: stateOf(lifetime.rested.aborted, writer, store.problem, following.url),
        archivedRevision: writer?.position.lastRevision ?? 0n,
        seenRevision: following.seenRevision,
        lagMs: oldestAtMs === null ? 0 : Math.max(0, clock.wallMs() - oldestAtMs),
        waitingBytes: inbox.sizeBytes,
        spooledBytes: backlog?.spooledBytes ?? 0,
        gaps: findings.gaps,
        lastFull,
        fullWanted: wanted,
        nextFullAtMs: nextAtMs,
        lastProof: prover.last,
        lastVerification: findings.lastVerification,
        memberUrl: following.url,
        problem: problems.length === 0 ? null : problems.join('; '),
      };
    },
  };
}

function authRevisionOf(full: KnownFull | null): bigint | null {
  const authRevision = full?.document.authRevision ?? null;
  return authRevision === null ? null : BigInt(authRevision);
}

function stateOf(
  hasEnded: boolean,
  writer: LogWriter | null,
  storeProblem: string | null,
  memberUrl: string | null,
): ArchiverStatus['state'] {
  if (hasEnded) return 'ended';
  if (storeProblem !== null) return 'away';
  if (writer === null) return 'starting';
  return memberUrl === null ? 'no-member' : 'following';
}
