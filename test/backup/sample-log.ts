import { type Archive, beginEpoch, createArchive, type Epoch } from '../../src/backup/archive.ts';
import type { LeaseGrant } from '../../src/backup/batch.ts';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { readLog } from '../../src/backup/log-reader.ts';
import { openLogWriter } from '../../src/backup/log-writer.ts';
import type { ArchiveStore } from '../../src/backup/store-port.ts';
import { encodeFields } from '../../src/etcd/protobuf.ts';
import { clock } from '../wait.ts';

export const never = new AbortController().signal;

/** What a revision did, made out of its number alone: one to three puts, some with a lease, or a delete. */
export function sampleRevision(revision: bigint): RevisionEvents {
  const count = Number(revision % 3n) + 1;
  return { revision, events: Array.from({ length: count }, (_, at) => sampleEvent(revision, at)) };
}

function sampleEvent(revision: bigint, at: number): Uint8Array {
  const key = Buffer.from(`key-${(revision * 7n) % 50n}-${at}`);
  if (revision % 5n === 0n) {
    const keyValue = encodeFields([
      [1, key],
      [3, revision],
    ]);
    return encodeFields([
      [1, 1n],
      [2, keyValue],
    ]);
  }
  const keyValue = encodeFields([
    [1, key],
    [2, revision - 1n],
    [3, revision],
    [4, 2n],
    [5, Buffer.alloc(Number(revision % 90n), Number(revision % 256n))],
    [6, revision % 4n === 0n ? revision : 0n],
  ]);
  return encodeFields([[2, keyValue]]);
}

export function sampleRevisions(from: bigint, to: bigint): RevisionEvents[] {
  const revisions: RevisionEvents[] = [];
  for (let revision = from; revision <= to; revision += 1n) revisions.push(sampleRevision(revision));
  return revisions;
}

/** An archive with one epoch, its log empty. */
export async function sampleArchive(
  store: ArchiveStore,
  archiveId = 'a1',
): Promise<{ archive: Archive; epoch: Epoch }> {
  const archive = await createArchive(store, { archiveId, owner: 'etcd', atMs: 1 }, never);
  const epoch = await beginEpoch(archive, { epoch: 1, clusterId: 'abc', parent: null, atMs: 2 }, never);
  return { archive, epoch };
}

export async function sampleWriter(
  { archive, epoch }: { archive: Archive; epoch: Epoch },
  generation: number,
  { writer = `w${generation}`, segmentBytesMax = 5_000, segmentAgeMsMax = 1e9 } = {},
) {
  const limits = { segmentBytesMax, segmentAgeMsMax };
  return await openLogWriter({ archive, epoch, generation, writer, clock, ...limits }, never);
}

/** Everything in a log, flat. */
export async function contentOf({ archive, epoch }: { archive: Archive; epoch: Epoch }, from?: bigint) {
  const revisions: RevisionEvents[] = [];
  const kinds: string[] = [];
  const leases: LeaseGrant[] = [];
  const gaps: { from: string; to: string; reason: string }[] = [];
  const options = from === undefined ? { signal: never } : { from, signal: never };
  for await (const item of readLog(archive, epoch, options)) {
    kinds.push(item.kind);
    if (item.kind === 'batch') {
      revisions.push(...item.batch.revisions);
      leases.push(...item.batch.leases);
    }
    if (item.kind === 'segment' && item.header.gap !== null) gaps.push(item.header.gap);
  }
  return { revisions, kinds, gaps, leases };
}

/** As text that a failing test can show. */
export function shown(revisions: readonly RevisionEvents[]): string[] {
  return revisions.map(
    ({ revision, events }) =>
      `${revision}: ${events.map((event) => Buffer.from(event).toString('hex')).join(' ')}`,
  );
}
