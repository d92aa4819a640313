import type { Seat } from '../protocol/record.ts';

/**
 * What is reserved for a seat beside its member's share: the task that stands for the client port in DNS runs on
 * it. The least that Mesos gives a task without a warning.
 */
export const NAME_SHARE: NonNullable<Seat['nameShare']> = { cpus: 0.01, memMb: 32 };
