import { BoltError } from './bolt-error.ts';
import type { ReadableFile } from './file-port.ts';
import {
  BUCKET_HEADER_BYTES,
  corrupt,
  decodeMeta,
  META_BYTES,
  type Meta,
  nameText,
  PAGE_FLAG,
  PAGE_HEADER_BYTES,
  PAGE_SIZES,
  pageIdAt,
  readPageHeader,
} from './format.ts';
import { PageCache, type TreePage } from './page-cache.ts';
import { Branch, Leaf } from './pages.ts';

/** Branch pages above a leaf. A page has two children at least, so no file that can be stored has more. */
const DEPTH_MAX = 48;

/** A bbolt database, read without a lock: nobody may write it meanwhile. */
export interface BoltDatabase {
  readonly pageSizeBytes: number;
  /** Bytes of the pages in use and free; the file may go on behind them. */
  readonly sizeBytes: number;
  /** Id of the transaction that is read, the newest whose meta page is whole. */
  readonly transaction: bigint;
  /** Its elements are the top-level buckets. */
  readonly root: BoltBucket;
}

/** A sorted map of keys to values. */
export interface BoltBucket {
  readonly sequence: bigint;
  /**
   * Its leaf pages in order of their keys, none of them empty; with `from`, without the keys before it. Every key is
   * greater than the one before it, however the file was altered, and it ends. Throws a {@link BoltError}.
   */
  leaves(from?: Uint8Array): AsyncGenerator<Leaf, void, undefined>;
  /** `null` where the key is not there or holds a bucket. */
  get(key: Uint8Array): Promise<Buffer | null>;
  /** The greatest key with its value; `null` for an empty bucket. */
  last(): Promise<{ readonly key: Buffer; readonly value: Buffer } | null>;
  /** A bucket inside; `null` where the key is not there. Throws `corrupt` where it holds a value instead. */
  bucket(name: Uint8Array): Promise<BoltBucket | null>;
}

/** Reads the meta pages and the root bucket's. Throws a {@link BoltError} for what is not a whole database. */
export async function openBolt(file: ReadableFile): Promise<BoltDatabase> {
  const meta = await readMeta(file);
  const sizeBytes = meta.highWater * meta.pageSizeBytes;
  if (!(sizeBytes <= file.sizeBytes)) {
    throw new BoltError('truncated', `the database has ${sizeBytes} bytes, the file ${file.sizeBytes}`, {
      hint: 'Fetch it again; it was cut off on the way.',
    });
  }
  const pages = new PageCache(file, meta);
  return {
    pageSizeBytes: meta.pageSizeBytes,
    sizeBytes,
    transaction: meta.transaction,
    root: createBucket(pages, meta.rootPage, meta.rootSequence),
  };
}

/** The newest of the two meta pages that are whole: the other may be half written. */
async function readMeta(file: ReadableFile): Promise<Meta> {
  const head = Buffer.alloc(Math.min(file.sizeBytes, PAGE_HEADER_BYTES + META_BYTES));
  await file.readAt(head, 0);
  const first = decodeMeta(head);
  const found = first === null ? [] : [first];
  for (const pageSizeBytes of first === null ? PAGE_SIZES : [first.pageSizeBytes]) {
    if (pageSizeBytes + head.length > file.sizeBytes) break;
    await file.readAt(head, pageSizeBytes);
    const second = decodeMeta(head);
    if (second?.pageSizeBytes === pageSizeBytes) found.push(second);
  }
  const [newest] = found.toSorted((left, right) => (left.transaction > right.transaction ? -1 : 1));
  if (newest !== undefined) return newest;
  throw new BoltError('not-a-database', 'the file has no meta page of a bbolt database', {
    hint: 'Give the backend file of etcd or a snapshot; what is compressed or encrypted is unpacked first.',
  });
}

function createBucket(pages: PageCache, root: number | TreePage, sequence: bigint): BoltBucket {
  const leaves: BoltBucket['leaves'] = (from) => walk(pages, root, from);
  const find = async (key: Uint8Array): Promise<{ readonly leaf: Leaf } | null> => {
    for await (const leaf of leaves(key)) return leaf.key(0).equals(key) ? { leaf } : null;
    return null;
  };
  return {
    sequence,
    leaves,
    get: async (key) => {
      const found = await find(key);
      return found === null || found.leaf.isBucket(0) ? null : found.leaf.value(0);
    },
    last: async () => {
      const leaf = await lastLeaf(pages, root);
      if (leaf.count === 0) return null;
      return { key: leaf.key(leaf.count - 1), value: leaf.value(leaf.count - 1) };
    },
    bucket: async (name) => {
      const found = await find(name);
      if (found === null) return null;
      if (!found.leaf.isBucket(0)) throw corrupt(`${nameText(name)} is a value where a bucket should be`);
      return parseBucket(pages, found.leaf.value(0), nameText(name));
    },
  };
}

