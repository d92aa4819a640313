import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { MasterHeaders } from '../../src/mesos/credentials.ts';
import {
  createIamHeaders,
  DCOS_LOGIN_URL,
  LOGIN_APART_MS,
  LOGIN_DEADLINE_MS,
  RENEW_AHEAD_MS,
  RENEW_APART_MS,
} from '../../src/mesos/iam-login.ts';
import type { ServiceAccount } from '../../src/mesos/service-account.ts';
import type { MemoryHandler, MemoryResponse } from '../sim/memory-transport.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import { createNetwork, type Network } from './network.ts';

const ACCOUNT: ServiceAccount = {
  uid: 'etcd',
  privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  loginUrl: 'http://iam/login',
};
const HOUR_MS = 3_600_000;

interface World {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly headers: MasterHeaders;
  /** What the identity service does; tokens that end after an hour by default. */
  answer: (login: number) => MemoryResponse | Promise<MemoryResponse>;
  readonly logins: () => number;
  /** The token that the headers hold. */
  readonly token: () => Promise<string>;
}

function world(): World {
  const clock = createVirtualClock();
  const network = createNetwork();
  const handler: MemoryHandler = () => made.answer(network.requests.length);
  network.serve('http://iam', handler);
  const headers = createIamHeaders({ transport: network.transport, clock, account: ACCOUNT });
  const made: World = {
    clock,
    network,
    headers,
    answer: (login) => granted(`token-${login}`, clock.wallMs() + HOUR_MS),
    logins: () => network.requests.length,
    token: async () => (await clock.during(headers()))['authorization'] ?? '',
  };
  return made;
}

/** An answer with a token that tells its end. */
function granted(name: string, endMs: number | null): MemoryResponse {
  const payload = endMs === null ? {} : { exp: endMs / 1000 };
  const token = `${name}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.s`;
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) };
}

describe('a login', () => {
  it('posts the account and a token of its key, and sends what it gets', async () => {
    const { network, token } = world();
    expect(await token()).toMatch(/^token=token-1\./);
    const [request] = network.requests;
    expect(request).toMatchObject({ method: 'POST', url: 'http://iam/login' });
    expect(JSON.parse(request?.body ?? '')).toEqual({
      uid: 'etcd',
      token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) as string,
    });
  });

  it('goes to the master’s own address where the credentials name none', async () => {
    const clock = createVirtualClock();
    const network = createNetwork();
    network.serve('http://master.mesos', () => granted('token', null));
    const account = { ...ACCOUNT, loginUrl: null };
    await clock.during(createIamHeaders({ transport: network.transport, clock, account })());
    expect(network.requests[0]?.url).toBe(DCOS_LOGIN_URL);
  });

  it('is shared by all who ask at once, and kept', async () => {
    const { clock, headers, logins } = world();
    const all = await clock.during(Promise.all([headers(), headers(), headers()]));
    expect(new Set(all.map((one) => one['authorization'])).size).toBe(1);
    await clock.during(headers());
    expect(logins()).toBe(1);
  });

  it('is done anew shortly before the token ends, whatever the wall clock does meanwhile', async () => {
    const { clock, token, logins } = world();
    await token();
    clock.jumpWall(-HOUR_MS);
    await clock.advance(HOUR_MS - RENEW_AHEAD_MS - 1);
    await token();
    expect(logins()).toBe(1);
    await clock.advance(1);
    expect(await token()).toMatch(/^token=token-2\./);
  });

  it.each([
    ['a token that tells no end', null, 300_000],
    ['one that has ended already by our clock', -HOUR_MS, 60_000],
    ['one that never ends', 10 * 365 * 24 * HOUR_MS, 7 * 24 * HOUR_MS],
  ])('holds %s within bounds', async (_what, lifeMs, believedMs) => {
    const made = world();
    made.answer = (login) => granted(`t${login}`, lifeMs === null ? null : made.clock.wallMs() + lifeMs);
    await made.token();
    await made.clock.advance(believedMs - RENEW_AHEAD_MS - 1);
    await made.token();
    expect(made.logins()).toBe(1);
    await made.clock.advance(1);
    await made.token();
    expect(made.logins()).toBe(2);
  });
});

