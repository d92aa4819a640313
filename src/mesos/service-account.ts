import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import * as z from 'zod';
import { jsonOf } from '../base/body.ts';
import { CodedError } from '../base/errors.ts';

/** A DC/OS service account, as the secret that `dcos security secrets create-sa-secret` makes holds it. */
export interface ServiceAccount {
  /** Its name; the framework's principal is the same. */
  readonly uid: string;
  readonly privateKey: KeyObject;
  /** Where it logs in; `null` where the secret does not say. */
  readonly loginUrl: string | null;
}

/** Why a service account's credentials are not used. Never shows them. */
export class ServiceAccountError extends CodedError<'malformed'> {}

/** Characters of the JSON. */
const TEXT_CHARS_MAX = 64 * 1024;
const KEY_BITS_MIN = 2048;
/** Milliseconds for which a login is good to be begun with. */
const LOGIN_VALID_MS = 120_000;

const credentialSchema = z.object({
  uid: z.string().regex(/^[^\s]{1,200}$/),
  private_key: z.string(),
  scheme: z.literal('RS256').optional(),
  login_endpoint: z.url({ protocol: /^https?$/ }).optional(),
});

/** Reads the JSON of a secret. Throws a {@link ServiceAccountError}, which shows nothing of what was read. */
export function parseServiceAccount(text: string): ServiceAccount {
  // What the parser of JSON says of a fault may quote a part of the key.
  const json = text.length > TEXT_CHARS_MAX ? undefined : jsonOf(text);
  if (json === undefined) throw malformed(`not JSON of at most ${TEXT_CHARS_MAX} characters`);
  const parsed = credentialSchema.safeParse(json);
  if (!parsed.success) {
    const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole'))];
    throw malformed(`missing or wrong in: ${fields.join(', ')}`);
  }
  const { uid, private_key: pem, login_endpoint: loginUrl = null } = parsed.data;
  return { uid, privateKey: keyOf(pem), loginUrl };
}

function keyOf(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    throw malformed('private_key is not an unencrypted private key in PEM');
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType === 'rsa' && bits >= KEY_BITS_MIN) return key;
  throw malformed(`private_key is not an RSA key of at least ${KEY_BITS_MIN} bits`);
}

function malformed(what: string): ServiceAccountError {
  return new ServiceAccountError('malformed', `the service account's credentials are unusable: ${what}`, {
    hint:
      'They are a JSON object with uid, private_key (PKCS #8 in PEM) and, where the login is elsewhere, login_endpoint; ' +
      'dcos security secrets create-sa-secret makes it.',
  });
}

/** What the account logs in with: a JWT, signed with RS256, that is good for two minutes. */
export function loginToken({ uid, privateKey }: ServiceAccount, wallMs: number): string {
  const claims = { uid, exp: Math.floor((wallMs + LOGIN_VALID_MS) / 1000) };
  const signed = `${base64url({ alg: 'RS256', typ: 'JWT' })}.${base64url(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed, 'utf8'), privateKey).toString('base64url')}`;
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');

/** When a token ends, milliseconds since 1970; `null` where it does not say. Its signature is not ours to check. */
export function tokenEndMs(token: string): number | null {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const exp = (payload as { exp?: unknown } | null)?.exp;
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}
