import { afterAll, beforeAll, describe } from 'vitest';
import { createSystemIds } from '../../../src/runtime/ids.ts';
import { createElection } from '../../../src/zookeeper/election.ts';
import { frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { silentLogger } from '../../silent-logger.ts';
import { startTcpProxy } from '../../tcp-proxy.ts';
import { clock } from '../../wait.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { connectTo } from '../zookeeper/real.ts';
import { leadershipContract } from './contract.ts';

const SESSION_TIMEOUT_MS = 4_000;

describe.skipIf(lacksZooKeeper())('a real ZooKeeper', () => {
  let server: ZooKeeperServer;
  let count = 0;
  beforeAll(async () => {
    server = await startZooKeeper();
  });
  afterAll(async () => await server.dispose());

  leadershipContract('in ZooKeeper', () => {
    count += 1;
    const nodes = frameworkNodes('/', `cluster-${count}`);
    const closers: (() => Promise<void>)[] = [];
    return Promise.resolve({
      timeoutMs: SESSION_TIMEOUT_MS,
      candidate: async () => {
        const proxy = await startTcpProxy(server.port);
        const zooKeeper = connectTo([proxy.port], { sessionTimeoutMs: SESSION_TIMEOUT_MS });
        closers.push(
          () => zooKeeper.close(),
          () => proxy.close(),
        );
        const url = `http://127.0.0.1:${proxy.port}`;
        const ids = createSystemIds();
        const leadership = createElection({
          zooKeeper,
          nodes,
          isProtected: false,
          clock,
          ids,
          log: silentLogger,
          url,
        });
        return { url, leadership, freeze: () => proxy.freeze(), heal: () => proxy.heal() };
      },
      close: async () => {
        for (const close of closers) await close();
      },
    });
  });
});
