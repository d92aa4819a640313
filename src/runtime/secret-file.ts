import { readFile } from 'node:fs/promises';
import { describeError } from '../base/errors.ts';
import { StartError } from './start-error.ts';

/** Characters of a token or secret. */
const SECRET_CHARS_MAX = 16 * 1024;

/** Reads the one word that a file holds. Throws a {@link StartError} `secret-unreadable`, which does not show it. */
export async function readSecret(option: string, file: string): Promise<string> {
  const text = (await readSecretText(option, file)).trim();
  if (text !== '' && text.length <= SECRET_CHARS_MAX && !/\s/.test(text)) return text;
  throw new StartError('secret-unreadable', `the file of ${option}, ${file}, does not hold one word`, {
    hint: 'It must hold the secret alone, without white space in it.',
  });
}

/** Reads a file whatever it holds. Throws a {@link StartError} `secret-unreadable`. */
export async function readSecretText(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new StartError(
      'secret-unreadable',
      `the file of ${option} cannot be read: ${describeError(cause)}`,
      { cause, hint: 'It must be readable for the scheduler, and for nobody else.' },
    );
  }
}
