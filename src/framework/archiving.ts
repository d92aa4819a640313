import { ARCHIVER_LIMITS, type Archiver, type ArchiverStatus, startArchiver } from '../backup/archiver.ts';
import { ArchiveError } from '../backup/errors.ts';
import type { ArchiveSource } from '../backup/follower.ts';
import type { Full } from '../backup/full.ts';
import { type ArchiveStore, ArchiveStoreError } from '../backup/store-port.ts';
import { afterSilence } from '../backup/store-retry.ts';
import { orAborted, withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Ids, Logger } from '../base/ports.ts';
import { clientUrlOf } from '../protocol/launch.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import type { PublishedArchive } from '../protocol/view.ts';
import { type ArchiveSight, FRESH_MS, type Observation } from '../reconcile/observation.ts';
import { tellsNothing } from '../reconcile/users.ts';
import type { ArchiveAccess } from './archive-access.ts';
import { type ArchiveClaim, assertNothingArchived, openOwnArchive } from './archive-opening.ts';
import { type ArchivingState, archiveViewOf } from './archive-view.ts';
import type { StoryPart } from './story.ts';
import { createVerifiedFulls } from './verified-fulls.ts';

/**
 * The archiver of the scheduler that leads: begins when the cluster is formed, is begun again whatever it ends with,
 * and ends with the term. The cluster goes on whether it is archived or not.
 */
export interface Archiving {
  /** Archives until `signal` aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** The record as it has to be stored before archiving can go on. */
  claimed(record: ClusterRecord): ClusterRecord;
  /** After every pass: what is stored, what was seen, and why a full is wanted. */
  passed(pass: ArchivePass): void;
  /** Before there is a cluster: as {@link assertNothingArchived}. */
  assertNothingThere(signal: AbortSignal): Promise<void>;
  /** Takes a full and reads it back whole. Rejects when that one try fails, or when nothing can be archived now. */
  fullNow(reason: string): Promise<Full>;
  sight(): ArchiveSight;
  view(): PublishedArchive;
}

export interface ArchivePass {
  readonly record: ClusterRecord;
  readonly seen: Observation;
  readonly fullWanted: string | null;
}

export interface ArchivingOptions {
  readonly access: ArchiveAccess;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** Something is to be stored, or decided anew. */
  readonly onChange: () => void;
  readonly tell: (part: StoryPart) => void;
}

/** Between two tries to archive: doubles up to the longest. */
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;
/** An archiver that ran so long was well: the next is begun soon. */
const STEADY_MS = 5 * 60_000;
/** What came has to be written, and all is to be let go of, before a store is not waited for any more. */
const SETTLE_MS = 10_000;

