import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import type { KvClient } from '../etcd/port.ts';

/**
 * A steady writer that remembers what was acknowledged to it. What it was not told of may or may not be there;
 * what it was told of must be, whatever happened since.
 */
export interface Ledger {
  /** Writes one entry after another until `signal` aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** Entries acknowledged so far. */
  acknowledged(): number;
  /** Milliseconds, monotonic, of the last acknowledgement; the start where there was none yet. */
  lastAckAtMs(): number;
  /** The longest time without an acknowledgement that ended, or still lasts, after `sinceMs` (monotonic). */
  longestGapMs(sinceMs: number): number;
  /** Reads every entry that is acknowledged by now back through one member and returns what is missing or altered. */
  missingFrom(client: KvClient, signal: AbortSignal): Promise<readonly string[]>;
}

export interface LedgerOptions {
  readonly clock: Clock;
  /** Client URLs to write through, asked anew for every try. */
  readonly endpoints: () => readonly string[];
  readonly open: (url: string) => KvClient;
  /** Under which the entries are written. */
  readonly prefix: string;
  /** Milliseconds between two writes. Default 5. */
  readonly intervalMs?: number;
}

/** A write that is not acknowledged within this time counts as unknown; the next goes through another member. */
const WRITE_MS_MAX = 1_000;
/** Gaps that are remembered, the newest; a gap is noted when it is longer than {@link GAP_NOTED_MS}. */
const GAPS_MAX = 10_000;
const GAP_NOTED_MS = 20;
const PAGE_KEYS = 1_000;

export function createLedger(options: LedgerOptions): Ledger {
  const { clock, prefix } = options;
  const clients = new Map<string, KvClient>();
  const acknowledged = new Map<string, string>();
  const gaps: { readonly endedAtMs: number; readonly durationMs: number }[] = [];
  let lastAckAtMs = clock.monotonicMs();
  let turn = 0;

  const write = async (key: string, value: string, signal: AbortSignal): Promise<boolean> => {
    const endpoints = options.endpoints();
    const url = endpoints[turn % Math.max(1, endpoints.length)];
    if (url === undefined) return false;
    const client = clients.get(url) ?? options.open(url);
    clients.set(url, client);
    try {
      await withDeadline(clock, WRITE_MS_MAX, signal, (limit) => client.put(key, value, limit));
      return true;
    } catch {
      // Its outcome is open. Another member may know better.
      turn += 1;
      return false;
    }
  };

  const note = (): void => {
    const nowMs = clock.monotonicMs();
    const durationMs = nowMs - lastAckAtMs;
    if (durationMs > GAP_NOTED_MS) gaps.push({ endedAtMs: nowMs, durationMs });
    if (gaps.length > GAPS_MAX) gaps.shift();
    lastAckAtMs = nowMs;
  };

  return {
    run: async (signal) => {
      for (let entry = 0; !signal.aborted; entry += 1) {
        const key = `${prefix}${entry.toString().padStart(10, '0')}`;
        const value = `entry ${entry}`;
        if (await write(key, value, signal)) {
          acknowledged.set(key, value);
          note();
        }
        await clock.sleep(options.intervalMs ?? 5, signal);
      }
      for (const client of clients.values()) client.close();
    },
    acknowledged: () => acknowledged.size,
    lastAckAtMs: () => lastAckAtMs,
    longestGapMs: (sinceMs) => {
      const ended = gaps.filter((gap) => gap.endedAtMs > sinceMs).map((gap) => gap.durationMs);
      return Math.max(0, clock.monotonicMs() - lastAckAtMs, ...ended);
    },
    missingFrom: async (client, signal) => {
      // What is acknowledged while it reads need not be in what it has read.
      const entries = [...acknowledged];
      const found = await readAll(client, prefix, signal);
      return entries.filter(([key, value]) => found.get(key) !== value).map(([key]) => key);
    },
  };
}

async function readAll(client: KvClient, prefix: string, signal: AbortSignal): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const end = `${prefix}~`;
  for (let from = prefix; ; ) {
    const page = await client.range(from, end, PAGE_KEYS, signal);
    for (const { key, value } of page) found.set(key, value);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_KEYS) return found;
    from = `${last.key}\0`;
  }
}
