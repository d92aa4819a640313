import { BoltError } from './bolt-error.ts';

/*
 * The layout of bbolt's file, version 2, all integers little-endian. The file is a row of pages; each begins with
 *
 *     id u64 | flags u16 | count u16 | overflow u32
 *
 * and goes on through `overflow` further pages. Two meta pages lead, written in turn by transaction id, and name the
 * root bucket, whose elements are the buckets. Every bucket is a tree of branch and leaf pages.
 */
export const PAGE_HEADER_BYTES = 16;
/** Of an element in a branch page and in a leaf page. */
export const ELEMENT_BYTES = 16;
/** What a bucket's element holds before its inline page, if it has one: root page u64, sequence u64. */
export const BUCKET_HEADER_BYTES = 16;
export const META_BYTES = 64;
/** bbolt takes no longer key, and no empty one. */
export const KEY_BYTES_MAX = 32_768;
/** Pages that etcd is found with: bbolt takes the size of the machine’s memory pages. */
export const PAGE_SIZES = [1024, 2048, 4096, 8192, 16_384, 32_768, 65_536] as const;
export const PAGE_FLAG = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
/** The flag of a leaf element that holds a bucket. */
export const BUCKET_ELEMENT = 0x01;

const MAGIC = 0xed0cdaed;
const VERSION = 2;
const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** What a meta page says of the whole file as of one transaction. */
export interface Meta {
  readonly pageSizeBytes: number;
  /** Page of the root bucket. */
  readonly rootPage: number;
  readonly rootSequence: bigint;
  /** Page of the list of free pages; the reader has no use for it. */
  readonly freelistPage: bigint;
  /** One more than the last page in use. */
  readonly highWater: number;
  readonly transaction: bigint;
}

/** `null` where the bytes are no meta page of this version, whole and with the right checksum. */
export function decodeMeta(page: Buffer): Meta | null {
  if (page.length < PAGE_HEADER_BYTES + META_BYTES) return null;
  const meta = page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + META_BYTES);
  if (meta.readUInt32LE(0) !== MAGIC || meta.readUInt32LE(4) !== VERSION) return null;
  if (fnv64a(meta.subarray(0, 56)) !== meta.readBigUInt64LE(56)) return null;
  const pageSizeBytes = meta.readUInt32LE(8);
  if (!PAGE_SIZES.some((size) => size === pageSizeBytes)) return null;
  return {
    pageSizeBytes,
    rootPage: pageIdAt(meta, 16),
    rootSequence: meta.readBigUInt64LE(24),
    freelistPage: meta.readBigUInt64LE(32),
    highWater: pageIdAt(meta, 40),
    transaction: meta.readBigUInt64LE(48),
  };
}

/** A whole meta page, as its place `index` (0 or 1) has it. */
export function encodeMeta(meta: Meta, index: number): Buffer {
  const page = Buffer.alloc(meta.pageSizeBytes);
  writePageHeader(page, { id: index, flags: PAGE_FLAG.meta, count: 0, overflow: 0 });
  const body = page.subarray(PAGE_HEADER_BYTES);
  body.writeUInt32LE(MAGIC, 0);
  body.writeUInt32LE(VERSION, 4);
  body.writeUInt32LE(meta.pageSizeBytes, 8);
  body.writeBigUInt64LE(BigInt(meta.rootPage), 16);
  body.writeBigUInt64LE(meta.rootSequence, 24);
  body.writeBigUInt64LE(meta.freelistPage, 32);
  body.writeBigUInt64LE(BigInt(meta.highWater), 40);
  body.writeBigUInt64LE(meta.transaction, 48);
  body.writeBigUInt64LE(fnv64a(body.subarray(0, 56)), 56);
  return page;
}

export interface PageHeader {
  readonly id: number;
  readonly flags: number;
  readonly count: number;
  /** Pages that this one goes on through. */
  readonly overflow: number;
}

export function readPageHeader(page: Buffer): PageHeader {
  return {
    id: pageIdAt(page, 0),
    flags: page.readUInt16LE(8),
    count: page.readUInt16LE(10),
    overflow: page.readUInt32LE(12),
  };
}

export function writePageHeader(page: Buffer, header: PageHeader): void {
  page.writeBigUInt64LE(BigInt(header.id), 0);
  page.writeUInt16LE(header.flags, 8);
  page.writeUInt16LE(header.count, 10);
  page.writeUInt32LE(header.overflow, 12);
}

/** A page id. One that no file can have becomes infinite, so that it fails every bound without losing digits. */
export function pageIdAt(bytes: Buffer, offset: number): number {
  const high = bytes.readUInt32LE(offset + 4);
  return high >= 2 ** 20 ? Number.POSITIVE_INFINITY : high * 2 ** 32 + bytes.readUInt32LE(offset);
}

/** The name of a bucket in a message. */
export const nameText = (name: Uint8Array): string => JSON.stringify(Buffer.from(name).toString('latin1'));

export function corrupt(what: string): BoltError {
  return new BoltError('corrupt', `the database is corrupt: ${what}`, {
    hint: 'Take another copy of it; one that was stored with its hash tells whether it was altered since.',
  });
}

function fnv64a(bytes: Uint8Array): bigint {
  let hash = FNV_OFFSET;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  return hash;
}