export function createArchiving(options: ArchivingOptions): Archiving {
  const { access, clock, log } = options;
  let state: ArchivingState = { kind: 'waiting', problem: null };
  /** Of the newest archiver, when it has ended, and when that was. */
  let last: { readonly status: ArchiverStatus; readonly atMs: number } | null = null;
  let id: string | null = null;
  let pass: ArchivePass | null = null;
  let claim: ArchiveClaim | null = null;
  let refusal: string | null = null;
  /** Those who wait for a pass. */
  let waiting: (() => void)[] = [];
  /** One for all archivers of this term: each may go on from what the one before it has written. */
  const writer = options.ids.uuid();

  /** What waited at the end of the newest archiver waits still. */
  const lastNow = (): ArchiverStatus | null => {
    if (last === null) return null;
    const { status, atMs } = last;
    const isWaiting = status.seenRevision > status.archivedRevision;
    return { ...status, lagMs: status.lagMs + (isWaiting ? clock.monotonicMs() - atMs : 0) };
  };

  const statusNow = (): ArchiverStatus | null => {
    const before = lastNow();
    if (state.kind !== 'archiving') return before;
    const status = state.archiver.status();
    // Until the log is opened what is in it is what was in it.
    return status.state === 'starting' && before !== null ? { ...before, state: 'starting' } : status;
  };

  /** The first pass, from the present one on, that gives an answer. */
  const passWith = async <T>(look: (pass: ArchivePass) => T | null, signal: AbortSignal): Promise<T> => {
    for (;;) {
      signal.throwIfAborted();
      const answer = pass === null ? null : look(pass);
      if (answer !== null) return answer;
      await orAborted(signal, new Promise<void>((resolve) => waiting.push(resolve)));
    }
  };

  const stored = async (next: ArchiveClaim, signal: AbortSignal): Promise<ClusterRecord> => {
    claim = next;
    options.onChange();
    try {
      return await passWith(({ record }) => (withClaim(record, next) === record ? record : null), signal);
    } finally {
      claim = null;
    }
  };

  /** One that hangs does so for minutes, a mount for ever: it is told as one that is away. */
  const openStore = async (signal: AbortSignal): Promise<ArchiveStore> => {
    const { silenceMsMax } = { ...ARCHIVER_LIMITS, ...access.limits };
    const opened = new AbortController();
    const over = AbortSignal.any([signal, opened.signal]);
    void afterSilence(clock, silenceMsMax, over, (problem) => {
      state = { kind: 'away', problem };
    });
    try {
      return await access.open(signal);
    } finally {
      opened.abort();
    }
  };

  /** From opening the store to the end of the archiver. */
  const archive = async (signal: AbortSignal): Promise<void> => {
    if (state.kind === 'waiting') state = { kind: 'waiting', problem: null };
    const formed = await passWith(({ record }) => (isFormed(record) ? record : null), signal);
    if (state.kind === 'waiting') state = { kind: 'starting', problem: null };
    const store = await openStore(signal);
    const { place, givenUp } = access;
    const opened = await openOwnArchive(
      {
        store,
        place,
        givenUp,
        record: formed,
        isFirst: last === null,
        claim: stored,
        clock,
        ids: options.ids,
      },
      signal,
    );
    const { archive: own, epoch, record } = opened;
    const { retain, verification } = access;
    id = own.id;
    const archiver = startArchiver(
      {
        archive: own,
        epoch,
        generation: record.generation,
        writer,
        members: async () => await Promise.resolve(pass === null ? [] : sourcesOf(pass)),
        connect: access.connect,
        clock,
        ids: options.ids,
        logger: log,
        spool: access.openSpool,
        fullSchedule: access.fullSchedule,
        retain: retain === null ? null : async (within) => await retain(own, within),
        verification:
          verification === null
            ? null
            : {
                schedule: verification.schedule,
                run: async (within) => await verification.run(own, within),
              },
        limits: access.limits,
      },
      signal,
    );
    state = { kind: 'archiving', archiver };
    refusal = null;
    const text = `generation ${record.generation} archives to ${place}`;
    options.tell({ slot: null, text, reason: `archive ${own.id} is this cluster's` });
    await ended(archiver, signal);
  };

  /** A store that hangs is not waited for when the term is over: what it does then, it does without us. */
  const ended = async (archiver: Archiver, signal: AbortSignal): Promise<void> => {
    try {
      await orAborted(signal, archiver.ended);
    } catch (error) {
      if (!signal.aborted) throw error;
      await withDeadline(clock, SETTLE_MS, new AbortController().signal, async () => await archiver.ended);
    } finally {
      last = { status: archiver.status(), atMs: clock.monotonicMs() };
    }
  };

  /** What one try has ended with; `false`: there is no use in another in this term. */
  const settle = (error: unknown): boolean => {
    const problem = describeError(error);
    if (!(error instanceof ArchiveError)) {
      state = { kind: error instanceof ArchiveStoreError ? 'away' : 'starting', problem };
      log.error('nothing is archived; it is tried again', { error });
      return true;
    }
    const said = error.hint === undefined ? problem : `${problem}. ${error.hint}`;
    state = { kind: 'refused', problem: said };
    log.error('nothing is archived', { error });
    if (refusal !== problem) options.tell({ slot: null, text: 'nothing is archived', reason: problem });
    refusal = problem;
    return error.code !== 'fenced';
  };

  const take = async (reason: string): Promise<Full> => {
    if (state.kind === 'archiving') return await state.archiver.fullNow(reason, { verify: true });
    throw new ArchiveError('missing', `nothing can be archived now: ${state.problem ?? NOT_FORMED}`);
  };
  const fulls = createVerifiedFulls({ take, clock, log, onChange: options.onChange });

  return {
    run: async (signal) => {
      let pauseMs = PAUSE_MS_MIN;
      while (!signal.aborted) {
        const startMs = clock.monotonicMs();
        try {
          await archive(signal);
        } catch (error) {
          if (signal.aborted || !settle(error)) return;
        }
        if (clock.monotonicMs() - startMs >= STEADY_MS) pauseMs = PAUSE_MS_MIN;
        await clock.sleep(pauseMs, signal);
        pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2);
      }
    },
    claimed: (record) => (claim === null ? record : withClaim(record, claim)),
    passed: (next) => {
      pass = next;
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
      // A pass that began before the newest one was there asks for it still.
      const isPresent = next.seen.archive?.verifiedFullAtMs === fulls.newestAtMs;
      if (next.fullWanted !== null && isPresent) fulls.want(next.fullWanted);
    },
    assertNothingThere: async (signal) => {
      const onProblem = (problem: string | null): void => {
        state = { kind: problem === null ? 'waiting' : 'away', problem };
      };
      await assertNothingArchived({ access, clock, log, onProblem }, signal);
    },
    fullNow: fulls.now,
    sight: () => ({
      archivedRevision: String(statusNow()?.archivedRevision ?? 0n),
      verifiedFullAtMs: fulls.newestNoLaterThanNow(),
    }),
    view: () => archiveViewOf({ place: access.place, id, state, status: statusNow() }),
  };
}

