import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { describeError } from '../base/errors.ts';
import { type Acls, parseAcls } from './acls.ts';
import {
  type Authenticator,
  anyAuthenticator,
  createBasicAuthenticator,
  createTokenAuthenticator,
} from './authentication.ts';
import { LocalMesosError } from './local-error.ts';

const CREDENTIALS_HINT =
  'give JSON, {"credentials": [{"principal": "p", "secret": "s"}]}, or lines of a principal and its secret';

const credentialsShape = z.looseObject({
  credentials: z.array(z.looseObject({ principal: z.string().min(1), secret: z.string().default('') })),
});

/**
 * The secrets by principal that a file holds in one of the forms of `mesos-master --credentials`.
 * Throws a {@link LocalMesosError} `bad-credentials`.
 */
export function readCredentials(path: string): ReadonlyMap<string, string> {
  const text = readAccessFile(path);
  if (!text.trimStart().startsWith('{')) return new Map(pairsIn(text));
  try {
    const { credentials } = credentialsShape.parse(JSON.parse(text));
    return new Map(credentials.map(({ principal, secret }) => [principal, secret]));
  } catch {
    // What is in the file is a secret: it is not shown.
    throw new LocalMesosError('bad-credentials', `'${path}' holds no credentials`, {
      hint: CREDENTIALS_HINT,
    });
  }
}

/**
 * Tokens that are good now, a line for each with its principal behind it. The file is read for every request, so
 * that whoever issues tokens may add and withdraw them.
 */
export function createTokenFileAuthenticator(path: string): Authenticator {
  readAccessFile(path);
  return createTokenAuthenticator((token) => new Map(pairsIn(readAccessFile(path))).get(token) ?? null);
}

/** Those that know somebody by what the files hold; `null` where there is no file. */
export function authenticatorFrom(files: {
  readonly credentials: string | null;
  readonly tokens: string | null;
}): Authenticator | null {
  const authenticators = [
    ...(files.credentials === null ? [] : [createBasicAuthenticator(readCredentials(files.credentials))]),
    ...(files.tokens === null ? [] : [createTokenFileAuthenticator(files.tokens)]),
  ];
  return authenticators.length === 0 ? null : anyAuthenticator(authenticators);
}

/** Throws a {@link LocalMesosError} `bad-acls` or `bad-credentials`. */
export function readAcls(path: string): Acls {
  return parseAcls(readAccessFile(path));
}

function readAccessFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const message = `'${path}' cannot be read: ${describeError(error)}`;
    throw new LocalMesosError('bad-credentials', message, { hint: 'name a file that is there' });
  }
}

/** The first two words of every line that has two. */
function pairsIn(text: string): readonly (readonly [string, string])[] {
  return text.split('\n').flatMap((line) => {
    const [first = '', second = ''] = line.trim().split(/\s+/);
    return first === '' || second === '' ? [] : [[first, second] as const];
  });
}
