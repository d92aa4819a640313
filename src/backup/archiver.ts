import { describeError } from '../base/errors.ts';
import type { Clock, Ids, Logger } from '../base/ports.ts';
import type { StreamClient } from '../etcd/port.ts';
import type { Archive, Epoch } from './archive.ts';
import type { Gap } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { type ArchiveSource, createFollower, type Follower } from './follower.ts';
import { type Full, listFulls, revisionOf, takeFull } from './full.ts';
import { createInbox, type Inbox, type InboxEntry } from './inbox.ts';
import { type LogWriter, openLogWriter } from './log-writer.ts';

/**
 * Keeps an archive level with its cluster: follows a member, writes what it does to the log, and takes a full when
 * there is none that the log goes on from. What it says to be archived is durable.
 */
export interface Archiver {
  status(): ArchiverStatus;
  /** Takes a full as soon as no other is being taken. Rejects when that one try fails, or when `ended` settles. */
  fullNow(reason: string): Promise<Full>;
  /**
   * Resolves when the signal it was started with has aborted and everything has come to rest. Rejects with an
   * {@link ArchiveError}, `fenced` above all, when it must not go on.
   */
  readonly ended: Promise<void>;
}

export interface ArchiverOptions {
  readonly archive: Archive;
  readonly epoch: Epoch;
  /** Of the leader whose archiver this is. */
  readonly generation: number;
  /** Members in the order in which they are tried: followers first. */
  readonly members: (signal: AbortSignal) => Promise<readonly ArchiveSource[]>;
  readonly connect: (url: string) => StreamClient;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
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
  /** What may wait to be written, in memory; beyond it the member is not read from. */
  readonly waitingBytesMax: number;
  /** A growing segment that has so many bytes is followed by the next. */
  readonly segmentBytesMax: number;
  /** A growing segment that is so old is followed by the next. */
  readonly segmentAgeMsMax: number;
  /** Between two proofs. */
  readonly proofMs: number;
  /** A full that is so old is followed by the next; `null`: only where one is needed or asked for. */
  readonly fullMs: number | null;
}

export const ARCHIVER_LIMITS: ArchiverLimits = {
  segmentMs: 1000,
  batchBytesMax: 4 * 1024 * 1024,
  waitingBytesMax: 64 * 1024 * 1024,
  segmentBytesMax: 64 * 1024 * 1024,
  segmentAgeMsMax: 10 * 60 * 1000,
  proofMs: 5 * 60 * 1000,
  fullMs: null,
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
  /** What waits to be written. */
  readonly waitingBytes: number;
  /** The newest ones that were found by this archiver. */
  readonly gaps: readonly Gap[];
  readonly lastFull: Full | null;
  /** Why there is a full to be taken; `null` when there is none. */
  readonly fullWanted: string | null;
  readonly memberUrl: string | null;
  /** What is in the way, for people; `null` when nothing is. */
  readonly problem: string | null;
}

