import { CodedError } from '../../base/errors.ts';

/** Why a file is not read as a bbolt database, etcd's backend file. */
export class BoltError extends CodedError<
  /** Neither of its two meta pages is one of bbolt's, whole and with the right checksum. */
  | 'not-a-database'
  /** It ends before what its newest meta page says. */
  | 'truncated'
  /** A page or a bucket contradicts itself or the rest of the file. */
  | 'corrupt'
  /** It has a page larger than any that etcd writes. */
  | 'page-too-large'
> {}
