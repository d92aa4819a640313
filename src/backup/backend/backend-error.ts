import { CodedError } from '../../base/errors.ts';

/** Why etcd's backend is not read, or not made, as it was asked for. */
export class BackendError extends CodedError<
  /** It holds what no etcd of 3.4 to 3.6 writes: an etcd of its version can still read it. */
  | 'schema-unknown'
  /** A record is not what its bucket holds. */
  | 'malformed'
  /** The revision was compacted, so what the store held then is not known any more. */
  | 'compacted'
  /** The revision is later than the newest that is there. */
  | 'future-revision'
  /** The file does not end with a hash of itself. */
  | 'hash-missing'
  /** The hash at its end is not that of what is before it: it was altered or damaged. */
  | 'hash-mismatch'
  /** Revisions do not follow each other. */
  | 'gap'
> {}
