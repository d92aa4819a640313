import type { Archive, Epoch } from './archive.ts';
import type { SegmentHeader } from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { segmentKey } from './names.ts';
import { readSegment, type SegmentItem } from './segment.ts';
import { ArchiveStoreError } from './store-port.ts';

/** Where a log stands: after a frame whose hash covers all before it. */
export interface LogPosition {
  /** 0 before the first segment. */
  readonly sequence: number;
  readonly hash: string;
  readonly lastRevision: bigint;
}

/** What a segment says, which has to be of just this archive, epoch and number. */
export async function* segmentItems(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): AsyncGenerator<SegmentItem, void, undefined> {
  const key = segmentKey(epoch.document.epoch, sequence);
  try {
    for await (const item of readSegment(key, archive.store.read(key, { signal }))) {
      if (item.kind === 'header') assertPlace(key, archive, epoch, sequence, item.header);
      yield item;
    }
  } catch (error) {
    if (error instanceof ArchiveStoreError && error.code === 'not-found') throw segmentGone(archive, key);
    throw error;
  }
}

/** The error where a segment was, and is not any more. */
export function segmentGone(archive: Archive, key: string): ArchiveError {
  return new ArchiveError('missing', `${key} is not in ${archive.store.place} any more`, {
    hint: 'What is old may have been removed while it was read: try once more.',
  });
}

function assertPlace(
  key: string,
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  header: SegmentHeader,
): void {
  const { archiveId, clusterId } = header;
  const isOurs = archiveId === archive.id && clusterId === epoch.document.clusterId;
  if (isOurs && header.epoch === epoch.document.epoch && header.sequence === sequence) return;
  throw new ArchiveError(
    'corrupt',
    `${key} is segment ${header.sequence} of epoch ${header.epoch} of cluster ${clusterId} in archive ` +
      `${archiveId}: it was put in the wrong place`,
  );
}

/** Before the first segment. */
export const startOfLog = (epoch: Epoch): LogPosition => ({
  sequence: 0,
  hash: epoch.hash,
  lastRevision: BigInt(epoch.document.parent?.forkRevision ?? '0'),
});

/** `null` where it is not there; 0 where it is, and is damaged so that it has no size. */
export async function sizeOf(archive: Archive, key: string, signal: AbortSignal): Promise<number | null> {
  try {
    return (await archive.store.head(key, signal))?.sizeBytes ?? null;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return 0;
  }
}

/** A segment whose header was read, and what follows it was not. */
export interface OpenSegment {
  readonly key: string;
  readonly sequence: number;
  readonly previousSequence: number;
  /** `null` when it cannot be read; `damage` says why. */
  readonly header: SegmentHeader | null;
  readonly hash: string;
  /** Up to where it was read, and what was wrong there. */
  readBytes: number;
  damage: string | null;
  readonly items: AsyncGenerator<SegmentItem, void, undefined>;
  /** Reads it once more, from its beginning. */
  again(): AsyncGenerator<SegmentItem, void, undefined>;
  close(): Promise<void>;
}

const UNREADABLE = {
  header: null,
  hash: '',
  previousSequence: Number.POSITIVE_INFINITY,
  readBytes: 0,
} as const;

/** Opens one and reads its header. `null` where there is none. */
export async function openSegment(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<OpenSegment | null> {
  const key = segmentKey(epoch.document.epoch, sequence);
  if ((await sizeOf(archive, key, signal)) === null) return null;
  const again = () => segmentItems(archive, epoch, sequence, signal);
  const items = again();
  const close = async (): Promise<void> => void (await items.return());
  const shared = { key, sequence, items, again, close };
  try {
    const { value } = await items.next();
    if (value?.kind === 'header') {
      const { header, hash, sizeBytes } = value;
      const previousSequence = header.previous.sequence;
      return { ...shared, header, hash, previousSequence, readBytes: sizeBytes, damage: null };
    }
    return { ...shared, ...UNREADABLE, damage: `${key} has no header` };
  } catch (error) {
    if (error instanceof ArchiveError && error.code === 'missing') return null;
    if (!isDamage(error)) throw error;
    return { ...shared, ...UNREADABLE, damage: error.message };
  }
}

/** The header of one segment; `null` where it cannot be read, or there is none. */
export async function headerOf(
  archive: Archive,
  epoch: Epoch,
  sequence: number,
  signal: AbortSignal,
): Promise<SegmentHeader | null> {
  const segment = await openSegment(archive, epoch, sequence, signal);
  await segment?.close();
  return segment?.header ?? null;
}
