import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MesosError } from '../../src/mesos/errors.ts';
import { createRecordDecoder, encodeRecord, RECORD_BYTES_MAX } from '../../src/mesos/record-io.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function decodeAll(chunks: readonly Uint8Array[]): Uint8Array[] {
  const decoder = createRecordDecoder();
  const records: Uint8Array[] = [];
  for (const chunk of chunks) decoder.push(chunk, (record) => records.push(record));
  decoder.end();
  return records;
}

/** `whole` in pieces that end at `cuts`. */
function cutAt(whole: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((a, b) => a - b);
  return ends.map((end, index) => whole.slice(index === 0 ? 0 : ends[index - 1], end));
}

function codeOf(work: () => void): string | null {
  try {
    work();
    return null;
  } catch (error) {
    if (!(error instanceof MesosError)) throw error;
    return error.code;
  }
}

describe('the RecordIO decoder', () => {
  it('gives back any records, however the stream is cut', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 200 }), { maxLength: 8 });
    fc.assert(
      fc.property(texts, fc.array(fc.nat(), { maxLength: 30 }), (records, cuts) => {
        const stream = Buffer.concat(records.map((record) => encodeRecord(record)));
        const decoded = decodeAll(cutAt(stream, cuts)).map((record) => new TextDecoder().decode(record));
        expect(decoded).toEqual(records);
      }),
    );
  });

  it('gives back any bytes, one by one too', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), (records) => {
        const stream = Buffer.concat(records.map((record) => encodeRecord(record)));
        const decoded = decodeAll([...stream].map((byte) => Uint8Array.of(byte)));
        expect(decoded.map((record) => [...record])).toEqual(records.map((record) => [...record]));
      }),
    );
  });

  it('counts bytes and not characters', () => {
    expect([...encodeRecord('ä€😀')].slice(0, 2)).toEqual([...encode('9\n')]);
    expect(decodeAll([encodeRecord('ä€😀')])).toEqual([encode('ä€😀')]);
  });

  it('takes a large record in small chunks in time that grows with its size only', () => {
    const record = new Uint8Array(8 * 1024 * 1024).fill(0x61);
    const stream = encodeRecord(record);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += 1000) chunks.push(stream.subarray(at, at + 1000));
    const [decoded] = decodeAll(chunks);
    expect(Buffer.compare(decoded ?? new Uint8Array(), record)).toBe(0);
  });

  it('takes empty records and empty chunks', () => {
    expect(decodeAll([encode(''), encode('0\n'), encode(''), encode('00\n1\nx')])).toEqual([
      encode(''),
      encode(''),
      encode('x'),
    ]);
  });

  it.each([
    ['HTML', '<html><body>It works!</body></html>'],
    ['JSON', '{"type":"SUBSCRIBED"}'],
    ['a negative length', '-5\nhello'],
    ['a length in hexadecimal', '0x10\n'],
    ['a length with white space', ' 5\nhello'],
    ['no length at all', '\nhello'],
    ['a carriage return', '5\r\nhello'],
    ['a record longer than its length', '4\nhello'],
    ['endless digits', '1'.repeat(21)],
  ])('refuses %s', (_what, text) => {
    const whole = encode(text);
    const byBytes = [...whole].map((byte) => Uint8Array.of(byte));
    for (const chunks of [[whole], byBytes]) expect(codeOf(() => decodeAll(chunks))).toBe('malformed-record');
  });

  it('gives the records before the broken one, and then the error again and again', () => {
    const decoder = createRecordDecoder();
    const seen: string[] = [];
    const push = (text: string): void =>
      decoder.push(encode(text), (record) => seen.push(new TextDecoder().decode(record)));
    expect(codeOf(() => push('1\na1\nbx'))).toBe('malformed-record');
    expect(seen).toEqual(['a', 'b']);
    expect(codeOf(() => push('1\nc'))).toBe('malformed-record');
    expect(codeOf(() => decoder.end())).toBe('malformed-record');
    expect(seen).toEqual(['a', 'b']);
  });

  it('refuses a length over the limit when the length is all that has come', () => {
    for (const length of [RECORD_BYTES_MAX + 1, '9'.repeat(20)]) {
      const decoder = createRecordDecoder();
      expect(codeOf(() => decoder.push(encode(`${length}\n`), () => {}))).toBe('record-too-large');
    }
    const decoder = createRecordDecoder({ recordBytesMax: 3 });
    expect(codeOf(() => decoder.push(encode('3\nabc4\n'), () => {}))).toBe('record-too-large');
  });

  it('sets no memory aside for what was announced and has not come', () => {
    const decoders = Array.from({ length: 200 }, () => createRecordDecoder());
    const beforeBytes = process.memoryUsage().arrayBuffers;
    for (const decoder of decoders) decoder.push(encode(`${RECORD_BYTES_MAX}\nx`), () => {});
    // 200 of the largest records would be 12.5 GiB.
    expect(process.memoryUsage().arrayBuffers - beforeBytes).toBeLessThan(64 * 1024 * 1024);
    expect(decoders.map((decoder) => decoder.pendingBytes)).toEqual(decoders.map(() => 10));
  });

  it.each(['5', '5\n', '5\nhell', '0'])('refuses an end after %j', (text) => {
    expect(codeOf(() => decodeAll([encode(text)]))).toBe('malformed-record');
  });
});
