import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ConnectionEvent, MesosConnection } from '../../src/mesos/connection.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { type MasterAccess, openMasterAccess } from '../../src/runtime/master-access.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { lacks } from '../needs.ts';
import { silentLogger } from '../silent-logger.ts';
import { until } from '../wait.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { type SecureMaster, startSecureMaster } from './secure-master.ts';

const NOTHING = { principal: null, secretFile: null, serviceAccount: null, masterCaFile: null };
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PRIVATE_KEY = RSA.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'master-access-'));
});
afterAll(async () => await rm(directory, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const where = path.join(directory, name);
  await writeFile(where, content, { mode: 0o600 });
  return where;
}

const credentials = (more: Record<string, unknown> = {}): string =>
  JSON.stringify({ uid: 'etcd', private_key: PRIVATE_KEY, scheme: 'RS256', ...more });

describe('access to the masters', () => {
  it('without credentials authenticates nobody', async () => {
    const access = await openMasterAccess({ ...NOTHING, principal: 'etcd-principal' }, undefined);
    expect(access).toMatchObject({ principal: 'etcd-principal', ca: null });
    expect(headersOf(access)).toBeUndefined();
  });

  it('by principal and secret is HTTP Basic', async () => {
    const secretFile = await file('secret', 'hunter2\n');
    const access = await openMasterAccess({ ...NOTHING, principal: 'me', secretFile }, undefined);
    expect(await headersOf(access)?.()).toEqual({ authorization: `Basic ${btoa('me:hunter2')}` });
  });

  it('by service account has its name for a principal, and no other', async () => {
    const serviceAccount = await file('account.json', credentials());
    for (const given of [serviceAccount, credentials()]) {
      const options = { ...NOTHING, serviceAccount: given };
      expect((await openMasterAccess(options, undefined)).principal).toBe('etcd');
      expect((await openMasterAccess({ ...options, principal: 'etcd' }, undefined)).principal).toBe('etcd');
      await expect(openMasterAccess({ ...options, principal: 'else' }, undefined)).rejects.toMatchObject({
        code: 'contradiction',
        message: '--principal is "else", the service account is "etcd"; they must be the same',
      });
    }
  });

  it('finds a relative path in the task’s sandbox too', async () => {
    await file('in-sandbox.json', credentials());
    const options = { ...NOTHING, serviceAccount: 'in-sandbox.json' };
    expect((await openMasterAccess(options, directory)).principal).toBe('etcd');
    await expect(openMasterAccess(options, '/nowhere')).rejects.toMatchObject({ code: 'secret-unreadable' });
  });

  it.each([
    ['nothing', '', 'no certificate in PEM'],
    ['a key', PRIVATE_KEY, 'no certificate in PEM'],
    [
      'a broken certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'cannot be used',
    ],
  ])('refuses %s as a CA', async (_what, content, message) => {
    const masterCaFile = await file('ca.pem', content);
    await expect(openMasterAccess({ ...NOTHING, masterCaFile }, undefined)).rejects.toMatchObject({
      code: 'ca-unusable',
      message: expect.stringContaining(message) as string,
    });
  });
});

function headersOf(access: MasterAccess): ReturnType<MasterAccess['headers']> {
  const transport = createHttpTransport();
  cleanups.push(transport.close);
  return access.headers({ transport, clock: createSystemClock() });
}

describe.skipIf(lacks('openssl'))('an https master', () => {
  let certificates: Certificates;
  let foreign: Certificates;
  let master: SecureMaster;
  beforeAll(async () => {
    certificates = await makeCertificates('IP:127.0.0.1');
    foreign = await makeCertificates('DNS:elsewhere.example');
  });
  afterAll(async () => {
    await certificates.remove();
    await foreign.remove();
  });

  async function start(which: Certificates = certificates): Promise<void> {
    master = await startSecureMaster(which, RSA.privateKey);
    cleanups.push(master.close);
  }

  /** The scheduler's own way to a master. */
  async function connect(
    more: Partial<typeof NOTHING> | { serviceAccount: string; masterCaFile: string | null },
  ) {
    const access = await openMasterAccess({ ...NOTHING, ...more }, undefined);
    const transport = createHttpTransport({ ca: access.ca });
    const clock = createSystemClock();
    const headers = access.headers({ transport, clock });
    const events: ConnectionEvent[] = [];
    const connection: MesosConnection = createSchedulerConnection({
      transport,
      clock,
      random: createSystemRandom(),
      log: silentLogger,
      masters: createFixedMasterSource(master.base),
      frameworkInfo: () => ({ user: 'root', name: 'etcd', roles: ['etcd'], principal: access.principal }),
      frameworkId: null,
      ...(headers === undefined ? {} : { headers }),
      onEvent: (event) => events.push(event),
    });
    const controller = new AbortController();
    const run = connection.run(controller.signal);
    cleanups.push(async () => {
      controller.abort();
      await run;
      await transport.close();
    });
    return { events, connection };
  }

  it('is subscribed to with the token of a login that the account’s key has signed', async () => {
    await start();
    const serviceAccount = credentials({ login_endpoint: master.loginUrl });
    const { events, connection } = await connect({ serviceAccount, masterCaFile: certificates.caFile });
    await until('a subscription', 10_000, () => events.length > 0);
    expect(events[0]).toMatchObject({ kind: 'subscribed' });
    expect(master.principals).toEqual(['etcd']);
    expect(master.logins).toMatchObject([{ uid: 'etcd' }]);
    await connection.call({ type: 'SUPPRESS' });
    expect(master.logins).toHaveLength(1);
    expect(new Set(master.seen).size).toBe(1);
  });

  it('whose CA nobody named is not spoken to, and it is said what to do', async () => {
    await start();
    const { events } = await connect({});
    await until('a refusal', 10_000, () => events.length > 0);
    expect(events[0]).toMatchObject({
      kind: 'disconnected',
      error: {
        code: 'untrusted-master',
        message: expect.stringMatching(/not trusted .*--master-ca-file names the CA/) as string,
      },
    });
    expect(master.seen).toEqual([]);
  });

  it('whose certificate is for another name is not spoken to', async () => {
    await start(foreign);
    const transport = createHttpTransport({ ca: foreign.ca });
    cleanups.push(transport.close);
    await expect(ask(transport)).rejects.toMatchObject({ code: 'untrusted' });
  });

  it('is known to those alone that were given its CA: members’ traffic is not affected', async () => {
    await start();
    const withCa = createHttpTransport({ ca: certificates.ca });
    const without = createHttpTransport();
    cleanups.push(withCa.close, without.close);
    await expect(ask(withCa)).resolves.toMatchObject({ status: 401 });
    await expect(ask(without)).rejects.toMatchObject({
      code: 'untrusted',
      message: expect.stringContaining('its certificate is not trusted') as string,
    });
  });

  const ask = (transport: ReturnType<typeof createHttpTransport>) =>
    transport.request({
      method: 'POST',
      url: `${master.base}/api/v1/scheduler`,
      headers: {},
      body: '{}',
      signal: AbortSignal.timeout(10_000),
    });
});
