import { CodedError } from '../base/errors.ts';

/** What is wrong with an archive, or with who wants to use it. */
export class ArchiveError extends CodedError<
  /** Bytes are not the ones that were written: their hash differs, or what stands in them cannot be. */
  | 'corrupt'
  /** A newer release has written it. */
  | 'unsupported'
  /** What should be in the store is not there. */
  | 'missing'
  /** The store holds another archive than the one that was named. */
  | 'other-archive'
  /** Another cluster's, or another framework's. */
  | 'other-owner'
  /** Somebody with a higher generation writes it now: this one has to stop. */
  | 'fenced'
  /** It is encrypted, and no key was given. */
  | 'encrypted'
  /** A key was given, and it is not encrypted. */
  | 'not-encrypted'
  /** It is encrypted with another key than the one that was given. */
  | 'wrong-key'
> {}

const DAMAGE: ReadonlySet<ArchiveError['code']> = new Set(['corrupt', 'wrong-key', 'not-encrypted']);

/**
 * Whether bytes of a single object are not the ones that were written. In an archive that was opened, one with another
 * key, or none, is one whose first bytes were altered.
 */
export const isDamage = (error: unknown): error is ArchiveError =>
  error instanceof ArchiveError && DAMAGE.has(error.code);
