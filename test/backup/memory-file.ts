import type { ReadableFile, WritableFile } from '../../src/backup/bolt/file-port.ts';

/** A file in memory that counts what is read of it and refuses to be read outside. */
export interface MemoryFile extends ReadableFile, WritableFile {
  readonly bytes: Buffer;
  readonly bytesRead: number;
}

export function createMemoryFile(initial: Uint8Array = new Uint8Array()): MemoryFile {
  let room = Buffer.from(initial);
  let sizeBytes = room.length;
  let bytesRead = 0;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    get bytes() {
      return room.subarray(0, sizeBytes);
    },
    get bytesRead() {
      return bytesRead;
    },
    readAt: async (target, offset) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || offset > sizeBytes) {
        throw new Error(`read at ${offset} of a file of ${sizeBytes} bytes`);
      }
      const count = room.copy(target, 0, offset, sizeBytes);
      bytesRead += count;
      return count;
    },
    writeAt: async (written, offset) => {
      const end = offset + written.length;
      if (end > room.length) room = Buffer.concat([room, Buffer.alloc(end * 2 - room.length)]);
      room.set(written, offset);
      sizeBytes = Math.max(sizeBytes, end);
    },
  };
}
