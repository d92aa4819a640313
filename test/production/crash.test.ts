import { join } from 'node:path';
import { describe } from 'vitest';
import { parseRecord } from '../../src/protocol/record.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { openZooKeeperStateStore } from '../../src/runtime/zookeeper-state-store.ts';
import { frameworkNodes } from '../../src/zookeeper/nodes.ts';
import { connectTo } from '../contract/zookeeper/real.ts';
import { crashTrial } from '../e2e/crash-trial.ts';
import { lacksZooKeeper } from '../needs.ts';
import { silentLogger } from '../silent-logger.ts';
import { startZooKeeper } from '../zookeeper-server.ts';

/** The least that a scheduler takes: each one that dies holds the lead for so long. */
const SESSION_MS = 2_000;

/** What `test/e2e/crash.test.ts` tries with a file, with ZooKeeper. */
describe.skipIf(lacksZooKeeper())('with ZooKeeper', () => {
  crashTrial(async (directory) => {
    const server = await startZooKeeper();
    const zooKeeper = connectTo([server.port]);
    const nodes = frameworkNodes('/etcd-mesos', 'etcd');
    const clock = createSystemClock();
    const ids = createSystemIds();
    const shared = { zooKeeper, nodes, isProtected: false, clock, ids, log: silentLogger };
    const store = await openZooKeeperStateStore(shared);
    return {
      args: [
        ...['--zk-framework-persist', `zk://${server.address}/etcd-mesos`],
        ...['--zk-session-timeout', `${SESSION_MS}ms`, '--state-dir', join(directory, 'state')],
      ],
      record: async () => {
        const stored = await store.load();
        if (stored === null) throw new Error('no record is stored');
        return parseRecord(stored.bytes);
      },
      close: async () => {
        await zooKeeper.close();
        await server.dispose();
      },
    };
  });
});
