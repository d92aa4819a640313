import { type ArchiveKey, archiveKeyOf } from '../../src/backup/sealing.ts';

export function keyOf(text: string): ArchiveKey {
  const key = archiveKeyOf(text);
  if (key === null) throw new Error(`${text} is no key`);
  return key;
}

export const sampleKey = keyOf('0123456789abcdef'.repeat(4));
