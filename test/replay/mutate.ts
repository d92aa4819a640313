import { isDeepStrictEqual } from 'node:util';
import { createSymbols, normalise } from './normalise.ts';
import { isObject, type Json, type TraceEntry } from './trace.ts';

/** One field of one entry, changed. */
export interface Mutation {
  /** Index of the entry. */
  readonly index: number;
  readonly path: readonly string[];
  /** For people. */
  readonly what: string;
  readonly mutated: readonly TraceEntry[];
}

/** Which parts of an entry to change: paths below the entry, such as `['response', 'status']`. */
export type Parts = (entry: TraceEntry, entries: readonly TraceEntry[]) => readonly (readonly string[])[];

/**
 * Everything in `entries` that can be changed by itself, within the `parts` that are on the wire. A string gets a
 * letter more, a number becomes larger, a boolean the other. Changes that disappear when ids become symbols and
 * times are dropped are left out: these say nothing.
 */
export function mutations(entries: readonly TraceEntry[], parts: Parts): readonly (() => Mutation | null)[] {
  const plain = normalised(entries);
  return entries.flatMap((entry, index) =>
    leavesOf(entry as unknown as Json, [])
      .filter(({ path }) =>
        parts(entry, entries).some((part) => part.every((key, depth) => path[depth] === key)),
      )
      .map(({ path, value }) => () => {
        const to = otherThan(value);
        const mutated = entries.with(
          index,
          replaced(entry as unknown as Json, path, to) as unknown as TraceEntry,
        );
        if (isDeepStrictEqual(normalised(mutated), plain)) return null;
        const what = `entry ${index + 1}, ${path.join('.')}: ${JSON.stringify(value)} → ${JSON.stringify(to)}`;
        return { index, path, what, mutated };
      }),
  );
}

/** What of an entry a client and a server say to each other and act upon. */
export function wireParts(entry: TraceEntry, entries: readonly TraceEntry[]): readonly (readonly string[])[] {
  switch (entry.kind) {
    case 'event':
      return [['event']];
    case 'subscribe':
      return [
        ['request'],
        ['response', 'status'],
        ['response', 'headers', 'location'],
        ...(entry.response.status === 200 ? [['response', 'headers', 'content-type']] : []),
        // A stream id is an id: it matters where a call repeats it.
        ...(entries.some((other) => other.kind === 'call' && other.scheduler === entry.scheduler)
          ? [['response', 'headers', 'mesos-stream-id']]
          : []),
      ];
    case 'subscribe-refused':
      return entry.body === '' ? [] : [['body']];
    case 'call':
      return [
        ['call'],
        ['response', 'status'],
        ...(entry.response.status < 300 ? [] : [['response', 'body']]),
      ];
    case 'http':
      return [
        ['request'],
        ['response', 'status'],
        ['response', 'headers', 'location'],
        ...(entry.response.body === '' ? [] : [['response', 'body']]),
      ];
    default:
      return [];
  }
}

interface Leaf {
  readonly path: readonly string[];
  readonly value: string | number | boolean;
}

function leavesOf(value: Json, path: readonly string[]): readonly Leaf[] {
  if (value === null) return [];
  if (typeof value !== 'object') return [{ path, value }];
  return Object.entries(value).flatMap(([key, item]) => leavesOf(item as Json, [...path, key]));
}

function otherThan(value: Leaf['value']): Leaf['value'] {
  if (typeof value === 'boolean') return !value;
  return typeof value === 'number' ? value + 100 : `${value}x`;
}

function replaced(value: Json, path: readonly string[], to: Json): Json {
  const [key, ...rest] = path;
  if (key === undefined) return to;
  if (Array.isArray(value)) {
    return (value as readonly Json[]).map((item, index) =>
      String(index) === key ? replaced(item, rest, to) : item,
    );
  }
  return isObject(value) ? { ...value, [key]: replaced(value[key] as Json, rest, to) } : value;
}

function normalised(entries: readonly TraceEntry[]): Json {
  return normalise(
    entries.map(({ t: _, ...entry }) => entry as unknown as Json),
    createSymbols(),
  );
}
