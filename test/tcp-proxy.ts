import type { AddressInfo } from 'node:net';
import { createConnection, createServer, type Socket } from 'node:net';

/** A port of loopback that leads to another, and how the network between the two is. */
export interface TcpProxy {
  readonly port: number;
  /** Connections stay open, new ones are taken, and no byte passes either way. */
  freeze(): void;
  /** Connections break, and new ones are closed at once. */
  cut(): void;
  /** New connections pass; what was frozen breaks, as after a partition that lasted. */
  heal(): void;
  /** Passes on all but the last bytes of the next answer that is longer than `bytes`, then breaks the connection. */
  breakNextAnswerAfter(bytes: number): void;
  close(): Promise<void>;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  let mode: 'open' | 'frozen' | 'cut' = 'open';
  let breakAfter: number | null = null;
  const open = new Set<Socket>();
  const endAll = (): void => {
    for (const socket of open) socket.destroy();
  };
  const server = createServer((near) => {
    open.add(near);
    near.on('error', () => undefined);
    near.on('close', () => open.delete(near));
    if (mode === 'cut') near.destroy();
    if (mode !== 'open') return;
    const far = createConnection({ host: '127.0.0.1', port: targetPort });
    open.add(far);
    far.on('error', () => undefined);
    far.on('close', () => {
      open.delete(far);
      near.destroy();
    });
    near.on('close', () => far.destroy());
    near.on('data', (chunk) => {
      if (mode === 'open') far.write(chunk);
    });
    far.on('data', (chunk: Buffer) => {
      if (mode !== 'open') return;
      if (breakAfter !== null && chunk.length > breakAfter) {
        near.end(chunk.subarray(0, breakAfter));
        breakAfter = null;
        far.destroy();
        return;
      }
      near.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    freeze: () => {
      mode = 'frozen';
    },
    cut: () => {
      mode = 'cut';
      endAll();
    },
    heal: () => {
      if (mode !== 'open') endAll();
      mode = 'open';
    },
    breakNextAnswerAfter: (bytes) => {
      breakAfter = bytes;
    },
    close: async () => {
      endAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
