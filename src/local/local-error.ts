import { CodedError } from '../base/errors.ts';

/** What starting a process of the local Mesos can end in. */
export class LocalMesosError extends CodedError<
  | 'port-in-use'
  | 'not-loopback'
  | 'work-directory-in-use'
  | 'checkpoint-unreadable'
  | 'bad-agent'
  | 'start-failed'
  | 'no-free-ports'
  | 'operator-call-failed'
  | 'processes-left'
  /** Another master leads and has taken over what is stored. */
  | 'registry-taken'
  /** Several masters need ZooKeeper; without it there is one. */
  | 'bad-masters'
  /** What is said about who may do what cannot be read. */
  | 'bad-acls'
  /** A file of credentials or tokens cannot be read. */
  | 'bad-credentials'
> {}
