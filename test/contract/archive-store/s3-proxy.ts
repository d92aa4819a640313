import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of a request: it is passed on, answered as an overloaded S3 does, or cut after half of its body. */
export type S3Fate = 'pass' | 'slow-down' | 'cut';

export interface S3Proxy {
  readonly endpoint: string;
  close(): Promise<void>;
}

const SLOW_DOWN =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

/** Stands before an S3 server and does with each request what it is told. */
export async function startS3Proxy(
  targetPort: number,
  fateOf: (asked: IncomingMessage) => S3Fate,
): Promise<S3Proxy> {
  const server = createServer((asked, answer) => {
    const fate = fateOf(asked);
    if (fate === 'slow-down') {
      asked.resume();
      asked.on('end', () => answer.writeHead(503, { 'content-type': 'application/xml' }).end(SLOW_DOWN));
      return;
    }
    const { method, url, headers } = asked;
    const passed = request({ host: '127.0.0.1', port: targetPort, method, path: url, headers });
    passed.on('error', () => answer.destroy());
    passed.on('response', (given) => {
      answer.writeHead(given.statusCode ?? 500, given.headers);
      given.on('error', () => answer.destroy());
      given.pipe(answer);
    });
    asked.on('error', () => passed.destroy());
    if (fate === 'pass') {
      asked.pipe(passed);
      return;
    }
    let left = Number(headers['content-length'] ?? 0) / 2;
    asked.on('data', (part: Buffer) => {
      if (left <= 0) return;
      passed.write(part.subarray(0, left));
      left -= part.byteLength;
      if (left > 0) return;
      passed.destroy();
      asked.socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
