import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { assert } from '../base/assert.ts';
import { ArchiveError } from './errors.ts';

/**
 * How an archive's objects are encrypted: AES-256-GCM in frames. Numbers are little-endian.
 *
 *     header      magic 16 bytes · shape u8 · 0 7 bytes · key's id 8 bytes · salt 32 bytes
 *     whole:      (up to 1 MiB encrypted · tag 16 bytes)*           each but the last is of 1 MiB
 *     growing:    (mark · up to 1 MiB encrypted · tag 16 bytes · mark)*   a mark is the length u32 · the number u32
 *
 * Every object has a key of its own, made from the archive's key and the salt, so no nonce is ever used twice: it is
 * 8 bytes that are made with that key, and the frame's number. What the tag covers besides: the header, whether the
 * frame is the last of a whole object, and the object's name. So no frame can be altered, left out, moved, or be
 * read under another name. The end of an object that grows is not marked: a log's own hashes cover it.
 */
const MAGIC = Buffer.from('etcd-mesos seal1', 'latin1');
const SHAPE_AT = 16;
const KEY_ID_AT = 24;
const SALT_AT = 32;
export const SEAL_HEADER_BYTES = 64;
export const SEAL_FRAME_BYTES = 1024 * 1024;
export const SEAL_TAG_BYTES = 16;

const SHAPES = { whole: 0, growing: 1 } as const;
export type SealShape = keyof typeof SHAPES;

const KEY_BYTES = 32;
const KEY_ID_BYTES = 8;
const NONCE_PREFIX_BYTES = 8;
const CIPHER = 'aes-256-gcm';

/** The key of an archive. What it prints as is not secret. */
export interface ArchiveKey {
  /** Tells keys apart, and nothing of the key itself: 16 hex digits. */
  readonly id: string;
  readonly secret: KeyObject;
}

/** `null` for what is no key: 64 hex digits, as `openssl rand -hex 32` makes them. */
export function archiveKeyOf(text: string): ArchiveKey | null {
  if (!/^[0-9a-f]{64}$/i.test(text)) return null;
  const secret = createSecretKey(Buffer.from(text, 'hex'));
  const id = derived(secret, Buffer.alloc(0), 'etcd-mesos archive key id', KEY_ID_BYTES);
  return { id: id.toString('hex'), secret };
}

/** What encrypts one object and opens it again. */
export interface Seal {
  readonly header: Buffer;
  readonly shape: SealShape;
  /** Encrypted, and the tag. Of one number there is one frame. */
  seal(number: number, plain: Uint8Array, isLast: boolean): Buffer;
  /** `null` when it is not what was sealed as this frame of this object. */
  open(number: number, sealed: Uint8Array, isLast: boolean): Buffer | null;
}

