import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  loginToken,
  parseServiceAccount,
  ServiceAccountError,
  tokenEndMs,
} from '../../src/mesos/service-account.ts';

const PEM = { type: 'pkcs8', format: 'pem' } as const;
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEY = RSA.privateKey.export(PEM).toString();
const whole = {
  uid: 'etcd',
  private_key: KEY,
  scheme: 'RS256',
  login_endpoint: 'https://leader.mesos/acs/api/v1/auth/login',
};

const partOf = (token: string, at: number): unknown =>
  JSON.parse(Buffer.from(token.split('.')[at] ?? '', 'base64url').toString('utf8'));

describe('the credentials of a service account', () => {
  it('are read as DC/OS writes them, and without what may be left out', () => {
    expect(parseServiceAccount(JSON.stringify(whole))).toMatchObject({
      uid: 'etcd',
      loginUrl: 'https://leader.mesos/acs/api/v1/auth/login',
    });
    const bare = JSON.stringify({ uid: 'etcd', private_key: KEY, public_key: 'not ours' });
    expect(parseServiceAccount(bare).loginUrl).toBeNull();
  });

  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export(PEM).toString();
  const other = generateKeyPairSync('ed25519').privateKey.export(PEM).toString();
  it.each([
    ['no JSON', `{"uid":"etcd","private_key":"${KEY.slice(0, 80)}`, 'not JSON'],
    ['no object', '[]', 'the whole'],
    ['without a name', JSON.stringify({ ...whole, uid: undefined }), 'uid'],
    ['a name of two words', JSON.stringify({ ...whole, uid: 'a b' }), 'uid'],
    ['without a key', JSON.stringify({ ...whole, private_key: undefined }), 'private_key'],
    ['another scheme', JSON.stringify({ ...whole, scheme: 'HS256' }), 'scheme'],
    ['a login elsewhere', JSON.stringify({ ...whole, login_endpoint: 'ftp://x' }), 'login_endpoint'],
    [
      'a broken key',
      JSON.stringify({ ...whole, private_key: KEY.slice(0, 300) }),
      'not an unencrypted private key',
    ],
    ['a short key', JSON.stringify({ ...whole, private_key: weak }), 'at least 2048 bits'],
    ['a key of another kind', JSON.stringify({ ...whole, private_key: other }), 'not an RSA key'],
    ['too much', JSON.stringify({ ...whole, more: 'x'.repeat(70_000) }), 'at most 65536 characters'],
  ])('with %s are refused, and not shown', (_what, text, message) => {
    let error: unknown;
    try {
      parseServiceAccount(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ServiceAccountError);
    const { message: said, hint, cause } = error as ServiceAccountError;
    expect(said).toContain(message);
    expect(`${said} ${hint} ${String(cause)}`).not.toContain(KEY.slice(40, 70));
  });
});

describe('the token to log in with', () => {
  const account = parseServiceAccount(JSON.stringify(whole));
  const token = loginToken(account, 1_700_000_000_500);

  it('is a JWT that names the account and ends after two minutes', () => {
    expect(partOf(token, 0)).toEqual({ alg: 'RS256', typ: 'JWT' });
    expect(partOf(token, 1)).toEqual({ uid: 'etcd', exp: 1_700_000_120 });
  });

  it('is signed with the account’s key', () => {
    const [head = '', payload = '', signature = ''] = token.split('.');
    const signed = Buffer.from(`${head}.${payload}`, 'utf8');
    const key = createPublicKey(RSA.privateKey);
    expect(verify('sha256', signed, key, Buffer.from(signature, 'base64url'))).toBe(true);
  });

  it('tells its end, as any does, or not', () => {
    expect(tokenEndMs(token)).toBe(1_700_000_120_000);
    const payload = (value: unknown): string =>
      `h.${Buffer.from(JSON.stringify(value)).toString('base64url')}.s`;
    for (const none of ['', 'a.b.c', payload({}), payload({ exp: 'soon' }), payload(null)]) {
      expect(tokenEndMs(none)).toBeNull();
    }
  });
});
