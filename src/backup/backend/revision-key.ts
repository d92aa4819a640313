import { nameText } from '../bolt/format.ts';
import { BackendError } from './backend-error.ts';

/*
 * Keys of the bucket `key`: revision i64 big-endian | '_' | sub-revision i64 big-endian, and a 't' where the record is
 * of a delete. So records stand in the order in which they were made.
 */
const KEY_BYTES = 17;
const TOMBSTONE_KEY_BYTES = 18;
const SEPARATOR_AT = 8;
const SEPARATOR = 0x5f;
const TOMBSTONE_MARK = 0x74;
/** Revisions are signed: the highest bit is never set. */
const NEGATIVE = 0x80;

export const REVISION_MAX = 2n ** 63n - 1n;

export function revisionKey(revision: bigint, subRevision: number, isDelete: boolean): Buffer {
  const key = Buffer.allocUnsafe(isDelete ? TOMBSTONE_KEY_BYTES : KEY_BYTES);
  key.writeBigUInt64BE(revision, 0);
  key[SEPARATOR_AT] = SEPARATOR;
  key.writeUInt32BE(0, SEPARATOR_AT + 1);
  key.writeUInt32BE(subRevision, SEPARATOR_AT + 5);
  if (isDelete) key[KEY_BYTES] = TOMBSTONE_MARK;
  return key;
}

/** Not greater than any record's of this revision or a later one, and greater than every one before. */
export const firstKeyOf = (revision: bigint): Buffer => revisionKey(revision, 0, false);

/** Throws a {@link BackendError} `malformed` where it is no key of the bucket `key`. */
export function checkRevisionKey(key: Buffer): void {
  const isOne =
    (key.length === KEY_BYTES || (key.length === TOMBSTONE_KEY_BYTES && key[KEY_BYTES] === TOMBSTONE_MARK)) &&
    key[SEPARATOR_AT] === SEPARATOR &&
    ((key[0] ?? 0) & NEGATIVE) === 0 &&
    ((key[SEPARATOR_AT + 1] ?? 0) & NEGATIVE) === 0;
  if (!isOne) throw new BackendError('malformed', `${nameText(key)} is no revision, in the bucket "key"`);
}

/** Of a key that was checked. */
export const revisionOf = (key: Buffer): bigint => key.readBigUInt64BE(0);

/** Of a key that was checked. */
export const isTombstone = (key: Buffer): boolean => key.length === TOMBSTONE_KEY_BYTES;