const GAPS_SHOWN_MAX = 20;
/** Between two tries of what the store or a member did not do: doubles up to the longest. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;

/** Starts to archive; it goes on until `signal` aborts or it must not. */
export function startArchiver(options: ArchiverOptions, signal: AbortSignal): Archiver {
  const { archive, epoch, clock, logger } = options;
  const limits = { ...ARCHIVER_LIMITS, ...options.limits };
  const inbox = createInbox({ bytesMax: limits.waitingBytesMax, batchBytesMax: limits.batchBytesMax });
  const over = new AbortController();
  const running = AbortSignal.any([signal, over.signal]);
  let writer: LogWriter | null = null;
  let follower: Follower | null = null;
  let storeProblem: string | null = null;
  let hasEnded = false;
  const gaps: Gap[] = [];
  const fulls = createFullTaker(options, limits);

  const noteGap = (gap: Gap): void => {
    gaps.push(gap);
    if (gaps.length > GAPS_SHOWN_MAX) gaps.shift();
    fulls.want(`revisions ${gap.from} to ${gap.to} are not in the log: ${gap.reason}`, BigInt(gap.to));
  };

  /** Tries until it is done, `running` aborts, or the archive says that we must not. */
  const persist = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    for (let pauseMs = RETRY_MS_MIN; !running.aborted; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
      try {
        const result = await work();
        if (storeProblem !== null) logger.info('the archive is written again', { what });
        storeProblem = null;
        return result;
      } catch (error) {
        if (running.aborted) return null;
        if (error instanceof ArchiveError || !(error instanceof Error && 'code' in error)) throw error;
        if (storeProblem === null)
          logger.warn('the archive is not written', { problem: describeError(error) });
        storeProblem = describeError(error);
        await clock.sleep(pauseMs, running);
      }
    }
    return null;
  };

  const writeAll = async (log: LogWriter): Promise<void> => {
    while (!running.aborted) {
      await inbox.something(running);
      await gathered(inbox, limits.segmentMs, clock, running);
      const entry = inbox.peek();
      if (entry === null || running.aborted) continue;
      const done = await persist('log', async () => {
        await writeEntry(log, entry);
        return true;
      });
      if (done !== null) inbox.drop(entry);
    }
  };

  const prove = async (log: LogWriter, seen: Follower): Promise<void> => {
    while (!running.aborted) {
      await clock.sleep(limits.proofMs, running);
      const { url } = seen.status();
      if (running.aborted || url === null || log.position.lastRevision === 0n) continue;
      const client = options.connect(url);
      try {
        const revision = String(log.position.lastRevision);
        const { version, memberId } = await client.status(running);
        const { hash, compactRevision } = await client.hashKv(revision, running);
        const atMs = clock.wallMs();
        inbox.putProof({ revision, hash, compactRevision, etcdVersion: version, memberId, atMs });
      } catch (error) {
        logger.debug('no proof was given', { problem: describeError(error) });
      } finally {
        client.close();
      }
    }
  };

  const run = async (): Promise<void> => {
    const opened = await persist('opening', async () => {
      const { generation } = options;
      const { segmentBytesMax, segmentAgeMsMax } = limits;
      const shared = { archive, epoch, generation, writer: options.ids.uuid(), clock };
      const log = await openLogWriter({ ...shared, segmentBytesMax, segmentAgeMsMax }, running);
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
    follower = createFollower({
      clusterId: epoch.document.clusterId,
      start: lastRevision === 0n ? 0n : lastRevision + 1n,
      members: options.members,
      connect: options.connect,
      inbox,
      clock,
      logger,
      onGap: noteGap,
    });
    const parts = [
      follower.run(running),
      writeAll(opened),
      prove(opened, follower),
      fulls.run(follower, running),
    ];
    try {
      await Promise.all(parts);
    } finally {
      over.abort();
      await Promise.allSettled(parts);
      await opened.close().catch(() => undefined);
    }
  };

  const ended = run().finally(() => {
    over.abort();
    hasEnded = true;
  });
  // Whoever does not look at how it ended is not brought down by it.
  ended.catch(() => undefined);

  return {
    ended,
    fullNow: async (reason) => await fulls.now(reason, running),
    status: () => {
      const following = follower?.status() ?? { url: null, seenRevision: 0n, problem: null };
      const { oldestAtMs } = inbox;
      const { lastFull, wanted, problem } = fulls.status();
      return {
        state: stateOf(hasEnded, writer, storeProblem, following.url),
        archivedRevision: writer?.position.lastRevision ?? 0n,
        seenRevision: following.seenRevision,
        lagMs: oldestAtMs === null ? 0 : Math.max(0, clock.wallMs() - oldestAtMs),
        waitingBytes: inbox.sizeBytes,
        gaps: [...gaps],
        lastFull,
        fullWanted: wanted,
        memberUrl: following.url,
        problem: storeProblem ?? following.problem ?? problem,
      };
    },
  };
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

/** Waits until what is in the inbox has been gathered for long enough, or is enough. */
async function gathered(inbox: Inbox, segmentMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  if (segmentMs === 0) return;
  const enough = new AbortController();
  const until = AbortSignal.any([signal, enough.signal]);
  await Promise.race([clock.sleep(segmentMs, until), inbox.batchful(until)]);
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

/** Takes one full at a time: when one is needed, when the newest is old, and when somebody asks. */
function createFullTaker(options: ArchiverOptions, limits: ArchiverLimits) {
  const { archive, epoch, generation, clock, logger } = options;
  let lastFull: Full | null = null;
  let need: { readonly reason: string; readonly revision: bigint } | null = null;
  let problem: string | null = null;
  let wake = new AbortController();
  /** Those who asked for one, until one was begun for them. */
  let asked: { readonly reason: string; readonly settle: (result: Full | Error) => void }[] = [];

  const ageMs = (full: Full): number => clock.wallMs() - full.document.startedAtMs;
  const isDue = (): boolean =>
    need !== null ||
    asked.length > 0 ||
    (limits.fullMs !== null && lastFull !== null && ageMs(lastFull) >= limits.fullMs);

  const takeOne = async (follower: Follower, signal: AbortSignal): Promise<void> => {
    const answered = asked;
    asked = [];
    const [first] = answered;
    const reason = first?.reason ?? need?.reason ?? 'the newest one was old';
    try {
      const full = await withMember(follower, signal, async (client) => {
        const shared = { archive, epoch, generation, client, clock, reason };
        return await takeFull(shared, signal);
      });
      lastFull = full;
      problem = null;
      const { revision, sizeBytes } = full.document;
      logger.info('a full was taken', { name: full.name, revision, sizeBytes, reason });
      if (need !== null && revisionOf(full) >= need.revision) need = null;
      for (const { settle } of answered) settle(full);
    } catch (error) {
      problem = `no full: ${describeError(error)}`;
      if (!signal.aborted) logger.warn('a full was not taken', { reason, problem });
      for (const { settle } of answered) settle(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  };

  const withMember = async <T>(
    follower: Follower,
    signal: AbortSignal,
    work: (client: StreamClient) => Promise<T>,
  ): Promise<T> => {
    const { url } = follower.status();
    const source = url === null ? (await options.members(signal))[0]?.url : url;
    if (source === undefined)
      throw new ArchiveError('missing', 'no member is known that could give its data');
    const client = options.connect(source);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  };

  return {
    want: (reason: string, revision: bigint): void => {
      need = { reason, revision };
      wake.abort();
    },
    /** Looks for one that the log can be added to, which goes back to `base`. */
    load: async (base: bigint, signal: AbortSignal): Promise<void> => {
      const fulls = await listFulls(archive, epoch, signal);
      lastFull = fulls.at(-1) ?? null;
      const isThere = fulls.some((full) => revisionOf(full) >= base);
      if (!isThere) need = { reason: 'there is none that the log goes on from', revision: base };
    },
    now: async (reason: string, signal: AbortSignal): Promise<Full> =>
      await new Promise<Full>((resolve, reject) => {
        const settle = (result: Full | Error): void => {
          signal.removeEventListener('abort', giveUp);
          if (result instanceof Error) reject(result);
          else resolve(result);
        };
        const giveUp = (): void => settle(new ArchiveError('missing', 'the archiver has ended'));
        if (signal.aborted) giveUp();
        signal.addEventListener('abort', giveUp, { once: true });
        asked.push({ reason, settle });
        wake.abort();
      }),
    run: async (follower: Follower, signal: AbortSignal): Promise<void> => {
      for (let pauseMs = RETRY_MS_MIN; !signal.aborted; ) {
        wake = new AbortController();
        if (!isDue()) {
          const lookMs =
            limits.fullMs === null || lastFull === null ? 3_600_000 : limits.fullMs - ageMs(lastFull);
          await clock.sleep(Math.max(1, lookMs), AbortSignal.any([signal, wake.signal]));
          continue;
        }
        try {
          await takeOne(follower, signal);
          if (need === null) pauseMs = RETRY_MS_MIN;
          // A member that lags has not had what is needed.
          else throw new ArchiveError('missing', `the full that was taken lacks revision ${need.revision}`);
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof Error && 'code' in error)) throw error;
          await clock.sleep(pauseMs, signal);
          pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2);
        }
      }
    },
    status: () => ({ lastFull, wanted: need?.reason ?? null, problem }),
  };
}