/** A bucket small enough has no page of its own: it stands inline behind its header. */
function parseBucket(pages: PageCache, value: Buffer, name: string): BoltBucket {
  if (value.length < BUCKET_HEADER_BYTES) throw corrupt(`bucket ${name} has no header`);
  const sequence = value.readBigUInt64LE(8);
  const root = pageIdAt(value, 0);
  if (root !== 0) return createBucket(pages, root, sequence);
  const bytes = value.subarray(BUCKET_HEADER_BYTES);
  if (bytes.length < PAGE_HEADER_BYTES) throw corrupt(`bucket ${name} has no inline page`);
  const header = readPageHeader(bytes);
  if (header.flags !== PAGE_FLAG.leaf) throw corrupt(`the inline page of bucket ${name} is no leaf`);
  return createBucket(pages, { header: { ...header, id: 0 }, bytes }, sequence);
}

/**
 * The leaves of a tree in order. What keeps it from running for ever in a file that was altered: the depth is
 * bounded, the keys rise strictly from leaf to leaf (so none is met twice), only a root may be empty, and all leaves
 * together have no more pages than the file.
 */
async function* walk(
  pages: PageCache,
  root: number | TreePage,
  from: Uint8Array | undefined,
): AsyncGenerator<Leaf, void, undefined> {
  const path: { readonly branch: Branch; index: number }[] = [];
  let next = root;
  let seek = from;
  let lastKey: Buffer | null = null;
  let pagesLeft = pages.pages;
  for (;;) {
    const loaded: TreePage | Promise<TreePage> = typeof next === 'number' ? pages.page(next) : next;
    const page = loaded instanceof Promise ? await loaded : loaded;
    const name = nameOf(page);
    if (page.header.flags === PAGE_FLAG.branch) {
      if (path.length === DEPTH_MAX) throw corrupt(`more than ${DEPTH_MAX} branch pages above ${name}`);
      const branch = Branch.parse(page.bytes, page.header.count, name);
      const index = seek === undefined ? 0 : branch.indexOf(seek);
      path.push({ branch, index });
      next = branch.child(index);
      continue;
    }
    pagesLeft -= 1 + page.header.overflow;
    if (pagesLeft < 0) throw corrupt('its leaves have more pages than it has');
    const leaf = Leaf.parse(page.bytes, page.header.count, name);
    if (leaf.count === 0 && path.length > 0) throw corrupt(`${name} is empty`);
    if (leaf.count > 0) {
      if (lastKey !== null && Buffer.compare(lastKey, leaf.key(0)) >= 0) {
        throw corrupt(`the keys of ${name} do not follow those of the leaf before it`);
      }
      lastKey = leaf.key(leaf.count - 1);
      const wanted = seek === undefined ? leaf : leaf.after(leaf.indexFrom(seek));
      if (wanted.count > 0) {
        seek = undefined;
        yield wanted;
      }
    }
    while ((path.at(-1)?.index ?? 0) + 1 === path.at(-1)?.branch.count) path.pop();
    const above = path.at(-1);
    if (above === undefined) return;
    above.index += 1;
    next = above.branch.child(above.index);
  }
}

async function lastLeaf(pages: PageCache, root: number | TreePage): Promise<Leaf> {
  let next = root;
  for (let depth = 0; depth <= DEPTH_MAX; depth += 1) {
    const page: TreePage = typeof next === 'number' ? await pages.page(next) : next;
    if (page.header.flags === PAGE_FLAG.leaf) {
      const leaf = Leaf.parse(page.bytes, page.header.count, nameOf(page));
      if (leaf.count === 0 && depth > 0) throw corrupt(`${nameOf(page)} is empty`);
      return leaf;
    }
    const branch = Branch.parse(page.bytes, page.header.count, nameOf(page));
    next = branch.child(branch.count - 1);
  }
  throw corrupt(`more than ${DEPTH_MAX} branch pages above a leaf`);
}

function nameOf({ header }: TreePage): string {
  if (header.id === 0) return 'an inline page';
  return `${header.flags === PAGE_FLAG.branch ? 'branch' : 'leaf'} page ${header.id}`;
}
