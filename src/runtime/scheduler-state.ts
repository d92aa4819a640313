import { assert } from '../base/assert.ts';
import type { Leadership, Logger, StateStore } from '../base/ports.ts';
import { isZooKeeperUrl, parseZooKeeperUrl, type ZooKeeperUrl } from '../base/zookeeper-url.ts';
import type { EndpointBoard } from '../framework/endpoint-notice.ts';
import { createFixedMasterSource, type MasterSource } from '../mesos/master-source.ts';
import { createZooKeeperMasters } from '../mesos/zookeeper-masters.ts';
import { foldedName } from '../protocol/identifiers.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import type { OrderKey } from '../protocol/signature.ts';
import { orderKeyFileIn } from '../protocol/zookeeper-rules.ts';
import { createZooKeeper } from '../zookeeper/client.ts';
import { createElection } from '../zookeeper/election.ts';
import { createEndpointsNode } from '../zookeeper/endpoints-node.ts';
import { frameworkNodes } from '../zookeeper/nodes.ts';
import type { DigestCredentials, ZooKeeper } from '../zookeeper/port.ts';
import { forgetFramework } from '../zookeeper/tree.ts';
import { createSystemClock } from './clock.ts';
import { openFileStateStore } from './file-state-store.ts';
import { createSystemIds } from './ids.ts';
import { openOrderKey } from './order-key-file.ts';
import { createOrderKeyNode } from './order-key-node.ts';
import { createSystemRandom } from './random.ts';
import { createSockets } from './sockets.ts';
import { readZooKeeperCredentials } from './zookeeper-credentials.ts';
import { openZooKeeperStateStore } from './zookeeper-state-store.ts';

/** What a scheduler keeps and finds outside itself, in files or in ZooKeeper as its options say. */
export interface SchedulerState {
  readonly store: StateStore;
  /**
   * The election among the schedulers that share the state, standing in it with the base URL of our API. `null`
   * with files: their lock lets one scheduler start, and that one leads.
   */
  readonly election: ((url: string) => Leadership) | null;
  /** Where the cluster's endpoints are told beside the API; `null` with files. */
  readonly board: EndpointBoard | null;
  readonly masters: MasterSource;
  /**
   * The key that signs orders. Made where it is absent and no record is stored, so it is asked for by whoever leads.
   * Rejects with a `StartError` or an `OrderKeyError`.
   */
  orderKey(): Promise<OrderKey>;
  /** Remembers the key while another leads: it is needed should the state be lost. Rejects as {@link orderKey}. */
  learnOrderKey(): Promise<void>;
  /**
   * Takes away what `store.clear()` leaves: in ZooKeeper the order key, the election and the framework's own node.
   * Safe to repeat.
   */
  forget(): Promise<void>;
  close(): Promise<void>;
}

/** Rejects with a `StateStoreError` or a `StartError`. */
export async function openSchedulerState(options: SchedulerOptions, log: Logger): Promise<SchedulerState> {
  const credentials = options.zkAuthFile === null ? null : await readZooKeeperCredentials(options.zkAuthFile);
  const ensembles = createEnsembles(options, credentials, log);
  try {
    const masters = mastersOf(options, ensembles, log);
    const state =
      options.zkState === null
        ? await stateInFiles(options)
        : await stateInZooKeeper(options, parsed(options.zkState), ensembles, credentials !== null, log);
    return {
      ...state,
      masters,
      close: async () => {
        await state.close();
        await ensembles.close();
      },
    };
  } catch (error) {
    await ensembles.close();
    throw error;
  }
}

type KeptState = Omit<SchedulerState, 'masters'>;

async function stateInFiles({ stateDir, orderKeyFile }: SchedulerOptions): Promise<KeptState> {
  const store = await openFileStateStore(stateDir);
  return {
    store,
    election: null,
    board: null,
    learnOrderKey: () => Promise.resolve(),
    orderKey: async () =>
      await openOrderKey(orderKeyFile ?? orderKeyFileIn(stateDir), {
        mayCreate: (await store.load()) === null,
      }),
    forget: () => Promise.resolve(),
    close: () => store.close(),
  };
}

async function stateInZooKeeper(
  { frameworkName, stateDir, orderKeyFile }: SchedulerOptions,
  url: ZooKeeperUrl,
  ensembles: Ensembles,
  isProtected: boolean,
  log: Logger,
): Promise<KeptState> {
  const zooKeeper = ensembles.at(url);
  const nodes = frameworkNodes(url.path, foldedName(frameworkName));
  const ids = createSystemIds();
  const clock = createSystemClock();
  const shared = { zooKeeper, nodes, isProtected, clock, ids, log: log.child({ part: 'zookeeper' }) };
  const store = await openZooKeeperStateStore(shared);
  const keys = createOrderKeyNode({ ...shared, copyFile: orderKeyFileIn(stateDir) });
  const fromFile = orderKeyFile !== null;
  return {
    store: {
      ...store,
      save: async (bytes, expectedVersion) => {
        // A record without its key would be a cluster that nobody can give orders to.
        if (expectedVersion === null && !fromFile) await keys.settle();
        return await store.save(bytes, expectedVersion);
      },
    },
    election: (ownUrl) => createElection({ ...shared, url: ownUrl }),
    board: createEndpointsNode(shared),
    learnOrderKey: async () => {
      if (!fromFile) await keys.learn();
    },
    orderKey: async () => {
      const hasRecord = (await store.load()) !== null;
      return fromFile
        ? await openOrderKey(orderKeyFile, { mayCreate: !hasRecord })
        : await keys.open(hasRecord);
    },
    forget: async () => await forgetFramework(await zooKeeper.session(), nodes),
    close: () => Promise.resolve(),
  };
}

function mastersOf(
  { masterUrls, masterCaFile }: SchedulerOptions,
  ensembles: Ensembles,
  log: Logger,
): MasterSource {
  const [first = ''] = masterUrls;
  if (!isZooKeeperUrl(first)) return createFixedMasterSource(masterUrls.join(','));
  const url = parsed(first);
  return createZooKeeperMasters({
    zooKeeper: ensembles.at(url),
    path: url.path,
    // What masters write does not say; whoever names their CA means https.
    scheme: masterCaFile === null ? 'http' : 'https',
    clock: createSystemClock(),
    log: log.child({ part: 'masters' }),
  });
}

/** One session for each ensemble, whatever it is used for. */
interface Ensembles {
  at(url: ZooKeeperUrl): ZooKeeper;
  close(): Promise<void>;
}

function createEnsembles(
  { zkSessionTimeoutMs }: SchedulerOptions,
  credentials: DigestCredentials | null,
  log: Logger,
): Ensembles {
  const open = new Map<string, ZooKeeper>();
  return {
    at: ({ servers }) => {
      const name = servers
        .map(({ host, port }) => `${host}:${port}`)
        .toSorted()
        .join(',');
      const zooKeeper =
        open.get(name) ??
        createZooKeeper({
          sockets: createSockets(),
          clock: createSystemClock(),
          random: createSystemRandom(),
          log: log.child({ part: 'zookeeper' }),
          servers,
          sessionTimeoutMs: zkSessionTimeoutMs,
          credentials,
        });
      open.set(name, zooKeeper);
      return zooKeeper;
    },
    close: async () => {
      await Promise.all([...open.values()].map(async (zooKeeper) => await zooKeeper.close()));
    },
  };
}

function parsed(url: string): ZooKeeperUrl {
  const parts = parseZooKeeperUrl(url);
  assert(parts !== null, 'options hold only zk:// addresses that can be read');
  return parts;
}
