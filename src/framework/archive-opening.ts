import {
  type Archive,
  beginEpoch,
  createArchive,
  type Epoch,
  listEpochs,
  loadEpoch,
  openArchive,
} from '../backup/archive.ts';
import { ArchiveError } from '../backup/errors.ts';
import { findLogEnd } from '../backup/log-end.ts';
import { type ArchiveStore, ArchiveStoreError } from '../backup/store-port.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Ids, Logger } from '../base/ports.ts';
import type { ArchiveRecord, ClusterRecord } from '../protocol/record.ts';
import type { ArchiveAccess } from './archive-access.ts';
import { SchedulerError } from './config.ts';

/*
 * Whose archive it is. Its id is in the record before it is in the store, so that one which is missing there, or is
 * another, was taken away or put in its place: nothing is begun anew then, it is an error.
 */

/** What the record is to say before anything further is done. */
export interface ArchiveClaim {
  readonly archive: ArchiveRecord;
  /** The record was lost or put back, and the archive was written by this generation: ours has to be a later one. */
  readonly writtenBy: number;
}

export interface OpeningInput {
  readonly store: ArchiveStore;
  /** Of the place, as the operator named it. */
  readonly place: string;
  /** As {@link ArchiveAccess.givenUp}. */
  readonly givenUp: string | null;
  /** Stored, its epoch formed. */
  readonly record: ClusterRecord;
  /** Nothing was archived in this term yet: what the log's end was written by is another's. */
  readonly isFirst: boolean;
  /** Resolves when the record that is stored says so. Rejects when `signal` aborts. */
  readonly claim: (claim: ArchiveClaim, signal: AbortSignal) => Promise<ClusterRecord>;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface OpenedArchive {
  readonly archive: Archive;
  readonly epoch: Epoch;
  /** As it is stored by now. */
  readonly record: ClusterRecord;
}

/**
 * Opens the cluster's archive, or makes it where it has none, and begins its epoch. Rejects with an `ArchiveError` for
 * one that is not ours or not there any more, and with an `ArchiveStoreError`.
 */
export async function openOwnArchive(input: OpeningInput, signal: AbortSignal): Promise<OpenedArchive> {
  const { clock, givenUp } = input;
  const named = input.record.archive;
  const known = named?.id === givenUp ? null : named;
  const archive =
    known?.made === true
      ? await openKnown(input, known, signal)
      : await openNew(input, known?.id ?? null, signal);
  const claimed = { id: archive.id, place: input.place, made: true };
  const isOthers = known === null || input.isFirst;
  const record = await input.claim(
    { archive: claimed, writtenBy: isOthers ? await writtenBy(archive, input.record, signal) : 0 },
    signal,
  );
  const birth = { ...epochOf(record), parent: null, atMs: clock.wallMs() };
  return { archive, epoch: await beginEpoch(archive, birth, signal), record };
}

async function openKnown(input: OpeningInput, known: ArchiveRecord, signal: AbortSignal): Promise<Archive> {
  const { store, place, record } = input;
  try {
    return await openArchive(store, { archiveId: known.id, owner: record.cluster }, signal);
  } catch (error) {
    if (!(error instanceof ArchiveError) || !NOT_THERE.has(error.code)) throw error;
    const isMoved = error.code === 'missing' && place !== known.place;
    const { code, message, hint } = isMoved ? movedError(place, known) : error;
    const wayOut = `If it is lost for good, begin another with --archive-given-up ${known.id}.`;
    throw new ArchiveError(code, message, { hint: `${hint} ${wayOut}` });
  }
}
const NOT_THERE: ReadonlySet<ArchiveError['code']> = new Set(['missing', 'other-archive']);

function movedError(place: string, known: ArchiveRecord): ArchiveError {
  return new ArchiveError('missing', `${place} holds no archive; that of this cluster is in ${known.place}`, {
    hint: `Give --archive ${known.place} again, or move all that is in it to ${place}: its id is ${known.id}.`,
  });
}

/** @param intended of one that was about to be made; `null`: the record knows of none. */
async function openNew(input: OpeningInput, intended: string | null, signal: AbortSignal): Promise<Archive> {
  const { store, place, record, clock, ids } = input;
  const owner = record.cluster;
  const found = await archiveIn(store, signal);
  if (found !== null) {
    const archive = await openArchive(store, { archiveId: intended, owner }, signal);
    await assertOwnEpoch(archive, record, signal);
    return archive;
  }
  const archiveId = intended ?? ids.uuid();
  await input.claim({ archive: { id: archiveId, place, made: false }, writtenBy: 0 }, signal);
  return await createArchive(store, { archiveId, owner, atMs: clock.wallMs() }, signal);
}

/** What the store holds, whosever it is; `null`: none. */
async function archiveIn(store: ArchiveStore, signal: AbortSignal): Promise<Archive | null> {
  try {
    return await openArchive(store, { archiveId: null, owner: null }, signal);
  } catch (error) {
    if (error instanceof ArchiveError && error.code === 'missing') return null;
    throw error;
  }
}

/** Labels in Mesos keep the owner's name; whether its data is the cluster's that runs is said by the cluster id. */
async function assertOwnEpoch(archive: Archive, record: ClusterRecord, signal: AbortSignal): Promise<void> {
  const { epoch: number, clusterId } = epochOf(record);
  const epoch = await loadEpoch(archive, number, signal);
  if (epoch === null || epoch.document.clusterId === clusterId) return;
  throw new ArchiveError(
    'other-owner',
    `epoch ${number} in ${archive.store.place} is of cluster ${epoch.document.clusterId}, the one that runs is ${clusterId}`,
    { hint: 'Give the cluster that runs an archive of its own.' },
  );
}

/** The generation that wrote the epoch's log last; 0: none has. */
async function writtenBy(archive: Archive, record: ClusterRecord, signal: AbortSignal): Promise<number> {
  const epoch = await loadEpoch(archive, record.epoch.number, signal);
  if (epoch === null) return 0;
  return (await findLogEnd(archive, epoch, signal)).header?.generation ?? 0;
}

function epochOf({ epoch }: ClusterRecord): { readonly epoch: number; readonly clusterId: string } {
  if (epoch.clusterId === null) throw new Error(`epoch ${epoch.number} has no cluster id: it is not formed`);
  return { epoch: epoch.number, clusterId: epoch.clusterId };
}

/** Between two looks at a store that cannot be reached. */
const LOOK_MS_MIN = 1_000;
const LOOK_MS_MAX = 30_000;

/**
 * A first start is believed only where the archive's place holds none: the cluster that filled it was once, and a new
 * one in its stead would be empty. Waits until the store can be looked at. Rejects with a {@link SchedulerError}
 * `not-a-first-start`, and when `signal` aborts.
 */
export async function assertNothingArchived(
  of: {
    readonly access: ArchiveAccess;
    readonly clock: Clock;
    readonly log: Logger;
    /** Why it is waited for; `null`: it is not any more. */
    readonly onProblem: (problem: string | null) => void;
  },
  signal: AbortSignal,
): Promise<void> {
  const { access, clock, log, onProblem } = of;
  for (let pauseMs = LOOK_MS_MIN; ; pauseMs = Math.min(LOOK_MS_MAX, pauseMs * 2)) {
    signal.throwIfAborted();
    try {
      const archive = await archiveIn(await access.open(signal), signal);
      onProblem(null);
      if (archive === null) return;
      throw notFirst(
        access,
        `archive ${archive.id} of cluster ${archive.owner}: ${await contentOf(archive, signal)}`,
      );
    } catch (error) {
      if (error instanceof ArchiveError) throw notFirst(access, `an archive: ${describeError(error)}`);
      if (!(error instanceof ArchiveStoreError)) throw error;
      signal.throwIfAborted();
      onProblem(`whether this is a first start is not known: ${describeError(error)}`);
      log.warn('the archive cannot be looked at; no cluster is begun before that', {
        error: describeError(error),
      });
    }
    await clock.sleep(pauseMs, signal);
  }
}

async function contentOf(archive: Archive, signal: AbortSignal): Promise<string> {
  const newest = (await listEpochs(archive, signal)).at(-1);
  if (newest === undefined) return 'nothing was archived in it';
  const { position } = await findLogEnd(archive, newest, signal);
  return `it goes up to revision ${position.lastRevision} of epoch ${newest.document.epoch}`;
}

function notFirst(access: ArchiveAccess, found: string): SchedulerError {
  return new SchedulerError('not-a-first-start', `no record is stored, but ${access.place} holds ${found}`, {
    hint:
      'Start with the state of that cluster. Or restore its data with etcd-mesos restore; a new cluster, also with ' +
      '--bootstrap=new, needs an --archive of its own.',
  });
}
