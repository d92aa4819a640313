import { assert } from '../../src/base/assert.ts';
import type { ConnectionEvent } from '../../src/mesos/connection.ts';
import type { MesosError } from '../../src/mesos/errors.ts';
import { SCHEDULER_PATH, silenceMsFor } from '../../src/mesos/scheduler-stream.ts';
import type { Call } from '../../src/mesos/wire.ts';
import { createServedStream, type RecordedLog } from '../mesos/network.ts';
import type { MemoryRequest } from '../sim/memory-transport.ts';
import {
  type Client,
  check,
  clientOf,
  createReplay,
  expectEqual,
  nextRequest,
  type Replay,
  settled,
  startClient,
} from './client-world.ts';
import { replayHttp } from './http-replay.ts';
import type { Entry, Json, JsonObject, TraceEntry } from './trace.ts';

/** The client and the recording disagree. */
export class ReplayMismatch extends Error {}

/**
 * Plays the master's side of `played` to the real client, which a script taken from `recorded` drives: what the
 * client sends must be what `played` says was sent, what it tells of must be what `recorded` says came. With
 * both the same this is the replay of a recording; a `played` that was changed anywhere must fail.
 * @throws ReplayMismatch
 */
export async function replayClient(
  recorded: readonly TraceEntry[],
  played: readonly TraceEntry[] = recorded,
): Promise<void> {
  assert(recorded.length === played.length, 'both are the same recording');
  const replay = createReplay(recorded);
  const steps = inCallOrder(recorded).map((index) => ({
    index,
    recorded: recorded[index] as TraceEntry,
    played: played[index] as TraceEntry,
  }));
  try {
    for (const step of steps) {
      try {
        await replayStep(replay, step.recorded, step.played, played.slice(step.index + 1));
      } catch (error) {
        // An error of the language is a bug of the replay: no recording may fail by it.
        if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError)
          throw error;
        const where = `entry ${step.index + 1} (${step.recorded.kind})`;
        throw new ReplayMismatch(`${where}: ${error.message}`, { cause: error });
      }
    }
    if (replay.arrived.length > 0) throw new ReplayMismatch(`${replay.arrived.length} requests too many`);
    const told = [...replay.clients.values()].flatMap((client) => client.events);
    if (told.length > 0) throw new ReplayMismatch(`${told.length} events too many were told`);
  } finally {
    for (const client of new Set(replay.clients.values())) client.stop();
    await replay.clock.settle();
  }
}

async function replayStep(
  replay: Replay,
  recorded: TraceEntry,
  played: TraceEntry,
  rest: readonly TraceEntry[],
): Promise<void> {
  switch (recorded.kind) {
    case 'subscribe':
      return await replaySubscribe(replay, recorded, played as typeof recorded, rest);
    case 'subscribe-refused':
      return await replayRefusal(replay, recorded);
    case 'event':
      return await replayEvent(replay, recorded, played as typeof recorded);
    case 'call':
      return await replayCall(replay, recorded, played as typeof recorded);
    case 'http':
      return await replayHttp(replay, recorded, played as typeof recorded);
    case 'stream-closed':
      return await replayStreamClosed(replay, recorded);
    case 'disconnect':
      return await replayDisconnect(replay, clientOf(replay, recorded.scheduler));
    default:
      return;
  }
}

async function replaySubscribe(
  replay: Replay,
  recorded: Entry<'subscribe'>,
  played: Entry<'subscribe'>,
  rest: readonly TraceEntry[],
): Promise<void> {
  const lost = [...replay.clients.values()].find((client) => client.lost);
  const client = lost ?? startClient(replay, recorded.request);
  replay.clients.set(recorded.scheduler, client);
  const { request, answer } = await nextRequest(replay);
  client.origin = new URL(request.url).origin;
  expectSchedulerRequest(request);
  expectEqual(request.headers['mesos-stream-id'], undefined, 'the stream id');
  check(replay, 'played', { observed: bodyOf(request), played: played.request, recorded: recorded.request });
  client.streamId = { played: streamIdOf(played), recorded: streamIdOf(recorded) };
  replay.ids.learn(client.streamId.recorded, client.streamId.played);
  const refusal = rest.find((entry) => 'scheduler' in entry && entry.scheduler === recorded.scheduler);
  const stream = createServedStream();
  if (recorded.response.status === 200) client.stream = stream;
  answer({
    status: played.response.status,
    headers: played.response.headers,
    body: refusal?.kind === 'subscribe-refused' ? refusal.body : stream,
  });
  await replay.clock.settle();
  const { location } = recorded.response.headers;
  if (location !== undefined)
    expectEqual(replay.refused.at(-1), `http:${location}`, 'the redirect that was tried');
  if (recorded.response.status === 200) {
    client.lost = false;
    expectEqual(stream.left, false, 'whether the stream was left');
  }
}

