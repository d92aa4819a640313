import { assert } from '../base/assert.ts';
import type { Clock } from '../base/ports.ts';
import { readEtcdVersion } from '../etcd/versions.ts';
import { type Archive, type Epoch, listEpochs } from './archive.ts';
import { boundedStore } from './bounded-store.ts';
import type { EpochDocument } from './documents.ts';
import { type Full, listFulls, revisionOf } from './full.ts';
import { findLogEnd, SEGMENTS_LOOKED_BACK } from './log-end.ts';
import { baseOfLog } from './log-runs.ts';
import { findBounds, type LogBounds, segmentOf } from './log-search.ts';
import { headerOf } from './log-segments.ts';
import { epochKey, fullDataKey, fullDataOf, fullKey, fullsPrefix, segmentKey, startOfFull } from './names.ts';

/** What is kept of an archive; whatever it says, one full from which the log goes on to its end is. */
export interface RetentionPolicy {
  /** The newest fulls that are kept however old they are, with all that came after the oldest of them; 1 at least. */
  readonly keepFulls: number;
  /** How far back every moment can be restored that was archived. */
  readonly keepMs: number;
}

/** What an epoch has, as planning sees it. */
export interface EpochHoldings {
  readonly document: EpochDocument;
  readonly fulls: readonly HeldFull[];
  /** From its end the log goes back without a gap to after this revision; `null` where there is no log. */
  readonly base: bigint | null;
}
export interface HeldFull {
  readonly full: Full;
  /** Whether its data is there, in the size that was stored. */
  readonly isThere: boolean;
}

export interface Keeping {
  readonly fulls: ReadonlySet<Full>;
  /** Of which revision on an epoch's log is kept, 0: all of it. An epoch that is not here goes. */
  readonly logs: ReadonlyMap<number, bigint>;
  /** One of `fulls` that the policy would not keep, without the log that went on from it; `null`: there is none. */
  readonly wayBack: Full | null;
}

/** Of a log whose epoch stays for a full alone: no revision need be kept. */
const BEYOND_ALL = 2n ** 63n - 1n;

/**
 * What a policy keeps. Of the one history that led to the newest epoch that is: the newest fulls, those that are young,
 * and the one before, since to the oldest moment is restored with it; and all of the logs that go on from any of these,
 * over the revisions where epochs parted. Other epochs are kept as long as they are young.
 *
 * And, by itself, the newest full of an older minor of etcd than the newest: after an upgrade there is no other way
 * back.
 *
 * `null`: all, because the newest epoch has no full of its own from which its log goes on to its end.
 * @param epochs oldest first.
 */
export function whatToKeep(
  epochs: readonly EpochHoldings[],
  policy: RetentionPolicy,
  nowMs: number,
): Keeping | null {
  assert(policy.keepFulls >= 1 && policy.keepMs >= 0, 'something is kept');
  const sinceMs = nowMs - policy.keepMs;
  const newest = epochs.at(-1);
  if (newest === undefined) return null;
  const line = fullsOfLine(epochs, newest).toSorted((left, right) => takenMs(left) - takenMs(right));
  const { base, document } = newest;
  const anchor = line.findLastIndex(
    (full) => full.document.epoch === document.epoch && (base === null || revisionOf(full) >= base),
  );
  if (anchor === -1) return null;
  const before = line.findLastIndex((full) => takenMs(full) <= sinceMs);
  const first = Math.max(0, Math.min(anchor, before, line.length - policy.keepFulls));
  const kept = new Set(line.slice(first));
  for (const { fulls } of epochs) {
    for (const { full } of fulls) if (takenMs(full) > sinceMs) kept.add(full);
  }
  const logs = new Map(logsToKeep(epochs, kept, sinceMs));
  const wayBack = wayBackIn(line);
  if (wayBack === null || kept.has(wayBack)) return { fulls: kept, logs, wayBack: null };
  for (const number of lineTo(epochs, wayBack.document.epoch)) {
    if (!logs.has(number)) logs.set(number, BEYOND_ALL);
  }
  return { fulls: kept.add(wayBack), logs, wayBack };
}

function wayBackIn(line: readonly Full[]): Full | null {
  const minorOf = ({ document }: Full): number => readEtcdVersion(document.etcdVersion)?.minor ?? 0;
  const newestMinor = Math.max(...line.map(minorOf));
  return line.findLast((full) => minorOf(full) < newestMinor) ?? null;
}

/** The epochs from one of the newest's line to the newest, without which the way from the one to the other is lost. */
function lineTo(epochs: readonly EpochHoldings[], first: number): readonly number[] {
  const numbers: number[] = [];
  let wanted = epochs.at(-1)?.document.epoch;
  for (const { document } of epochs.toReversed()) {
    if (document.epoch !== wanted) continue;
    numbers.push(wanted);
    wanted = wanted === first ? undefined : document.parent?.epoch;
  }
  return numbers;
}

