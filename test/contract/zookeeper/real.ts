import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createSockets } from '../../../src/runtime/sockets.ts';
import { createZooKeeper } from '../../../src/zookeeper/client.ts';
import type { DigestCredentials, ZooKeeper } from '../../../src/zookeeper/port.ts';
import { silentLogger } from '../../silent-logger.ts';
import { clock } from '../../wait.ts';

/** A client of the servers that listen on these ports of loopback. */
export function connectTo(
  ports: readonly number[],
  options: { readonly sessionTimeoutMs?: number; readonly credentials?: DigestCredentials | null } = {},
): ZooKeeper {
  return createZooKeeper({
    sockets: createSockets(),
    clock,
    random: createSystemRandom(),
    log: silentLogger,
    servers: ports.map((port) => ({ host: '127.0.0.1', port })),
    sessionTimeoutMs: options.sessionTimeoutMs ?? 4_000,
    credentials: options.credentials ?? null,
  });
}
