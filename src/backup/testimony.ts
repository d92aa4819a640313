import {
  decodeDocument,
  type FullDocument,
  fullDocumentSchema,
  type Lineage,
  type SegmentHeader,
} from './documents.ts';
import { ArchiveError, isDamage } from './errors.ts';
import { fullOf, fullsPrefix, logPrefix, sequenceOf } from './names.ts';
import { readSegment } from './segment.ts';
import { type ArchiveStore, ArchiveStoreError } from './store-port.ts';
import { readDocument } from './stored-document.ts';

/** What an object of an epoch tells of it and of its archive. */
export interface Testimony {
  readonly archiveId: string;
  readonly clusterId: string;
  readonly lineage: Lineage;
}

/** Objects of one kind that are asked, oldest first, until one tells. */
const ASKED_MAX = 16;

/**
 * What the fulls and the segments of an epoch tell of it, where its own document, or the archive's, is lost; `null`
 * where there is none that does.
 */
export async function tellsOf(
  store: ArchiveStore,
  epoch: number,
  signal: AbortSignal,
): Promise<Testimony | null> {
  const kinds = [
    { prefix: fullsPrefix(epoch), isOne: (key: string) => fullOf(key) !== null, read: readFullDocument },
    { prefix: logPrefix(epoch), isOne: (key: string) => sequenceOf(key) !== null, read: readHeader },
  ];
  for (const { prefix, isOne, read } of kinds) {
    let asked = 0;
    for await (const { key } of store.list(prefix, { signal })) {
      if (!isOne(key)) continue;
      const told = await unlessDamaged(async () => await read(store, key, signal));
      if (told?.lineage != null && told.epoch === epoch) return { ...told, lineage: told.lineage };
      asked += 1;
      if (asked === ASKED_MAX) break;
    }
  }
  return null;
}

type Witness = Pick<FullDocument | SegmentHeader, 'archiveId' | 'epoch' | 'clusterId' | 'lineage'>;

async function readFullDocument(
  store: ArchiveStore,
  key: string,
  signal: AbortSignal,
): Promise<Witness | null> {
  const bytes = await readDocument(store, key, signal);
  return bytes === null ? null : decodeDocument(fullDocumentSchema, key, bytes);
}

async function readHeader(store: ArchiveStore, key: string, signal: AbortSignal): Promise<Witness | null> {
  for await (const item of readSegment(key, store.read(key, { signal }))) {
    return item.kind === 'header' ? item.header : null;
  }
  return null;
}

/** What is damaged, or was removed meanwhile, tells nothing. */
async function unlessDamaged(read: () => Promise<Witness | null>): Promise<Witness | null> {
  try {
    return await read();
  } catch (error) {
    const isGone = error instanceof ArchiveStoreError && error.code === 'not-found';
    if (isGone || isDamage(error) || (error instanceof ArchiveError && error.code === 'unsupported'))
      return null;
    throw error;
  }
}
