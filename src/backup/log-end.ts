import type { Archive, Epoch } from './archive.ts';
import type { SegmentHeader } from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { findBounds } from './log-search.ts';
import { type LogPosition, segmentItems, sizeOf, startOfLog } from './log-segments.ts';
import { logPrefix, segmentKey } from './names.ts';
import type { SegmentItem } from './segment.ts';

/** How a log ends. */
export interface LogEnd {
  readonly position: LogPosition;
  /** Of the newest segment: who has only said that he goes on is newer than what he goes on from. `null`: none. */
  readonly header: SegmentHeader | null;
  /** The number of the segment that comes next. */
  readonly nextSequence: number;
  /** What of the last segment does not count; `null` where all does. */
  readonly rest: LogRest | null;
}
/** Bytes at the end of a segment that are no whole frame, or not what was written: what a crash leaves. */
export interface LogRest {
  readonly key: string;
  readonly bytes: number;
  /** What is wrong with them; `null` when they are only too few. */
  readonly damage: string | null;
}

/** Segments whose beginning cannot be read that are stepped over to find where a log ends. */
export const SEGMENTS_LOOKED_BACK = 16;

/** Finds the end of an epoch's log by some forty looks, however long it is, and reads its last segment. */
export async function findLogEnd(archive: Archive, epoch: Epoch, signal: AbortSignal): Promise<LogEnd> {
  const bounds = await findBounds(archive, epoch, signal);
  const nextSequence = (bounds?.last ?? 0) + 1;
  if (bounds === null) {
    return { position: startOfLog(epoch), header: null, nextSequence, rest: null };
  }
  const lowest = Math.max(bounds.first, bounds.last - SEGMENTS_LOOKED_BACK + 1);
  for (let sequence = bounds.last; sequence >= lowest; sequence -= 1) {
    const segment = await readSegmentEnd(archive, epoch, sequence, signal);
    if (segment === null) continue;
    const before = segment.isEmpty ? await grownBefore(archive, epoch, segment.header, signal) : null;
    return { ...(before ?? segment), header: segment.header, nextSequence };
  }
  if (lowest === 1) return { position: startOfLog(epoch), header: null, nextSequence, rest: null };
  throw new ArchiveError(
    'corrupt',
    `none of the last ${bounds.last - lowest + 1} segments in ${logPrefix(epoch.document.epoch)} can be read`,
  );
}

interface SegmentEndState {
  readonly position: LogPosition;
  readonly header: SegmentHeader;
  readonly rest: LogRest | null;
  readonly isEmpty: boolean;
}

/**
 * Whoever takes over a log that grows says first where it goes on, so that the one before him sees it and stops.
 * What that one had added between the look and the word counts, as long as nothing else has followed.
 */
async function grownBefore(
  archive: Archive,
  epoch: Epoch,
  { previous }: SegmentHeader,
  signal: AbortSignal,
): Promise<SegmentEndState | null> {
  if (previous.sequence === 0) return null;
  const before = await readSegmentEnd(archive, epoch, previous.sequence, signal);
  return before !== null && before.position.lastRevision > BigInt(previous.lastRevision) ? before : null;
}

/** `null` when not even its header can be read. */
async function readSegmentEnd(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<SegmentEndState | null> {
  const key = segmentKey(epoch.document.epoch, sequence);
  let state: SegmentEndState | null = null;
  let sizeBytes = 0;
  let damage: string | null = null;
  try {
    for await (const item of segmentItems(archive, epoch, sequence, signal)) {
      const position = { sequence, hash: item.hash, lastRevision: item.lastRevision };
      ({ sizeBytes } = item);
      state = stateAfter(item, position, state);
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    damage = error.message;
  }
  if (state === null) return null;
  const bytes = Math.max(0, ((await sizeOf(archive, key, signal)) ?? sizeBytes) - sizeBytes);
  return { ...state, rest: bytes === 0 ? null : { key, bytes, damage } };
}

function stateAfter(
  item: SegmentItem,
  position: LogPosition,
  before: SegmentEndState | null,
): SegmentEndState | null {
  if (item.kind === 'header')
    return { position, header: item.header, rest: null, isEmpty: item.header.gap === null };
  return before === null ? null : { ...before, position, isEmpty: before.isEmpty && item.kind === 'end' };
}
