import type { KeyValueFields } from '../../etcd/key-value.ts';
import { encodeFields } from '../../etcd/protobuf.ts';
import type { RevisionEvents } from '../events.ts';
import type { EtcdBackend } from './backend.ts';
import { BackendError } from './backend-error.ts';
import { fieldsOf, keyOf } from './key-value.ts';
import { checkRevisionKey, firstKeyOf, isTombstone, revisionOf } from './revision-key.ts';

/** A key as it was at some revision, without its value. */
export interface ListedKey {
  readonly key: Buffer;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  /** How often it was written since it was created. */
  readonly version: bigint;
  /** 0 where it has none. */
  readonly lease: bigint;
  readonly valueBytes: number;
}

/** Keys from `from` up to but not `to`, as in etcd; without `to` to the last. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to?: Uint8Array;
}

const DELETE = 1n;
const REVISION_FIELD = 3;

/**
 * The keys that the store held at a revision, in order. Memory grows with their number.
 * Throws a {@link BackendError}: `compacted`, `future-revision` or `malformed`.
 */
export async function listKeys(
  backend: EtcdBackend,
  range: KeyRange,
  revision = backend.revision,
): Promise<readonly ListedKey[]> {
  checkKnown(backend, revision);
  const found = new Map<string, ListedKey>();
  for await (const { key: recordKey, record } of recordsUpTo(backend, revision)) {
    const key = keyOf(record);
    if (!isWithin(key, range)) continue;
    if (isTombstone(recordKey)) found.delete(key.toString('latin1'));
    else found.set(key.toString('latin1'), listed(record));
  }
  return [...found.values()].toSorted((left, right) => Buffer.compare(left.key, right.key));
}

/**
 * A key as the store held it at a revision; `null` where it did not.
 * Throws a {@link BackendError}: `compacted`, `future-revision` or `malformed`.
 */
export async function lookUp(
  backend: EtcdBackend,
  key: Uint8Array,
  revision = backend.revision,
): Promise<KeyValueFields | null> {
  checkKnown(backend, revision);
  let found: Buffer | null = null;
  for await (const { key: recordKey, record } of recordsUpTo(backend, revision)) {
    if (keyOf(record).equals(key)) found = isTombstone(recordKey) ? null : record;
  }
  return found === null ? null : fieldsOf(found);
}

/**
 * What each revision did from `from` to `to`, both included, as a watch would have told it. A compacted revision is
 * refused: of it some records are gone. Throws a {@link BackendError}.
 */
export async function* revisionsOf(
  backend: EtcdBackend,
  { from, to = backend.revision }: { readonly from: bigint; readonly to?: bigint },
): AsyncGenerator<RevisionEvents, void, undefined> {
  if (from <= backend.compactRevision) throw compacted(backend, from);
  let open: { revision: bigint; events: Uint8Array[] } | null = null;
  const end = firstKeyOf(to + 1n);
  for await (const leaf of backend.keys.leaves(firstKeyOf(from))) {
    const all = leaf.indexFrom(end);
    for (let index = 0; index < all; index += 1) {
      const key = leaf.key(index);
      checkRevisionKey(key);
      const revision = revisionOf(key);
      if (open !== null && open.revision !== revision) {
        yield open;
        open = null;
      }
      open ??= { revision, events: [] };
      open.events.push(eventOf(revision, isTombstone(key), leaf.value(index)));
    }
    if (all < leaf.count) break;
  }
  if (open !== null) yield open;
}

/** `mvccpb.Event`, as etcd makes it of a record: that of a delete gets its revision. */
function eventOf(revision: bigint, isDelete: boolean, record: Buffer): Buffer {
  if (!isDelete) return encodeFields([[2, record]]);
  const keyValue = Buffer.concat([record, encodeFields([[REVISION_FIELD, revision]])]);
  return encodeFields([
    [1, DELETE],
    [2, keyValue],
  ]);
}

async function* recordsUpTo(
  backend: EtcdBackend,
  revision: bigint,
): AsyncGenerator<{ readonly key: Buffer; readonly record: Buffer }, void, undefined> {
  const end = firstKeyOf(revision + 1n);
  for await (const leaf of backend.keys.leaves()) {
    const all = leaf.indexFrom(end);
    for (let index = 0; index < all; index += 1) {
      const key = leaf.key(index);
      checkRevisionKey(key);
      // The mark of a raised revision is a record without a key.
      if (leaf.value(index).length > 0) yield { key, record: leaf.value(index) };
    }
    if (all < leaf.count) return;
  }
}

function listed(record: Buffer): ListedKey {
  const { key, value, createRevision, modRevision, version, lease } = fieldsOf(record);
  return { key: Buffer.from(key), createRevision, modRevision, version, lease, valueBytes: value.length };
}

function isWithin(key: Buffer, { from, to }: KeyRange): boolean {
  return Buffer.compare(key, from) >= 0 && (to === undefined || Buffer.compare(key, to) < 0);
}

function checkKnown(backend: EtcdBackend, revision: bigint): void {
  if (revision < backend.compactRevision) throw compacted(backend, revision);
  if (revision <= backend.revision) return;
  throw new BackendError('future-revision', `revision ${revision} is after ${backend.revision}, the newest`);
}

function compacted(backend: EtcdBackend, revision: bigint): BackendError {
  return new BackendError(
    'compacted',
    `what revision ${revision} was is not known: the backend was compacted at ${backend.compactRevision}`,
    { hint: 'Take a full from before that compaction.' },
  );
}