/** For an object that is new: its salt is random. */
export function createSeal(key: ArchiveKey, name: string, shape: SealShape): Seal {
  const header = Buffer.alloc(SEAL_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt8(SHAPES[shape], SHAPE_AT);
  header.write(key.id, KEY_ID_AT, 'hex');
  randomBytes(SEAL_HEADER_BYTES - SALT_AT).copy(header, SALT_AT);
  return sealOf(key, name, header, shape);
}

/**
 * For an object that begins with this header. Throws an {@link ArchiveError}: `not-encrypted`, `wrong-key`,
 * `corrupt`, or `unsupported` where a newer release may know its shape.
 * @param where it is, for people.
 */
export function openSeal(key: ArchiveKey, name: string, header: Uint8Array, where: string): Seal {
  const keyId = keyIdIn(header);
  if (keyId === null) {
    if (header.byteLength < SEAL_HEADER_BYTES && startsWithMagic(header)) {
      throw new ArchiveError('corrupt', `${where} ends after ${header.byteLength} bytes`);
    }
    throw new ArchiveError('not-encrypted', `${where} is not encrypted, and key ${key.id} was given`, {
      hint: 'Give no key, or name the archive that the key is of: an archive is encrypted from the start or never.',
    });
  }
  if (keyId !== key.id) {
    throw new ArchiveError('wrong-key', `${where} is encrypted with key ${keyId}, given was key ${key.id}`, {
      hint: 'Name the file of the key that it was encrypted with.',
    });
  }
  const bytes = Buffer.from(header);
  for (const shape of ['whole', 'growing'] as const) {
    if (bytes.readUInt8(SHAPE_AT) === SHAPES[shape]) return sealOf(key, name, bytes, shape);
  }
  throw new ArchiveError('unsupported', `${where} is encrypted in a way that is not known`, {
    hint: 'Use the release of etcd-mesos that wrote it, or a newer one.',
  });
}

/** The id of the key that an object is encrypted with, by how it begins; `null` where it is not encrypted. */
export function keyIdIn(beginning: Uint8Array): string | null {
  if (beginning.byteLength < SEAL_HEADER_BYTES || !startsWithMagic(beginning)) return null;
  return Buffer.from(beginning).toString('hex', KEY_ID_AT, KEY_ID_AT + KEY_ID_BYTES);
}

const startsWithMagic = (bytes: Uint8Array): boolean => MAGIC.equals(bytes.subarray(0, MAGIC.byteLength));

function sealOf(key: ArchiveKey, name: string, header: Buffer, shape: SealShape): Seal {
  const made = derived(
    key.secret,
    header.subarray(SALT_AT),
    'etcd-mesos archive object',
    KEY_BYTES + NONCE_PREFIX_BYTES,
  );
  const [secret, prefix] = [made.subarray(0, KEY_BYTES), made.subarray(KEY_BYTES)];
  const nonceOf = (number: number): Buffer => {
    assert(number <= 0xffff_ffff, 'an object has fewer frames than numbers');
    const counter = Buffer.alloc(4);
    counter.writeUInt32LE(number);
    return Buffer.concat([prefix, counter]);
  };
  const covered = (isLast: boolean): Buffer =>
    Buffer.concat([header, Buffer.from([isLast ? 1 : 0]), Buffer.from(name)]);
  return {
    header,
    shape,
    seal: (number, plain, isLast) => {
      const cipher = createCipheriv(CIPHER, secret, nonceOf(number)).setAAD(covered(isLast));
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open: (number, sealed, isLast) => {
      const endBytes = sealed.byteLength - SEAL_TAG_BYTES;
      if (endBytes < 0) return null;
      const decipher = createDecipheriv(CIPHER, secret, nonceOf(number), { authTagLength: SEAL_TAG_BYTES });
      decipher.setAAD(covered(isLast)).setAuthTag(sealed.subarray(endBytes));
      const plain = decipher.update(sealed.subarray(0, endBytes));
      try {
        decipher.final();
        return plain;
      } catch {
        return null;
      }
    },
  };
}

function derived(secret: KeyObject, salt: Uint8Array, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, purpose, bytes));
}

/** What was sealed as a whole object of so many bytes; `null` for a size that none has. */
export function plainSizeOf(sealedBytes: number): number | null {
  const framesBytes = sealedBytes - SEAL_HEADER_BYTES;
  const frames = Math.ceil(framesBytes / (SEAL_FRAME_BYTES + SEAL_TAG_BYTES));
  const plainBytes = framesBytes - frames * SEAL_TAG_BYTES;
  const isWhole = plainBytes > (frames - 1) * SEAL_FRAME_BYTES || (plainBytes === 0 && frames === 1);
  return isWhole ? plainBytes : null;
}

/** Where a frame of a whole object begins. */
export function frameAt(number: number): number {
  return SEAL_HEADER_BYTES + number * (SEAL_FRAME_BYTES + SEAL_TAG_BYTES);
}

/** Stands at both ends of a frame of an object that grows: so its size is found without reading all of it. */
export interface FrameMark {
  /** Of the content. */
  readonly lengthBytes: number;
  readonly number: number;
}
export const MARK_BYTES = 8;
/** What a frame of an object that grows has beside its content. */
export const GROWING_OVERHEAD_BYTES = SEAL_TAG_BYTES + 2 * MARK_BYTES;

export function encodeMark({ lengthBytes, number }: FrameMark): Buffer {
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeUInt32LE(lengthBytes, 0);
  mark.writeUInt32LE(number, 4);
  return mark;
}

/** `null` for what marks no frame. */
export function decodeMark(bytes: Uint8Array): FrameMark | null {
  if (bytes.byteLength !== MARK_BYTES) return null;
  const mark = Buffer.from(bytes.buffer, bytes.byteOffset, MARK_BYTES);
  const lengthBytes = mark.readUInt32LE(0);
  return lengthBytes > SEAL_FRAME_BYTES ? null : { lengthBytes, number: mark.readUInt32LE(4) };
}
