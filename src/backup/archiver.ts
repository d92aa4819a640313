import { describeError } from '../base/errors.ts';
import type { Clock, Ids, Logger } from '../base/ports.ts';
import type { StreamClient } from '../etcd/port.ts';
import type { Schedule } from '../protocol/schedule.ts';
import type { Archive, Epoch } from './archive.ts';
import { watchAuth } from './auth-watch.ts';
import { type Backlog, createBacklog } from './backlog.ts';
import type { Gap, Proof } from './documents.ts';
import { type ArchiveSource, createFollower, type Follower } from './follower.ts';
import { type Full, revisionOf } from './full.ts';
import { createFullTaker, type KnownFull } from './full-taker.ts';
import { createInbox, type InboxEntry } from './inbox.ts';
import { type LogWriter, openLogWriter } from './log-writer.ts';
import { createProver } from './prover.ts';
import {
  type ArchiveVerification,
  type VerificationOptions,
  verifyBySchedule,
} from './scheduled-verification.ts';
import { openSpool, type Spool, type SpoolPlace } from './spool.ts';
import { ArchiveStoreError } from './store-port.ts';

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
   * Resolves when the signal it was started with has aborted, what had come was written, for {@link END_MS_MAX} at
   * most, and everything has come to rest; what hangs a second later is left to itself. Rejects with an {@link ArchiveError}, `fenced` above all, when it must not
   * go on.
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
  readonly lastVerification: (ArchiveVerification & { readonly atMs: number }) | null;
  readonly memberUrl: string | null;
  /** What is in the way, for people; `null` when nothing is. */
  readonly problem: string | null;
}

