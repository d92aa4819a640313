import type { DigestCredentials } from '../../../src/zookeeper/port.ts';
import { createMemoryZooKeeper, type MemoryClient } from '../../sim/memory-zookeeper.ts';
import { clock } from '../../wait.ts';
import { zooKeeperContract } from './contract.ts';

const SESSION_TIMEOUT_MS = 1_500;

zooKeeperContract('in memory', async () => {
  const server = createMemoryZooKeeper(clock);
  const clients: MemoryClient[] = [];
  const client = (credentials: DigestCredentials | null = null): Promise<MemoryClient> => {
    const made = server.client({ timeoutMs: SESSION_TIMEOUT_MS, credentials });
    clients.push(made);
    return Promise.resolve(made);
  };

  const maker = await client();
  await (await maker.zooKeeper.session()).create('/test', new Uint8Array());
  return {
    timeoutMs: SESSION_TIMEOUT_MS,
    root: '/test',
    client,
    close: async () => {
      for (const { zooKeeper } of clients) await zooKeeper.close();
    },
  };
});
