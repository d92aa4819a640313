import type { Clock } from '../../src/base/ports.ts';
import type { ModelEtcd } from './model-etcd.ts';
import type { RandomStream } from './prng.ts';

/** A client that writes all the time and remembers what was acknowledged. */
export interface Ledger {
  /** By key. */
  readonly acknowledged: ReadonlyMap<string, Acknowledgement>;
  /** The longest time between two acknowledgements so far. */
  readonly longestPauseMs: number;
  stop(): void;
}

export interface Acknowledgement {
  readonly clusterId: string;
  /** Monotonic. */
  readonly atMs: number;
}

export interface LedgerOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly etcd: ModelEtcd;
  readonly host: string;
  /** Client URLs that were published; empty while there is nothing to write to. */
  readonly endpoints: () => readonly string[];
  /** Milliseconds between two writes. */
  readonly everyMs: number;
}

export function startLedger(options: LedgerOptions): Ledger {
  const { clock, random, etcd } = options;
  const acknowledged = new Map<string, Acknowledgement>();
  const stopped = new AbortController();
  let lastMs: number | null = null;
  let longestPauseMs = 0;

  const write = async (key: string): Promise<void> => {
    const endpoints = options.endpoints();
    if (endpoints.length === 0) return;
    const client = etcd.connect(options.host, random.pick(endpoints));
    try {
      await client.put(key, key, stopped.signal);
      const { clusterId } = await client.status(stopped.signal);
      const nowMs = clock.monotonicMs();
      acknowledged.set(key, { clusterId, atMs: nowMs });
      if (lastMs !== null) longestPauseMs = Math.max(longestPauseMs, nowMs - lastMs);
      lastMs = nowMs;
    } catch {
      // Whether it was taken is open, so it is not in the ledger.
    } finally {
      client.close();
    }
  };

  const run = async (): Promise<void> => {
    for (let count = 0; !stopped.signal.aborted; count += 1) {
      await clock.sleep(options.everyMs * random.between(0.5, 1.5), stopped.signal);
      if (!stopped.signal.aborted) await write(`key-${count}`);
    }
  };
  void run();
  return {
    acknowledged,
    get longestPauseMs() {
      return longestPauseMs;
    },
    stop: () => stopped.abort(),
  };
}
