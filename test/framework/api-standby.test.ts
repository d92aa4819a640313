import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { type HttpResponse, HttpTransportError } from '../../src/base/ports.ts';
import {
  type ApiContext,
  type ApiEnvironment,
  BODY_BYTES_MAX,
  FORWARDED_BY,
  mountRoutes,
} from '../../src/framework/api-access.ts';
import type { Liveness } from '../../src/framework/api-liveness.ts';
import { createStandbyApi, type RelayedRequest } from '../../src/framework/api-standby.ts';
import { silentLogger } from '../silent-logger.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

const LEADER = 'http://10.0.0.8:23400';
const OWN = 'http://10.0.0.7:23400';
const NEAR = { remoteAddress: '127.0.0.1' };

interface Seen extends Omit<RelayedRequest, 'body'> {
  readonly body: string | null;
}

function standby(options: { leader?: string | null; relay?: (request: Seen) => Promise<HttpResponse> } = {}) {
  const clock = createVirtualClock({ settleTurns: 5 });
  const seen: Seen[] = [];
  const liveness: Liveness = {
    role: 'standby',
    leader: options.leader === undefined ? LEADER : options.leader,
    terms: 2,
  };
  const app = createStandbyApi({
    liveness: () => liveness,
    ownUrl: () => OWN,
    clock,
    log: silentLogger,
    relay: async (request) => {
      const body = request.body === null ? null : await textOf(request.body);
      const one = { ...request, body };
      seen.push(one);
      return await (options.relay ?? (() => Promise.resolve(answer(200, 'from the leader'))))(one);
    },
  });
  const ask = async (path: string, init: RequestInit = {}) => await app.request(path, init, NEAR);
  return { clock, seen, ask };
}

function answer(status: number, body: string, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers, body: bytesOf(body) };
}
async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield await Promise.resolve(new TextEncoder().encode(text));
}
async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const piece of body) text += new TextDecoder().decode(piece);
  return text;
}

describe('a standby', () => {
  test('hands on method, path, query, body and headers, and what the leader answers', async () => {
    const { seen, ask } = standby({
      relay: () => Promise.resolve(answer(202, 'taken', { etag: '"1"', 'content-type': 'text/x' })),
    });
    const response = await ask('/v1/plans/deploy/continue?phase=node', {
      method: 'POST',
      body: '{"a":1}',
      headers: { authorization: 'Bearer secret', 'x-own': 'y' },
    });
    expect(response.status).toBe(202);
    expect(await response.text()).toBe('taken');
    expect(response.headers.get('etag')).toBe('"1"');
    expect(seen[0]).toMatchObject({
      method: 'POST',
      url: `${LEADER}/v1/plans/deploy/continue?phase=node`,
      body: '{"a":1}',
      headers: { authorization: 'Bearer secret', 'x-own': 'y' },
    });
  });

  test.for(['/', '/v1/view', '/v1/health', '/healthz', '/members', '/v1/artifacts/a.tar.gz', '/none'])(
    'never answers %s itself',
    async (path) => {
      const { ask } = standby({ relay: () => Promise.resolve(answer(404, 'the leader says')) });
      expect(await (await ask(path)).text()).toBe('the leader says');
      expect((await standby({ leader: null }).ask(path)).status).toBe(503);
    },
  );

  test('says of itself that it lives, whoever leads', async () => {
    for (const leader of [LEADER, null]) {
      const response = await standby({ leader }).ask('/v1/liveness');
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ role: 'standby', leader, terms: 2 });
    }
  });

  test('tells the leader that the request is not its own, whatever came with it', async () => {
    const { seen, ask } = standby();
    await ask('/v1/view', { headers: { 'x-forwarded-for': '1.2.3.4' } });
    expect(seen[0]?.headers).toMatchObject({
      'x-forwarded-for': '1.2.3.4, 127.0.0.1',
      [FORWARDED_BY]: OWN,
    });
  });

  test('gives what comes over loopback to it no rights over there, be the leader on the same machine', async () => {
    const leader = new Hono<ApiEnvironment>();
    const handler = (context: ApiContext) => context.text('changed');
    mountRoutes(leader, [{ method: 'post', path: '/v1/x', access: 'data', about: '', handler }], 'secret');
    const local = 'http://127.0.0.1:23400';
    const { ask } = standby({
      leader: local,
      relay: async ({ url, method, headers }) => {
        const response = await leader.request(url, { method, headers }, NEAR);
        return answer(response.status, await response.text());
      },
    });
    expect((await leader.request(`${local}/v1/x`, { method: 'POST' }, NEAR)).status).toBe(200);
    expect((await ask('/v1/x', { method: 'POST' })).status).toBe(401);
    const headers = { authorization: 'Bearer secret' };
    expect((await ask('/v1/x', { method: 'POST', headers })).status).toBe(200);
  });

  test('keeps to itself what concerns one connection', async () => {
    const { seen, ask } = standby({
      relay: () =>
        Promise.resolve(answer(200, 'x', { connection: 'x-hop', 'x-hop': '1', 'keep-alive': 'timeout=5' })),
    });
    const headers = {
      connection: 'close, x-mine',
      'x-mine': '1',
      te: 'trailers',
      upgrade: 'h2c',
      'x-on': '1',
    };
    const response = await ask('/', { headers });
    expect(Object.keys(seen[0]?.headers ?? {}).toSorted()).toEqual([FORWARDED_BY, 'x-forwarded-for', 'x-on']);
    expect([...response.headers.keys()]).toEqual([]);
  });

  test('takes no request that was handed on already', async () => {
    const { seen, ask } = standby();
    const response = await ask('/v1/view', { headers: { [FORWARDED_BY]: 'http://10.0.0.9:1' } });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(seen).toEqual([]);
  });

  test.for([null, OWN])('says that nobody leads when the leader is %s', async (leader) => {
    const response = await standby({ leader }).ask('/v1/view');
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(await response.json()).toMatchObject({ error: 'no scheduler leads at the moment' });
  });

  test('passes on that an answer has no body', async () => {
    const { ask } = standby({ relay: () => Promise.resolve(answer(304, '')) });
    expect((await ask('/v1/artifacts/a.tar.gz')).status).toBe(304);
    const head = await standby().ask('/v1/view', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });
});

