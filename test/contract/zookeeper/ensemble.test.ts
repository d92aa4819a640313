import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSystemIds } from '../../../src/runtime/ids.ts';
import { createElection } from '../../../src/zookeeper/election.ts';
import { isTransient } from '../../../src/zookeeper/errors.ts';
import { frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import type { ZooKeeper } from '../../../src/zookeeper/port.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { silentLogger } from '../../silent-logger.ts';
import { clock, until } from '../../wait.ts';
import { startZooKeeperEnsemble, type ZooKeeperEnsemble } from '../../zookeeper-server.ts';
import { connectTo } from './real.ts';

/** So long that what is left of it tells of no busy machine. */
const SESSION_TIMEOUT_MS = 40_000;
const PATIENCE_MS = 30_000;

describe.skipIf(lacksZooKeeper())('an ensemble of three', () => {
  let ensemble: ZooKeeperEnsemble;
  let zooKeeper: ZooKeeper;
  beforeAll(async () => {
    ensemble = await startZooKeeperEnsemble();
    const ports = ensemble.servers.map(({ port }) => port);
    zooKeeper = connectTo(ports, { sessionTimeoutMs: SESSION_TIMEOUT_MS });
  });
  afterAll(async () => {
    await zooKeeper.close();
    await ensemble.dispose();
  });

  it('keeps session, leadership and every write when its leader dies, and when a majority was away', async () => {
    const session = await zooKeeper.session();
    const leadership = createElection({
      zooKeeper,
      nodes: frameworkNodes('/', 'cluster'),
      isProtected: false,
      clock,
      ids: createSystemIds(),
      log: silentLogger,
      url: 'http://127.0.0.1:1',
    });
    const term = await leadership.lead(new AbortController().signal);
    const counting = count(zooKeeper);
    try {
      await counting.goesOn();

      const leader = await ensemble.leader();
      await leader.stop();
      await counting.goesOn();
      await leader.start();
      expect((await ensemble.leader()).port).not.toBe(leader.port);

      const [one, other] = ensemble.servers;
      await Promise.all([one?.stop(), other?.stop()]);
      await expect(zooKeeper.session({ waitMs: 500 }).then((live) => live.get('/'))).rejects.toSatisfy(
        isTransient,
      );
      await Promise.all([one?.start(), other?.start()]);
      await counting.goesOn();

      expect((await zooKeeper.session()).id).toBe(session.id);
      expect(term.holds()).toBe(true);
    } finally {
      await counting.end();
    }
  });
});

/** Raises a number in a node by one, again and again. */
function count(zooKeeper: ZooKeeper): { goesOn(): Promise<void>; end(): Promise<void> } {
  const path = '/count';
  let written = 0;
  let over = false;
  const raise = async (): Promise<void> => {
    const session = await zooKeeper.session({ waitMs: 1_000 });
    const { data, stat } = await session.get(path);
    const found = Number(Buffer.from(data).toString('utf8'));
    // A write whose answer was lost may have been carried out.
    if (found < written) throw new Error(`${written} was written, ${found} is read`);
    await session.set(path, Buffer.from(String(found + 1)), stat.version);
    written = found + 1;
  };
  const run = async (): Promise<void> => {
    await (await zooKeeper.session()).create(path, Buffer.from('0'));
    while (!over) {
      try {
        await raise();
      } catch (error) {
        if (!isTransient(error)) throw error;
        await clock.sleep(20);
      }
    }
  };
  const running = run();
  // Whoever waits for it is told.
  running.catch(() => undefined);
  return {
    goesOn: async () => {
      const before = written;
      await Promise.race([running, until('writes go on', PATIENCE_MS, () => written > before + 10)]);
    },
    end: async () => {
      over = true;
      await running;
    },
  };
}
