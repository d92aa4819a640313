import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { Leadership, LeadershipTerm } from '../../src/base/ports.ts';
import { type ApiFront, createApiFront } from '../../src/runtime/api-front.ts';
import { type ApiServer, startApiServer } from '../../src/runtime/api-server.ts';
import { type ClosableHttpTransport, createHttpTransport } from '../../src/runtime/http-transport.ts';
import { CONFIG } from '../framework/fixtures.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryElection } from '../sim/memory-election.ts';
import { clock } from '../wait.ts';

/** Schedulers' APIs on sockets: all that they share is an election. */

const TARBALL = Buffer.alloc(24 * 1024 * 1024, 'a tarball of some size ');
const PIECE = 1024 * 1024;
const servers: ApiServer[] = [];
const transports: ClosableHttpTransport[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(async (server) => await server.close()));
  await Promise.all(transports.splice(0).map(async (transport) => await transport.close()));
});

interface Process {
  readonly front: ApiFront;
  readonly leadership: Leadership;
  readonly url: string;
}

const election = createMemoryElection();

async function start(): Promise<Process> {
  const transport = createHttpTransport();
  transports.push(transport);
  const front = createApiFront({
    isElected: true,
    relay: transport.relay,
    clock,
    log: silentLogger,
    token: 'secret',
    build: 'test',
  });
  const server = await startApiServer(front.app, { listen: '127.0.0.1', port: 0 });
  servers.push(server);
  const url = `http://127.0.0.1:${server.port}`;
  const leadership = election.candidate(url);
  front.listens(url, leadership);
  const artifact = {
    name: 'a.tar.gz',
    sizeBytes: TARBALL.byteLength,
    sha256: 'ab'.repeat(32),
    open: tarball,
  };
  front.canAct({ config: CONFIG, artifacts: [artifact], scheduler: () => null });
  return { front, leadership, url };
}

/** Piece by piece, as a file is read. */
function tarball(): ReadableStream<Uint8Array> {
  let read = 0;
  return new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (read === TARBALL.byteLength) return controller.close();
      controller.enqueue(new Uint8Array(TARBALL.subarray(read, read + PIECE)));
      read += PIECE;
    },
  });
}

async function lead({ front, leadership }: Process): Promise<LeadershipTerm> {
  const term = await leadership.lead(new AbortController().signal);
  front.leads(term);
  return term;
}

const roleOf = async ({ url }: Process): Promise<unknown> => await (await fetch(`${url}/v1/liveness`)).json();

describe('schedulers that share an election', () => {
  test('answer as the one that leads, whichever is asked', async () => {
    const [a, b] = [await start(), await start()];
    expect((await fetch(`${a.url}/v1/artifacts/a.tar.gz`)).status, 'nobody leads').toBe(503);
    const term = await lead(a);
    expect(await roleOf(a)).toEqual({ role: 'leader', leader: a.url, terms: 1 });
    expect(await roleOf(b)).toEqual({ role: 'standby', leader: a.url, terms: 0 });

    const answer = await fetch(`${b.url}/v1/artifacts/a.tar.gz`);
    expect(answer.headers.get('content-length')).toBe(String(TARBALL.byteLength));
    const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    expect(digest(await answer.bytes())).toBe(digest(TARBALL));
    const head = await fetch(`${b.url}/v1/artifacts/a.tar.gz`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(TARBALL.byteLength)]);

    await term.resign();
    expect(await roleOf(a), 'before its work has ended').toMatchObject({ role: 'standby' });
    const next = await lead(b);
    expect((await fetch(`${a.url}/v1/artifacts/a.tar.gz`, { method: 'HEAD' })).status).toBe(200);
    await next.resign();
  });

  test('let go of a request whose client has gone', async () => {
    const [a, b] = [await start(), await start()];
    const term = await lead(a);
    const leave = async (): Promise<void> => {
      const gone = new AbortController();
      const answer = await fetch(`${b.url}/v1/artifacts/a.tar.gz`, { signal: gone.signal });
      expect(answer.status).toBe(200);
      gone.abort();
    };
    // More than there are connections to the leader.
    for (let round = 0; round < 8; round += 1) await Promise.all(Array.from({ length: 10 }, leave));
    expect((await fetch(`${b.url}/v1/artifacts/a.tar.gz`, { method: 'HEAD' })).status).toBe(200);
    await term.resign();
  });
});
