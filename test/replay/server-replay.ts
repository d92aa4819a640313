import { createLearnedIds } from './learned-ids.ts';
import { createSymbols, normalise } from './normalise.ts';
import type { ServerScript } from './server-scripts.ts';
import { createServerWorld, type ServerAnswer } from './server-world.ts';
import { isObject, type Json, type JsonObject, type TraceEntry, type TraceResponse } from './trace.ts';

/**
 * Plays the schedulers' and operators' side of a recording against the local master and agents, and compares
 * what they answer with what the real ones answered: status, headers and body of every response, every event in
 * its order, the ends of streams. Ids are symbols by first appearance, times are dropped, and so is the order of
 * the offers inside one OFFERS event, and how offers are divided among such events that follow each other at once.
 * The machines' clock is the recording's.
 *
 * Throws a {@link ReplayDifference} that names the first entry that was answered differently.
 */
export function replayServer(recorded: readonly TraceEntry[], options: ServerReplayOptions): void {
  const trace = joinOffers(recorded);
  const replay = createReplay(trace, options);
  for (const [index, entry] of trace.entries()) replay.take(entry, index);
  replay.finish();
}

export interface ServerReplayOptions {
  readonly script: ServerScript;
  /**
   * Recorded times at which the real master allocated on its own: between two of them the local one allocates
   * every 200 ms and a little, so that each of them is met. See {@link batchAllocations}.
   */
  readonly allocationsMs: readonly number[];
}

export class ReplayDifference extends Error {
  override readonly name = 'ReplayDifference';
}

/**
 * When the real master allocated on its own, as the OFFERS show that no subscription, REVIVE or new agent just
 * before explains.
 */
export function batchAllocations(trace: readonly TraceEntry[], script: ServerScript): readonly number[] {
  const causes = trace.flatMap((entry) => {
    if (entry.kind === 'subscribe') return [entry.t];
    return entry.kind === 'call' && entry.call['type'] === 'REVIVE' ? [entry.t] : [];
  });
  for (const { t, what } of script.actions ?? [])
    if (what === 'resume' || what === 'start-empty') causes.push(t);
  return trace.flatMap((entry) => {
    if (entry.kind !== 'event' || entry.event['type'] !== 'OFFERS') return [];
    return causes.some((t) => Math.abs(entry.t - t) <= CAUSE_MS) ? [] : [entry.t];
  });
}

/** From a cause to the offers that it brings, in the recordings. */
const CAUSE_MS = 20;
/** A call's line is its response's: the call itself was made up to so much earlier. */
const CALL_MS = 15;
/** Mesos answers a call before it has authorised it, and only then does what it says. */
const TAKEN_MS = 2;
/** How much earlier than in the recording an event may come: what the real one took to do its work. */
const EARLY_MS = 30;
/** How much later: what lies between an event's making and its line. */
const LATE_MS = 5;
/** A scheduler that drops its stream misses what the master wrote just before. */
const UNREAD_MS = 10;
const ALLOCATION_INTERVAL_MS = 200;
/** From one OFFERS event to another of the same allocation. */
const TOGETHER_MS = 10;

interface Stream {
  readonly exchange: string;
  /** Records that came and were not compared yet; `null` for the end of the stream. */
  readonly records: { readonly record: JsonObject | null; readonly atMs: number }[];
}

/** Offers that were made together come in one event or in several, as the real master's threads happen to run. */
function joinOffers(trace: readonly TraceEntry[]): readonly TraceEntry[] {
  const joined: TraceEntry[] = [];
  for (const entry of trace) {
    const before = joined.at(-1);
    const isNext =
      before?.kind === 'event' &&
      entry.kind === 'event' &&
      before.scheduler === entry.scheduler &&
      entry.t - before.t <= TOGETHER_MS;
    const both = isNext ? joinEvents(before.event, entry.event) : null;
    if (both === null || before === undefined) joined.push(entry);
    else joined[joined.length - 1] = { ...before, event: both } as TraceEntry;
  }
  return joined;
}

/** One OFFERS event in place of two; `null` where they are no such events. */
function joinEvents(first: JsonObject, second: JsonObject): JsonObject | null {
  const [left, right] = [offersOf(first), offersOf(second)];
  if (left === null || right === null) return null;
  return { ...first, offers: { ...(first['offers'] as JsonObject), offers: [...left, ...right] } };
}

function offersOf(event: JsonObject): readonly Json[] | null {
  const inner = event['type'] === 'OFFERS' ? event['offers'] : undefined;
  const offers = isObject(inner) ? inner['offers'] : undefined;
  return Array.isArray(offers) ? (offers as readonly Json[]) : null;
}

