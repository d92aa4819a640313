import { assert } from '../../base/assert.ts';
import type { WritableFile } from './file-port.ts';
import {
  BUCKET_ELEMENT,
  BUCKET_HEADER_BYTES,
  ELEMENT_BYTES,
  encodeMeta,
  KEY_BYTES_MAX,
  type Meta,
  PAGE_FLAG,
  PAGE_HEADER_BYTES,
  writePageHeader,
} from './format.ts';
import type { Leaf } from './pages.ts';

/** How full a page is made, as etcd has it for records that come in order: room for what is changed in place. */
const FILL = 0.9;
/** How much of that a page of another database must have to be taken as it is. */
const WHOLE_FROM = 0.75;
/** Pages are gathered into pieces of this size before they are written. */
const PIECE_BYTES = 1024 * 1024;
/** The metas, the freelist: where the pages of trees begin. */
const FIRST_TREE_PAGE = 3;
const FREELIST_PAGE = 2;

/**
 * Writes a bbolt database in one go: buckets whose keys come in order, each page where the one before it ends, branch
 * pages as their children are there, the two meta pages last. Memory is that of a few pages, whatever the size.
 * Until {@link BoltWriter.finish} has resolved the file is no database.
 */
export class BoltWriter {
  readonly #output: PageOutput;
  readonly #buckets: { readonly name: Buffer; readonly root: number; readonly sequence: bigint }[] = [];
  #open: TreeWriter | null = null;

  constructor(file: WritableFile, pageSizeBytes: number) {
    this.#output = new PageOutput(file, pageSizeBytes);
  }

