import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { assert } from '../base/assert.ts';
import { ArchiveError } from './errors.ts';

/**
 * The frames that a log's segment is made of. Each carries the SHA-256 of itself and all before it in the segment,
 * so a reader knows of every byte that it is the one that was written before it looks at what it means, a segment
 * that was cut short is good up to its last whole frame, and the hash of the last frame stands for all of it.
 *
 *     magic     16 bytes
 *     frame*    length of the payload u32 · kind u8 · encoding u8 · 0 u16 · hash 32 bytes · payload
 *
 * Numbers are little-endian. The hash is that of the hash before it, the first 8 bytes and the payload as stored.
 */
export const SEGMENT_MAGIC = Buffer.from('etcd-mesos log 1', 'latin1');

export const FRAME_KINDS = { header: 1, batch: 2, proof: 3, end: 4 } as const;
export type FrameKind = keyof typeof FRAME_KINDS;

export interface Frame {
  readonly kind: FrameKind;
  /** As it was before it was compressed. */
  readonly payload: Buffer;
  /** Hex; stands for this frame and all before it. */
  readonly hash: string;
  /** Where it ends in the segment. */
  readonly endBytes: number;
}

const PLAIN = 0;
const ZSTD = 1;
const LEAD_BYTES = 8;
const HASH_BYTES = 32;
const HEAD_BYTES = LEAD_BYTES + HASH_BYTES;
/** A revision is never split, and a lease may end with a million keys. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024 * 1024;
/** What is shorter gets no shorter. */
const COMPRESSED_FROM_BYTES = 256;

/** What the hash of a segment's first frame goes on from. */
const FIRST_HASH = createHash('sha256').update(SEGMENT_MAGIC).digest();

/** Makes the frames of one segment, in their order. */
export interface FrameEncoder {
  /** The frame's bytes; those of the first begin with the segment's magic. */
  encode(kind: FrameKind, payload: Uint8Array): Buffer;
  /** Hex; of the last frame. */
  readonly hash: string;
}

export function createFrameEncoder(options: { readonly compress: boolean }): FrameEncoder {
  let hash: Buffer = FIRST_HASH;
  let isFirst = true;
  return {
    encode: (kind, payload) => {
      assert(payload.byteLength <= PAYLOAD_BYTES_MAX, `a frame of ${payload.byteLength} bytes`);
      const { encoding, bytes } = options.compress
        ? compressed(payload)
        : { encoding: PLAIN, bytes: payload };
      const lead = Buffer.alloc(LEAD_BYTES);
      lead.writeUInt32LE(bytes.byteLength, 0);
      lead.writeUInt8(FRAME_KINDS[kind], 4);
      lead.writeUInt8(encoding, 5);
      hash = nextHash(hash, lead, bytes);
      const magic = isFirst ? [SEGMENT_MAGIC] : [];
      isFirst = false;
      return Buffer.concat([...magic, lead, hash, bytes]);
    },
    get hash() {
      return hash.toString('hex');
    },
  };
}

/** Takes a segment's bytes as they come and gives its frames. */
export interface FrameDecoder {
  /**
   * The frames that are whole now, checked. Throws an {@link ArchiveError}: `corrupt` at the first byte that cannot
   * be right, `unsupported` for a kind or an encoding that a newer release may know. Nothing is taken after that.
   */
  push(bytes: Uint8Array): Generator<Frame, void, undefined>;
  /** Bytes that came and are no whole frame. */
  readonly restBytes: number;
}

export function createFrameDecoder(name: string): FrameDecoder {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let endBytes = 0;
  let hash: Buffer = FIRST_HASH;

  /** The first bytes of what waits, which stay there; `null` while there are fewer. */
  const peek = (count: number): Buffer | null => {
    if (waitingBytes < count) return null;
    const [first] = waiting;
    if (first !== undefined && first.byteLength >= count) return first.subarray(0, count);
    waiting = [Buffer.concat(waiting, waitingBytes)];
    return waiting[0]?.subarray(0, count) ?? null;
  };
  const drop = (count: number): void => {
    const [first = Buffer.alloc(0), ...others] = waiting;
    assert(first.byteLength >= count, 'only what was looked at is dropped');
    waiting = [first.subarray(count), ...others];
    waitingBytes -= count;
    endBytes += count;
  };
  const next = (): Frame | null => {
    if (endBytes === 0) {
      const magic = peek(SEGMENT_MAGIC.byteLength);
      if (magic === null) return null;
      if (!magic.equals(SEGMENT_MAGIC)) throw corrupt(name, 0, 'it does not begin as a segment does');
      drop(SEGMENT_MAGIC.byteLength);
    }
    const head = peek(HEAD_BYTES);
    if (head === null) return null;
    const lengthBytes = head.readUInt32LE(0);
    if (lengthBytes > PAYLOAD_BYTES_MAX) throw corrupt(name, endBytes, `a frame of ${lengthBytes} bytes`);
    const whole = peek(HEAD_BYTES + lengthBytes);
    if (whole === null) return null;
    const payload = whole.subarray(HEAD_BYTES);
    const expected = nextHash(hash, whole.subarray(0, LEAD_BYTES), payload);
    if (!expected.equals(whole.subarray(LEAD_BYTES, HEAD_BYTES))) {
      throw corrupt(name, endBytes, 'a frame’s hash is not that of its bytes');
    }
    const frame = {
      kind: kindOf(name, whole.readUInt8(4)),
      payload: plain(name, whole.readUInt8(5), payload),
    };
    hash = expected;
    drop(whole.byteLength);
    return { ...frame, hash: hash.toString('hex'), endBytes };
  };

  return {
    *push(bytes) {
      if (bytes.byteLength > 0) {
        waiting.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
        waitingBytes += bytes.byteLength;
      }
      for (let frame = next(); frame !== null; frame = next()) yield frame;
    },
    get restBytes() {
      return waitingBytes;
    },
  };
}

function nextHash(before: Uint8Array, lead: Uint8Array, payload: Uint8Array): Buffer {
  return createHash('sha256').update(before).update(lead).update(payload).digest();
}

function compressed(payload: Uint8Array): { encoding: number; bytes: Uint8Array } {
  if (payload.byteLength < COMPRESSED_FROM_BYTES) return { encoding: PLAIN, bytes: payload };
  const bytes = zstdCompressSync(payload);
  return bytes.byteLength < payload.byteLength
    ? { encoding: ZSTD, bytes }
    : { encoding: PLAIN, bytes: payload };
}

function plain(name: string, encoding: number, payload: Buffer): Buffer {
  if (encoding === PLAIN) return payload;
  if (encoding !== ZSTD) {
    throw new ArchiveError('unsupported', `${name} has a frame in the encoding ${encoding}`, { hint: NEWER });
  }
  try {
    return zstdDecompressSync(payload, { maxOutputLength: PAYLOAD_BYTES_MAX });
  } catch (cause) {
    throw new ArchiveError('corrupt', `${name} has a frame that cannot be decompressed`, { cause });
  }
}

function kindOf(name: string, code: number): FrameKind {
  for (const [kind, known] of Object.entries(FRAME_KINDS)) if (known === code) return kind as FrameKind;
  throw new ArchiveError('unsupported', `${name} has a frame of the kind ${code}`, { hint: NEWER });
}

/** What to do about an archive that a newer release wrote. */
const NEWER = 'Use the release of etcd-mesos that wrote it, or a newer one.';

function corrupt(name: string, atBytes: number, what: string): ArchiveError {
  return new ArchiveError('corrupt', `${name} is damaged at byte ${atBytes}: ${what}`);
}