/** Every full that a restore of the epoch can begin with, also of those that it came from. */
function fullsOfLine(epochs: readonly EpochHoldings[], newest: EpochHoldings): readonly Full[] {
  const fulls: Full[] = [];
  let limit: bigint | undefined;
  let wanted: number | undefined = newest.document.epoch;
  for (const { document, fulls: held } of epochs.toReversed()) {
    if (document.epoch !== wanted) continue;
    for (const { full, isThere } of held) {
      if (isThere && (limit === undefined || revisionOf(full) <= limit)) fulls.push(full);
    }
    if (document.parent !== null) limit = lower(limit, BigInt(document.parent.forkRevision));
    wanted = document.parent?.epoch;
  }
  return fulls;
}

function logsToKeep(
  epochs: readonly EpochHoldings[],
  kept: ReadonlySet<Full>,
  sinceMs: number,
): ReadonlyMap<number, bigint> {
  const logs = new Map<number, bigint>();
  /** Of each epoch the lowest revision from which something that is kept can be carried on. */
  const starts = new Map<number, bigint>();
  epochs.forEach(({ document, fulls }, at) => {
    const { epoch, parent } = document;
    const start = parent === null ? undefined : starts.get(parent.epoch);
    const isReached = start !== undefined && start <= BigInt(parent?.forkRevision ?? 0);
    const own = fulls
      .filter(({ full, isThere }) => isThere && kept.has(full))
      .map(({ full }) => revisionOf(full));
    const lowest = isReached ? 0n : own.reduce<bigint | undefined>(lower, undefined);
    if (lowest !== undefined) starts.set(epoch, lowest);
    const endedMs = epochs[at + 1]?.document.createdAtMs ?? Number.POSITIVE_INFINITY;
    if (lowest !== undefined) logs.set(epoch, lowest);
    else if (endedMs > sinceMs) logs.set(epoch, 0n);
  });
  return logs;
}

const takenMs = ({ document }: Full): number => document.finishedAtMs;
const lower = (left: bigint | undefined, right: bigint): bigint =>
  left === undefined || right < left ? right : left;

/** What goes, in the order in which it does. For people and as JSON. */
export interface RemovalPlan {
  /** Oldest first. */
  readonly fulls: readonly RemovedFull[];
  /** Segments, from the oldest on. */
  readonly logs: readonly RemovedSegments[];
  /** Those of which nothing is left. */
  readonly epochs: readonly number[];
  /** Objects of fulls that were never complete. */
  readonly leftovers: readonly string[];
  /** Fulls that stay. */
  readonly fullsKept: number;
  /** The name of one that stays by itself, as the way back from an upgrade of etcd; `null`: no such one is needed. */
  readonly wayBack: string | null;
  /** Why nothing goes but what is left over; `null` where there is no reason. */
  readonly held: string | null;
}
export interface RemovedFull {
  readonly name: string;
  readonly epoch: number;
  readonly revision: string;
  readonly sizeBytes: number;
  readonly finishedAtMs: number;
}
export interface RemovedSegments {
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
}

/** Data without a description that is so old belongs to no full that is still being taken. */
const LEFTOVER_AGE_MS = 24 * 60 * 60 * 1000;
/** Segments at the end of a log that stay whatever they hold: whoever takes it over looks at these. */
const NEWEST_SEGMENTS_KEPT = SEGMENTS_LOOKED_BACK + 1;

/** Looks what a policy removes, by a few looks whatever the archive has. Nothing is changed. */
export async function planRemovals(
  archive: Archive,
  policy: RetentionPolicy,
  nowMs: number,
  signal: AbortSignal,
): Promise<RemovalPlan> {
  const epochs = await listEpochs(archive, signal);
  const holdings: EpochHoldings[] = [];
  const leftovers: string[] = [];
  for (const epoch of epochs) {
    holdings.push(await holdingsOf(archive, epoch, signal));
    leftovers.push(...(await leftoversOf(archive, epoch, nowMs, signal)));
  }
  const all = holdings.flatMap(({ fulls }) => fulls.map(({ full }) => full));
  const keeping = whatToKeep(holdings, policy, nowMs);
  if (keeping === null) {
    const held =
      all.length === 0
        ? 'there is no full backup'
        : 'the newest epoch has no full backup from which its log goes on to its end';
    return { fulls: [], logs: [], epochs: [], leftovers, fullsKept: all.length, wayBack: null, held };
  }
  const gone = all.filter((full) => !keeping.fulls.has(full));
  const logs: RemovedSegments[] = [];
  for (const epoch of epochs) {
    const segments = await segmentsToRemove(archive, epoch, epochs, keeping, signal);
    if (segments !== null) logs.push({ epoch: epoch.document.epoch, ...segments });
  }
  return {
    fulls: gone.toSorted((left, right) => takenMs(left) - takenMs(right)).map(shown),
    logs,
    epochs: epochs.map(({ document }) => document.epoch).filter((epoch) => !keeping.logs.has(epoch)),
    leftovers,
    fullsKept: keeping.fulls.size,
    wayBack: keeping.wayBack?.name ?? null,
    held: null,
  };
}

