import { startDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import { etcdErrorOf } from '../etcd/error-texts.ts';
import { EtcdError, type StreamClient } from '../etcd/port.ts';
import type { LeaseGrant } from './batch.ts';
import type { Gap } from './documents.ts';
import type { Inbox } from './inbox.ts';
import { createWatchAssembly, type WatchEnding } from './watch-assembly.ts';

/** A member that can be followed. */
export interface ArchiveSource {
  /** Of its client listener. */
  readonly url: string;
}

export interface FollowerOptions {
  readonly clusterId: string;
  /** The first revision that is wanted; 0 when nothing is known yet: then those from now on are. */
  readonly start: bigint;
  /** Members in the order in which they are tried: followers first, since reading costs them least. */
  readonly members: (signal: AbortSignal) => Promise<readonly ArchiveSource[]>;
  readonly connect: (url: string) => StreamClient;
  readonly inbox: Inbox;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Revisions are missing from now on: a full has to take their place. */
  readonly onGap: (gap: Gap) => void;
}

export interface FollowerStatus {
  /** Of the member that is followed; `null` while none is. */
  readonly url: string | null;
  /** The last revision that came. */
  readonly seenRevision: bigint;
  /** Why nobody was followed the last time; `null` while somebody is. */
  readonly problem: string | null;
}

export interface Follower {
  status(): FollowerStatus;
  /** Begins once more after this revision: what came later was lost before it was written. */
  rewind(to: bigint): void;
  /** Follows one member after the other until `signal` aborts. Rejects for a bug. */
  run(signal: AbortSignal): Promise<void>;
}

/** As gRPC says it of what has no status of its own. */
const UNKNOWN = 2;
/** Between two members that are tried: doubles up to the longest. */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 5_000;
/** Time that a member has to tell its status, or of a lease. */
const ANSWER_MS_MAX = 5_000;
/** Leases that are asked for at once. */
const LEASES_AT_ONCE = 16;
/** Leases whose TTL is remembered as written; beyond it they are asked for and written once more. */
const LEASES_KNOWN_MAX = 100_000;
/** A lease that was asked for so long ago may have ended and been granted anew under its id: it is asked for again. */
const LEASE_KNOWN_MS = 60_000;

export function createFollower(options: FollowerOptions): Follower {
  const { clusterId, inbox, clock, logger } = options;
  let next = options.start;
  /**
   * What the revision before `next` did, as it came. The next watch begins with that one, to see that its member has
   * the same history: it may have been restored from a backup meanwhile, and have gone on from there.
   */
  let lastEvents: readonly Uint8Array[] = [];
  let url: string | null = null;
  let problem: string | null = null;
  let round = new AbortController();
  /** When they were asked for. */
  const knownLeases = new Map<bigint, number>();

  /** A call that must not take long. */
  const soon = async <T>(signal: AbortSignal, work: (within: AbortSignal) => Promise<T>): Promise<T> => {
    const deadline = startDeadline(clock, ANSWER_MS_MAX, signal);
    try {
      return await work(deadline.signal);
    } finally {
      deadline.release();
    }
  };

  const grantsOf = async (
    client: StreamClient,
    leases: readonly bigint[],
    signal: AbortSignal,
  ): Promise<readonly LeaseGrant[]> => {
    const sinceMs = clock.monotonicMs() - LEASE_KNOWN_MS;
    const asked = leases.filter((id) => (knownLeases.get(id) ?? Number.NEGATIVE_INFINITY) <= sinceMs);
    const grants: LeaseGrant[] = [];
    for (let at = 0; at < asked.length; at += LEASES_AT_ONCE) {
      const some = asked.slice(at, at + LEASES_AT_ONCE).map(async (id) => ({
        id,
        ttlSeconds: await soon(signal, async (within) => await client.leaseTtl(id, within)),
      }));
      grants.push(...(await Promise.all(some)));
    }
    // One that has ended by now is written as it was when its keys were put.
    return grants.filter(({ id, ttlSeconds }) => ttlSeconds !== null || !knownLeases.has(id));
  };

  const leave = (gap: Gap): void => {
    logger.warn('revisions are missing from the archive', { ...gap });
    inbox.putGap(gap);
    [next, lastEvents] = [BigInt(gap.to) + 1n, []];
    options.onGap(gap);
  };
  /** What the end of a watch means; an ordinary one nothing: the next goes on. */
  const settle = (ending: WatchEnding): void => {
    switch (ending.kind) {
      case 'other-cluster':
        throw new EtcdError('other', `it is of cluster ${ending.clusterId}, not of ${clusterId}`);
      case 'compacted':
        // At the compacted revision itself a deletion may be gone already.
        leave({ reason: 'compacted', from: String(next), to: String(ending.compactRevision) });
        return;
      case 'lost':
        leave({ reason: 'lost', from: String(ending.from), to: String(ending.to) });
        return;
      case 'cancelled':
        throw etcdErrorOf('the watch was cancelled', UNKNOWN, ending.reason, undefined);
    }
  };

  const assertLevel = async (client: StreamClient, signal: AbortSignal): Promise<void> => {
    const status = await soon(signal, async (within) => await client.status(within));
    if (status.clusterId !== clusterId) settle({ kind: 'other-cluster', clusterId: status.clusterId });
    const revision = BigInt(status.revision);
    if (next === 0n) leave({ reason: 'begin', from: '1', to: String(revision) });
    // From there a watch would be silent, and then go on with another history.
    else if (revision < next - 1n) {
      throw new EtcdError('other', `it is at revision ${revision}, the archive at ${next - 1n}`);
    }
  };

  const follow = async (source: ArchiveSource, signal: AbortSignal): Promise<void> => {
    const client = options.connect(source.url);
    try {
      await assertLevel(client, signal);
      const assembly = createWatchAssembly(clusterId, next, lastEvents);
      const begin = lastEvents.length === 0 ? next : next - 1n;
      let grants: LeaseGrant[] = [];
      for await (const answer of client.watchAll(begin, signal)) {
        [url, problem] = [source.url, null];
        const { revisions, leases, ending } = assembly.take(answer);
        grants.push(...(await grantsOf(client, leases, signal)));
        if (signal.aborted) throw new EtcdError('aborted', 'the watch was given up');
        if (revisions.length > 0) {
          inbox.putRevisions({ atMs: clock.wallMs(), leases: grants, revisions });
          remember(knownLeases, grants, clock.monotonicMs());
          grants = [];
        }
        ({ next, lastEvents } = assembly);
        if (ending?.kind === 'compacted' && begin < next && ending.compactRevision <= next) {
          // What is wanted is there yet, and no more.
          lastEvents = [];
          return;
        }
        if (ending !== null) {
          settle(ending);
          return;
        }
        await inbox.room(signal);
      }
      throw new EtcdError('unavailable', 'the watch ended');
    } finally {
      url = null;
      client.close();
    }
  };

  return {
    status: () => ({ url, seenRevision: next === 0n ? 0n : next - 1n, problem }),
    rewind: (to) => {
      [next, lastEvents] = [to + 1n, []];
      knownLeases.clear();
      round.abort();
    },
    run: async (signal) => {
      let pauseMs = PAUSE_MS_MIN;
      for (let turn = 0; !signal.aborted; turn += 1) {
        const before = next;
        round = new AbortController();
        try {
          const sources = await options.members(signal);
          const source = sources[turn % Math.max(1, sources.length)];
          if (source === undefined) throw new EtcdError('unavailable', 'no member is known');
          await follow(source, AbortSignal.any([signal, round.signal]));
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof EtcdError)) throw error;
          problem = describeError(error);
          logger.debug('a member is not followed any more', { problem });
        }
        pauseMs = next > before ? PAUSE_MS_MIN : Math.min(PAUSE_MS_MAX, pauseMs * 2);
        await clock.sleep(pauseMs, signal);
      }
    },
  };
}

function remember(known: Map<bigint, number>, grants: readonly LeaseGrant[], nowMs: number): void {
  if (known.size + grants.length > LEASES_KNOWN_MAX) known.clear();
  for (const { id } of grants) known.set(id, nowMs);
}
