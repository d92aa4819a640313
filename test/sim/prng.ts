import type { Ids, Random } from '../../src/base/ports.ts';

/**
 * All chance of a simulated world, from one seed. Every consumer has a stream of its own that is derived from the
 * seed and the consumer's name alone, so a new consumer, or one that draws once more, shifts no other.
 */
export interface Chance {
  /** The stream of that name; asked twice it is the same stream, going on. */
  stream(name: string): RandomStream;
  /** Names that never repeat within a world, from the stream of that name. */
  ids(name: string): Ids;
}

export interface RandomStream extends Random {
  /** Uniform in [low, high). */
  between(low: number, high: number): number;
  /** Uniform among the integers low … high, both included. */
  integer(low: number, high: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of them; the list is not empty. */
  pick<T>(items: readonly T[]): T;
  /** A new list with the same items in another order. */
  shuffle<T>(items: readonly T[]): T[];
}

export function createChance(seed: number): Chance {
  const streams = new Map<string, RandomStream>();
  const stream = (name: string): RandomStream => {
    const known = streams.get(name);
    if (known !== undefined) return known;
    const created = createStream(hash32(`${seed}/${name}`));
    streams.set(name, created);
    return created;
  };
  return {
    stream,
    ids: (name) => {
      const random = stream(`ids/${name}`);
      return { uuid: () => uuidOf(random) };
    },
  };
}

function createStream(seed: number): RandomStream {
  const next = sfc32(seed);
  const integer = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    integer,
    between: (low, high) => low + next() * (high - low),
    chance: (probability) => next() < probability,
    pick: <T>(items: readonly T[]): T => items[integer(0, items.length - 1)] as T,
    shuffle: (items) => {
      const shuffled = [...items];
      for (let last = shuffled.length - 1; last > 0; last -= 1) {
        const other = integer(0, last);
        [shuffled[last], shuffled[other]] = [shuffled[other] as never, shuffled[last] as never];
      }
      return shuffled;
    },
  };
}

/** Chris Doty-Humphrey's sfc32 with the usual warm-up of fifteen rounds. */
function sfc32(seed: number): () => number {
  let a = 0x9e3779b9;
  let b = seed | 0;
  let c = hash32(`sfc32/${seed}`) | 0;
  let counter = 1;
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let round = 0; round < 15; round += 1) next();
  return next;
}

/** FNV-1a with a final avalanche, so that names that differ in one letter give unlike seeds. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let position = 0; position < text.length; position += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(position), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function uuidOf(random: RandomStream): string {
  const digits = Array.from({ length: 32 }, () => random.integer(0, 15).toString(16));
  digits[12] = '4';
  digits[16] = '89ab'[random.integer(0, 3)] as string;
  const text = digits.join('');
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join(
    '-',
  );
}
