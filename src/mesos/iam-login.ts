import * as z from 'zod';
import { jsonOf, readBody } from '../base/body.ts';
import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, HttpTransport } from '../base/ports.ts';
import type { MasterHeaders } from './credentials.ts';
import { MesosError } from './errors.ts';
import { loginToken, type ServiceAccount, tokenEndMs } from './service-account.ts';

/** Where the accounts of DC/OS log in unless their secret says else. */
export const DCOS_LOGIN_URL = 'http://master.mesos/acs/api/v1/auth/login';

/** Milliseconds for a login: less than a master's answer may take, which waits for it. */
export const LOGIN_DEADLINE_MS = 8_000;
/** A token is renewed this long before it ends. */
export const RENEW_AHEAD_MS = 30_000;
/** Bounds of what is believed of a token's life, and what is assumed of one that does not tell. */
const LIFE_MS_MIN = 60_000;
const LIFE_MS_MAX = 7 * 86_400_000;
const LIFE_MS_UNTOLD = 300_000;
/** After a login that came to nothing the next is not begun sooner. */
export const LOGIN_APART_MS = 1_000;
/** A token that is refused is renewed, unless it is younger than this: a new one would be refused as well. */
export const RENEW_APART_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;

const answerSchema = z.object({ token: z.string().regex(/^[\x21-\x7e]{1,16384}$/) });

interface Token {
  readonly text: string;
  /** All monotonic. */
  readonly gotAtMs: number;
  readonly renewAtMs: number;
  readonly endsAtMs: number;
}

export interface IamOptions {
  readonly transport: HttpTransport;
  readonly clock: Clock;
  readonly account: ServiceAccount;
}

/**
 * Authenticates with the token that a service account gets from the identity service of DC/OS. One login at a time,
 * shared by all who ask; a token that still holds is used on where its renewal fails.
 * The headers reject with a `MesosError`: `login-failed` where another try may help, `refused-login` where not.
 */
export function createIamHeaders({ transport, clock, account }: IamOptions): MasterHeaders {
  let token: Token | null = null;
  let login: Promise<Token> | null = null;
  let failed: { readonly error: unknown; readonly atMs: number } | null = null;

  const logIn = async (): Promise<Token> => {
    try {
      const text = await askForToken(transport, clock, account);
      failed = null;
      token = tokenOf(text, clock);
      return token;
    } catch (error) {
      failed = { error, atMs: clock.monotonicMs() };
      throw error;
    } finally {
      login = null;
    }
  };

  const renewed = async (): Promise<Token> => {
    if (login === null && failed !== null && clock.monotonicMs() - failed.atMs < LOGIN_APART_MS) {
      throw failed.error as Error;
    }
    login ??= logIn();
    return await login;
  };

  const current = async (): Promise<Token> => {
    const known = token;
    if (known !== null && clock.monotonicMs() < known.renewAtMs) return known;
    try {
      return await renewed();
    } catch (error) {
      if (known !== null && clock.monotonicMs() < known.endsAtMs) return known;
      throw error;
    }
  };

  const headers = async () => ({ authorization: headerOf(await current()) });
  return Object.assign(headers, {
    renew(refused: Readonly<Record<string, string>>): boolean {
      // Somebody else has renewed it meanwhile.
      if (token === null || refused['authorization'] !== headerOf(token)) return true;
      if (clock.monotonicMs() - token.gotAtMs < RENEW_APART_MS) return false;
      token = null;
      return true;
    },
  });
}

const headerOf = ({ text }: Token): string => `token=${text}`;

/** How long it holds by its own word and our clock, within bounds: neither is to be trusted beyond them. */
function tokenOf(text: string, clock: Clock): Token {
  const endMs = tokenEndMs(text);
  const told = endMs === null ? LIFE_MS_UNTOLD : endMs - clock.wallMs();
  const lifeMs = Math.min(Math.max(told, LIFE_MS_MIN), LIFE_MS_MAX);
  const gotAtMs = clock.monotonicMs();
  return { text, gotAtMs, renewAtMs: gotAtMs + lifeMs - RENEW_AHEAD_MS, endsAtMs: gotAtMs + lifeMs };
}

async function askForToken(transport: HttpTransport, clock: Clock, account: ServiceAccount): Promise<string> {
  const url = account.loginUrl ?? DCOS_LOGIN_URL;
  // It ends by its deadline alone: those who wait for it may have given up one by one.
  const { signal } = new AbortController();
  let answer: { readonly status: number; readonly text: string };
  try {
    answer = await withDeadline(clock, LOGIN_DEADLINE_MS, signal, async (inner) => {
      const response = await transport.request({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ uid: account.uid, token: loginToken(account, clock.wallMs()) }),
        signal: inner,
      });
      return { status: response.status, text: (await readBody(response.body, ANSWER_BYTES_MAX)).text };
    });
  } catch (cause) {
    throw loginFailed(`${url} cannot be asked: ${describeError(cause)}`, cause);
  }
  if (answer.status === 200) return tokenIn(answer.text, url);
  if (answer.status === 400 || answer.status === 401 || answer.status === 403) {
    throw new MesosError(
      'refused-login',
      `${url} refuses the login of ${account.uid} with ${answer.status}`,
      {
        hint:
          'Check that the service account exists, that the private key is the one it was made with, and that the clock ' +
          'of this machine is right: a login is good for two minutes.',
      },
    );
  }
  throw loginFailed(`${url} answers ${answer.status}`);
}

function tokenIn(text: string, url: string): string {
  const parsed = answerSchema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data.token;
  throw loginFailed(`${url} answers 200 without a token`);
}

function loginFailed(message: string, cause?: unknown): MesosError {
  return new MesosError('login-failed', `the service account was not logged in: ${message}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'login_endpoint in its credentials says where; an https one needs --master-ca-file where its CA is your own.',
  });
}
