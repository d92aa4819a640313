import { assert } from '../../src/base/assert.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createOperatorClient } from '../../src/mesos/operator-client.ts';
import type { MemoryRequest } from '../sim/memory-transport.ts';
import { check, expectEqual, nextRequest, type Replay, settled, startClient } from './client-world.ts';
import { type Entry, isObject, type Json, type JsonObject } from './trace.ts';

/** Replays what was asked beside a subscription: through our client where it has such a call, else as it was. */
export async function replayHttp(
  replay: Replay,
  recorded: Entry<'http'>,
  played: Entry<'http'>,
): Promise<void> {
  const base = recorded.response.status === 307 ? replay.masters.at(-1) : replay.masters[0];
  assert(base !== undefined, 'every recording has a master');
  const asked = new AbortController();
  const outcome = ask(replay, base, recorded, asked.signal).then(
    (value) => ({ value, error: null }),
    (error: unknown) => ({ value: null, error }),
  );
  const { request, answer } = await nextRequest(replay);
  check(replay, 'played', {
    observed: requestView(request, recorded),
    played: wireView(played),
    recorded: wireView(recorded),
  });
  answer({
    status: played.response.status,
    headers: played.response.headers,
    body: wireBody(played.response.body),
  });
  if (isOurs(recorded) && recorded.response.status === 307) {
    const redirected = await nextRequest(replay);
    expectEqual(redirected.request.url, `http:${recorded.response.headers['location']}`, 'where it went');
    expectEqual(redirected.request.body, request.body, 'what was sent there');
    asked.abort();
    await replay.clock.settle();
    return;
  }
  const { value, error } = await settled(replay, outcome);
  if (error !== null) throw new Error('the question failed', { cause: error });
  const expected = expectedOf(recorded);
  const read = fieldsOf(value as Json, expected);
  check(replay, 'recorded', { observed: read, played: expectedOf(played), recorded: expected });
  replay.ids.learn(expected, read);
}

/** Puts the question of an `http` entry through our own client where it has such a call; else as it was sent. */
async function ask(
  replay: Replay,
  base: string,
  entry: Entry<'http'>,
  signal: AbortSignal,
): Promise<unknown> {
  const { request } = entry;
  const body = replay.ids.resolve(request.body ?? null);
  const operator = createOperatorClient({
    transport: replay.transport,
    clock: replay.clock,
    masters: createFixedMasterSource(base),
  });
  switch (isOurs(entry) ? questionOf(entry) : 'raw') {
    case 'GET_AGENTS':
      return await operator.getAgents(signal);
    case 'GET_FRAMEWORKS':
      return await operator.getFrameworks(signal);
    case 'GET_TASKS':
      return await operator.getTasks(signal);
    case 'GET_HEALTH':
      return await operator.getHealth(signal);
    case 'MARK_AGENT_GONE':
      await operator.markAgentGone(agentOf(body), signal);
      return '';
    case '/state':
      return await operator.getState(signal);
    case 'SUBSCRIBE': {
      const client = startClient(replay, body as JsonObject, base);
      signal.addEventListener('abort', client.stop);
      return null;
    }
    default:
      return await askRaw(replay, base, entry, body, signal);
  }
}

async function askRaw(
  replay: Replay,
  base: string,
  entry: Entry<'http'>,
  body: Json,
  signal: AbortSignal,
): Promise<unknown> {
  const headers = Object.fromEntries(
    Object.entries(entry.request.headers).map(([name, value]) => [
      name.toLowerCase(),
      String(replay.ids.resolve(value)),
    ]),
  );
  const response = await replay.transport.request({
    method: entry.request.method,
    url: base + entry.request.path,
    headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
    body: body === null ? undefined : wireBody(body),
    signal,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return {
    status: response.status,
    headers: response.headers,
    body: parsedBody(Buffer.concat(chunks).toString()),
  };
}

const OUR_QUESTIONS: ReadonlySet<string> = new Set([
  'GET_AGENTS',
  'GET_FRAMEWORKS',
  'GET_TASKS',
  'GET_HEALTH',
  'MARK_AGENT_GONE',
  '/state',
]);

/** Our client asks this too, and the recording shows how it should: answered, or redirected. */
function isOurs(entry: Entry<'http'>): boolean {
  const question = questionOf(entry);
  if (question === 'SUBSCRIBE') return entry.response.status === 307;
  return OUR_QUESTIONS.has(question) && [200, 307].includes(entry.response.status);
}

function questionOf({ request }: Entry<'http'>): string {
  const type = isObject(request.body) ? request.body['type'] : undefined;
  return typeof type === 'string' ? type : request.path;
}

/** What our client's answer, or the raw one, must hold. */
function expectedOf(entry: Entry<'http'>): Json {
  const { body } = entry.response;
  if (!isOurs(entry)) return entry.response as unknown as Json;
  const field = questionOf(entry).toLowerCase();
  return isObject(body) && isObject(body[field]) ? body[field] : (body ?? null);
}

function agentOf(body: Json): string {
  const { mark_agent_gone } = body as unknown as { mark_agent_gone: { agent_id: { value: string } } };
  return mark_agent_gone.agent_id.value;
}

/** A request as the recording shows it: of its headers those that were recorded. */
function requestView(request: MemoryRequest, recorded: Entry<'http'>): Json {
  const names = Object.keys(recorded.request.headers).map((name) => name.toLowerCase());
  return {
    method: request.method,
    path: new URL(request.url).pathname,
    headers: Object.fromEntries(names.map((name) => [name, request.headers[name] ?? null])),
    body: request.body === undefined ? null : parsedBody(request.body),
  };
}

function wireView({ request }: Entry<'http'>): Json {
  return {
    method: request.method,
    path: request.path,
    headers: Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
    ),
    body: request.body ?? null,
  };
}

function wireBody(body: Json | undefined): string {
  return typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
}

/** As the recorder did: parsed where it is JSON. */
function parsedBody(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** Our client puts in lists that were left out: only what the recording has is compared. */
function fieldsOf(value: Json, expected: Json): Json {
  if (!isObject(value) || !isObject(expected)) return value;
  return Object.fromEntries(Object.keys(expected).map((name) => [name, value[name] ?? null]));
}
