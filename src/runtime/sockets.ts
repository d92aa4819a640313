import { createConnection, type Socket as NodeSocket } from 'node:net';
import type { Socket, Sockets } from '../zookeeper/socket-port.ts';

/** TCP, without delay for small messages. */
export function createSockets(): Sockets {
  return {
    connect: ({ host, port }, signal) =>
      new Promise<Socket>((resolve, reject) => {
        const socket = createConnection({ host, port, noDelay: true });
        const abort = (): void => void socket.destroy(signal.reason as Error);
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort, { once: true });
        socket.once('error', reject);
        socket.once('close', () => {
          signal.removeEventListener('abort', abort);
          reject(new Error('the connection was closed'));
        });
        socket.once('connect', () => {
          signal.removeEventListener('abort', abort);
          resolve(wrap(socket));
        });
      }),
  };
}

function wrap(socket: NodeSocket): Socket {
  // Whoever reads is told of an error; where nobody reads any more it must not end the process.
  socket.on('error', () => undefined);
  return {
    incoming: socket as AsyncIterable<Uint8Array>,
    write: (bytes) => void socket.write(bytes),
    close: () => void socket.destroy(),
  };
}
