import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { createSystemClock } from '../../../src/runtime/clock.ts';
import { createSystemIds } from '../../../src/runtime/ids.ts';
import { openZooKeeperStateStore } from '../../../src/runtime/zookeeper-state-store.ts';
import { frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import type { DigestCredentials, ZooKeeper } from '../../../src/zookeeper/port.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { silentLogger } from '../../silent-logger.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { connectTo } from '../zookeeper/real.ts';
import { stateStoreContract } from './contract.ts';

describe.skipIf(lacksZooKeeper())('a real ZooKeeper', () => {
  let server: ZooKeeperServer;
  let count = 0;
  const sessions: ZooKeeper[] = [];
  beforeAll(async () => {
    server = await startZooKeeper();
  });
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.close();
  });
  afterAll(async () => await server.dispose());

  const open = async (credentials: DigestCredentials | null, at: number) => {
    const zooKeeper = connectTo([server.port], { credentials });
    sessions.push(zooKeeper);
    return await openZooKeeperStateStore({
      zooKeeper,
      nodes: frameworkNodes('/some/place', `team__etcd-${at}`),
      isProtected: credentials !== null,
      clock: createSystemClock(),
      ids: createSystemIds(),
      log: silentLogger,
    });
  };
  const setUpWith = (credentials: DigestCredentials | null) => async () => {
    count += 1;
    const at = count;
    return { store: await open(credentials, at), reopen: async () => await open(credentials, at) };
  };
  stateStoreContract('in ZooKeeper', setUpWith(null));
  stateStoreContract('in ZooKeeper, with credentials', setUpWith({ user: 'etcd', password: 'secret' }));
});
