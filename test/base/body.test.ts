import { describe, expect, test } from 'vitest';
import { jsonOf, readBody } from '../../src/base/body.ts';

describe('a body', () => {
  test('is read to its end, characters that are cut in two among it', async () => {
    const bytes = new TextEncoder().encode('größe 🦉');
    const split = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect(await readBody(streamOf(split), bytes.length)).toEqual({ text: 'größe 🦉', isWhole: true });
    expect(await readBody(streamOf([]), 0)).toEqual({ text: '', isWhole: true });
  });

  test('is cut at its limit, and what comes after is not asked for', async () => {
    let given = 0;
    async function* endless() {
      for (;;) {
        given += 1;
        yield new TextEncoder().encode('abcd');
      }
    }
    expect(await readBody(endless(), 10)).toEqual({ text: 'abcdabcdab', isWhole: false });
    expect(given).toBe(3);
  });

  test('that breaks off rejects with its error', async () => {
    async function* broken() {
      yield new Uint8Array(1);
      throw new Error('reset');
    }
    await expect(readBody(broken(), 10)).rejects.toThrow('reset');
  });
});

test('text is JSON or nothing', () => {
  expect(jsonOf('{"a":[1]}')).toEqual({ a: [1] });
  expect(jsonOf('null')).toBeNull();
  for (const text of ['', '{', 'undefined']) expect(jsonOf(text)).toBeUndefined();
});

async function* streamOf(chunks: readonly Uint8Array[]) {
  yield* chunks;
}
