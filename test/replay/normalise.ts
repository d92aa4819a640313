import type { Json } from './trace.ts';

/**
 * Makes two conversations comparable: ids that a master, an agent or an executor made up become symbols by
 * first appearance, points in time become one constant. Nothing else changes.
 */
export interface Symbols {
  /** The symbol of `id`, as `offer#2`; the next free one of its kind where it is new. */
  of(kind: string, id: string): string;
}

export function createSymbols(): Symbols {
  const known = new Map<string, string>();
  const counts = new Map<string, number>();
  return {
    of(kind, id) {
      const key = `${kind} ${id}`;
      const symbol = known.get(key) ?? `${kind}#${(counts.get(kind) ?? 0) + 1}`;
      if (!known.has(key)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
      known.set(key, symbol);
      return symbol;
    },
  };
}

/** What stands where a point in time stood: that there is one still matters. */
const TIME = '<time>';

/** `value` with symbols for its ids and {@link TIME} for its times. Object keys are visited as they come. */
export function normalise(value: Json, symbols: Symbols, key = ''): Json {
  if (isPointInTime(key, value)) return TIME;
  if (typeof value === 'string') {
    return isUuidKey(key) ? symbols.of('uuid', value) : symbolise(value, symbols);
  }
  if (typeof value === 'number') return key === 'executor_pid' ? symbols.of('pid', String(value)) : value;
  if (value === null || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((item: Json) => normalise(item, symbols, key));
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, item]) => [name, normalise(item, symbols, isUuidKey(key) ? key : name)]),
  );
}

/** Fields that hold a UUID's bytes in base64, as they are or below `value`. */
function isUuidKey(key: string): boolean {
  return key === 'uuid' || key === 'status_update_uuid';
}

/** An id that Mesos makes: a UUID, alone or followed by what it numbers. */
export const MADE_ID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[OS]?\d+)?/g;

function symbolise(text: string, symbols: Symbols): string {
  return text.replaceAll(MADE_ID, (id, suffix: string | undefined) => symbols.of(kindOf(suffix), id));
}

function kindOf(suffix: string | undefined): string {
  if (suffix === undefined) return 'id';
  if (suffix.startsWith('-O')) return 'offer';
  return suffix.startsWith('-S') ? 'agent' : 'framework';
}

/** Nanoseconds that can only be a point in time: more than three years. Less is a duration and is kept. */
const POINT_IN_TIME_NS_MIN = 1e17;

function isPointInTime(key: string, value: Json): boolean {
  if (typeof value !== 'number') return false;
  if (key === 'nanoseconds') return value > POINT_IN_TIME_NS_MIN;
  return key === 'timestamp' || key.endsWith('_time');
}
