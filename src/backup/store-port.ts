import { assert } from '../base/assert.ts';
import { CodedError } from '../base/errors.ts';

/**
 * Where an archive lies: named objects of bytes that are put whole and never changed. It knows nothing of what is in
 * them; that their bytes are the ones that were put is for the reader to check, by the hashes that they carry.
 *
 * Every method rejects with an {@link ArchiveStoreError}; `aborted` when its signal does. All may be called at once.
 */
export interface ArchiveStore {
  /** Where it is, for people; without credentials. */
  readonly place: string;
  /**
   * Stores an object. When it resolves the object is durable; until then nobody sees any of it. A rejection leaves
   * open whether it is there, as when an answer is lost; never is a part of it there. What `content` throws is passed
   * on. With `ifAbsent` it rejects with `exists` when there is one of that name, and of two that try at once one wins.
   */
  put(key: string, content: ObjectContent, options: PutOptions): Promise<StoredObject>;
  /** All bytes, or those of a range that must lie within. The first step rejects with `not-found` if there is none. */
  read(key: string, options: ReadOptions): AsyncIterable<Uint8Array>;
  /** `null` where there is none. */
  head(key: string, signal: AbortSignal): Promise<StoredObject | null>;
  /** Every object whose key begins with `prefix` and is greater than `after`, by the order of the keys' bytes. */
  list(prefix: string, options: ListOptions): AsyncIterable<ListedObject>;
  /** Safe to repeat. */
  remove(key: string, signal: AbortSignal): Promise<void>;
  /** Objects that grow, for a log that is durable write by write; `null` where only whole objects are taken. */
  readonly growing: GrowingObjects | null;
}

export type ObjectContent = Uint8Array | AsyncIterable<Uint8Array>;
export interface PutOptions {
  readonly ifAbsent: boolean;
  readonly signal: AbortSignal;
}
export interface ReadOptions {
  readonly range?: { readonly offset: number; readonly length: number };
  readonly signal: AbortSignal;
}
export interface ListOptions {
  readonly after?: string;
  readonly signal: AbortSignal;
}
export interface ListedObject {
  readonly key: string;
}
export interface StoredObject extends ListedObject {
  readonly sizeBytes: number;
}

export interface GrowingObjects {
  /** Makes an object of `first`, durable when it resolves; rejects with `exists` if there is one. */
  create(key: string, first: Uint8Array, signal: AbortSignal): Promise<GrowingObject>;
}
/**
 * An object that is added to. A reader sees a beginning of what was appended, at least all that is durable; after a
 * crash its last bytes may be anything.
 */
export interface GrowingObject {
  /**
   * Durable when it resolves. After a rejection nothing more is taken, since nobody knows where the object ends.
   * One at a time.
   */
  append(bytes: Uint8Array): Promise<void>;
  /** Lets go of it. Safe to repeat. */
  close(): Promise<void>;
}

/** What using an archive's store can end in. */
export class ArchiveStoreError extends CodedError<
  /** There is no object of that name. */
  | 'not-found'
  /** There is one already. */
  | 'exists'
  /** It has no room for more. */
  | 'full'
  /** It does not let us. */
  | 'denied'
  /** It could not be reached or did not do it; it may later. */
  | 'unavailable'
  /** It lacks what an archive needs of it. */
  | 'unsuitable'
  /** The caller gave up. */
  | 'aborted'
> {}

/** Longest key of an object, in characters. */
export const KEY_CHARACTERS_MAX = 512;
const KEY = /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*)*$/;

/** Names are made by our own code: one that is none is a bug, and none can lead out of a directory. */
export function assertKey(key: string): void {
  assert(
    key.length <= KEY_CHARACTERS_MAX && KEY.test(key),
    `not a key of an archive: ${JSON.stringify(key)}`,
  );
}

/** A range's own bytes. @throws {@link ArchiveStoreError} `not-found` when the object does not reach so far. */
export function assertWithin(key: string, range: ReadOptions['range'], sizeBytes: number): void {
  if (range === undefined) return;
  assert(range.offset >= 0 && range.length >= 0, `a range of ${range.length} bytes at ${range.offset}`);
  if (range.offset + range.length <= sizeBytes) return;
  const end = range.offset + range.length;
  throw new ArchiveStoreError('not-found', `${key} has ${sizeBytes} bytes, ${end} were wanted`);
}

/** The whole object. Rejects with `not-found`, and with `unsuitable` when it has more than `bytesMax` bytes. */
export async function readWhole(
  store: ArchiveStore,
  key: string,
  limits: { readonly bytesMax: number; readonly signal: AbortSignal },
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const part of store.read(key, { signal: limits.signal })) {
    sizeBytes += part.byteLength;
    if (sizeBytes > limits.bytesMax) {
      throw new ArchiveStoreError(
        'unsuitable',
        `${key} in ${store.place} has more than ${limits.bytesMax} bytes`,
      );
    }
    parts.push(part);
  }
  return Buffer.concat(parts, sizeBytes);
}

/** The content as one run of parts, whichever way it was given. */
export async function* partsOf(content: ObjectContent): AsyncGenerator<Uint8Array, void, undefined> {
  if (content instanceof Uint8Array) yield content;
  else yield* content;
}
