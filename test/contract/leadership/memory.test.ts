import { createSystemIds } from '../../../src/runtime/ids.ts';
import { createElection } from '../../../src/zookeeper/election.ts';
import { frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import { silentLogger } from '../../silent-logger.ts';
import { createMemoryZooKeeper, type MemoryClient } from '../../sim/memory-zookeeper.ts';
import { clock } from '../../wait.ts';
import { leadershipContract } from './contract.ts';

const SESSION_TIMEOUT_MS = 2_000;

leadershipContract('in a ZooKeeper in memory', () => {
  const server = createMemoryZooKeeper(clock);
  const clients: MemoryClient[] = [];
  return Promise.resolve({
    timeoutMs: SESSION_TIMEOUT_MS,
    candidate: () => {
      const client = server.client({ timeoutMs: SESSION_TIMEOUT_MS });
      clients.push(client);
      const url = `http://10.0.0.${clients.length}`;
      const leadership = createElection({
        zooKeeper: client.zooKeeper,
        nodes: frameworkNodes('/', 'cluster'),
        isProtected: false,
        clock,
        ids: createSystemIds(),
        log: silentLogger,
        url,
      });
      return Promise.resolve({ url, leadership, freeze: client.cut, heal: client.heal });
    },
    close: async () => {
      for (const { zooKeeper } of clients) await zooKeeper.close();
    },
  });
});
