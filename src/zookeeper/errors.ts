import { CodedError } from '../base/errors.ts';

/** What talking to ZooKeeper can end in. */
export class ZooKeeperError extends CodedError<
  /** Nothing was sent: no server is connected. */
  | 'not-connected'
  /** The answer is lost: what was asked for may have been done. */
  | 'connection-lost'
  /** The session is over, and with it its ephemeral nodes; nothing was done. */
  | 'session-ended'
  | 'no-node'
  | 'node-exists'
  | 'bad-version'
  | 'not-empty'
  /** The node's ACL does not let us. */
  | 'no-auth'
  /** The credentials are not accepted. */
  | 'auth-failed'
  /** Too much is on its way already, or in one request. */
  | 'too-much'
  /** What was received is no answer of a ZooKeeper. */
  | 'malformed'
  /** The server refuses for another reason; the message has its number. */
  | 'refused'
  | 'aborted'
  | 'closed'
> {}

/** The connection or the session went: the same may be asked again, of what is there then. */
export function isTransient(error: unknown): error is ZooKeeperError {
  return (
    error instanceof ZooKeeperError &&
    ['not-connected', 'connection-lost', 'session-ended', 'too-much'].includes(error.code)
  );
}

/** It is that error of ZooKeeper's. */
export function isCode(error: unknown, ...codes: readonly ZooKeeperError['code'][]): boolean {
  return error instanceof ZooKeeperError && codes.includes(error.code);
}

/** The error for a number that a server answers with (`KeeperException.Code`), about `path`. */
export function errorOfNumber(number: number, path: string): ZooKeeperError {
  const code = CODES.get(number);
  if (code === undefined)
    return new ZooKeeperError('refused', `${path}: ZooKeeper answers with error ${number}`);
  return new ZooKeeperError(code, `${path}: ${MESSAGES[code] ?? code}`);
}

const CODES: ReadonlyMap<number, ZooKeeperError['code']> = new Map([
  [-4, 'connection-lost'],
  [-101, 'no-node'],
  [-102, 'no-auth'],
  [-103, 'bad-version'],
  [-110, 'node-exists'],
  [-111, 'not-empty'],
  [-112, 'session-ended'],
  [-115, 'auth-failed'],
  // The session has moved to another server while this one was asked: nothing was done here.
  [-118, 'not-connected'],
  // Throttled, or a leader that is not ready.
  [-127, 'too-much'],
]);

const MESSAGES: Partial<Record<ZooKeeperError['code'], string>> = {
  'no-node': 'there is no such node',
  'node-exists': 'the node exists already',
  'bad-version': 'the node has another version',
  'not-empty': 'the node has children',
  'no-auth': 'the node’s ACL does not let us',
  'session-ended': 'the session is over',
  'auth-failed': 'the credentials are not accepted',
};
