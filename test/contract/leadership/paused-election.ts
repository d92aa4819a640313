import type { Leadership } from '../../../src/base/ports.ts';
import { createSystemIds } from '../../../src/runtime/ids.ts';
import { createElection } from '../../../src/zookeeper/election.ts';
import { frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import type { ZooKeeper } from '../../../src/zookeeper/port.ts';
import { silentLogger } from '../../silent-logger.ts';
import { clock } from '../../wait.ts';

/** The election in which a leader is paused, as the candidate at `url` takes part in it. */
export function pausedElection(zooKeeper: ZooKeeper, url: string): Leadership {
  return createElection({
    zooKeeper,
    nodes: frameworkNodes('/', 'paused'),
    isProtected: false,
    clock,
    ids: createSystemIds(),
    log: silentLogger,
    url,
  });
}
