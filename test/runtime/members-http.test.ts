import { request } from 'node:http';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withDeadline } from '../../src/base/deadline.ts';
import {
  BODY_BYTES_MAX,
  listenForSchedulers,
  type MemberServer,
  WAITING_MAX,
} from '../../src/member/http-server.ts';
import type { Supervisor } from '../../src/member/supervisor.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { SignedOrder } from '../../src/protocol/orders.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { type ClosableHttpTransport, createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createMembersHttp } from '../../src/runtime/members-http.ts';
import { status as statusWith } from '../framework/fake-master.ts';
import { silentLogger } from '../silent-logger.ts';
import { freePorts, until } from '../wait.ts';

const clock = createSystemClock();
const base = statusWith({});

/** A supervisor whose status is set by the test. */
function createFakeSupervisor() {
  let status = base;
  const taken: SignedOrder[] = [];
  const waiters = new Set<() => void>();
  const supervisor: Supervisor = {
    run: async () => {},
    ready: Promise.resolve(),
    status: () => status,
    waitStatus: async (after, waitMs, signal) => {
      if (status.sequence === after) {
        await new Promise<void>((resolve) => {
          waiters.add(resolve);
          void clock.sleep(waitMs, signal).then(resolve);
        });
      }
      return status;
    },
    order: async (signed) => {
      taken.push(signed);
      return { id: 'x', outcome: 'done', problem: null, message: 'done', memberId: null, finding: null };
    },
  };
  return {
    supervisor,
    taken,
    waiting: () => waiters.size,
    set(changes: Partial<MemberStatus>) {
      status = { ...status, sequence: status.sequence + 1, ...changes };
      for (const wake of waiters) wake();
    },
  };
}

