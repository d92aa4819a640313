import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { StreamClient } from '../etcd/port.ts';

export interface AuthWatchOptions {
  /** URL of the member that is followed; `null` while none is. */
  readonly member: () => string | null;
  readonly connect: (url: string) => StreamClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two looks. */
  readonly intervalMs: number;
  /** Of the newest full; `null` where there is none, or where it does not tell. */
  readonly archived: () => bigint | null;
  /** Users or roles were changed since the newest full. Called once for each change that is seen. */
  readonly onChange: (authRevision: bigint) => void;
}

/** Time that a member has to answer. */
const ANSWER_MS_MAX = 5_000;

/**
 * Looks from time to time whether users or roles were changed, which no watch tells, until `signal` aborts. An etcd
 * before 3.5 does not say: there such a change waits for the next full.
 */
export async function watchAuth(options: AuthWatchOptions, signal: AbortSignal): Promise<void> {
  const { clock } = options;
  /** What was told, or what the first look saw where no full tells. */
  let known: bigint | null = null;
  for (;;) {
    await clock.sleep(options.intervalMs, signal);
    if (signal.aborted) return;
    const seen = await authRevisionOf(options, signal);
    if (seen === null) continue;
    const archived = options.archived();
    const before = known === null || (archived !== null && archived > known) ? archived : known;
    known = seen;
    if (before !== null && seen > before) options.onChange(seen);
  }
}

async function authRevisionOf(options: AuthWatchOptions, signal: AbortSignal): Promise<bigint | null> {
  const { clock, logger } = options;
  const url = options.member();
  if (url === null) return null;
  const client = options.connect(url);
  try {
    return await withDeadline(clock, ANSWER_MS_MAX, signal, (within) => client.authRevision(within));
  } catch (error) {
    logger.debug('no auth revision was told', { problem: describeError(error) });
    return null;
  } finally {
    client.close();
  }
}
