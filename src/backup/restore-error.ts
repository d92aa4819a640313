import { CodedError } from '../base/errors.ts';

/** Why an archive was not restored as it was asked for. */
export class RestoreError extends CodedError<
  /** What was asked for is none: no revision, time or epoch. */
  | 'bad-target'
  /** The archive cannot give it: it lies before all backups, in a gap, or after the end. */
  | 'unreachable'
  /** What was restored is not what the cluster had: a hash that it told differs. */
  | 'disproved'
  /** The disk on which it is made is full. */
  | 'no-room'
  /** Where the result is to go there is something already, or no directory. */
  | 'bad-output'
  /** Somebody ended it. */
  | 'interrupted'
> {}
