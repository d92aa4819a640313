import { isDeepStrictEqual } from 'node:util';
import { assert } from '../../src/base/assert.ts';
import { type HttpTransport, HttpTransportError } from '../../src/base/ports.ts';
import type { ConnectionEvent, MesosConnection } from '../../src/mesos/connection.ts';
import type { MesosError } from '../../src/mesos/errors.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import type { FrameworkInfo } from '../../src/mesos/wire.ts';
import { createRecordedLog, type RecordedLog, type ServedStream } from '../mesos/network.ts';
import { createMemoryTransport, type MemoryRequest, type MemoryResponse } from '../sim/memory-transport.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import { createLearnedIds, type LearnedIds } from './learned-ids.ts';
import { createSymbols, normalise, type Symbols } from './normalise.ts';
import { isObject, type Json, type JsonObject, type TraceEntry } from './trace.ts';

/** A network with masters that a recording plays, and the clients that talk to them. */
export interface Replay {
  readonly clock: VirtualClock;
  readonly transport: HttpTransport;
  /** Requests that wait for their answer. */
  readonly arrived: Arrived[];
  /** Origins of masters that died. */
  readonly dead: Set<string>;
  /** Where connections were refused. */
  readonly refused: string[];
  readonly clients: Map<string, Client>;
  /** The masters of this recording, in the order in which they lead. */
  readonly masters: readonly string[];
  readonly ids: LearnedIds;
  readonly tables: { readonly observed: Symbols; readonly played: Symbols; readonly recorded: Symbols };
}

export interface Arrived {
  readonly request: MemoryRequest;
  readonly answer: (response: MemoryResponse) => void;
}

export interface Client {
  readonly connection: MesosConnection;
  readonly events: ConnectionEvent[];
  readonly log: RecordedLog;
  readonly end: () => { readonly error: unknown } | null;
  readonly stop: () => void;
  stream: ServedStream | null;
  origin: string;
  /** The stream id that it was given, here and in the recording. */
  streamId: { readonly played: string; readonly recorded: string };
  /** What `run` must end in; `null` while it must go on. */
  endsIn: MesosError['code'] | null;
  /** Its stream broke and it has to come back by itself. */
  lost: boolean;
}

export function createReplay(recorded: readonly TraceEntry[]): Replay {
  const clock = createVirtualClock();
  const arrived: Arrived[] = [];
  const dead = new Set<string>();
  const refused: string[] = [];
  const transport = createMemoryTransport((request) => {
    if (dead.has(new URL(request.url).origin)) {
      refused.push(request.url);
      throw new HttpTransportError('connect-failed', 'no connection');
    }
    return new Promise((answer) => arrived.push({ request, answer }));
  });
  return {
    clock,
    transport,
    arrived,
    dead,
    refused,
    clients: new Map(),
    masters: mastersOf(recorded),
    ids: createLearnedIds(),
    tables: { observed: createSymbols(), played: createSymbols(), recorded: createSymbols() },
  };
}

/** Starts a scheduler that subscribes as `subscribe` did; with the master `only`, or all of the recording. */
export function startClient(
  replay: Replay,
  subscribe: JsonObject,
  only: string | null = null,
  signal?: AbortSignal,
): Client {
  const { framework_id, subscribe: inner } = replay.ids.resolve(subscribe) as unknown as {
    framework_id?: { value: string };
    subscribe: { framework_info: FrameworkInfo; suppressed_roles?: readonly string[] };
  };
  const events: ConnectionEvent[] = [];
  const log = createRecordedLog();
  const controller = new AbortController();
  signal?.addEventListener('abort', () => controller.abort());
  const connection = createSchedulerConnection({
    transport: replay.transport,
    clock: replay.clock,
    random: { next: () => 0.5 },
    log,
    masters: createFixedMasterSource(only ?? replay.masters.join(',')),
    frameworkInfo: () => inner.framework_info,
    frameworkId: framework_id?.value ?? null,
    suppressedRoles: () => inner.suppressed_roles ?? [],
    onEvent: (event) => events.push(event),
  });
  let end: { readonly error: unknown } | null = null;
  void connection.run(controller.signal).then(
    () => {
      end = { error: null };
    },
    (error: unknown) => {
      end = { error };
    },
  );
  return {
    connection,
    events,
    log,
    end: () => end,
    stop: () => controller.abort(),
    stream: null,
    origin: '',
    streamId: { played: '', recorded: '' },
    endsIn: null,
    lost: false,
  };
}

/** Waits for a request; time passes only where none comes at once, as between two tries. */
export async function nextRequest(replay: Replay): Promise<Arrived> {
  await replay.clock.runUntil(() => replay.arrived.length > 0, 30_000);
  const [first, ...more] = replay.arrived.splice(0);
  assert(first !== undefined && more.length === 0, 'one request at a time');
  return first;
}

export async function settled<T>(replay: Replay, promise: Promise<T>): Promise<T> {
  let done = false;
  void promise.finally(() => {
    done = true;
  });
  await replay.clock.runUntil(() => done, 30_000);
  return await promise;
}

export function clientOf(replay: Replay, scheduler: string): Client {
  const client = replay.clients.get(scheduler);
  assert(client !== undefined, `a scheduler ${scheduler} that has subscribed`);
  return client;
}

/**
 * Compares what was observed with the conversation that is `played` (for what our side sends) or with the one
 * that was `recorded` (for what it makes of what came), ids as symbols and times left out.
 */
export function check(
  replay: Replay,
  against: 'played' | 'recorded',
  values: { readonly observed: Json; readonly played: Json; readonly recorded: Json },
): void {
  // All three are named on the way, so that their symbols stay in step.
  const observed = normalise(values.observed, replay.tables.observed);
  const played = normalise(values.played, replay.tables.played);
  const recorded = normalise(values.recorded, replay.tables.recorded);
  const difference = differenceOf(observed, against === 'played' ? played : recorded, '');
  if (difference !== null) throw new Error(difference);
}

export function expectEqual(observed: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(observed, expected)) return;
  throw new Error(`${what}: ${JSON.stringify(observed)}, expected ${JSON.stringify(expected)}`);
}

/** The first place where two values differ. */
function differenceOf(observed: Json | undefined, expected: Json | undefined, path: string): string | null {
  if (isDeepStrictEqual(observed, expected)) return null;
  const keys =
    isObject(observed) && isObject(expected)
      ? new Set([...Object.keys(observed), ...Object.keys(expected)])
      : Array.isArray(observed) && Array.isArray(expected)
        ? Array.from({ length: Math.max(observed.length, expected.length) }, (_, index) => String(index))
        : [];
  for (const key of keys) {
    const difference = differenceOf(
      (observed as JsonObject)[key],
      (expected as JsonObject)[key],
      `${path}.${key}`,
    );
    if (difference !== null) return difference;
  }
  return `${path === '' ? 'it' : path} is ${JSON.stringify(observed)}, expected ${JSON.stringify(expected)}`;
}

/** The origins of the masters that lead in this recording, in their order. */
function mastersOf(recorded: readonly TraceEntry[]): readonly string[] {
  const origins = recorded.flatMap((entry) => {
    if (entry.kind !== 'event' || entry.event['type'] !== 'SUBSCRIBED') return [];
    const { master_info } = entry.event['subscribed'] as unknown as {
      master_info: { address: { ip: string; port: number } };
    };
    return [`http://${master_info.address.ip}:${master_info.address.port}`];
  });
  return [...new Set(origins)];
}