function createReplay(trace: readonly TraceEntry[], { script, allocationsMs }: ServerReplayOptions) {
  const streams = new Map<string, Stream>();
  const byExchange = new Map<string, Stream>();
  const recordedSymbols = createSymbols();
  const actualSymbols = createSymbols();
  const ids = createLearnedIds();
  const sent = new Set<number>();
  /** By scheduler: the stream that it got last, open or not. */
  const streamIds = new Map<string, string>();
  /** By scheduler: a subscription that was refused; its body has a line of its own in the recordings. */
  const refusals = new Map<string, JsonObject>();
  let exchanges = 0;
  const world = createServerWorld({
    script,
    nextAllocationMs: (nowMs) => nextAllocation(nowMs, allocationsMs),
    onRecord: (exchange, json, atMs) => {
      const record = json === null ? null : (JSON.parse(json) as JsonObject);
      byExchange.get(exchange)?.records.push({ record, atMs });
    },
  });

  return { take, finish };

  function take(entry: TraceEntry, index: number): void {
    const describe = (what: string) =>
      new ReplayDifference(`entry ${index + 1} (t ${entry.t}, ${entry.kind}): ${what}`);
    switch (entry.kind) {
      case 'subscribe':
      case 'call':
      case 'http':
        if (sent.has(index)) return;
        world.advanceTo(entry.kind === 'call' ? entry.t + TAKEN_MS : entry.t);
        send(index, describe);
        return;
      case 'event':
        compareEvent(entry, index, describe);
        return;
      case 'stream-closed': {
        const next = nextRecord(entry, index);
        if (next === undefined) throw describe('the stream stays open');
        if (next.record !== null) throw describe(`instead of the end: ${JSON.stringify(next.record)}`);
        return;
      }
      case 'disconnect':
        disconnect(entry, describe);
        return;
      case 'subscribe-refused':
        same({ status: entry.status, body: entry.body }, refusals.get(entry.scheduler) ?? null, describe);
        refusals.delete(entry.scheduler);
        return;
      case 'note':
      case 'zookeeper':
      case 'sandbox':
      case 'processes':
        return;
    }
  }

  function finish(): void {
    for (const [scheduler, refusal] of refusals) {
      throw new ReplayDifference(`${scheduler} was refused: ${JSON.stringify(refusal)}`);
    }
    for (const [scheduler, { records }] of streams) {
      if (records.length === 0) continue;
      throw new ReplayDifference(`${scheduler} got what was not recorded: ${JSON.stringify(records)}`);
    }
  }

  function compareEvent(
    entry: Extract<TraceEntry, { kind: 'event' }>,
    index: number,
    describe: (what: string) => Error,
  ): void {
    const next = nextRecord(entry, index);
    if (next === undefined) throw describe(`nothing came; expected ${JSON.stringify(entry.event)}`);
    if (next.record === null) throw describe('the stream ended');
    same(entry.event, withAllOffers(next.record, entry), describe);
    if (next.atMs < entry.t - EARLY_MS) throw describe(`it came at ${next.atMs}, too early`);
  }

  /** Adds the OFFERS that follow at once, as long as fewer came than were recorded. */
  function withAllOffers(record: JsonObject, entry: Extract<TraceEntry, { kind: 'event' }>): JsonObject {
    const wanted = offersOf(entry.event)?.length ?? 0;
    const records = streams.get(entry.scheduler)?.records ?? [];
    const following = records[0]?.record ?? null;
    const isShort = (offersOf(record)?.length ?? wanted) < wanted;
    const both = isShort && following !== null ? joinEvents(record, following) : null;
    if (both === null) return record;
    records.shift();
    return withAllOffers(both, entry);
  }

  /** What the scheduler's stream holds next, after as much time and as many of the calls as that may need. */
  function nextRecord({ t, scheduler }: { readonly t: number; readonly scheduler: string }, index: number) {
    world.advanceTo(t);
    const stream = streams.get(scheduler);
    for (let ahead = index + 1; stream !== undefined && stream.records.length === 0; ahead += 1) {
      const entry = trace[ahead];
      if (entry === undefined || entry.t > t + CALL_MS) break;
      const isCall = entry.kind === 'call' || entry.kind === 'http' || entry.kind === 'subscribe';
      if (isCall && !sent.has(ahead)) {
        send(
          ahead,
          (what) => new ReplayDifference(`entry ${ahead + 1} (t ${entry.t}, ${entry.kind}): ${what}`),
        );
      }
    }
    if (stream?.records.length === 0) world.advanceTo(t + LATE_MS);
    return stream?.records.shift();
  }

  function send(index: number, describe: (what: string) => Error): void {
    const entry = trace[index];
    sent.add(index);
    exchanges += 1;
    const exchange = `exchange-${exchanges}`;
    if (entry?.kind === 'http') {
      const { method, path, headers, body } = entry.request;
      const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
      const answer = world.request({
        exchange,
        method,
        path,
        headers: { accept: 'application/json', ...type, ...translateHeaders(headers) },
        body: typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(ids.resolve(body)),
      });
      compareResponse(entry.response, answer, describe);
      return;
    }
    if (entry?.kind !== 'call' && entry?.kind !== 'subscribe') return;
    if (entry.kind === 'subscribe') {
      const stream = { exchange, records: [] };
      streams.set(entry.scheduler, stream);
      byExchange.set(exchange, stream);
    }
    const body = ids.resolve(entry.kind === 'call' ? entry.call : entry.request);
    const answer = world.request({
      exchange,
      method: 'POST',
      path: '/api/v1/scheduler',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        ...credentialsOf(entry.scheduler),
        ...(entry.kind === 'subscribe' ? {} : { 'mesos-stream-id': streamIds.get(entry.scheduler) ?? '' }),
      },
      body: JSON.stringify(body),
    });
    const streamId = answer.headers['mesos-stream-id'];
    if (streamId !== undefined && entry.kind === 'subscribe') streamIds.set(entry.scheduler, streamId);
    if (entry.kind === 'subscribe' && answer.body !== null) {
      refusals.set(entry.scheduler, { status: answer.status, body: answer.body });
      compareResponse(entry.response, { ...answer, body: null }, describe);
    } else compareResponse(entry.response, answer, describe);
  }

  function credentialsOf(scheduler: string): Record<string, string> {
    const authorization = script.credentials?.[scheduler];
    return authorization === undefined ? {} : { authorization };
  }

  function compareResponse(
    recorded: TraceResponse,
    answer: ServerAnswer,
    describe: (what: string) => Error,
  ): void {
    // Chunked or not is the socket's business, below the machine.
    const { 'transfer-encoding': _, ...headers } = recorded.headers;
    const isJson = answer.headers['content-type'] === 'application/json' && answer.body !== null;
    const actual = {
      status: answer.status,
      headers: answer.headers,
      body: answer.body === null ? null : isJson ? (JSON.parse(answer.body) as Json) : answer.body,
    };
    same({ status: recorded.status, headers, body: recorded.body ?? null }, actual, describe);
  }

  function disconnect(
    { t, scheduler }: Extract<TraceEntry, { kind: 'disconnect' }>,
    describe: (what: string) => Error,
  ): void {
    world.advanceTo(t);
    const stream = streams.get(scheduler);
    if (stream === undefined) return;
    // The recording ends where the scheduler stopped reading, which may be before it had read everything.
    const read = stream.records.filter(({ record, atMs }) => record !== null && atMs < t - UNREAD_MS);
    if (read.length > 0) throw describe(`not recorded: ${JSON.stringify(read)}`);
    stream.records.splice(0);
    byExchange.delete(stream.exchange);
    world.closeStream(stream.exchange);
  }

  function same(recorded: Json, actual: Json, describe: (what: string) => Error): void {
    const expected = sortOffers(recorded);
    const found = sortOffers(actual);
    const left = JSON.stringify(normalise(expected, recordedSymbols));
    const right = JSON.stringify(normalise(found, actualSymbols));
    if (left !== right) throw describe(`\nrecorded ${left}\nanswered ${right}`);
    ids.learn(expected, found);
  }

  function translateHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(ids.resolve(value))]),
    );
  }
}

/** The offers of an OFFERS event in an order of their own. */
function sortOffers(value: Json): Json {
  const event = value as { readonly type?: Json; readonly offers?: { readonly offers?: Json } };
  const offers =
    typeof value === 'object' && value !== null && event.type === 'OFFERS' ? event.offers?.offers : null;
  if (!Array.isArray(offers)) return value;
  const keyOf = (offer: Json) => {
    const { hostname, allocation_info: allocation } = offer as JsonObject;
    return JSON.stringify([hostname ?? null, allocation ?? null]);
  };
  const sorted = [...(offers as Json[])].sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  return { ...(value as JsonObject), offers: { ...(event.offers as JsonObject), offers: sorted } };
}

function nextAllocation(nowMs: number, recordedMs: readonly number[]): number {
  const nextMs = recordedMs.find((ms) => ms > nowMs);
  if (nextMs === undefined) return nowMs + ALLOCATION_INTERVAL_MS;
  const intervals = Math.max(1, Math.floor((nextMs - nowMs) / ALLOCATION_INTERVAL_MS));
  // Whole milliseconds but for the last step, which must meet the recorded time.
  return intervals === 1 ? nextMs : Math.floor(nowMs + (nextMs - nowMs) / intervals);
}