const NOT_FORMED = 'the cluster has not formed yet';

/** As {@link Archiving.fullNow}, of a scheduler that may have nowhere to archive to. */
export async function fullWith(archiving: Archiving | null, reason: string): Promise<Full> {
  if (archiving === null) throw new ArchiveError('missing', 'no archive is configured');
  return await archiving.fullNow(reason);
}

function isFormed({ epoch }: ClusterRecord): boolean {
  return epoch.phase === 'formed' && epoch.clusterId !== null;
}

/** The same record where it says so already. */
function withClaim(record: ClusterRecord, { archive, writtenBy }: ArchiveClaim): ClusterRecord {
  const { archive: known } = record;
  const isSaid =
    known !== null && known.id === archive.id && known.place === archive.place && known.made === archive.made;
  if (isSaid && record.generation > writtenBy) return record;
  return { ...record, archive, generation: Math.max(record.generation, writtenBy + 1) };
}

/**
 * Members that can be followed: those that serve by what they said a moment ago, followers first. Where all keep to
 * themselves how they are, these: whoever asks them is told why.
 */
export function sourcesOf({ record, seen }: Pick<ArchivePass, 'record' | 'seen'>): readonly ArchiveSource[] {
  const fresh = record.seats.flatMap((seat) => {
    const view = seen.members.get(seat.id);
    const status = view !== undefined && view.ageMs <= FRESH_MS ? view.status : null;
    return status === null ? [] : [{ url: clientUrlOf(seat), status }];
  });
  const serving = fresh.flatMap(({ url, status: { probe } }) => {
    if (probe === null || probe.isLearner || probe.clusterId !== record.epoch.clusterId) return [];
    return [{ url, leads: probe.leaderId === probe.memberId }];
  });
  if (serving.length === 0) {
    return fresh.filter(({ status }) => tellsNothing(status)).map(({ url }) => ({ url }));
  }
  return serving
    .toSorted((left, right) => Number(left.leads) - Number(right.leads))
    .map(({ url }) => ({ url }));
}
