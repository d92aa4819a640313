import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What a crash may leave beside a name: half of what was to take its place. */
export const DRAFT_SUFFIX = '.new';
/** Files that hold what must outlive the machine's crash are readable by their owner alone. */
const FILE_MODE = 0o600;

/**
 * Writes a file beside its name, syncs it, renames it and syncs its directory. Whoever reads sees the old content
 * or the new, whatever crashes; it is on the disk when this resolves.
 */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  const draft = path + DRAFT_SUFFIX;
  await writeSynced(draft, 'w', content);
  await rename(draft, path);
  await syncDirectory(dirname(path));
}

/** The content is on the disk when this resolves; its name may not be before its directory is synced. */
export async function writeSynced(
  path: string,
  flags: 'w' | 'wx' | 'a',
  content: Uint8Array | string,
): Promise<void> {
  const file = await open(path, flags, FILE_MODE);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Names that were made or removed in it are on the disk when this resolves. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
