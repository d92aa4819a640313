import {
  BUCKET_ELEMENT,
  corrupt,
  ELEMENT_BYTES,
  KEY_BYTES_MAX,
  PAGE_HEADER_BYTES,
  pageIdAt,
} from './format.ts';

/** Where an element says how far behind it its key begins, how long that is, and the value that follows it. */
interface ElementLayout {
  readonly position: number;
  readonly keyBytes: number;
  /** `null` where no value follows. */
  readonly valueBytes: number | null;
}
const LEAF: ElementLayout = { position: 4, keyBytes: 8, valueBytes: 12 };
const BRANCH: ElementLayout = { position: 0, keyBytes: 4, valueBytes: null };

/**
 * The elements of a leaf page, in order of their keys. Every element was checked to lie within the page, behind the one
 * before it, and its key to be greater; so nothing that is asked of it can fail, and all values together are no more
 * than the page. Keys and values are views of the
 * page: whoever keeps one long copies it.
 */
export class Leaf {
  readonly #page: Buffer;
  /** Index in the page of the first element that counts. */
  readonly #first: number;
  /** How many elements there are. */
  readonly count: number;

  private constructor(page: Buffer, first: number, count: number) {
    this.#page = page;
    this.#first = first;
    this.count = count;
  }

  /** Throws a BoltError `corrupt` where the page contradicts itself; `name` says which page it is. */
  static parse(page: Buffer, count: number, name: string): Leaf {
    const usedBytes = checkElements(page, count, LEAF, name);
    return new Leaf(page.subarray(0, usedBytes), 0, count);
  }

  /** The page up to the end of its last value; `null` where not all of its elements count. */
  get wholePage(): Buffer | null {
    return this.#first === 0 ? this.#page : null;
  }

  /** Whether any of the values is a bucket. */
  get hasBuckets(): boolean {
    for (let index = 0; index < this.count; index += 1) if (this.isBucket(index)) return true;
    return false;
  }

  key(index: number): Buffer {
    return keyAt(this.#page, this.#element(index), LEAF);
  }

  value(index: number): Buffer {
    const element = this.#element(index);
    const start = element + this.#page.readUInt32LE(element + 4) + this.#page.readUInt32LE(element + 8);
    return this.#page.subarray(start, start + this.#page.readUInt32LE(element + 12));
  }

  /** Whether the value is a bucket. */
  isBucket(index: number): boolean {
    return (this.#page.readUInt32LE(this.#element(index)) & BUCKET_ELEMENT) !== 0;
  }

  /** Index of the first element whose key is not less than `key`; `count` where all are. */
  indexFrom(key: Uint8Array): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.key(middle), key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The same without its first `count` elements. */
  after(count: number): Leaf {
    return count === 0 ? this : new Leaf(this.#page, this.#first + count, this.count - count);
  }

  #element(index: number): number {
    if (index < 0 || index >= this.count) throw new RangeError(`element ${index} of ${this.count}`);
    return elementAt(this.#first + index);
  }
}

/** The elements of a branch page: its children, and with which key each begins. */
export class Branch {
  readonly #page: Buffer;
  readonly count: number;

  private constructor(page: Buffer, count: number) {
    this.#page = page;
    this.count = count;
  }

  /** Throws a BoltError `corrupt` where the page contradicts itself; `name` says which page it is. */
  static parse(page: Buffer, count: number, name: string): Branch {
    if (count === 0) throw corrupt(`${name} has no children`);
    checkElements(page, count, BRANCH, name);
    return new Branch(page, count);
  }

  child(index: number): number {
    return pageIdAt(this.#page, elementAt(index) + 8);
  }

  /** Index of the child that holds `key` if any does. */
  indexOf(key: Uint8Array): number {
    let [low, high] = [0, this.count - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (Buffer.compare(keyAt(this.#page, elementAt(middle), BRANCH), key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

const elementAt = (index: number): number => PAGE_HEADER_BYTES + index * ELEMENT_BYTES;

function keyAt(page: Buffer, element: number, layout: ElementLayout): Buffer {
  const start = element + page.readUInt32LE(element + layout.position);
  return page.subarray(start, start + page.readUInt32LE(element + layout.keyBytes));
}

/** Gives how much of the page is used. */
function checkElements(page: Buffer, count: number, layout: ElementLayout, name: string): number {
  const dataStart = elementAt(count);
  if (dataStart > page.length) throw corrupt(`${name} has no room for its ${count} elements`);
  let [lastStart, lastEnd, dataEnd] = [0, 0, dataStart];
  for (let index = 0; index < count; index += 1) {
    const element = elementAt(index);
    const start = element + page.readUInt32LE(element + layout.position);
    const end = start + page.readUInt32LE(element + layout.keyBytes);
    const valueBytes = layout.valueBytes === null ? 0 : page.readUInt32LE(element + layout.valueBytes);
    if (end === start || end - start > KEY_BYTES_MAX) {
      throw corrupt(`element ${index} of ${name} has a key of ${end - start} bytes`);
    }
    if (start < dataEnd || end + valueBytes > page.length) {
      throw corrupt(`element ${index} of ${name} lies outside its place in the page`);
    }
    if (index > 0 && !isLess(page, lastStart, lastEnd, start, end)) {
      throw corrupt(`the keys of ${name} are not in order at element ${index}`);
    }
    [lastStart, lastEnd, dataEnd] = [start, end, end + valueBytes];
  }
  return dataEnd;
}

/** Byte order of two keys of a page. A loop of our own: this is asked of every record, and their keys are short. */
function isLess(page: Buffer, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  const length = Math.min(end - start, otherEnd - otherStart);
  for (let index = 0; index < length; index += 1) {
    const [left = 0, right = 0] = [page[start + index], page[otherStart + index]];
    if (left !== right) return left < right;
  }
  return end - start < otherEnd - otherStart;
}
