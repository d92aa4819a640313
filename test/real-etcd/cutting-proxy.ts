import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

/** A port of loopback that leads to another, until so many bytes have come back. */
export interface CuttingProxy {
  readonly port: number;
  /** The next connection breaks after that many bytes from the server; those after it pass. */
  cutNextAfter(bytes: number): void;
  /** Bytes that the server has sent over the connection that was to be cut, or the last one. */
  readonly passedBytes: number;
  close(): Promise<void>;
}

export async function startCuttingProxy(targetPort: number): Promise<CuttingProxy> {
  let nextCut = Number.POSITIVE_INFINITY;
  let passedBytes = 0;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    let left = nextCut;
    nextCut = Number.POSITIVE_INFINITY;
    passedBytes = 0;
    const far = createConnection({ host: '127.0.0.1', port: targetPort });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk: Buffer) => {
      const passing = chunk.subarray(0, Math.min(left, chunk.byteLength));
      left -= passing.byteLength;
      passedBytes += passing.byteLength;
      // What was written still arrives.
      if (left <= 0) near.end(passing, () => far.destroy());
      else near.write(passing);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cutNextAfter: (bytes) => {
      nextCut = bytes;
    },
    get passedBytes() {
      return passedBytes;
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
