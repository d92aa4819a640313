import type { Clock } from '../../src/base/ports.ts';
import type { RandomStream } from './prng.ts';

/** Who reaches whom, and what becomes of a message. Hosts are named by their address. */
export interface Network {
  /** Whether what the first sends arrives at the second. */
  reachable(from: string, to: string): boolean;
  /** Whether connections between the two have broken, and both ends know. One that is only silent is not severed. */
  severed(left: string, right: string): boolean;
  /** One way, drawn anew for every message. */
  latencyMs(from: string, to: string): number;
  /** When a message arrives, in milliseconds from now, once for every time that it does; empty: it is lost. */
  fateOf(from: string, to: string): readonly number[];
  /** Nobody reaches the host any more, nor it anybody. */
  isolate(host: string): void;
  /** The two do not reach each other any more; all else goes on. */
  cut(left: string, right: string): void;
  /** What the first sends does not arrive at the second any more, and nobody tells them. */
  cutOneWay(from: string, to: string): void;
  /** Undoes what was done to the host and to pairs with it. */
  heal(host: string): void;
  /** Undoes all that was done, and the weather. */
  healAll(): void;
  /** What becomes of messages from now on; `null`: all arrive in time. */
  setWeather(weather: Weather | null): void;
  /** There is weather. */
  readonly stormy: boolean;
  /** A connection between two hosts: nothing overtakes, and what cannot arrive now waits until it can. */
  channel(from: string, to: string): Channel;
  /** Told after every change of who reaches whom. */
  onChange(listener: () => void): void;
}

/** Each is the probability that it happens to a message. */
export interface Weather {
  readonly lost: number;
  readonly twice: number;
  readonly late: number;
  /** How late, at most. */
  readonly lateMs: number;
}

export interface Channel {
  /** Delivers after `inMs` (default: the latency), behind all that was sent before; not at all once it is closed. */
  send(deliver: () => void, inMs?: number): void;
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
  /** `from>to`. */
  const mute = new Set<string>();
  const listeners = new Set<() => void>();
  let weather: Weather | null = null;
  const changed = () => {
    for (const listener of [...listeners]) listener();
  };
  const severed = (left: string, right: string) =>
    left !== right && (isolated.has(left) || isolated.has(right) || pairs.has(pairOf(left, right)));
  const reachable = (from: string, to: string) =>
    from === to || !(severed(from, to) || mute.has(`${from}>${to}`));
  const latencyMs = (from: string, to: string) => {
    if (from === to) return random.between(0.02, 0.2);
    const usual = base * random.between(1, 3);
    return random.chance(0.01) ? usual * 10 : usual;
  };
  const forget = (host: string) => {
    isolated.delete(host);
    for (const pair of [...pairs]) if (pair.split('|').includes(host)) pairs.delete(pair);
    for (const way of [...mute]) if (way.split('>').includes(host)) mute.delete(way);
  };

  const channel = (from: string, to: string): Channel => {
    const held: (() => void)[] = [];
    let lastMs = 0;
    let open = true;
    const arrive = (deliver: () => void) => {
      if (!open) return;
      if (held.length === 0 && reachable(from, to)) {
        deliver();
        return;
      }
      if (held.length === 0) listeners.add(retry);
      held.push(deliver);
    };
    const retry = () => {
      if (!reachable(from, to)) return;
      listeners.delete(retry);
      const due = held.splice(0);
      const nowMs = clock.monotonicMs();
      lastMs = Math.max(lastMs, nowMs + latencyMs(from, to));
      void clock.sleep(lastMs - nowMs).then(() => {
        for (const deliver of due) arrive(deliver);
      });
    };
    return {
      send: (deliver, inMs = latencyMs(from, to)) => {
        const nowMs = clock.monotonicMs();
        lastMs = Math.max(lastMs, nowMs + inMs);
        void clock.sleep(lastMs - nowMs).then(() => arrive(deliver));
      },
      close: () => {
        open = false;
        held.length = 0;
        listeners.delete(retry);
      },
    };
  };

  return {
    reachable,
    severed,
    latencyMs,
    fateOf: (from, to) => {
      const onTimeMs = latencyMs(from, to);
      if (weather === null) return [onTimeMs];
      const { lost, twice, late, lateMs } = weather;
      if (random.chance(lost)) return [];
      const arrivals = [random.chance(late) ? random.between(0, lateMs) : onTimeMs];
      if (random.chance(twice)) arrivals.push(random.between(0, lateMs));
      return arrivals.toSorted((left, right) => left - right);
    },
    isolate: (host) => {
      isolated.add(host);
      changed();
    },
    cut: (left, right) => {
      pairs.add(pairOf(left, right));
      changed();
    },
    cutOneWay: (from, to) => {
      mute.add(`${from}>${to}`);
      changed();
    },
    heal: (host) => {
      forget(host);
      changed();
    },
    healAll: () => {
      weather = null;
      for (const blocked of [isolated, pairs, mute]) blocked.clear();
      changed();
    },
    get stormy() {
      return weather !== null;
    },
    setWeather: (next) => {
      weather = next;
    },
    channel,
    onChange: (listener) => void listeners.add(listener),
  };
}

function pairOf(left: string, right: string): string {
  return left < right ? `${left}|${right}` : `${right}|${left}`;
}
