import { expect, test } from 'vitest';
import { createPieces } from '../../src/backup/pieces.ts';

async function* partsOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

test('a content is taken in pieces of the wanted size, whatever parts it comes in', async () => {
  const pieces = createPieces(partsOf('ab', '', 'cde', 'f'));
  const taken: string[] = [];
  for (const wanted of [1, 3, 0, 5, 1]) taken.push(Buffer.from(await pieces.take(wanted)).toString());
  expect(taken).toEqual(['a', 'bcd', '', 'ef', '']);
});

test('a buffer is filled from its beginning, and what it held beyond the end stays', async () => {
  const pieces = createPieces(partsOf('ab', '', 'cde', 'f'));
  const buffer = Buffer.from('....');
  expect(await pieces.fill(buffer)).toBe(4);
  expect(buffer.toString()).toBe('abcd');
  expect(await pieces.fill(buffer)).toBe(2);
  expect(buffer.toString()).toBe('efcd');
  expect(await pieces.fill(buffer)).toBe(0);
});
