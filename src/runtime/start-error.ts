import { CodedError } from '../base/errors.ts';

/** What keeps a role from starting, beyond its options and what its parts find themselves. */
export class StartError extends CodedError<
  /** The file that --config names. */
  | 'config-unreadable'
  /** A token or secret file. */
  | 'secret-unreadable'
  /** The certificates that --master-ca-file names. */
  | 'ca-unusable'
  /** The state directory or the order key cannot be used. */
  | 'state-unusable'
  /** The members know a key that is not there any more. */
  | 'order-key-missing'
  /** A member's task was started without a launch that it understands. */
  | 'launch-unusable'
  | 'port-in-use'
  | 'cannot-listen'
  /** The tarball that is to be served. */
  | 'artifact-unusable'
> {}
