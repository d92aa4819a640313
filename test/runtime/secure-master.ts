import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodeRecord } from '../../src/mesos/record-io.ts';
import { subscribedEvent } from '../mesos/network.ts';
import type { Certificates } from './certificates.ts';

/** A master and an identity service behind one certificate: what is asked of them is decided here. */
export interface SecureMaster {
  readonly base: string;
  readonly loginUrl: string;
  /** What the logins said, as far as their signature held. */
  readonly logins: readonly { readonly uid: string; readonly exp: number }[];
  /** The `authorization` of every request to the master. */
  readonly seen: readonly (string | undefined)[];
  /** The principals of those who subscribed. */
  readonly principals: readonly (string | undefined)[];
  /** The tokens given so far are worth nothing any more. */
  revoke(): void;
  close(): Promise<void>;
}

export async function startSecureMaster(
  { key, certificate }: Pick<Certificates, 'key' | 'certificate'>,
  accountKey: KeyObject,
): Promise<SecureMaster> {
  const logins: { uid: string; exp: number }[] = [];
  const seen: (string | undefined)[] = [];
  const principals: (string | undefined)[] = [];
  let good = '';
  const server: Server = createServer({ key, cert: certificate }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, never>;
      if (request.url === '/acs/api/v1/auth/login') {
        const claims = claimsOf(String(body['token']), accountKey);
        if (claims === null) {
          response.writeHead(401).end('{"title":"Unauthorized"}');
          return;
        }
        logins.push(claims);
        good = `h.${Buffer.from(JSON.stringify({ exp: Date.now() / 1000 + 3600 })).toString('base64url')}.s${logins.length}`;
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token: good }));
        return;
      }
      seen.push(request.headers.authorization);
      if (request.headers.authorization !== `token=${good}`) {
        response.writeHead(401, { 'www-authenticate': 'acsjwt' }).end('401 Unauthorized.');
        return;
      }
      if (request.headers['mesos-stream-id'] !== undefined) {
        response.writeHead(202).end();
        return;
      }
      const { subscribe } = body as unknown as { subscribe: { framework_info: { principal?: string } } };
      principals.push(subscribe.framework_info.principal);
      response.writeHead(200, { 'content-type': 'application/json', 'mesos-stream-id': 'stream-1' });
      response.write(encodeRecord(JSON.stringify(subscribedEvent())));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    base,
    loginUrl: `${base}/acs/api/v1/auth/login`,
    logins,
    seen,
    principals,
    revoke: () => {
      good = 'none';
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** What a token says, where the account's key has signed it. */
function claimsOf(token: string, accountKey: KeyObject): { uid: string; exp: number } | null {
  const [head = '', payload = '', signature = ''] = token.split('.');
  const signed = Buffer.from(`${head}.${payload}`, 'utf8');
  const isOurs = verify('sha256', signed, createPublicKey(accountKey), Buffer.from(signature, 'base64url'));
  if (!isOurs) return null;
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { uid: string; exp: number };
}
