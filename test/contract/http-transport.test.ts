import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpRequest, type HttpTransport, HttpTransportError } from '../../src/base/ports.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { serveOnLoopback } from '../sim/loopback-server.ts';
import { createByteStream, createMemoryTransport, type MemoryHandler } from '../sim/memory-transport.ts';
import { freePorts, until } from '../wait.ts';

interface Subject {
  readonly transport: HttpTransport;
  readonly base: string;
}
type Serve = (handler: MemoryHandler) => Promise<Subject>;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const SUBJECTS: Readonly<Record<string, Serve>> = {
  undici: async (handler) => {
    const server = await serveOnLoopback(handler);
    const transport = createHttpTransport();
    cleanups.push(server.close, () => transport.close());
    return { transport, base: server.base };
  },
  'in-memory': async (handler) => ({
    transport: createMemoryTransport(handler),
    base: 'http://master.example:5050',
  }),
};

describe.each(Object.entries(SUBJECTS))('the %s transport', (_name, serve) => {
  it('carries method, path, headers and body there, and status, headers and body back', async () => {
    const { transport, base } = await serve((request) => ({
      status: 202,
      headers: { 'x-answer': 'yes', 'content-type': 'text/plain' },
      body: `${request.method} ${new URL(request.url).pathname} ${request.headers['x-asked']} ${request.body}`,
    }));
    const response = await transport.request(
      post(`${base}/api/v1?x=1`, { headers: { 'x-asked': 'asked' }, body: 'größe' }),
    );
    expect(response.status).toBe(202);
    expect(response.headers['x-answer']).toBe('yes');
    expect(response.headers['content-type']).toBe('text/plain');
    expect(await textOf(response.body)).toBe('POST /api/v1 asked größe');
  });

  it('does not follow redirects', async () => {
    const { transport, base } = await serve(() => ({
      status: 307,
      headers: { location: '//elsewhere:1/x' },
    }));
    const response = await transport.request(post(base));
    expect(response.status).toBe(307);
    expect(response.headers['location']).toBe('//elsewhere:1/x');
    expect(await textOf(response.body)).toBe('');
  });

  it('gives the head of an endless answer at once, then its chunks as they come', async () => {
    const stream = createByteStream();
    const { transport, base } = await serve(() => ({ status: 200, body: stream }));
    stream.push('first ');
    const response = await transport.request(post(base));
    const chunks = response.body[Symbol.asyncIterator]();
    expect(decode((await chunks.next()).value)).toBe('first ');
    stream.push('second');
    expect(decode((await chunks.next()).value)).toBe('second');
    stream.end();
    expect((await chunks.next()).done).toBe(true);
  });

  it('throws connection-lost when the connection breaks inside the body', async () => {
    const stream = createByteStream();
    const { transport, base } = await serve(() => ({ status: 200, body: stream }));
    stream.push('half');
    const response = await transport.request(post(base));
    const chunks = response.body[Symbol.asyncIterator]();
    await chunks.next();
    stream.fail();
    await expect(chunks.next()).rejects.toMatchObject({ code: 'connection-lost' });
  });

  it('throws connection-lost when the connection breaks before the head', async () => {
    const { transport, base } = await serve(() => {
      throw new HttpTransportError('connection-lost', 'reset');
    });
    await expect(transport.request(post(base))).rejects.toMatchObject({ code: 'connection-lost' });
  });

  it('rejects with aborted when given up before the head, and the server hears of it', async () => {
    let gone: AbortSignal | null = null;
    const { transport, base } = await serve((request) => {
      gone = request.gone;
      return new Promise(() => {});
    });
    const controller = new AbortController();
    const request = transport.request(post(base, { signal: controller.signal }));
    await until('the other side sees it', 5_000, () => gone !== null);
    controller.abort();
    await expect(request).rejects.toMatchObject({ code: 'aborted' });
    await until('the other side sees it', 5_000, () => gone?.aborted === true);
  });

  it('throws aborted when given up inside the body, and the server hears of it', async () => {
    const stream = createByteStream();
    let gone: AbortSignal | null = null;
    const { transport, base } = await serve((request) => {
      gone = request.gone;
      return { status: 200, body: stream };
    });
    stream.push('x');
    const controller = new AbortController();
    const response = await transport.request(post(base, { signal: controller.signal }));
    const chunks = response.body[Symbol.asyncIterator]();
    await chunks.next();
    const next = chunks.next();
    controller.abort();
    await expect(next).rejects.toMatchObject({ code: 'aborted' });
    await until('the other side sees it', 5_000, () => gone?.aborted === true);
  });

  it('rejects with aborted when the signal had aborted before', async () => {
    const { transport, base } = await serve(() => ({ status: 200 }));
    const request = transport.request(post(base, { signal: AbortSignal.abort() }));
    await expect(request).rejects.toMatchObject({ code: 'aborted' });
  });

  it('lets go of the connection when given up with the body unread', async () => {
    const stream = createByteStream();
    let gone: AbortSignal | null = null;
    const { transport, base } = await serve((request) => {
      gone = request.gone;
      return { status: 200, body: stream };
    });
    const controller = new AbortController();
    const response = await transport.request(post(base, { signal: controller.signal }));
    controller.abort();
    await expect(textOf(response.body)).rejects.toMatchObject({ code: 'aborted' });
    await until('the other side sees it', 5_000, () => gone?.aborted === true);
  });

  it('closes the connection when the reader leaves', async () => {
    const stream = createByteStream();
    const { transport, base } = await serve(() => ({ status: 200, body: stream }));
    stream.push('x');
    const response = await transport.request(post(base));
    for await (const chunk of response.body) {
      expect(decode(chunk)).toBe('x');
      break;
    }
    await until('the other side sees it', 5_000, () => stream.left);
  });

  it('serves many requests side by side while streams stay open', async () => {
    const stream = createByteStream();
    const { transport, base } = await serve((request) =>
      request.url.endsWith('/stream') ? { status: 200, body: stream } : { status: 202, body: 'ok' },
    );
    const open = await transport.request(post(`${base}/stream`));
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await textOf((await transport.request(post(base))).body)),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, () => 'ok'));
    stream.end();
    expect(await textOf(open.body)).toBe('');
  });
});

describe('the undici transport', () => {
  it('says connect-failed where nothing listens, and where a name does not exist', async () => {
    const transport = createHttpTransport();
    cleanups.push(() => transport.close());
    const [port] = await freePorts(1);
    for (const url of [`http://127.0.0.1:${port}/`, 'http://no-such-host.invalid:5050/']) {
      await expect(transport.request(post(url))).rejects.toMatchObject({ code: 'connect-failed' });
    }
  });

  it('says malformed where what answers does not speak HTTP', async () => {
    const transport = createHttpTransport();
    const server = createTcpServer((socket) => {
      socket.on('error', () => {}).resume();
      socket.end('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    cleanups.push(
      () => new Promise<void>((done) => void server.close(() => done())),
      () => transport.close(),
    );
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await expect(transport.request(post(url))).rejects.toMatchObject({ code: 'malformed' });
  });
});

function post(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { method: 'POST', url, headers: {}, body: '{}', signal: new AbortController().signal, ...more };
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function decode(chunk: Uint8Array | undefined): string {
  return new TextDecoder().decode(chunk);
}