  /** Begins the next top-level bucket, in any order of names; what is appended from now on goes there. */
  begin(name: Uint8Array, sequence = 0n): void {
    const bucket = Buffer.from(name);
    assert(bucket.length > 0 && this.#buckets.every((known) => !known.name.equals(bucket)), 'a new bucket');
    this.#close();
    this.#open = new TreeWriter(this.#output, 0);
    this.#buckets.push({ name: bucket, root: 0, sequence });
  }

  /**
   * Adds a key, greater than the bucket's last (1 … 32768 bytes). Both must stay unchanged until the next
   * {@link drain}.
   */
  append(key: Uint8Array, value: Uint8Array): void {
    assert(this.#open !== null, 'a bucket was begun');
    this.#open.append(key, value);
  }

  /**
   * Adds all of a leaf that was read, none of it a bucket: as it is where it fills its page, which saves the work of
   * every element, and else one by one, so that the result has no empty pages.
   */
  appendLeaf(leaf: Leaf): void {
    assert(this.#open !== null, 'a bucket was begun');
    assert(!leaf.hasBuckets, 'a leaf without buckets');
    this.#open.appendLeaf(leaf);
  }

  /** Writes out what has gathered, if it is worth it. To be awaited now and then: it is what bounds the memory. */
  async drain(): Promise<void> {
    await this.#output.drain(PIECE_BYTES);
  }

  /** Writes the rest and the meta pages. The writer is done then; syncing the file is its owner's. */
  async finish(): Promise<void> {
    this.#close();
    const root = new TreeWriter(this.#output, BUCKET_ELEMENT);
    for (const bucket of this.#buckets.toSorted((left, right) => Buffer.compare(left.name, right.name))) {
      const header = Buffer.alloc(BUCKET_HEADER_BYTES);
      header.writeBigUInt64LE(BigInt(bucket.root), 0);
      header.writeBigUInt64LE(bucket.sequence, 8);
      root.append(bucket.name, header);
    }
    await this.#output.finish(root.close());
  }

  #close(): void {
    if (this.#open === null) return;
    const bucket = this.#buckets.pop();
    assert(bucket !== undefined, 'the open bucket is listed');
    this.#buckets.push({ ...bucket, root: this.#open.close() });
    this.#open = null;
  }
}

/** An element on its way into a page: of a leaf with its value, of a branch with its child's page. */
interface Element {
  readonly key: Uint8Array;
  readonly value: Uint8Array | number;
}

/** One tree, from its leaves upwards: a level of branch pages is begun when the level below has its second page. */
class TreeWriter {
  readonly #output: PageOutput;
  readonly #elementFlags: number;
  readonly #limitBytes: number;
  #leaf: Element[] = [];
  #leafBytes = PAGE_HEADER_BYTES;
  #lastKey: Uint8Array | null = null;
  /** From the lowest: the elements that no page holds yet. */
  readonly #levels: { elements: Element[]; bytes: number }[] = [];

  constructor(output: PageOutput, elementFlags: number) {
    this.#output = output;
    this.#elementFlags = elementFlags;
    this.#limitBytes = Math.floor(output.pageSizeBytes * FILL);
  }

  append(key: Uint8Array, value: Uint8Array): void {
    assert(key.length > 0 && key.length <= KEY_BYTES_MAX, `a key of ${key.length} bytes`);
    assert(this.#lastKey === null || Buffer.compare(this.#lastKey, key) < 0, 'keys come in order');
    const bytes = ELEMENT_BYTES + key.length + value.length;
    const isFull = this.#leafBytes + bytes > this.#limitBytes;
    if (isFull && this.#leaf.length > 0) this.#flushLeaf();
    this.#leaf.push({ key, value });
    this.#leafBytes += bytes;
    this.#lastKey = key;
  }

  appendLeaf(leaf: Leaf): void {
    const page = leaf.wholePage;
    if (page === null || page.length < this.#limitBytes * WHOLE_FROM) {
      for (let index = 0; index < leaf.count; index += 1) this.append(leaf.key(index), leaf.value(index));
      return;
    }
    const key = leaf.key(0);
    assert(this.#lastKey === null || Buffer.compare(this.#lastKey, key) < 0, 'keys come in order');
    if (this.#leaf.length > 0) this.#flushLeaf();
    this.#addChild(0, key, this.#output.copy(page, leaf.count));
    this.#lastKey = leaf.key(leaf.count - 1);
  }

  /** The page of the root. */
  close(): number {
    if (this.#levels.length === 0) return this.#output.leaf(this.#leaf, this.#elementFlags);
    if (this.#leaf.length > 0) this.#flushLeaf();
    for (let level = 0; ; level += 1) {
      const { elements } = this.#level(level);
      const [only] = elements;
      if (level === this.#levels.length - 1 && elements.length === 1 && typeof only?.value === 'number') {
        return only.value;
      }
      this.#levels[level] = { elements: [], bytes: PAGE_HEADER_BYTES };
      this.#add(level + 1, elements);
    }
  }

  #flushLeaf(): void {
    const [first] = this.#leaf;
    assert(first !== undefined, 'a leaf has elements');
    const page = this.#output.leaf(this.#leaf, this.#elementFlags);
    [this.#leaf, this.#leafBytes] = [[], PAGE_HEADER_BYTES];
    this.#addChild(0, first.key, page);
  }

  /**
   * Two elements are held back when a page is full: bbolt cannot merge the child of a branch page with one, and the
   * last page of a level must not be that.
   */
  #addChild(number: number, key: Uint8Array, page: number): void {
    const level = this.#level(number);
    const bytes = ELEMENT_BYTES + key.length;
    const isFull = level.bytes + bytes > this.#limitBytes;
    if (isFull && level.elements.length > 3) {
      const full = level.elements.splice(0, level.elements.length - 1);
      level.bytes =
        PAGE_HEADER_BYTES +
        level.elements.reduce((sum, { key: held }) => sum + ELEMENT_BYTES + held.length, 0);
      this.#add(number + 1, full);
    }
    // The key may be a view of a page that was read; a whole block would stay in memory with it.
    level.elements.push({ key: Buffer.from(key), value: page });
    level.bytes += bytes;
  }

  /** Writes a branch page and hands it to the level above. */
  #add(number: number, children: readonly Element[]): void {
    const [first] = children;
    assert(first !== undefined && children.length > 1, 'a branch page has two children');
    this.#addChild(number, first.key, this.#output.branch(children));
  }

  #level(number: number): { elements: Element[]; bytes: number } {
    const known = this.#levels[number];
    if (known !== undefined) return known;
    const level = { elements: [], bytes: PAGE_HEADER_BYTES };
    this.#levels[number] = level;
    return level;
  }
}

/** The pages in order of their numbers. */
class PageOutput {
  readonly pageSizeBytes: number;
  readonly #file: WritableFile;
  #nextPage = FIRST_TREE_PAGE;
  #writtenBytes: number;
  /** Waiting to be written. */
  #full: { readonly piece: Buffer; readonly bytes: number }[] = [];
  #fullBytes = 0;
  /** Written, so that they need not be asked of the allocator again. */
  readonly #free: Buffer[] = [];
  /** All zeros from `#pieceBytes` on. */
  #piece: Buffer;
  #pieceBytes = 0;

  constructor(file: WritableFile, pageSizeBytes: number) {
    this.#file = file;
    this.pageSizeBytes = pageSizeBytes;
    this.#writtenBytes = FIRST_TREE_PAGE * pageSizeBytes;
    this.#piece = Buffer.alloc(PIECE_BYTES);
  }

  leaf(elements: readonly Element[], elementFlags: number): number {
    const bytes = elements.reduce((sum, { key, value }) => {
      assert(typeof value !== 'number', 'a leaf holds values');
      return sum + ELEMENT_BYTES + key.length + value.length;
    }, PAGE_HEADER_BYTES);
    const { id, page } = this.#allocate(bytes, PAGE_FLAG.leaf, elements.length);
    let end = PAGE_HEADER_BYTES + elements.length * ELEMENT_BYTES;
    for (const [index, { key, value }] of elements.entries()) {
      assert(typeof value !== 'number', 'a leaf holds values');
      const element = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      page.writeUInt32LE(elementFlags, element);
      page.writeUInt32LE(end - element, element + 4);
      page.writeUInt32LE(key.length, element + 8);
      page.writeUInt32LE(value.length, element + 12);
      page.set(key, end);
      page.set(value, end + key.length);
      end += key.length + value.length;
    }
    return id;
  }

  /** A leaf page as it stands elsewhere. */
  copy(used: Buffer, count: number): number {
    const { id, page } = this.#allocate(used.length, PAGE_FLAG.leaf, count);
    used.copy(page, PAGE_HEADER_BYTES, PAGE_HEADER_BYTES);
    return id;
  }

  branch(children: readonly Element[]): number {
    const bytes = children.reduce((sum, { key }) => sum + ELEMENT_BYTES + key.length, PAGE_HEADER_BYTES);
    const { id, page } = this.#allocate(bytes, PAGE_FLAG.branch, children.length);
    let end = PAGE_HEADER_BYTES + children.length * ELEMENT_BYTES;
    for (const [index, { key, value }] of children.entries()) {
      assert(typeof value === 'number', 'a branch holds pages');
      const element = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      page.writeUInt32LE(end - element, element);
      page.writeUInt32LE(key.length, element + 4);
      page.writeBigUInt64LE(BigInt(value), element + 8);
      page.set(key, end);
      end += key.length;
    }
    return id;
  }

  async drain(atLeastBytes: number): Promise<void> {
    if (this.#fullBytes < atLeastBytes) return;
    const full = this.#full;
    [this.#full, this.#fullBytes] = [[], 0];
    for (const { piece, bytes } of full) {
      await this.#file.writeAt(piece.subarray(0, bytes), this.#writtenBytes);
      this.#writtenBytes += bytes;
      if (piece.length === PIECE_BYTES) this.#free.push(piece);
    }
  }

  async finish(rootPage: number): Promise<void> {
    this.#closePiece(0);
    await this.drain(0);
    const freelist = Buffer.alloc(this.pageSizeBytes);
    writePageHeader(freelist, { id: FREELIST_PAGE, flags: PAGE_FLAG.freelist, count: 0, overflow: 0 });
    await this.#file.writeAt(freelist, FREELIST_PAGE * this.pageSizeBytes);
    for (const index of [0, 1]) {
      const meta: Meta = {
        pageSizeBytes: this.pageSizeBytes,
        rootPage,
        rootSequence: 0n,
        freelistPage: BigInt(FREELIST_PAGE),
        highWater: this.#nextPage,
        transaction: BigInt(index),
      };
      await this.#file.writeAt(encodeMeta(meta, index), index * this.pageSizeBytes);
    }
  }

  #allocate(bytes: number, flags: number, count: number): { readonly id: number; readonly page: Buffer } {
    const pages = Math.ceil(bytes / this.pageSizeBytes);
    const pageBytes = pages * this.pageSizeBytes;
    if (this.#pieceBytes + pageBytes > this.#piece.length) this.#closePiece(pageBytes);
    const page = this.#piece.subarray(this.#pieceBytes, this.#pieceBytes + pageBytes);
    const id = this.#nextPage;
    writePageHeader(page, { id, flags, count, overflow: pages - 1 });
    this.#pieceBytes += pageBytes;
    this.#nextPage += pages;
    return { id, page };
  }

  /** Begins a piece with room for a page of `bytes`. */
  #closePiece(bytes: number): void {
    if (this.#pieceBytes > 0) {
      this.#full.push({ piece: this.#piece, bytes: this.#pieceBytes });
      this.#fullBytes += this.#pieceBytes;
    }
    const free = bytes <= PIECE_BYTES ? this.#free.pop() : undefined;
    this.#piece = free?.fill(0) ?? Buffer.alloc(Math.max(PIECE_BYTES, bytes));
    this.#pieceBytes = 0;
  }
}
