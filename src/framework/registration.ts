import type { Clock } from '../base/ports.ts';
import type { MesosConnection } from '../mesos/connection.ts';
import { MesosError } from '../mesos/errors.ts';

/**
 * Stays registered with Mesos. A framework id that Mesos has removed (torn down, or its failover timeout passed) is
 * never accepted again; reservations and volumes belong to the role and outlive it. So the id is forgotten, and the
 * framework registers anew: once for each removal, and ever more slowly when it is removed again and again.
 */
export interface RegistrationOptions {
  readonly clock: Clock;
  /** A connection under the id that the record holds now, or as a new framework where it holds none. */
  readonly connect: () => MesosConnection;
  /** The id that Mesos knows us by; `null` before the first subscription. */
  readonly frameworkId: () => string | null;
  /** `false`: nothing is left to register for; the removal was our own doing. */
  readonly mayRegisterAnew: () => boolean;
  /** Forgets all that was known under the removed id; resolves once the stored record does not hold it any more. */
  readonly forget: (removal: Removal, signal: AbortSignal) => Promise<void>;
}

/** Mesos has removed the framework. */
export interface Removal {
  readonly frameworkId: string | null;
  /** The master's words. */
  readonly message: string;
  /** Milliseconds until it registers anew. */
  readonly pauseMs: number;
  /** Removals within {@link REMEMBERED_MS}, this one too. */
  readonly count: number;
}

/** Agents are told to end the old tasks at the same time; their volumes are free a moment later. */
const PAUSE_FIRST_MS = 1_000;
/** Who removes a framework that is back means it: each time it takes twice as long, at most this. */
const PAUSE_AGAIN_MS = 10_000;
const PAUSE_MAX_MS = 600_000;
const REMEMBERED_MS = 3_600_000;

/** Resolves when `signal` aborts, or with `removed` after the last removal. Rejects with a final `MesosError`. */
export async function stayRegistered(
  options: RegistrationOptions,
  signal: AbortSignal,
): Promise<'stopped' | 'removed'> {
  const { clock } = options;
  let removedAtMs: readonly number[] = [];
  for (;;) {
    try {
      await options.connect().run(signal);
      return 'stopped';
    } catch (error) {
      if (!(error instanceof MesosError) || error.code !== 'framework-removed') throw error;
      if (!options.mayRegisterAnew()) return 'removed';
      const nowMs = clock.monotonicMs();
      removedAtMs = [...removedAtMs.filter((atMs) => nowMs - atMs < REMEMBERED_MS), nowMs];
      const count = removedAtMs.length;
      const { message } = error;
      const pauseMs = pauseAfter(count);
      await options.forget({ frameworkId: options.frameworkId(), message, pauseMs, count }, signal);
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return 'stopped';
    }
  }
}

function pauseAfter(count: number): number {
  return count === 1 ? PAUSE_FIRST_MS : Math.min(PAUSE_MAX_MS, PAUSE_AGAIN_MS * 2 ** Math.min(count - 2, 6));
}

/** For people. */
export function describeRemoval({ frameworkId, pauseMs, count }: Removal): string {
  const again = count === 1 ? '' : `, ${count} times within an hour`;
  const seconds = Math.round(pauseMs / 1000);
  return `Mesos has removed framework ${frameworkId ?? 'of ours'}${again}; it registers anew in ${seconds} s`;
}
