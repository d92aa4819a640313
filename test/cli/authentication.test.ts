import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lacks } from '../needs.ts';
import { type Certificates, makeCertificates } from '../runtime/certificates.ts';
import { type SecureMaster, startSecureMaster } from '../runtime/secure-master.ts';
import { runCli } from './run-cli.ts';

/** The scheduler as it is started, before masters that know it or not. What is secret is looked for in its output. */

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const OTHER = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pemOf = (pair: typeof RSA): string =>
  pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

let directory = '';
let etcd = '';
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'authentication-'));
  etcd = path.join(directory, 'etcd');
  await writeFile(etcd, '#!/bin/sh\necho "etcd Version: 3.5.21"\n');
  await chmod(etcd, 0o755);
});
afterAll(async () => await rm(directory, { recursive: true }));

let states = 0;
function scheduler(master: string, ...more: readonly string[]): readonly string[] {
  states += 1;
  return [
    ...[
      'scheduler',
      '--master',
      master,
      '--state-dir',
      path.join(directory, `state-${states}`),
      '--port',
      '0',
    ],
    ...['--artifact', 'checkout', '--etcd-binary', etcd, '--master-timeout', '3s', ...more],
  ];
}

const credentials = (uid: string, loginUrl: string, pair = RSA): string =>
  JSON.stringify({ uid, private_key: pemOf(pair), scheme: 'RS256', login_endpoint: loginUrl });

describe('credentials that cannot be right end the scheduler with 2 before it does anything', () => {
  test.for([
    [
      'a service account of another name',
      credentials('etcd', 'http://127.0.0.1:1/'),
      'they must be the same',
    ],
    ['no credentials', `{"private_key":${JSON.stringify(pemOf(RSA))}}`, 'missing or wrong in: uid'],
    ['half of a JSON', credentials('etcd', 'http://127.0.0.1:1/').slice(0, 400), 'not JSON'],
  ] as const)('%s', async ([, json, message]) => {
    const environment = { DCOS_SERVICE_ACCOUNT_CREDENTIAL: json };
    const args = scheduler('127.0.0.1:1', '--principal', 'somebody-else');
    const { code, stdout, stderr } = await runCli(args, environment);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(stdout + stderr).not.toContain(pemOf(RSA).slice(60, 100));
  });
});

describe.skipIf(lacks('openssl'))('before a master of its own CA', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await makeCertificates('IP:127.0.0.1');
  });
  afterAll(async () => await certificates.remove());

  let master: SecureMaster | null = null;
  afterEach(async () => {
    await master?.close();
    master = null;
  });

  const loggingInWith = (file: string): readonly string[] => [
    ...['--service-account-file', file, '--master-ca-file', certificates.caFile],
    // What it says then may show secrets.
    ...['--log-level', 'debug'],
  ];

  test('the scheduler that is not told of the CA ends with 3 and says so', async () => {
    master = await startSecureMaster(certificates, RSA.privateKey);
    const { code, stderr } = await runCli(scheduler(master.base));
    expect([code, stderr]).toEqual([3, expect.stringContaining('--master-ca-file names the CA')]);
    expect(master.seen).toEqual([]);
  });

  test('a login with the wrong key ends it with 6, and shows no secret', async () => {
    master = await startSecureMaster(certificates, RSA.privateKey);
    const file = path.join(directory, 'wrong.json');
    await writeFile(file, credentials('etcd', master.loginUrl, OTHER), { mode: 0o600 });
    const { code, stdout, stderr } = await runCli(scheduler(master.base, ...loggingInWith(file)));
    expect([code, stderr]).toEqual([6, expect.stringContaining('refuses the login of etcd with 401')]);
    expect(stdout + stderr).not.toContain(pemOf(OTHER).slice(60, 100));
  });

  test('the right key lets it in, and its token is nowhere in its output', async () => {
    const started = await startSecureMaster(certificates, RSA.privateKey);
    master = started;
    const file = path.join(directory, 'right.json');
    await writeFile(file, credentials('etcd', started.loginUrl), { mode: 0o600 });
    const { stdout, stderr } = await runCli(
      scheduler(started.base, '--bootstrap', 'new', ...loggingInWith(file)),
      {},
      {
        line: '"subscribed"',
        signal: 'SIGTERM',
      },
    );
    expect(stdout).toContain('"subscribed"');
    expect([started.principals[0], started.logins.length]).toEqual(['etcd', 1]);
    expect(stdout + stderr).not.toContain(started.seen[0]?.replace('token=', '') ?? 'no request came');
  });
});
