import type { Clock } from '../base/ports.ts';
import { type EtcdClient, EtcdError } from '../etcd/port.ts';
import type { PrefixReport } from '../protocol/orders.ts';

/** What is asked for at once: below what a client of etcd takes, well above what one value may have. */
const PAGE_BYTES = 1024 * 1024;
const PAGE_KEYS_FIRST = 128;
const PAGE_KEYS_MAX = 4_096;
/** How many are told of each depth; nothing more is kept in memory. */
const PREFIXES_MAX = 12;
const DEPTHS = [1, 2, 3] as const;
/** Before every key. */
const START = new Uint8Array([0]);
/** Characters of a prefix, or of a key, that are told. */
const TEXT_MAX = 256;

/**
 * Under which prefixes most of the live data lies: keys and values as they are now, read page by page by local
 * evidence. The keys come in their order, so those of a prefix come together, and what is kept is one sum for each
 * depth and the largest so far. What is written meanwhile may be counted or not.
 * @param limitMs after that it tells of what it has read.
 */
export async function measureSpace(
  { clock, client }: { readonly clock: Clock; readonly client: EtcdClient },
  limitMs: number,
  signal: AbortSignal,
): Promise<PrefixReport> {
  const startMs = clock.monotonicMs();
  const groups = DEPTHS.map((depth) => createGroups((key) => prefixOf(key, depth)));
  const total = { keys: 0, bytes: 0 };
  let last: Uint8Array | null = null;
  let countMax = PAGE_KEYS_FIRST;
  for (;;) {
    const page = await pageFrom(client, last === null ? START : after(last), countMax, signal);
    for (const { key, bytes } of page.keys) {
      const text = Buffer.from(key).toString('utf8');
      for (const group of groups) group.add(text, bytes);
      total.keys += 1;
      total.bytes += bytes;
      last = key;
    }
    const complete = !page.more || page.keys.length === 0;
    if (complete || clock.monotonicMs() - startMs >= limitMs) {
      const lastKey = last === null || complete ? null : textOf(Buffer.from(last).toString('utf8'));
      return { kind: 'measure-space', ...total, complete, lastKey, prefixes: largestOf(groups) };
    }
    countMax = nextCount(page.keys);
  }
}

/** Fewer and fewer, down to one: a value is always below what is taken. */
async function pageFrom(client: EtcdClient, from: Uint8Array, countMax: number, signal: AbortSignal) {
  for (let count = countMax; ; count = Math.ceil(count / 8)) {
    try {
      return await client.keySizes(from, count, signal);
    } catch (error) {
      if (count === 1 || !(error instanceof EtcdError && error.code === 'answer-too-large')) throw error;
    }
  }
}

/** The next page has keys of about the same size. */
function nextCount(keys: readonly { readonly bytes: number }[]): number {
  const bytes = keys.reduce((sum, key) => sum + key.bytes, 0);
  const each = Math.max(1, bytes / Math.max(1, keys.length));
  return Math.max(1, Math.min(PAGE_KEYS_MAX, Math.floor(PAGE_BYTES / each)));
}

function after(key: Uint8Array): Uint8Array {
  return Uint8Array.from([...key, 0]);
}

interface Prefix {
  readonly prefix: string;
  keys: number;
  bytes: number;
}
interface Groups {
  add(key: string, bytes: number): void;
  largest(): readonly Prefix[];
}

function createGroups(groupOf: (key: string) => string | null): Groups {
  let current: Prefix | null = null;
  let largest: Prefix[] = [];
  const close = (): void => {
    if (current === null) return;
    largest.push(current);
    current = null;
    if (largest.length >= 2 * PREFIXES_MAX) largest = trimmed(largest);
  };
  return {
    add(key, bytes) {
      const prefix = groupOf(key);
      if (prefix !== current?.prefix) close();
      if (prefix === null) return;
      current ??= { prefix, keys: 0, bytes: 0 };
      current.keys += 1;
      current.bytes += bytes;
    },
    largest() {
      close();
      return trimmed(largest);
    },
  };
}

function trimmed(prefixes: readonly Prefix[]): Prefix[] {
  return prefixes.toSorted((left, right) => right.bytes - left.bytes).slice(0, PREFIXES_MAX);
}

/**
 * The first segments of a key, with the slash that ends them: `/registry/pods/`. A key that has just one segment less
 * is told by what comes before its first digit, so that `key-1` and `key-2` are together. `null`: it is not so deep.
 */
function prefixOf(key: string, depth: number): string | null {
  let end = 0;
  for (let segment = 1; segment <= depth; segment += 1) {
    const slash = key.indexOf('/', Math.max(end, 1));
    if (slash < 0) return segment === depth ? textOf(stemOf(key, end)) : null;
    end = slash + 1;
  }
  return textOf(key.slice(0, end));
}

function stemOf(key: string, from: number): string {
  const digit = key.slice(from).search(/\d/);
  return digit < 0 ? key : key.slice(0, from + digit);
}

function textOf(key: string): string {
  return key.length <= TEXT_MAX ? key : `${key.slice(0, TEXT_MAX)}…`;
}

/** A key may be told at one depth only. A prefix that holds all of its parent says nothing more: the deeper stays. */
function largestOf(groups: readonly Groups[]): PrefixReport['prefixes'] {
  const all = groups.flatMap((group) => group.largest());
  const kept = all.filter(
    (one, index) =>
      !all.some(
        (other, place) =>
          place > index &&
          other.prefix.startsWith(one.prefix) &&
          other.bytes === one.bytes &&
          other.keys === one.keys,
      ),
  );
  return kept.toSorted((left, right) => right.bytes - left.bytes);
}