describe('limits', () => {
  test('a body that is too long is refused, whether its length is told or not', async () => {
    const long = 'x'.repeat(BODY_BYTES_MAX + 1);
    const told = { method: 'POST', body: long, headers: { 'content-length': String(long.length) } };
    expect((await standby().ask('/v1/x', told)).status).toBe(413);
    const body = new Blob([long]).stream();
    const untold = { method: 'POST', body, duplex: 'half' } as RequestInit;
    expect((await standby().ask('/v1/x', untold)).status).toBe(413);
  });

  test('a leader that cannot be reached is told apart from one that may have acted', async () => {
    const failing = (code: HttpTransportError['code']) =>
      standby({ relay: () => Promise.reject(new HttpTransportError(code, 'so it is')) }).ask('/v1/x', {
        method: 'POST',
      });
    const unreached = await failing('connect-failed');
    expect([unreached.status, unreached.headers.get('retry-after')]).toEqual([503, '2']);
    const lost = await failing('connection-lost');
    expect([lost.status, lost.headers.get('retry-after')]).toEqual([502, null]);
  });

  test('a leader that does not answer is given up', async () => {
    const { clock, ask } = standby({
      relay: ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new HttpTransportError('aborted', 'given up')));
        }),
    });
    const response = await clock.during(ask('/v1/view'), 31_000);
    expect(response.status).toBe(504);
  });

  test('an answer that falls silent is cut', async () => {
    const { clock, ask } = standby({
      relay: ({ signal }) =>
        Promise.resolve({
          status: 200,
          headers: {},
          body: (async function* () {
            yield new TextEncoder().encode('first');
            await new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => reject(new HttpTransportError('aborted', 'given up')));
            });
          })(),
        }),
    });
    const response = await ask('/v1/view');
    await expect(clock.during(response.text(), 31_000)).rejects.toThrow('given up');
  });

  test('only so many are handed on at once, and each makes room when it has ended', async () => {
    const { ask } = standby();
    const held: Response[] = [];
    for (let count = 0; count < 256; count += 1) held.push(await ask('/v1/view'));
    expect((await ask('/v1/view')).status).toBe(503);
    await held[0]?.text();
    await held[1]?.body?.cancel();
    expect([(await ask('/v1/view')).status, (await ask('/v1/view')).status]).toEqual([200, 200]);
    expect((await ask('/v1/view')).status).toBe(503);
  });
});
