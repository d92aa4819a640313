import type { Leadership, Logger, StateStore } from '../base/ports.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import type { OrderKey } from '../protocol/signature.ts';
import { openFileStateStore } from './file-state-store.ts';
import { openOrderKey } from './order-key-file.ts';

/** What a scheduler keeps outside itself. */
export interface SchedulerState {
  readonly store: StateStore;
  /**
   * The election among the schedulers that share the state, standing in it with the base URL of our API. `null`
   * with files: their lock lets one scheduler start, and that one leads.
   */
  readonly election: ((url: string) => Leadership) | null;
  /**
   * The key that signs orders. Made where it is absent and no record is stored, so it is asked for by whoever leads.
   * Rejects with a `StartError` or an `OrderKeyError`.
   */
  orderKey(): Promise<OrderKey>;
  close(): Promise<void>;
}

/** Rejects with a `StateStoreError` or a `StartError`. */
export async function openSchedulerState(options: SchedulerOptions, _log: Logger): Promise<SchedulerState> {
  const { stateDir, orderKeyFile } = options;
  const store = await openFileStateStore(stateDir);
  return {
    store,
    election: null,
    orderKey: async () => await openOrderKey(orderKeyFile, { mayCreate: (await store.load()) === null }),
    close: async () => await store.close(),
  };
}