describe('a scheduler and a supervisor over HTTP', () => {
  let fake: ReturnType<typeof createFakeSupervisor>;
  let server: MemberServer;
  let http: ClosableHttpTransport;
  let url: string;
  let port: number;
  beforeEach(async () => {
    fake = createFakeSupervisor();
    [port = 0] = await freePorts(1);
    url = `http://127.0.0.1:${port}`;
    server = await listenForSchedulers({
      supervisor: fake.supervisor,
      hosts: ['127.0.0.1'],
      port,
      log: silentLogger,
    });
    http = createHttpTransport();
  });
  afterEach(async () => {
    await http.close();
    await server.close();
  });
  const within = () => AbortSignal.timeout(5000);
  const send = async (method: 'GET' | 'POST' | 'PUT', path: string, body?: string) => {
    const response = await http.request({ method, url: url + path, headers: {}, body, signal: within() });
    let text = '';
    for await (const chunk of response.body) text += Buffer.from(chunk).toString();
    return { status: response.status, body: JSON.parse(text) as Record<string, unknown> };
  };

  test('the status as it is, and what fields it may have more are dropped', async () => {
    fake.set({ problem: 'none' });
    expect(await createMembersHttp(http).status(url, null, within())).toEqual({
      ...base,
      sequence: 2,
      problem: 'none',
    });
  });

  test('a question that waits is answered by the change', async () => {
    const asked = createMembersHttp(http).status(url, { after: 1, waitMs: 20_000 }, within());
    await until('it waits', 5000, async () => fake.waiting() === 1);
    fake.set({ phase: 'prepared' });
    expect(await asked).toMatchObject({ sequence: 2, phase: 'prepared' });
    expect(await createMembersHttp(http).status(url, { after: 2, waitMs: 30 }, within())).toMatchObject({
      sequence: 2,
    });
  });

  test('more questions than may wait are answered at once', async () => {
    const many = Array.from({ length: WAITING_MAX }, async () => {
      const own = createHttpTransport();
      try {
        return await createMembersHttp(own).status(url, { after: 1, waitMs: 30_000 }, within());
      } finally {
        await own.close();
      }
    });
    await until('all wait', 5000, async () => fake.waiting() === WAITING_MAX);
    const one = await createMembersHttp(http).status(url, { after: 1, waitMs: 30_000 }, within());
    expect(one.sequence).toBe(1);
    fake.set({});
    expect((await Promise.all(many)).every(({ sequence }) => sequence === 2)).toBe(true);
  });

  test('an order arrives as it was signed', async () => {
    const signed = { order: '{"a":1}', signature: 'abc=' };
    expect(await createMembersHttp(http).order(url, signed, within())).toMatchObject({ outcome: 'done' });
    expect(fake.taken).toEqual([signed]);
  });

  test.for([
    ['GET', '/v1/status?after=x', undefined, 400],
    ['GET', '/v1/status?after=1&waitMs=30001', undefined, 400],
    ['GET', '/v1/status?after=1&waitMs=-1', undefined, 400],
    ['GET', '/v1/status?protocol=0', undefined, 400],
    ['GET', '/v1/status?protocol=two', undefined, 400],
    ['POST', '/v1/orders', 'not json', 400],
    ['POST', '/v1/orders', '{"order":"x"}', 400],
    ['POST', '/v1/orders', '{"order":"x","signature":"y","more":1}', 400],
    ['GET', '/v1/orders', undefined, 405],
    ['PUT', '/v1/status', '', 405],
    ['GET', '/', undefined, 404],
    ['GET', '//', undefined, 404],
  ] as const)('%s %s %s is answered %i with a reason', async ([method, path, body, status]) => {
    const response = await send(method, path, body);
    expect(response.status).toBe(status);
    expect(response.body['error']).toEqual(expect.stringMatching(/.+/));
    expect(fake.taken).toEqual([]);
  });

  test('a body without end is cut off', async () => {
    const answered = await new Promise<number>((resolve, reject) => {
      const sending = request(`${url}/v1/orders`, { method: 'POST' }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sending.on('error', reject);
      sending.write('x'.repeat(BODY_BYTES_MAX + 1));
    });
    expect(answered).toBe(413);
  });

  test('health is local: a member that serves without a quorum is healthy', async () => {
    expect(await send('GET', '/v1/health')).toMatchObject({
      status: 503,
      body: { serves: false, phase: 'idle' },
    });
    const probe = {
      ageMs: 1,
      version: '3.5.30',
      clusterVersion: '3.5.0',
      clusterId: 'a',
      memberId: 'b',
      leaderId: null,
      isLearner: false,
      raftTerm: '1',
      raftIndex: '1',
      raftAppliedIndex: '1',
      revision: '1',
      dbSizeBytes: 1,
      dbSizeInUseBytes: 1,
      errors: [],
      alarms: [],
      confirmedMembers: null,
      localMembers: [],
    };
    fake.set({ phase: 'running', probe });
    expect(await send('GET', '/v1/health')).toMatchObject({ status: 200, body: { serves: true } });
  });

  test('closing ends the questions that wait', async () => {
    const asked = createMembersHttp(http).status(url, { after: 1, waitMs: 30_000 }, within());
    const outcome = asked.then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
    await until('it waits', 5000, async () => fake.waiting() === 1);
    await withDeadline(clock, 2000, new AbortController().signal, async () => await server.close());
    expect(await outcome).toMatch(/answered|unreachable/);
  });

  test('a port that is taken is a typed error', async () => {
    const again = listenForSchedulers({
      supervisor: fake.supervisor,
      hosts: ['127.0.0.1'],
      port,
      log: silentLogger,
    });
    await expect(again).rejects.toMatchObject({ code: 'port-in-use' });
  });
});

describe('a supervisor that is none', () => {
  const http = createHttpTransport();
  const answering = async (text: string | null): Promise<{ url: string; close: () => void }> => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => (text === null ? socket.destroy() : socket.end(text)));
    });
    const [port = 0] = await freePorts(1);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
  };
  const response = (status: string, body: string) =>
    `HTTP/1.1 ${status}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;

  test.for([
    ['that hangs up', null, 'unreachable'],
    ['that speaks no HTTP', 'hello\n', 'malformed'],
    ['that answers 500', response('500 No', 'broken'), 'malformed'],
    ['that answers no JSON', response('200 OK', '<html>'), 'malformed'],
    ['that answers something else', response('200 OK', '{"phase":"idle"}'), 'malformed'],
    ['of a newer protocol', response('200 OK', JSON.stringify({ ...base, protocol: 99 })), 'malformed'],
  ] as const)('%s', async ([, text, code]) => {
    const { url, close } = await answering(text);
    try {
      const asked = createMembersHttp(http).status(url, null, AbortSignal.timeout(5000));
      await expect(asked).rejects.toMatchObject({ code });
    } finally {
      close();
    }
  });

  test('nobody there, and a question that is taken back', async () => {
    const [port = 0] = await freePorts(1);
    const members = createMembersHttp(http);
    await expect(
      members.status(`http://127.0.0.1:${port}`, null, AbortSignal.timeout(5000)),
    ).rejects.toMatchObject({
      code: 'unreachable',
    });
    const { url, close } = await answering('');
    const given = new AbortController();
    const asked = members.status(url, null, given.signal);
    given.abort();
    await expect(asked).rejects.toMatchObject({ code: 'aborted' });
    close();
  });
});
