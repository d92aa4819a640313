/** Reflected polynomial of CRC-32C, Castagnoli's. */
const POLYNOMIAL = 0x82f63b78;
/** Bytes that are taken at once, each through a table of its own. */
const SLICES = 8;

const TABLES = Array.from({ length: SLICES }, () => new Uint32Array(256));
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  at(0)[byte] = crc >>> 0;
}
for (let slice = 1; slice < SLICES; slice += 1) {
  for (let byte = 0; byte < 256; byte += 1) {
    const crc = at(slice - 1)[byte] ?? 0;
    at(slice)[byte] = ((crc >>> 8) ^ (at(0)[crc & 0xff] ?? 0)) >>> 0;
  }
}
const [T0, T1, T2, T3, T4, T5, T6, T7] = [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)];

/** CRC-32C of `bytes` going on from `crc`, that of what was before (0 at the beginning). */
export function crc32c(bytes: Uint8Array, crc = 0): number {
  let state = ~crc;
  let offset = 0;
  for (; offset + SLICES <= bytes.length; offset += SLICES) {
    const low =
      state ^
      (byteAt(bytes, offset) |
        (byteAt(bytes, offset + 1) << 8) |
        (byteAt(bytes, offset + 2) << 16) |
        (byteAt(bytes, offset + 3) << 24));
    state =
      look(T7, low) ^
      look(T6, low >>> 8) ^
      look(T5, low >>> 16) ^
      look(T4, low >>> 24) ^
      look(T3, byteAt(bytes, offset + 4)) ^
      look(T2, byteAt(bytes, offset + 5)) ^
      look(T1, byteAt(bytes, offset + 6)) ^
      look(T0, byteAt(bytes, offset + 7));
  }
  for (; offset < bytes.length; offset += 1) {
    state = (state >>> 8) ^ look(T0, state ^ byteAt(bytes, offset));
  }
  return ~state >>> 0;
}

const byteAt = (bytes: Uint8Array, offset: number): number => bytes[offset] ?? 0;
const look = (table: Uint32Array, index: number): number => table[index & 0xff] ?? 0;

function at(slice: number): Uint32Array {
  const table = TABLES[slice];
  if (table === undefined) throw new RangeError(`table ${slice}`);
  return table;
}
