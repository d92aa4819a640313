import { ZooKeeperError } from './errors.ts';

/** Writes ZooKeeper's wire format: numbers big-endian, texts and bytes behind their length. */
export interface JuteWriter {
  int(value: number): JuteWriter;
  long(value: bigint): JuteWriter;
  bool(value: boolean): JuteWriter;
  bytes(value: Uint8Array): JuteWriter;
  text(value: string): JuteWriter;
  /** What was written, behind its own length: a frame. */
  frame(): Uint8Array;
}

export function createJuteWriter(): JuteWriter {
  const parts: Buffer[] = [];
  const add = (part: Buffer): JuteWriter => {
    parts.push(part);
    return writer;
  };
  const int = (value: number): Buffer => {
    const part = Buffer.alloc(4);
    part.writeInt32BE(value);
    return part;
  };
  const writer: JuteWriter = {
    int: (value) => add(int(value)),
    long: (value) => {
      const part = Buffer.alloc(8);
      part.writeBigInt64BE(value);
      return add(part);
    },
    bool: (value) => add(Buffer.from([value ? 1 : 0])),
    bytes: (value) => {
      add(int(value.byteLength));
      return add(Buffer.from(value));
    },
    text: (value) => writer.bytes(Buffer.from(value, 'utf8')),
    frame: () => {
      const body = Buffer.concat(parts);
      return Buffer.concat([int(body.byteLength), body]);
    },
  };
  return writer;
}

/** Reads it. Every method throws a {@link ZooKeeperError} `malformed` where the bytes end too early. */
export interface JuteReader {
  readonly left: number;
  int(): number;
  long(): bigint;
  bool(): boolean;
  bytes(): Uint8Array;
  text(): string;
  list<T>(item: (reader: JuteReader) => T): T[];
}

export function createJuteReader(frame: Uint8Array): JuteReader {
  const buffer = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  let at = 0;
  const take = (size: number): number => {
    if (size < 0 || at + size > buffer.length)
      throw malformed(`${size} bytes are promised, ${buffer.length - at} left`);
    at += size;
    return at - size;
  };
  const reader: JuteReader = {
    get left() {
      return buffer.length - at;
    },
    int: () => buffer.readInt32BE(take(4)),
    long: () => buffer.readBigInt64BE(take(8)),
    bool: () => buffer[take(1)] !== 0,
    bytes: () => {
      const size = reader.int();
      // -1 is how ZooKeeper writes "none".
      const start = take(size === -1 ? 0 : size);
      return Uint8Array.from(buffer.subarray(start, at));
    },
    text: () => Buffer.from(reader.bytes()).toString('utf8'),
    list: (item) => {
      const count = reader.int();
      // Every item has four bytes at least, so a count that cannot be true reserves nothing.
      if (count > reader.left / 4) throw malformed(`a list of ${count} items in ${reader.left} bytes`);
      return Array.from({ length: Math.max(count, 0) }, () => item(reader));
    },
  };
  return reader;
}

function malformed(why: string): ZooKeeperError {
  return new ZooKeeperError('malformed', `an answer of ZooKeeper cannot be read: ${why}`);
}
