import { generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { frameworkInfoOf } from '../../src/framework/config.ts';
import {
  anyAuthenticator,
  createBasicAuthenticator,
  createTokenAuthenticator,
} from '../../src/local/authentication.ts';
import { createMasterMachine, type MasterMachine } from '../../src/local/master-machine.ts';
import type { ConnectionEvent } from '../../src/mesos/connection.ts';
import { basicHeaders, type MasterHeaders } from '../../src/mesos/credentials.ts';
import { createIamHeaders, RENEW_APART_MS } from '../../src/mesos/iam-login.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import type { ServiceAccount } from '../../src/mesos/service-account.ts';
import { CONFIG } from '../framework/fixtures.ts';
import { createByteStream, type MemoryHandler, type MemoryResponse } from '../sim/memory-transport.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { createNetwork, createRecordedLog } from './network.ts';

/** The client's credentials before the local master, which refuses as its recordings of Mesos do. */

const INFO = frameworkInfoOf({ ...CONFIG.framework, principal: 'etcd' });
const M1 = 'http://m1:5050';
const IAM = 'http://iam';
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function served(machine: MasterMachine, now: () => { monotonicMs: number; wallMs: number }): MemoryHandler {
  let exchanges = 0;
  return ({ method, url, headers, body = '' }): MemoryResponse => {
    exchanges += 1;
    const exchange = `exchange-${exchanges}`;
    const stream = createByteStream();
    let head: { readonly status: number; readonly headers: Readonly<Record<string, string>> } | null = null;
    const path = new URL(url).pathname;
    for (const output of machine.handle({ kind: 'request', exchange, method, path, headers, body }, now())) {
      if (output.kind === 'respond') return output;
      if (output.kind === 'open-stream') head = output;
      if (output.kind === 'record')
        stream.push(`${new TextEncoder().encode(output.json).byteLength}\n${output.json}`);
    }
    if (head === null) throw new Error('the master has not answered');
    return { ...head, body: stream };
  };
}

function world(
  credentials: (of: Pick<ReturnType<typeof parts>, 'clock' | 'network'>) => MasterHeaders | undefined,
) {
  const made = parts();
  const { clock, network } = made;
  const headers = credentials(made);
  const events: ConnectionEvent[] = [];
  const connection = createSchedulerConnection({
    transport: network.transport,
    clock,
    random: { next: () => 0.5 },
    log: createRecordedLog(),
    masters: createFixedMasterSource(M1),
    frameworkInfo: () => INFO,
    frameworkId: null,
    ...(headers === undefined ? {} : { headers }),
    onEvent: (event) => events.push(event),
  });
  const controller = new AbortController();
  const run = connection.run(controller.signal).catch((error: unknown) => error);
  cleanups.push(async () => {
    controller.abort();
    await run;
  });
  return { ...made, events, connection, run };
}

function parts() {
  const clock = createVirtualClock();
  const network = createNetwork();
  const now = () => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const tokens = new Map<string, string>();
  let ids = 0;
  const machine = createMasterMachine({
    ids: {
      uuid: () => {
        ids += 1;
        return `00000000-0000-4000-8000-${String(ids).padStart(12, '0')}`;
      },
    },
    hostname: 'm1',
    ip: '10.0.0.1',
    port: 5050,
    startedAt: now(),
    authentication: {
      authenticate: anyAuthenticator([
        createBasicAuthenticator(new Map([['etcd', 'hunter2']])),
        createTokenAuthenticator((token) => tokens.get(token) ?? null),
      ]),
      realms: new Set(['scheduler']),
    },
  });
  network.serve(M1, served(machine, now));
  network.serve(IAM, ({ body = '' }) => {
    const { uid } = JSON.parse(body) as { uid: string };
    const token = `token-${network.requests.length}`;
    tokens.set(token, uid);
    return { status: 200, body: JSON.stringify({ token }) };
  });
  return { clock, network, tokens };
}

const account = (uid: string): ServiceAccount => ({
  uid,
  privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  loginUrl: `${IAM}/login`,
});

describe('a master that asks for credentials', () => {
  it('lets in who has the secret, and takes calls', async () => {
    const { clock, events, connection } = world(() => basicHeaders('etcd', 'hunter2'));
    await clock.settle();
    expect(events[0]).toMatchObject({ kind: 'subscribed' });
    await connection.call({ type: 'SUPPRESS' });
  });

  it.each([
    [
      'no credentials',
      (): MasterHeaders | undefined => undefined,
      'refused-unauthenticated',
      '401 Unauthorized',
    ],
    ['a wrong secret', () => basicHeaders('etcd', 'wrong'), 'refused-unauthenticated', '401 Unauthorized'],
  ] as const)('refuses %s for good', async (_what, credentials, code, message) => {
    const { run } = world(credentials);
    expect(await run).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });

  it('refuses a service account that is not the framework’s principal', async () => {
    const { run } = world(({ clock, network }) =>
      createIamHeaders({ transport: network.transport, clock, account: account('somebody-else') }),
    );
    expect(await run).toMatchObject({
      code: 'refused-subscription',
      message: expect.stringContaining("does not match principal 'etcd'") as string,
    });
  });

  it('lets in a service account, and again with a new token when its first is worth nothing', async () => {
    const { clock, events, connection, tokens, network } = world((made) =>
      createIamHeaders({ transport: made.network.transport, clock: made.clock, account: account('etcd') }),
    );
    await clock.settle();
    expect(events[0]).toMatchObject({ kind: 'subscribed' });
    tokens.clear();
    await clock.advance(RENEW_APART_MS);
    await connection.call({ type: 'SUPPRESS' });
    expect(network.requests.filter(({ url }) => url.startsWith(IAM))).toHaveLength(2);
    expect(tokens.size).toBe(1);
  });
});
