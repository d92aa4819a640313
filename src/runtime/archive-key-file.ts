import { type ArchiveKey, archiveKeyOf } from '../backup/sealing.ts';
import { readSecret } from './secret-file.ts';
import { StartError } from './start-error.ts';

/** Reads the key that an archive is encrypted with. Rejects with a {@link StartError} `secret-unreadable`. */
export async function readArchiveKey(option: string, file: string): Promise<ArchiveKey> {
  const key = archiveKeyOf(await readSecret(option, file));
  if (key !== null) return key;
  throw new StartError('secret-unreadable', `the file of ${option}, ${file}, does not hold a key`, {
    hint: 'It must hold 64 hex digits, as `openssl rand -hex 32` makes them.',
  });
}
