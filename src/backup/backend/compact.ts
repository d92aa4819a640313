import type { ReadableFile, WritableFile } from '../bolt/file-port.ts';
import { BoltWriter } from '../bolt/writer.ts';
import { BUCKETS, type EtcdBackend, META } from './backend.ts';
import { BackendError } from './backend-error.ts';
import { checkRevisionKey, firstKeyOf, isTombstone, revisionKey } from './revision-key.ts';
import { copyBucket, copySettings, writeMeta } from './rewrite.ts';
import { sealSnapshot } from './snapshot-file.ts';
import { survivorsOf } from './survivors.ts';

/**
 * Writes a snapshot of a backend as a compaction at `revision` leaves it, so that fulls which are made of a full and
 * deltas, over and over, do not grow for ever. HashKV at and after that revision stays what it was.
 * Throws a {@link BackendError} `compacted` or `future-revision` where there is nothing to compact at `revision`.
 * @param target an empty file; half written where this throws.
 */
export async function compactBackend(
  target: ReadableFile & WritableFile,
  backend: EtcdBackend,
  revision: bigint,
  signal?: AbortSignal,
): Promise<void> {
  if (revision <= backend.compactRevision || revision > backend.revision) {
    throw new BackendError(
      revision > backend.revision ? 'future-revision' : 'compacted',
      `cannot compact at revision ${revision} what stands at ${backend.revision} and was compacted at ${backend.compactRevision}`,
    );
  }
  const survivors = await survivorsOf(backend.keys, { compactRevision: revision, revision });
  const [last, end] = [firstKeyOf(revision), firstKeyOf(revision + 1n)];
  const writer = new BoltWriter(target, backend.database.pageSizeBytes);
  await copySettings(backend, writer, signal);
  writer.begin(BUCKETS.key);
  await copyBucket(backend.keys, writer, {
    check: checkRevisionKey,
    // As etcd does: a delete at that very revision stays, for a watch that begins there.
    keeps: (key, ordinal) =>
      survivors.isKept(ordinal) ||
      Buffer.compare(key, end) >= 0 ||
      (isTombstone(key) && Buffer.compare(key, last) > 0),
    signal,
  });
  writer.begin(BUCKETS.lease);
  const leases = await backend.database.root.bucket(BUCKETS.lease);
  if (leases !== null) await copyBucket(leases, writer, { signal });
  const mark = revisionKey(revision, 0, false);
  await writeMeta(backend, writer, {
    [String(META.scheduledCompactRevision)]: mark,
    [String(META.finishedCompactRevision)]: mark,
  });
  await writer.finish();
  await sealSnapshot(target);
}