async function replayRefusal(replay: Replay, recorded: Entry<'subscribe-refused'>): Promise<void> {
  const client = clientOf(replay, recorded.scheduler);
  const code = REFUSAL_CODES.get(recorded.status) ?? null;
  if (code !== null) {
    client.endsIn = code;
    expectEnd(client);
    const { error } = client.end() as { error: MesosError };
    expectSaid(error, recorded.body);
    return;
  }
  const [event, ...more] = client.events.splice(0);
  expectEqual(more.length, 0, 'further events');
  expectEqual(event?.kind === 'disconnected' && event.error.code, 'no-master', 'what was told');
}

async function replayEvent(replay: Replay, recorded: Entry<'event'>, played: Entry<'event'>): Promise<void> {
  const client = clientOf(replay, recorded.scheduler);
  client.stream?.send(played.event);
  await replay.clock.settle();
  const told = client.events.splice(0);
  const expected = toldOf(recorded.event);
  expectEqual(told.length, expected.length, 'how many events were told');
  const observed = told.map((event) => viewOf(event, client.log));
  check(replay, 'recorded', { observed, played: toldOf(played.event), recorded: expected });
  replay.ids.learn(expected, observed);
  if (recorded.event['type'] === 'ERROR') {
    client.endsIn = errorCodeOf(recorded.event);
    expectEnd(client);
  } else {
    expectEqual(client.end(), null, 'the end of the subscription');
  }
}

async function replayCall(replay: Replay, recorded: Entry<'call'>, played: Entry<'call'>): Promise<void> {
  const client = clientOf(replay, recorded.scheduler);
  const call = replay.ids.resolve(withoutFrameworkId(recorded.call)) as unknown as Call;
  const outcome = client.connection.call(call).then(
    () => null,
    (error: unknown) => error as MesosError,
  );
  if (client.end() !== null) {
    // A scheduler that has lost its subscription: ours does not even send, so it is sent past it.
    expectEqual((await outcome)?.code, 'not-subscribed', 'the outcome');
    const { streamId } = client;
    await replayHttp(replay, asHttp(recorded, streamId.recorded), asHttp(played, streamId.played));
    return;
  }
  const { request, answer } = await nextRequest(replay);
  expectSchedulerRequest(request);
  check(replay, 'recorded', { observed: request.headers['mesos-stream-id'] ?? null, ...client.streamId });
  check(replay, 'played', { observed: bodyOf(request), played: played.call, recorded: recorded.call });
  answer({
    status: played.response.status,
    headers: played.response.headers,
    body: String(played.response.body ?? ''),
  });
  if (recorded.call['type'] === 'TEARDOWN') client.endsIn = 'framework-removed';
  expectOutcome(
    await settled(replay, outcome),
    recorded.response.status,
    String(recorded.response.body ?? ''),
  );
}

async function replayStreamClosed(replay: Replay, recorded: Entry<'stream-closed'>): Promise<void> {
  const client = clientOf(replay, recorded.scheduler);
  if (recorded.how === 'aborted') {
    replay.dead.add(client.origin);
    client.lost = true;
    client.stream?.fail();
  } else {
    client.stream?.end();
  }
  await replay.clock.settle();
  if (client.endsIn !== null) {
    expectEnd(client);
    return;
  }
  const [event] = client.events.splice(0);
  expectEqual(event?.kind === 'disconnected' && event.error.code, 'connection-lost', 'what was told');
}