describe('a login that fails', () => {
  it.each([
    ['refused', { status: 401, body: 'no' }, 'refused-login', 'refuses the login of etcd with 401'],
    ['forbidden', { status: 403, body: 'no' }, 'refused-login', '403'],
    ['an outage', { status: 503, body: 'later' }, 'login-failed', 'answers 503'],
    ['no JSON', { status: 200, body: '<html>' }, 'login-failed', 'without a token'],
    ['no token', { status: 200, body: '{"token":7}' }, 'login-failed', 'without a token'],
    [
      'a token with a line break',
      { status: 200, body: '{"token":"a\\nb"}' },
      'login-failed',
      'without a token',
    ],
    [
      'too much',
      { status: 200, body: `{"token":"${'x'.repeat(70_000)}"}` },
      'login-failed',
      'without a token',
    ],
  ] as const)('%s is told', async (_what, response, code, message) => {
    const made = world();
    made.answer = () => response;
    await expect(made.token()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it('for lack of an answer ends by its deadline', async () => {
    const made = world();
    made.answer = () => new Promise(() => {});
    const startMs = made.clock.monotonicMs();
    await expect(made.token()).rejects.toMatchObject({ code: 'login-failed' });
    expect(made.clock.monotonicMs() - startMs).toBe(LOGIN_DEADLINE_MS);
  });

  it('is not repeated at once, however many ask', async () => {
    const made = world();
    made.answer = () => ({ status: 503 });
    for (let at = 0; at < 5; at += 1)
      await expect(made.token()).rejects.toMatchObject({ code: 'login-failed' });
    expect(made.logins()).toBe(1);
    await made.clock.advance(LOGIN_APART_MS);
    await expect(made.token()).rejects.toMatchObject({ code: 'login-failed' });
    expect(made.logins()).toBe(2);
  });

  it('leaves a token in use that still holds, to its very end', async () => {
    const made = world();
    const first = await made.token();
    made.answer = () => ({ status: 503 });
    await made.clock.advance(HOUR_MS - 1);
    expect(await made.token()).toBe(first);
    expect(made.logins()).toBe(2);
    await made.clock.advance(1);
    await expect(made.token()).rejects.toMatchObject({ code: 'login-failed' });
  });

  it('shows neither key nor token', async () => {
    const made = world();
    made.answer = () => ({ status: 401, body: 'token-secret' });
    const error = (await made.token().catch((thrown: unknown) => thrown)) as Error & { hint: string };
    const { token: sent } = JSON.parse(made.network.requests[0]?.body ?? '') as { token: string };
    expect(`${error.message} ${error.hint} ${error.stack}`).not.toMatch(/token-secret|PRIVATE KEY/);
    expect(`${error.message} ${error.stack}`).not.toContain(sent);
  });
});

describe('a token that a master refuses', () => {
  it('is renewed once, not again as soon as it is new', async () => {
    const { clock, headers, token, logins } = world();
    const refused = await clock.during(headers());
    await clock.advance(RENEW_APART_MS);
    expect(headers.renew?.(refused)).toBe(true);
    expect(await token()).toMatch(/^token=token-2\./);
    expect(headers.renew?.(await clock.during(headers()))).toBe(false);
    expect(logins()).toBe(2);
  });

  it('that somebody else has renewed is not renewed again', async () => {
    const { clock, headers, logins } = world();
    const refused = await clock.during(headers());
    await clock.advance(RENEW_APART_MS);
    for (let at = 0; at < 3; at += 1) {
      expect(headers.renew?.(refused)).toBe(true);
      await clock.during(headers());
    }
    expect(logins()).toBe(2);
  });
});
