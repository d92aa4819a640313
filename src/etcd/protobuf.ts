import { EtcdError } from './port.ts';

/**
 * Just enough of the protobuf wire format for etcd's small messages: varints and length-delimited fields, with
 * 64-bit integers as BigInt. Written by hand, since loading a reflection library costs a supervisor's start more
 * than everything else it does.
 */
export type ProtoFields = ReadonlyMap<number, readonly ProtoValue[]>;
export type ProtoValue = bigint | Uint8Array;

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const VARINT_BYTES_MAX = 10;
/** Bytes of the longest varint that a plain number holds exactly. */
const NUMBER_VARINT_BYTES = 7;

/** Every field of a message, repeated ones in order. Throws an {@link EtcdError} `protocol` on malformed bytes. */
export function decodeFields(bytes: Uint8Array): ProtoFields {
  const fields = new Map<number, ProtoValue[]>();
  let offset = 0;
  while (offset < bytes.length) {
    const tag = readVarint(bytes, offset);
    const key = Number(tag.value);
    const field = readValue(bytes, tag.end, key % 8);
    const number = Math.floor(key / 8);
    const known = fields.get(number);
    if (known === undefined) fields.set(number, [field.value]);
    else known.push(field.value);
    offset = field.end;
  }
  return fields;
}

/** The last value of a scalar field, 0 where it is absent, as protobuf has it. */
export function uint64Of(fields: ProtoFields, number: number): bigint {
  const value = fields.get(number)?.at(-1);
  if (value === undefined) return 0n;
  if (typeof value !== 'bigint') throw malformed(`field ${number} is not an integer`);
  return value;
}

export function bytesOf(fields: ProtoFields, number: number): readonly Uint8Array[] {
  return (fields.get(number) ?? []).map((value) => {
    if (typeof value === 'bigint') throw malformed(`field ${number} is not length-delimited`);
    return value;
  });
}

export function textsOf(fields: ProtoFields, number: number): readonly string[] {
  return bytesOf(fields, number).map((bytes) => Buffer.from(bytes).toString('utf8'));
}

export const textOf = (fields: ProtoFields, number: number): string => textsOf(fields, number).at(-1) ?? '';

/** One field of a message to be sent. Zero and `false` are left out, as protobuf has it. */
export type ProtoField = readonly [number: number, value: bigint | boolean | string | Uint8Array];

export function encodeFields(fields: readonly ProtoField[]): Buffer {
  const parts: Buffer[] = [];
  for (const [number, value] of fields) {
    if (typeof value === 'bigint' || typeof value === 'boolean') {
      const integer = BigInt(value);
      if (integer !== 0n) parts.push(varint(BigInt((number << 3) | VARINT)), varint(integer));
    } else {
      const bytes = Buffer.from(value);
      parts.push(varint(BigInt((number << 3) | DELIMITED)), varint(BigInt(bytes.length)), bytes);
    }
  }
  return Buffer.concat(parts);
}

function readValue(bytes: Uint8Array, start: number, wireType: number): { value: ProtoValue; end: number } {
  if (wireType === VARINT) return readVarint(bytes, start);
  if (wireType === FIXED64) return readSlice(bytes, start, 8);
  if (wireType === FIXED32) return readSlice(bytes, start, 4);
  if (wireType !== DELIMITED) throw malformed(`wire type ${wireType}`);
  const length = readVarint(bytes, start);
  return readSlice(bytes, length.end, Number(length.value));
}

function readSlice(bytes: Uint8Array, start: number, length: number): { value: Uint8Array; end: number } {
  if (start + length > bytes.length) throw malformed('a field ends beyond the message');
  return { value: bytes.subarray(start, start + length), end: start + length };
}

function readVarint(bytes: Uint8Array, start: number): { value: bigint; end: number } {
  // What fits a plain number, as nearly all that etcd sends, is read as one: a backup reads millions.
  let low = 0;
  let index = 0;
  for (let factor = 1; index < NUMBER_VARINT_BYTES; index += 1, factor *= 128) {
    const byte = bytes[start + index];
    if (byte === undefined) throw malformed('an integer does not end');
    low += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value: BigInt(low), end: start + index + 1 };
  }
  let value = BigInt(low);
  for (; index < VARINT_BYTES_MAX; index += 1) {
    const byte = bytes[start + index];
    if (byte === undefined) break;
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), end: start + index + 1 };
  }
  throw malformed('an integer does not end');
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** What etcd sent is not what its API promises. */
export function malformed(what: string): EtcdError {
  return new EtcdError('protocol', `etcd answered with a malformed message: ${what}`);
}
