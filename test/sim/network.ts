import type { Clock } from '../../src/base/ports.ts';
import type { RandomStream } from './prng.ts';

/** Who reaches whom, and how long a message takes. Hosts are named by their address. */
export interface Network {
  reachable(from: string, to: string): boolean;
  /** One way, drawn anew for every message. */
  latencyMs(from: string, to: string): number;
  /** Nobody reaches the host any more, nor it anybody. */
  isolate(host: string): void;
  /** The two do not reach each other any more; all else goes on. */
  cut(left: string, right: string): void;
  /** Undoes what was done to the host and to pairs with it. */
  heal(host: string): void;
  /** An ordered connection between two hosts: nothing overtakes, nothing is lost while it is reachable. */
  channel(from: string, to: string): Channel;
  /** Told after every change. */
  onChange(listener: () => void): void;
}

export interface Channel {
  /** Delivers after the latency, behind all that was sent before; dropped when unreachable then, or closed. */
  send(deliver: () => void): void;
  close(): void;
}

export interface NetworkOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  /** The latency is between this and its triple, now and then ten times as long. */
  readonly latencyMs: number;
}

export function createNetwork({ clock, random, latencyMs: base }: NetworkOptions): Network {
  const isolated = new Set<string>();
  const pairs = new Set<string>();
  const listeners: (() => void)[] = [];
  const changed = () => {
    for (const listener of listeners) listener();
  };
  const reachable = (from: string, to: string) =>
    from === to || !(isolated.has(from) || isolated.has(to) || pairs.has(pairOf(from, to)));
  const latencyMs = (from: string, to: string) => {
    if (from === to) return random.between(0.02, 0.2);
    const usual = base * random.between(1, 3);
    return random.chance(0.01) ? usual * 10 : usual;
  };
  return {
    reachable,
    latencyMs,
    isolate: (host) => {
      isolated.add(host);
      changed();
    },
    cut: (left, right) => {
      pairs.add(pairOf(left, right));
      changed();
    },
    heal: (host) => {
      isolated.delete(host);
      for (const pair of [...pairs]) if (pair.split('|').includes(host)) pairs.delete(pair);
      changed();
    },
    channel: (from, to) => {
      let lastMs = 0;
      let open = true;
      return {
        send: (deliver) => {
          const nowMs = clock.monotonicMs();
          lastMs = Math.max(lastMs, nowMs + latencyMs(from, to));
          void clock.sleep(lastMs - nowMs).then(() => {
            if (open && reachable(from, to)) deliver();
          });
        },
        close: () => {
          open = false;
        },
      };
    },
    onChange: (listener) => listeners.push(listener),
  };
}

function pairOf(left: string, right: string): string {
  return left < right ? `${left}|${right}` : `${right}|${left}`;
}
