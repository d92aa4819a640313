import { readFile } from 'node:fs/promises';
import { describeError } from '../base/errors.ts';
import type { DigestCredentials } from '../zookeeper/port.ts';
import { StartError } from './start-error.ts';

/** Bytes of the file that are more than any user and password have. */
const FILE_BYTES_MAX = 4_096;

/** Reads `user:password`, the password as it stands there. Rejects with a {@link StartError} `secret-unreadable`. */
export async function readZooKeeperCredentials(file: string): Promise<DigestCredentials> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    const message = `the file of --zk-auth-file cannot be read: ${describeError(cause)}`;
    throw new StartError('secret-unreadable', message, {
      cause,
      hint: 'It must be readable for the scheduler, and for nobody else.',
    });
  }
  const [, user, password] = /^([^:\s]+):(\S+)$/.exec(text) ?? [];
  if (user !== undefined && password !== undefined && text.length <= FILE_BYTES_MAX)
    return { user, password };
  throw new StartError(
    'secret-unreadable',
    `the file of --zk-auth-file, ${file}, does not hold user:password`,
    { hint: 'It must hold one line, the user and the password with a colon between them.' },
  );
}
