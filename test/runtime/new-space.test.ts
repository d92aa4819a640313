import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const MODULE = join(import.meta.dirname, '../../src/runtime/new-space.ts');
/** Keeps the last 100,000 of a million objects, so that V8 finds many alive whenever it looks, and prints the size. */
const ALLOCATE = `
  const kept = [];
  for (let count = 0; count < 1e6; count += 1) kept[count % 1e5] = { count };
  const { getHeapSpaceStatistics } = await import('node:v8');
  console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size);
`;

async function newSpaceBytesOf(first: string): Promise<number> {
  const program = `${first}\n${ALLOCATE}`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  return Number(stdout);
}

test('the space where objects begin stays at its first size, which would grow by itself', async () => {
  const small = await newSpaceBytesOf(`(await import(${JSON.stringify(MODULE)})).keepNewSpaceSmall();`);
  const grown = await newSpaceBytesOf('');
  expect(small).toBeLessThanOrEqual(4 * 2 ** 20);
  expect(grown).toBeGreaterThan(2 * small);
});
