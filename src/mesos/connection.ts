import type { MesosError } from './errors.ts';
import type { Call, MasterInfo, SchedulerEvent } from './wire.ts';

/** A scheduler's subscription: found, kept alive and renewed by itself until it is closed or refused for good. */
export interface MesosConnection {
  /** Runs until `signal` aborts (resolves) or the master refuses for good (rejects with a {@link MesosError}). */
  run(signal: AbortSignal): Promise<void>;
  /**
   * Sends one call on the present subscription. Rejects with a {@link MesosError}: `not-subscribed` when there
   * is none. A rejection after sending leaves it open whether the master took it.
   */
  call(call: Call): Promise<void>;
}

/** Told in the order of the wire, synchronously. */
export type ConnectionEvent =
  | { readonly kind: 'subscribed'; readonly frameworkId: string; readonly master: MasterInfo | null }
  | { readonly kind: 'event'; readonly event: Exclude<SchedulerEvent, { type: 'SUBSCRIBED' | 'HEARTBEAT' }> }
  /** The stream is gone: offers are void. It is tried again in `retryMs`. */
  | { readonly kind: 'disconnected'; readonly error: MesosError; readonly retryMs: number };
