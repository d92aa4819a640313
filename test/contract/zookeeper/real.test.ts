import { afterAll, beforeAll, describe } from 'vitest';
import type { DigestCredentials } from '../../../src/zookeeper/port.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { startTcpProxy } from '../../tcp-proxy.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { zooKeeperContract } from './contract.ts';
import { connectTo } from './real.ts';

const SESSION_TIMEOUT_MS = 2_000;

describe.skipIf(lacksZooKeeper())('a real ZooKeeper', () => {
  let server: ZooKeeperServer;
  let count = 0;
  beforeAll(async () => {
    server = await startZooKeeper();
  });
  afterAll(async () => await server.dispose());

  zooKeeperContract('by its own protocol', async () => {
    count += 1;
    const root = `/test-${count}`;
    const closers: (() => Promise<void>)[] = [];
    const client = async (credentials?: DigestCredentials) => {
      const proxy = await startTcpProxy(server.port);
      const zooKeeper = connectTo([proxy.port], {
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        credentials: credentials ?? null,
      });
      closers.push(
        () => zooKeeper.close(),
        () => proxy.close(),
      );
      return { zooKeeper, cut: () => proxy.cut(), heal: () => proxy.heal() };
    };
    const maker = await client();
    await (await maker.zooKeeper.session()).create(root, new Uint8Array());
    return {
      timeoutMs: SESSION_TIMEOUT_MS,
      root,
      client,
      close: async () => {
        for (const close of closers) await close();
      },
    };
  });
});
