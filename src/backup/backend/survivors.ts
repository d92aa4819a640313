import type { BoltBucket } from '../bolt/reader.ts';
import { KeyPlaces, NO_PLACE } from './key-places.ts';
import { keyOf } from './key-value.ts';
import { firstKeyOf, isTombstone } from './revision-key.ts';

/** Keys that are in memory at once, a million or so. Where there are more, the records are read several times. */
const KEY_BYTES_MAX = 64 * 1024 * 1024;
/** How often they are read at most: beyond that keys take the memory that they need. */
const PARTS_MAX = 256;

/** What becomes of the records up to a compaction's revision, by their place in the bucket. */
export interface Survivors {
  /** How many records there are up to the compaction's revision. */
  readonly count: number;
  /** Whether the compaction keeps the record: its key's newest up to there, and no delete. */
  isKept(ordinal: number): boolean;
  /** Whether it is that even up to the later revision that was asked for. */
  isNewest(ordinal: number): boolean;
  /** Whether any is. */
  readonly anyNewest: boolean;
}

/**
 * Finds out which records up to `compactRevision` a compaction there would keep, and which of them are still their
 * keys' newest at `revision`, not less than it. Memory is two bits for each record and a bounded number of keys.
 */
export async function survivorsOf(
  keys: BoltBucket,
  {
    compactRevision,
    revision,
    keyBytesMax = KEY_BYTES_MAX,
  }: { compactRevision: bigint; revision: bigint; keyBytesMax?: number },
): Promise<Survivors> {
  for (let parts = 1; ; parts *= 2) {
    const marks = new Marks();
    let count: number | null = null;
    for (let part = 0; part < parts; part += 1) {
      const limit = parts < PARTS_MAX ? keyBytesMax : Number.POSITIVE_INFINITY;
      count = await markPart(keys, { compactRevision, revision, keyBytesMax: limit, parts, part }, marks);
      if (count === null) break;
    }
    if (count === null) continue;
    return {
      count,
      isKept: (ordinal) => marks.kept.has(ordinal),
      isNewest: (ordinal) => marks.newest.has(ordinal),
      anyNewest: marks.newest.size > 0,
    };
  }
}

class Marks {
  readonly kept = new Bits();
  readonly newest = new Bits();
}

interface Part {
  readonly compactRevision: bigint;
  readonly revision: bigint;
  readonly keyBytesMax: number;
  readonly parts: number;
  readonly part: number;
}

/** Marks the records of one part of the keys; `null` when it has too many keys for the memory. */
async function markPart(keys: BoltBucket, part: Part, marks: Marks): Promise<number | null> {
  const newest = new KeyPlaces();
  const [compactEnd, end] = [firstKeyOf(part.compactRevision + 1n), firstKeyOf(part.revision + 1n)];
  let ordinal = 0;
  for await (const leaf of keys.leaves()) {
    const [compacted, all] = [leaf.indexFrom(compactEnd), leaf.indexFrom(end)];
    for (let index = 0; index < all; index += 1) {
      const place = ordinal;
      ordinal += index < compacted ? 1 : 0;
      const key = keyOf(leaf.value(index));
      const hash = hashOf(key);
      if (part.parts > 1 && hash % part.parts !== part.part) continue;
      const isLater = index >= compacted;
      const number = isLater ? newest.find(key, hash) : newest.add(key, hash);
      const before = newest.placeOf(number);
      if (before !== NO_PLACE) marks.newest.delete(before);
      if (isLater) continue;
      if (before !== NO_PLACE) marks.kept.delete(before);
      const isDelete = isTombstone(leaf.key(index));
      newest.setPlace(number, isDelete ? NO_PLACE : place);
      if (isDelete) continue;
      marks.kept.add(place);
      marks.newest.add(place);
    }
    if (newest.sizeBytes > part.keyBytesMax) return null;
    if (all < leaf.count) break;
  }
  return ordinal;
}

/** FNV-1a: all that counts is that keys spread. */
function hashOf(key: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** A set of small integers. */
class Bits {
  #words = new Uint32Array(1024);
  size = 0;

  has(index: number): boolean {
    return (((this.#words[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1;
  }

  add(index: number): void {
    if (index >>> 5 >= this.#words.length) {
      const larger = new Uint32Array(Math.max(this.#words.length * 2, (index >>> 5) + 1));
      larger.set(this.#words);
      this.#words = larger;
    }
    if (this.has(index)) return;
    this.size += 1;
    this.#words[index >>> 5] = (this.#words[index >>> 5] ?? 0) | (1 << (index & 31));
  }

  delete(index: number): void {
    if (!this.has(index)) return;
    this.size -= 1;
    this.#words[index >>> 5] = (this.#words[index >>> 5] ?? 0) & ~(1 << (index & 31));
  }
}
