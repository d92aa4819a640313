import { BUCKETS, type EtcdBackend } from './backend.ts';
import { BackendError } from './backend-error.ts';
import { crc32c } from './crc32c.ts';
import { checkRevisionKey, firstKeyOf } from './revision-key.ts';
import { type Survivors, survivorsOf } from './survivors.ts';

/** What HashKV answers: equal at one revision and one compact revision means equal stores. */
export interface HashKv {
  /** CRC-32C. */
  readonly hash: number;
  readonly revision: bigint;
  readonly compactRevision: bigint;
}

/**
 * HashKV of the records in a backend, as a member of 3.4, 3.5 or 3.6 computes it: they agree wherever their
 * compactions have run to their end, and so does this, whether the file has been compacted there or not.
 *
 * @param at revision: default the newest. compactRevision: that of the answer which it is compared with, not before
 * the file's own (0 or -1: none); default the file's own.
 * Throws a {@link BackendError}: `compacted`, `future-revision` or `malformed`.
 */
export async function hashKv(
  backend: EtcdBackend,
  at: { readonly revision?: bigint; readonly compactRevision?: bigint } = {},
): Promise<HashKv> {
  const { revision = backend.revision, compactRevision = backend.compactRevision } = at;
  if (revision > backend.revision) {
    throw new BackendError(
      'future-revision',
      `revision ${revision} is after ${backend.revision}, the newest`,
    );
  }
  const asked = compactRevision > 0n ? compactRevision : 0n;
  if (revision < asked || asked < backend.compactRevision) {
    throw new BackendError(
      'compacted',
      `the hash at revision ${revision}, compacted at ${asked}, is not in a backend that was compacted at ${backend.compactRevision}`,
    );
  }
  const skips = await skippedRecords(backend, revision, asked);
  let hash = crc32c(BUCKETS.key);
  let ordinal = 0;
  const [compactEnd, end] = [firstKeyOf(asked + 1n), firstKeyOf(revision + 1n)];
  for await (const leaf of backend.keys.leaves()) {
    const [compacted, all] = [leaf.indexFrom(compactEnd), leaf.indexFrom(end)];
    for (let index = 0; index < all; index += 1) {
      const key = leaf.key(index);
      checkRevisionKey(key);
      if (index < compacted) {
        ordinal += 1;
        if (skips(ordinal - 1)) continue;
      }
      hash = crc32c(leaf.value(index), crc32c(key, hash));
    }
    if (all < leaf.count) break;
  }
  return { hash, revision, compactRevision };
}

/**
 * Records up to the compacted revision count only if they are still the newest of their keys at the revision of the
 * hash. Where no key at all is left there, etcd leaves nothing out of what the compaction has left. A delete at the
 * compacted revision, which newer versions keep and older ones do not, is hashed by none.
 */
async function skippedRecords(
  { keys }: EtcdBackend,
  revision: bigint,
  compactRevision: bigint,
): Promise<(ordinal: number) => boolean> {
  if (compactRevision === 0n) return () => false;
  const survivors: Survivors = await survivorsOf(keys, { compactRevision, revision });
  if (survivors.anyNewest || survivors.count === 0) return (ordinal) => !survivors.isNewest(ordinal);
  const later = await survivorsOf(keys, { compactRevision: revision, revision });
  if (later.anyNewest) return (ordinal) => !survivors.isNewest(ordinal);
  return (ordinal) => !survivors.isKept(ordinal);
}