async function replayDisconnect(replay: Replay, client: Client): Promise<void> {
  client.stop();
  await replay.clock.settle();
  if (client.endsIn === null) expectEqual(client.end(), { error: null }, 'the end of the subscription');
  else expectEnd(client);
  expectEqual(client.stream?.left ?? true, true, 'whether the stream was left');
}

const REFUSAL_CODES: ReadonlyMap<number, MesosError['code']> = new Map([
  [400, 'refused-subscription'],
  [401, 'refused-unauthenticated'],
  [403, 'refused-forbidden'],
]);

function errorCodeOf(event: JsonObject): MesosError['code'] {
  const { message } = event['error'] as { message: string };
  if (message === 'Framework failed over') return 'failed-over';
  return message === 'Framework has been removed' ? 'framework-removed' : 'refused-subscription';
}

/** What a recorded event must be told as. */
function toldOf(event: JsonObject): Json[] {
  if (event['type'] === 'HEARTBEAT') return [];
  if (event['type'] !== 'SUBSCRIBED') return [event];
  const subscribed = event['subscribed'] as JsonObject;
  return [
    {
      framework_id: (subscribed['framework_id'] as JsonObject)['value'] ?? null,
      master_info: subscribed['master_info'] ?? null,
      silenceMs: silenceMsFor(subscribed['heartbeat_interval_seconds'] as number),
    },
  ];
}

function viewOf(event: ConnectionEvent, log: RecordedLog): Json {
  if (event.kind === 'event') return event.event as unknown as Json;
  if (event.kind === 'disconnected') return { disconnected: event.error.message };
  const line = log.lines.findLast(({ event: what }) => what === 'subscribed');
  return {
    framework_id: event.frameworkId,
    master_info: event.master as unknown as Json,
    silenceMs: line?.fields['silenceMs'] as number,
  };
}

function expectSchedulerRequest(request: MemoryRequest): void {
  expectEqual(request.method, 'POST', 'the method');
  expectEqual(new URL(request.url).pathname, SCHEDULER_PATH, 'the path');
  expectEqual(request.headers['content-type'], 'application/json', 'the content type');
  expectEqual(request.headers['accept'], 'application/json', 'what is accepted');
}

function expectEnd(client: Client): void {
  const error = client.end()?.error as MesosError | null | undefined;
  expectEqual(error?.code, client.endsIn, 'what the subscription ended in');
}

function expectOutcome(outcome: MesosError | null, status: number, said: string): void {
  if (status === 200 || status === 202) {
    expectEqual(outcome?.message ?? null, null, 'the outcome');
    return;
  }
  expectEqual(outcome?.code, status === 400 ? 'bad-call' : REFUSAL_CODES.get(status), 'the outcome');
  expectSaid(outcome, said);
}

/** What the master said is all that the error ends with. */
function expectSaid(error: MesosError | null, said: string): void {
  if (error?.message.endsWith(`: ${said}`) !== true) throw new Error(`the error does not say ${said}`);
}

/** A call that is not our client's to make. */
function asHttp(entry: Entry<'call'>, streamId: string): Entry<'http'> {
  const headers = { 'Mesos-Stream-Id': streamId };
  return {
    t: entry.t,
    kind: 'http',
    request: { method: 'POST', path: SCHEDULER_PATH, headers, body: entry.call },
    response: entry.response,
  };
}

function bodyOf(request: MemoryRequest): Json {
  return JSON.parse(request.body ?? 'null') as Json;
}

function streamIdOf(entry: Entry<'subscribe'>): string {
  return entry.response.headers['mesos-stream-id'] ?? '';
}

function withoutFrameworkId(call: JsonObject): JsonObject {
  const { framework_id: _, ...rest } = call;
  return rest;
}

/** The order in which to go through a recording: what TEARDOWN closes is closed after it was sent. */
function inCallOrder(recorded: readonly TraceEntry[]): readonly number[] {
  const order = recorded.map((_, index) => index);
  for (const [index, entry] of recorded.entries()) {
    if (entry.kind !== 'call' || entry.call['type'] !== 'TEARDOWN') continue;
    const closed = recorded.findIndex(
      (other) => other.kind === 'stream-closed' && other.scheduler === entry.scheduler,
    );
    if (closed !== -1 && closed < index) order.splice(closed, 0, ...order.splice(index, 1));
  }
  return order;
}