const GAPS_SHOWN_MAX = 20;
/** Of a reason that stands in a full. */
const REASON_CHARACTERS_MAX = 300;
/** Time that what had come has to be written when the archiver ends. */
export const END_MS_MAX = 3_000;
/** Time that everything has then to come to rest. */
const REST_MS_MAX = 1_000;
/** Between two tries of what the store did not do: doubles up to the longest. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;

/** Starts to archive; it goes on until `signal` aborts or it must not. */
export function startArchiver(options: ArchiverOptions, signal: AbortSignal): Archiver {
  const { archive, epoch, clock, logger } = options;
  const limits = { ...ARCHIVER_LIMITS, ...options.limits };
  const inbox = createInbox({ bytesMax: limits.waitingBytesMax, batchBytesMax: limits.batchBytesMax });
  const over = new AbortController();
  const running = AbortSignal.any([signal, over.signal]);
  /** Aborts when nothing may be written any more. */
  const closed = new AbortController();
  /** Aborts when it has ended. */
  const rested = new AbortController();
  let writer: LogWriter | null = null;
  let follower: Follower | null = null;
  let backlog: Backlog | null = null;
  let storeProblem: string | null = null;
  let spoolProblem: string | null = null;
  let retentionProblem: string | null = null;
  let isRetentionDue = false;
  let retaining: Promise<void> = Promise.resolve();
  let lastVerification: ArchiverStatus['lastVerification'] = null;
  let hasEnded = false;
  const gaps: Gap[] = [];
  const memberUrl = (): string | null => follower?.status().url ?? null;
  const seenRevision = (): bigint => follower?.status().seenRevision ?? 0n;
  const prover = createProver({
    member: memberUrl,
    seenRevision,
    connect: options.connect,
    clock,
    logger,
    intervalMs: limits.proofMs,
  });

  const retain = async (within: AbortSignal): Promise<void> => {
    try {
      await options.retain?.(within);
      retentionProblem = null;
    } catch (error) {
      if (within.aborted) return;
      retentionProblem = `what is old was not removed: ${describeError(error)}`;
      logger.warn('what is old was not removed', { problem: describeError(error) });
    }
  };
  /** Beside the fulls: to remove a day of segments one by one takes long. One at a time; more wishes are one wish. */
  const retainSoon = (within: AbortSignal): void => {
    if (isRetentionDue) return;
    isRetentionDue = true;
    retaining = retaining.then(async () => {
      isRetentionDue = false;
      if (!within.aborted) await retain(within);
    });
  };
  const fulls = createFullTaker({
    archive,
    epoch,
    generation: options.generation,
    member: async (within) => memberUrl() ?? (await options.members(within))[0]?.url ?? null,
    connect: options.connect,
    clock,
    logger,
    schedule: options.fullSchedule,
    logBytesMax: limits.logBytesPerFull,
    onTaken: (within) => {
      prover.soon();
      retainSoon(within);
    },
  });

  const noteGap = (gap: Gap): void => {
    gaps.push(gap);
    if (gaps.length > GAPS_SHOWN_MAX) gaps.shift();
    const reason = `revisions ${gap.from} to ${gap.to} are not in the log: ${gap.reason}`;
    fulls.want({ reason, verify: false }, (full) => revisionOf(full) >= BigInt(gap.to));
  };
  const noteVerification = (verification: ArchiveVerification): void => {
    const atMs = clock.wallMs();
    lastVerification = { ...verification, atMs };
    const [problem] = verification.problems;
    if (problem === undefined) return;
    const { lost } = verification;
    if (lost !== null) {
      const gap: Gap = { reason: 'lost', ...lost };
      logger.warn('revisions are missing from the archive', { ...gap });
      inbox.putGap(gap);
      noteGap(gap);
    }
    const reason = `a verification found: ${problem}`.slice(0, REASON_CHARACTERS_MAX);
    fulls.want({ reason, verify: true }, (full) => full.document.startedAtMs >= atMs);
  };
  const noteAuth = (authRevision: bigint): void => {
    const seenAtMs = clock.wallMs();
    const reason = `users or roles were changed: auth revision ${authRevision}`;
    fulls.want({ reason, verify: false }, ({ document }) => {
      // What does not tell has it where it was begun later.
      if (document.authRevision === null) return document.startedAtMs >= seenAtMs;
      return BigInt(document.authRevision) >= authRevision;
    });
  };

  const noteStoreProblem = (problem: string): void => {
    if (storeProblem === null) logger.warn('the archive is not written', { problem });
    storeProblem = problem;
  };
  /** A store may hang for minutes until it fails, and a mount for ever: what waits has to be spooled meanwhile. */
  const noteSilence = async (answered: AbortSignal): Promise<void> => {
    const over = AbortSignal.any([answered, rested.signal]);
    await clock.sleep(limits.silenceMsMax, over);
    if (!over.aborted) noteStoreProblem(`it has not answered for ${limits.silenceMsMax / 1000} s`);
  };
  /** Tries until it is done, nothing may be written any more, or the archive says that we must not. */
  const persist = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    for (let pauseMs = RETRY_MS_MIN; !closed.signal.aborted; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
      const answered = new AbortController();
      void noteSilence(answered.signal);
      try {
        const result = await work();
        if (storeProblem !== null) logger.info('the archive is written again', { what });
        storeProblem = null;
        return result;
      } catch (error) {
        if (!(error instanceof ArchiveStoreError)) throw error;
        // At the end one try is enough: whoever archives next has it from a member.
        if (running.aborted) return null;
        noteStoreProblem(describeError(error));
      } finally {
        answered.abort();
      }
      await clock.sleep(pauseMs, running);
    }
    return null;
  };

  const writeOne = async (log: LogWriter, entry: InboxEntry): Promise<boolean> => {
    const bytesBefore = log.writtenBytes;
    const done = await persist('log', async () => {
      await writeEntry(log, entry);
      return true;
    });
    fulls.noteWritten(log.writtenBytes - bytesBefore);
    return done !== null;
  };
  const writeAll = async (log: LogWriter, waiting: Backlog): Promise<void> => {
    for (;;) {
      await waiting.something(running);
      await gathered(waiting, limits.segmentMs, clock, running);
      const entry = await waiting.peek(closed.signal);
      if (entry === null) {
        if (running.aborted) return;
        continue;
      }
      if (!(await writeOne(log, entry))) return;
      await waiting.drop();
    }
  };
  /** When all that had come is written the hash of it is the last word. */
  const seal = async (log: LogWriter, waiting: Backlog): Promise<void> => {
    if (!waiting.isEmpty) return;
    const proof = await prover.take(closed.signal);
    if (proof !== null) await writeOne(log, { kind: 'proof', proof });
  };

  /** `null` where there is none, or its disk does not let us: then what waits is in memory alone. */
  const spoolAfter = async (archived: bigint, id: string): Promise<Spool | null> => {
    const { generation } = options;
    try {
      const place = (await options.spool?.()) ?? null;
      if (place === null) return null;
      const shared = { place, archive, epoch, generation, writer: id, clock, logger };
      const { spool, gaps: found, problem } = await openSpool(shared, archived, running);
      spoolProblem = problem;
      for (const gap of found) noteGap(gap);
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
    const opened = await persist('opening', async () => {
      const { generation } = options;
      const { segmentBytesMax, segmentAgeMsMax } = limits;
      const shared = { archive, epoch, generation, writer: id, clock };
      const log = await openLogWriter({ ...shared, segmentBytesMax, segmentAgeMsMax }, closed.signal);
      await fulls.load(log.base, running);
      return log;
    });
    if (opened === null) return;
    writer = opened;
    const { lastRevision, sequence } = opened.position;
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
      members: options.members,
      connect: options.connect,
      inbox,
      clock,
      logger,
      onGap: noteGap,
    });
    follower = following;
    const waiting = createBacklog({
      inbox,
      spool,
      after,
      isAway: () => storeProblem !== null,
      onLost: () => {
        following.rewind(opened.position.lastRevision);
        return opened.position.lastRevision;
      },
      clock,
      logger,
    });
    backlog = waiting;
    const parts = [
      following.run(running),
      writeAll(opened, waiting),
      waiting.run(running),
      prover.run((proof) => inbox.putProof(proof), running),
      fulls.run(running),
      watchAuth(
        {
          member: memberUrl,
          connect: options.connect,
          clock,
          logger,
          intervalMs: limits.authMs,
          archived: () => authRevisionOf(fulls.status().lastFull),
          onChange: noteAuth,
        },
        running,
      ),
    ];
    if (options.verification !== null) {
      const around = { clock, logger, onDone: noteVerification };
      parts.push(verifyBySchedule(options.verification, around, running));
    }
    let isPeaceful = false;
    try {
      await Promise.all(parts);
      await seal(opened, waiting);
      isPeaceful = true;
    } finally {
      over.abort();
      await Promise.allSettled([...parts, retaining]);
      await waiting.close(isPeaceful);
      await opened.close().catch(() => undefined);
    }
  };

  /** Resolves where something hangs that was to come to rest: it is left to itself. */
  const abandoned = new Promise<void>((resolve) => {
    const closeLater = async (): Promise<void> => {
      await clock.sleep(END_MS_MAX, closed.signal);
      closed.abort();
      await clock.sleep(REST_MS_MAX, rested.signal);
      if (!rested.signal.aborted)
        logger.warn('the archive hangs', { problem: 'what was begun does not end' });
      resolve();
    };
    if (running.aborted) void closeLater();
    else running.addEventListener('abort', () => void closeLater(), { once: true });
  });
  const ended = Promise.race([run(), abandoned]).finally(() => {
    over.abort();
    closed.abort();
    rested.abort();
    hasEnded = true;
  });
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
        storeProblem,
        backlog?.problem,
        spoolProblem,
        following.problem,
        problem,
        retentionProblem,
      ].filter((text) => text !== null && text !== undefined);
      return {
        state: stateOf(hasEnded, writer, storeProblem, following.url),
        archivedRevision: writer?.position.lastRevision ?? 0n,
        seenRevision: following.seenRevision,
        lagMs: oldestAtMs === null ? 0 : Math.max(0, clock.wallMs() - oldestAtMs),
        waitingBytes: inbox.sizeBytes,
        spooledBytes: backlog?.spooledBytes ?? 0,
        gaps: [...gaps],
        lastFull,
        fullWanted: wanted,
        nextFullAtMs: nextAtMs,
        lastProof: prover.last,
        lastVerification,
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

/** Waits until what is there has been gathered for long enough, or is enough. */
async function gathered(
  backlog: Backlog,
  segmentMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (segmentMs === 0) return;
  const enough = new AbortController();
  const until = AbortSignal.any([signal, enough.signal]);
  await Promise.race([clock.sleep(segmentMs, until), backlog.batchful(until)]);
  enough.abort();
}

async function writeEntry(log: LogWriter, entry: InboxEntry): Promise<void> {
  switch (entry.kind) {
    case 'batch':
      await log.write(entry.batch);
      return;
    case 'gap':
      await log.skip(entry.gap);
      return;
    case 'proof':
      await log.prove(entry.proof);
      return;
  }
}