function shown(full: Full): RemovedFull {
  const { epoch, sizeBytes, finishedAtMs } = full.document;
  return { name: full.name, epoch, revision: String(revisionOf(full)), sizeBytes, finishedAtMs };
}

async function holdingsOf(archive: Archive, epoch: Epoch, signal: AbortSignal): Promise<EpochHoldings> {
  const fulls: HeldFull[] = [];
  for (const full of await listFulls(archive, epoch, signal)) {
    const stored = await archive.store.head(fullDataKey(epoch.document.epoch, full.name), signal);
    fulls.push({ full, isThere: stored?.sizeBytes === full.document.sizeBytes });
  }
  const { header, position } = await findLogEnd(archive, epoch, signal);
  const base = header === null ? null : await baseOfLog(archive, epoch, header, position, signal);
  return { document: epoch.document, fulls, base };
}

async function leftoversOf(
  archive: Archive,
  epoch: Epoch,
  nowMs: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const number = epoch.document.epoch;
  const data = new Set<string>();
  for await (const { key } of archive.store.list(fullsPrefix(number), { signal })) {
    const name = fullDataOf(key);
    if (name !== null) data.add(name);
  }
  for (const { name } of await listFulls(archive, epoch, signal)) data.delete(name);
  return [...data]
    .filter((name) => startOfFull(name) < nowMs - LEFTOVER_AGE_MS)
    .map((name) => fullDataKey(number, name));
}

/** Those before the one with the first revision that is kept; `null` where there are none, or it is not certain. */
async function segmentsToRemove(
  archive: Archive,
  epoch: Epoch,
  epochs: readonly Epoch[],
  keeping: Keeping,
  signal: AbortSignal,
): Promise<LogBounds | null> {
  const number = epoch.document.epoch;
  const bounds = await findBounds(archive, epoch, signal);
  if (bounds === null) return null;
  const from = keeping.logs.get(number);
  if (from === undefined) return bounds;
  const holding = await segmentOf(archive, epoch, bounds, from, signal);
  const header = await headerOf(archive, epoch, holding, signal);
  // Where a header cannot be read the search for it may have been led astray.
  if (header === null || BigInt(header.firstRevision) > from) return null;
  // Where an epoch parted from this one its log is read up to a segment that it names.
  const forks = epochs.flatMap(({ document: { parent } }) =>
    parent?.epoch === number && parent.logEnd !== null ? [parent.logEnd.sequence] : [],
  );
  const last = Math.min(holding, bounds.last - NEWEST_SEGMENTS_KEPT + 1, ...forks) - 1;
  return last < bounds.first ? null : { first: bounds.first, last };
}

/**
 * The objects that go, one after the other, so that after each of them the archive is what it says: a full goes with
 * its description first, since data without one is no full; a log from its oldest segment on, so that it never has a
 * hole; and an epoch's own document when nothing else of it is left.
 */
export function* removalsOf(plan: RemovalPlan): Generator<string, void, undefined> {
  for (const { epoch, name } of plan.fulls) {
    yield fullKey(epoch, name);
    yield fullDataKey(epoch, name);
  }
  for (const { epoch, first, last } of plan.logs) {
    for (let sequence = first; sequence <= last; sequence += 1) yield segmentKey(epoch, sequence);
  }
  yield* plan.leftovers;
  for (const epoch of plan.epochs) yield epochKey(epoch);
}

/** Removes what a plan says, in its order. Safe to repeat, and to stop anywhere. Resolves with how many objects. */
export async function removePlanned(
  archive: Archive,
  plan: RemovalPlan,
  options: { readonly onProgress?: (removed: number) => void; readonly signal: AbortSignal },
): Promise<number> {
  let removed = 0;
  for (const key of removalsOf(plan)) {
    await archive.store.remove(key, options.signal);
    removed += 1;
    options.onProgress?.(removed);
  }
  return removed;
}

/** Longest that a store may take for one look or removal. */
const CALL_MS_MAX = 2 * 60_000;

/**
 * Removes what a policy does not keep. Rejects with an `ArchiveError` or an `ArchiveStoreError`, `unavailable` also
 * where the store hangs; safe to repeat.
 */
export async function retain(
  archive: Archive,
  policy: RetentionPolicy,
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<number> {
  const { clock, signal } = options;
  const bounded = { ...archive, store: boundedStore(archive.store, clock, CALL_MS_MAX) };
  const plan = await planRemovals(bounded, policy, clock.wallMs(), signal);
  return await removePlanned(bounded, plan, { signal });
}
