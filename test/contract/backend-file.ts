import { expect, test } from 'vitest';
import type { ReadableFile, WritableFile } from '../../src/backup/bolt/file-port.ts';

/** What every file for a backend keeps to. `create` gives an empty one; `reopen` one that reads what it holds. */
export function backendFileContract(
  create: () => Promise<{
    readonly file: ReadableFile & WritableFile;
    readonly reopen: () => Promise<ReadableFile>;
  }>,
): void {
  const read = async (file: ReadableFile, offset: number, length: number): Promise<string> => {
    const target = Buffer.alloc(length, '.');
    const count = await file.readAt(target, offset);
    return `${count} ${target.toString()}`;
  };

  test('is empty at first', async () => {
    const { file } = await create();
    expect(file.sizeBytes).toBe(0);
    expect(await read(file, 0, 3)).toBe('0 ...');
  });

  test('holds what was written, in any order, and zeros between', async () => {
    const { file, reopen } = await create();
    await file.writeAt(Buffer.from('behind'), 6);
    await file.writeAt(Buffer.from('ab'), 0);
    await file.writeAt(Buffer.from('HI'), 8);
    for (const seen of [file, await reopen()]) {
      expect(seen.sizeBytes).toBe(12);
      expect(await read(seen, 0, 12)).toBe('12 ab\0\0\0\0beHInd');
      expect(await read(seen, 7, 3)).toBe('3 eHI');
    }
  });

  test('gives fewer bytes only at its end', async () => {
    const { file, reopen } = await create();
    await file.writeAt(Buffer.alloc(3_000_000, 'x'), 0);
    for (const seen of [file, await reopen()]) {
      expect(await seen.readAt(Buffer.alloc(3_000_000), 0)).toBe(3_000_000);
      expect(await read(seen, 2_999_998, 4)).toBe('2 xx..');
      expect(await read(seen, 3_000_000, 2)).toBe('0 ..');
    }
  });
}
