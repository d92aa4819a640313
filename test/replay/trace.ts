import { readdirSync, readFileSync } from 'node:fs';

/**
 * The conversations recorded with a real Mesos, `test/data/mesos-traces/*.jsonl`: one entry a line, in the order
 * of the wire within one scheduler's `event` lines. A call's line comes after events that arrived before its
 * response did.
 */
const FOLDER = new URL('../data/mesos-traces/', import.meta.url);

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface TraceResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed where it was JSON; absent on a subscription. */
  readonly body?: Json;
}

/** `t` is in milliseconds since the recording began; `scheduler` names the client. */
export type TraceEntry =
  | {
      readonly t: number;
      readonly kind: 'subscribe';
      readonly scheduler: string;
      readonly request: JsonObject;
      readonly response: TraceResponse;
    }
  | { readonly t: number; readonly kind: 'event'; readonly scheduler: string; readonly event: JsonObject }
  | {
      readonly t: number;
      readonly kind: 'call';
      readonly scheduler: string;
      readonly call: JsonObject;
      readonly response: TraceResponse;
    }
  | {
      readonly t: number;
      readonly kind: 'http';
      readonly request: {
        readonly method: 'GET' | 'POST';
        readonly path: string;
        /** Names as sent, beyond `Content-Type` and `Accept`. */
        readonly headers: Readonly<Record<string, string>>;
        /** Text where it was sent as such. */
        readonly body?: Json;
      };
      readonly response: TraceResponse;
    }
  | {
      readonly t: number;
      readonly kind: 'subscribe-refused';
      readonly scheduler: string;
      readonly status: number;
      readonly body: string;
    }
  | {
      readonly t: number;
      readonly kind: 'stream-closed';
      readonly scheduler: string;
      readonly how: 'end' | 'aborted';
    }
  | { readonly t: number; readonly kind: 'disconnect'; readonly scheduler: string }
  | { readonly t: number; readonly kind: 'note'; readonly text: string }
  | { readonly t: number; readonly kind: 'zookeeper' | 'sandbox' | 'processes' };

export type Entry<Kind extends TraceEntry['kind']> = Extract<TraceEntry, { readonly kind: Kind }>;

/** The names of all recordings, as `06-scheduler-failover`, sorted. */
export function traceNames(): readonly string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.jsonl'))
    .map((file) => file.slice(0, -'.jsonl'.length))
    .sort();
}

/** All entries of the recording `name`. */
export function readTrace(name: string): readonly TraceEntry[] {
  return readFileSync(new URL(`${name}.jsonl`, FOLDER), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TraceEntry);
}
