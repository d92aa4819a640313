import { orAborted } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger, StateStore } from '../base/ports.ts';
import { type ClusterRecord, parseRecord } from '../protocol/record.ts';

/** Milliseconds between two looks: less than it takes to uninstall a service. */
const LOOK_MS = 1_000;

/**
 * Reads the record again and again until `signal` aborts, and tells of every one that is another. Never rejects: what
 * cannot be read now is read later.
 */
export async function watchRecord(
  of: {
    readonly store: StateStore;
    readonly clock: Clock;
    readonly log: Logger;
    readonly onRecord: (record: ClusterRecord) => Promise<void>;
  },
  signal: AbortSignal,
): Promise<void> {
  let seen: string | null = null;
  while (!signal.aborted) {
    try {
      const stored = await orAborted(signal, of.store.load());
      if (stored !== null && stored.version !== seen && !signal.aborted) {
        await of.onRecord(parseRecord(stored.bytes));
        seen = stored.version;
      }
    } catch (error) {
      if (signal.aborted) return;
      of.log.debug('the record cannot be read', { error: describeError(error) });
    }
    await of.clock.sleep(LOOK_MS, signal);
  }
}
