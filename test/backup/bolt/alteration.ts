import { expect } from 'vitest';
import { decodeMeta, encodeMeta } from '../../../src/backup/bolt/format.ts';
import type { RandomStream } from '../../sim/prng.ts';

const SPECIAL = [0, 1, 2, 3, 7, 15, 16, 17, 255, 4096, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff];

/** The database with one or a few things in it changed, of the kinds that a reader has to stand. */
export function altered(base: Buffer, random: RandomStream): Buffer {
  let bytes = Buffer.from(base);
  const pageSize = decodeMeta(bytes)?.pageSizeBytes ?? expect.fail('the base is no database');
  const pages = Math.floor(bytes.length / pageSize);
  const page = () => random.integer(0, pages - 1) * pageSize;
  const times = random.pick([1, 1, 1, 2, 5]);
  for (let time = 0; time < times; time += 1) {
    switch (random.integer(0, 7)) {
      case 0:
        bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
        break;
      case 1: // a field of a page's header
        bytes.writeUInt16LE(random.pick(SPECIAL) & 0xffff, page() + random.pick([0, 8, 10, 12, 14]));
        break;
      case 2: // a field of one of the first elements of a page
        bytes.writeUInt32LE(
          random.pick([...SPECIAL, random.integer(0, pages)]),
          page() + 16 + random.integer(0, 40) * 4,
        );
        break;
      case 3:
        bytes.copyWithin(page(), page(), bytes.length);
        break;
      case 4:
        bytes = bytes.subarray(0, random.integer(0, bytes.length));
        if (bytes.length < pages * pageSize) return bytes;
        break;
      case 5: // a root or a size that is not there, with the right checksum
        for (const index of [0, 1]) {
          const meta = decodeMeta(bytes.subarray(index * pageSize));
          if (meta === null) continue;
          const changes = random.pick([
            { rootPage: random.pick([...SPECIAL, random.integer(0, pages)]) },
            { highWater: random.pick([...SPECIAL, random.integer(0, pages)]) },
          ]);
          encodeMeta({ ...meta, ...changes }, index).copy(bytes, index * pageSize);
        }
        break;
      case 6: // a page that is a copy of another, under its own number
        copyUnderItsNumber(bytes, page(), page(), pageSize);
        break;
      default:
        bytes.fill(random.integer(0, 255), random.integer(0, bytes.length - 1));
    }
  }
  return bytes;
}

function copyUnderItsNumber(bytes: Buffer, from: number, to: number, pageSize: number): void {
  bytes.copyWithin(to, from, from + pageSize);
  bytes.writeBigUInt64LE(BigInt(to / pageSize), to);
}
