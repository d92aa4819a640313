import { BoltError } from './bolt-error.ts';
import type { ReadableFile } from './file-port.ts';
import { corrupt, type Meta, PAGE_FLAG, type PageHeader, readPageHeader } from './format.ts';

/** What is read at once: some pages, so that a file read in order takes few reads; a multiple of any page size. */
const BLOCK_BYTES = 64 * 1024;
/** Blocks that are kept, so 8 MiB at most. */
const BLOCKS_MAX = 128;
/** The largest page that is read. etcd's requests end at 1.5 MiB by default, and two may share a page. */
export const PAGE_BYTES_MAX = 128 * 1024 * 1024;

/** A branch or leaf page with the pages it goes on through. */
export interface TreePage {
  readonly header: PageHeader;
  readonly bytes: Buffer;
}

/** The pages of a database, through a bounded cache. */
export class PageCache {
  readonly #file: ReadableFile;
  readonly #meta: Meta;
  /** By number; the first is the one that was read first, and goes first. */
  readonly #blocks = new Map<number, Buffer>();

  constructor(file: ReadableFile, meta: Meta) {
    this.#file = file;
    this.#meta = meta;
  }

  /** How many pages the file uses. */
  get pages(): number {
    return this.#meta.highWater;
  }

  /**
   * A page of a tree, at once if it is in memory: a scan would wait most of its time otherwise. Throws or rejects
   * with a {@link BoltError} where there is none.
   */
  page(id: number): TreePage | Promise<TreePage> {
    if (!(id >= 2 && id < this.#meta.highWater)) {
      throw corrupt(`page ${id} is named, and it has ${this.#meta.highWater} pages`);
    }
    const block = this.#blocks.get(this.#blockOf(id));
    return block === undefined ? this.#load(id) : this.#inBlock(id, block);
  }

  async #load(id: number): Promise<TreePage> {
    const number = this.#blockOf(id);
    const block = await this.#read(
      number * BLOCK_BYTES,
      Math.min(BLOCK_BYTES, this.#endBytes - number * BLOCK_BYTES),
    );
    this.#blocks.set(number, block);
    const [oldest] = this.#blocks.keys();
    if (this.#blocks.size > BLOCKS_MAX && oldest !== undefined) this.#blocks.delete(oldest);
    return await this.#inBlock(id, block);
  }

  #inBlock(id: number, block: Buffer): TreePage | Promise<TreePage> {
    const { pageSizeBytes, highWater } = this.#meta;
    const start = (id * pageSizeBytes) % BLOCK_BYTES;
    const header = readPageHeader(block.subarray(start, start + pageSizeBytes));
    if (header.id !== id) throw corrupt(`page ${id} calls itself page ${header.id}`);
    if (header.flags !== PAGE_FLAG.branch && header.flags !== PAGE_FLAG.leaf) {
      throw corrupt(`page ${id} has the flags ${header.flags}, neither a branch nor a leaf`);
    }
    if (id + header.overflow >= highWater) {
      throw corrupt(`page ${id} goes on through ${header.overflow} pages, beyond the last one`);
    }
    const sizeBytes = (header.overflow + 1) * pageSizeBytes;
    if (sizeBytes > PAGE_BYTES_MAX) {
      throw new BoltError('page-too-large', `page ${id} has ${sizeBytes} bytes, more than ${PAGE_BYTES_MAX}`);
    }
    if (start + sizeBytes <= block.length) {
      return { header, bytes: block.subarray(start, start + sizeBytes) };
    }
    return this.#read(id * pageSizeBytes, sizeBytes).then((bytes) => ({ header, bytes }));
  }

  get #endBytes(): number {
    return this.#meta.highWater * this.#meta.pageSizeBytes;
  }

  #blockOf(id: number): number {
    return Math.floor((id * this.#meta.pageSizeBytes) / BLOCK_BYTES);
  }

  async #read(offset: number, sizeBytes: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(sizeBytes);
    const count = await this.#file.readAt(bytes, offset);
    if (count === sizeBytes) return bytes;
    throw new BoltError('truncated', `the database ends at byte ${offset + count}, within its pages`);
  }
}
