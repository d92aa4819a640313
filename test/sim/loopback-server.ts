import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpRequest } from '../../src/base/ports.ts';
import type { MemoryHandler } from './memory-transport.ts';

/** A handler that is served over a real socket. */
export interface LoopbackServer {
  /** As `http://127.0.0.1:40321`. */
  readonly base: string;
  /** Cuts the connections that are open, and listens no more. */
  close(): Promise<void>;
}

export async function serveOnLoopback(handler: MemoryHandler): Promise<LoopbackServer> {
  const server = createServer((request, response) => void answer(handler, request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  handler: MemoryHandler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableEnded) gone.abort();
  });
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
  );
  try {
    const answered = await handler({
      method: request.method as HttpRequest['method'],
      url: `http://${request.headers.host}${request.url}`,
      headers,
      body: Buffer.concat(chunks).toString(),
      gone: gone.signal,
    });
    response.writeHead(answered.status, answered.headers ?? {});
    response.flushHeaders();
    const { body } = answered;
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
      response.end(body ?? '');
      return;
    }
    const iterator = body[Symbol.asyncIterator]();
    gone.signal.addEventListener('abort', () => void iterator.return?.(undefined));
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      response.write(next.value);
    }
    response.end();
  } catch {
    request.socket.destroy();
  }
}
