import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLedger, type Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import { type ClusterRecord, parseRecord, type Seat } from '../../src/protocol/record.ts';
import { type ClosableHttpTransport, createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { openZooKeeperStateStore } from '../../src/runtime/zookeeper-state-store.ts';
import { type FrameworkNodes, frameworkNodes } from '../../src/zookeeper/nodes.ts';
import type { ZooKeeper } from '../../src/zookeeper/port.ts';
import { connectTo } from '../contract/zookeeper/real.ts';
import { votersOf } from '../e2e/etcd-on-mesos.ts';
import { agentNames, smallAgents } from '../e2e/small-agents.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, GiveUp, until } from '../wait.ts';
import { startZooKeeper, type ZooKeeperServer } from '../zookeeper-server.ts';
import { type OneOfSeveral, startOneOfSeveral } from './one-of-several.ts';

/*
 * One ZooKeeper, two masters that it elects, agents, and any number of schedulers that share their state in it; a
 * steady writer beside them. The cluster is seen by its record, by etcd's members and by the masters: no scheduler is
 * asked what is true.
 */

/** What the schedulers ask for of requests that another has handed on. */
export const API_TOKEN = 'a-token';

const SIZE = 3;
const AGENTS = 4;
/** After how long without a word a scheduler's session ends, and a master's. */
export const SESSION_MS = 6_000;
/** For anything that takes an election, and a repair after it, on a busy machine. */
export const SETTLE_MS = 120_000;

/** A cluster without a change in progress. */
export interface Whole {
  readonly record: ClusterRecord;
  /** By slot: the member's id. */
  readonly voters: ReadonlyMap<string, string>;
}

export interface SeveralSchedulers {
  readonly zooKeeper: ZooKeeperServer;
  readonly cluster: LocalCluster;
  readonly transport: ClosableHttpTransport;
  readonly nodes: FrameworkNodes;
  readonly ledger: Ledger;
  /** A client of ZooKeeper beside the schedulers'. */
  readonly client: ZooKeeper;
  /** With {@link API_TOKEN}. */
  readonly tokenFile: string;
  /** @param options.args Options of its own beside those that all have. */
  start(
    name: string,
    options?: { readonly pausesBefore?: readonly string[]; readonly args?: readonly string[] },
  ): OneOfSeveral;
  record(): Promise<ClusterRecord>;
  /** Resolves when one of these leads, by its own word, and is subscribed. */
  leader(among: readonly OneOfSeveral[]): Promise<OneOfSeveral>;
  /** Resolves when every slot has its voter, each of which serves, and nothing is in progress or on its way out. */
  whole(what: string, also?: (record: ClusterRecord) => boolean): Promise<Whole>;
  /** Begins to write, through every place that the newest record has. */
  write(): void;
  /** Resolves when what was begun to be written has been. */
  stopWriting(): Promise<void>;
  /** Resolves when another write was acknowledged. */
  written(): Promise<void>;
  /** Acknowledged entries that a member does not have, by slot; empty where none is missing. */
  missing(record: ClusterRecord): Promise<Readonly<Record<string, readonly string[]>>>;
  /** Ends everything. Files stay when the test failed. */
  close(failed: boolean): Promise<void>;
}

export async function startSeveral(): Promise<SeveralSchedulers> {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-several-'));
  const ends: (() => Promise<unknown>)[] = [];
  const transport = createHttpTransport();
  ends.push(() => transport.close());
  const zooKeeper = await startZooKeeper();
  ends.push(() => zooKeeper.dispose());
  const cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    masters: 2,
    zookeeper: `zk://${zooKeeper.address}/mesos`,
    zookeeperSessionMs: SESSION_MS,
    agents: smallAgents(agentNames(AGENTS)),
  });
  ends.push(() => cluster.close());
  const client = connectTo([zooKeeper.port], { sessionTimeoutMs: SESSION_MS });
  ends.push(() => client.close());
  const nodes = frameworkNodes('/etcd-mesos', 'etcd');
  const ids = createSystemIds();
  const shared = { zooKeeper: client, nodes, isProtected: false, clock, ids, log: silentLogger };
  const store = await openZooKeeperStateStore(shared);

  let stopWriting = async (): Promise<void> => await Promise.resolve();
  ends.push(async () => await stopWriting());
  let newest: ClusterRecord | null = null;
  const record = async (): Promise<ClusterRecord> => {
    const stored = await store.load();
    if (stored === null) throw new Error('no record is stored');
    newest = parseRecord(stored.bytes);
    return newest;
  };
  const ledger = createLedger({
    clock,
    endpoints: () => (newest?.seats ?? []).filter(isSound).map(clientUrlOf),
    open: (url) => createKvClient({ url }, clock),
    prefix: 'several/',
  });
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, API_TOKEN, { mode: 0o600 });
  const args = [
    ...['--api-token-file', tokenFile],
    ...['--master', cluster.masterAddress],
    ...['--zk-framework-persist', `zk://${zooKeeper.address}/etcd-mesos`],
    ...['--zk-session-timeout', `${SESSION_MS}ms`, '--cluster-size', String(SIZE), '--artifact', 'checkout'],
    ...['--cpus', '0.1', '--mem', '256', '--disk', '1024', '--unreachable-timeout', '5s'],
  ];

  return {
    zooKeeper,
    cluster,
    transport,
    nodes,
    ledger,
    client,
    tokenFile,
    record,
    start: (name, { pausesBefore = [], args: own = [] } = {}) => {
      const started = startOneOfSeveral({ name, directory, pausesBefore, args: [...args, ...own] });
      ends.push(() => started.stop());
      return started;
    },
    leader: async (among) =>
      await until('one of the schedulers leads', SETTLE_MS, async () => {
        for (const one of among) {
          if (!one.isRunning) throw new GiveUp(`${one.name} has ended: ${JSON.stringify(await one.ended)}`);
          const role = await one.liveness().then(
            (liveness) => liveness.role,
            () => null,
          );
          if (role === 'leader' && (await one.view()).mesos.subscribed) return one;
        }
        return null;
      }),
    whole: async (what, also = () => true) =>
      await until(what, SETTLE_MS, async () => {
        const now = await record();
        const isAtRest = now.epoch.phase === 'formed' && now.intent === null && now.leaving.length === 0;
        if (!isAtRest || now.seats.filter(isSound).length !== SIZE || now.seats.length !== SIZE) return null;
        return also(now) ? { record: now, voters: await votersOf(now) } : null;
      }),
    write: () => {
      const ended = new AbortController();
      const running = ledger.run(ended.signal);
      stopWriting = async () => {
        ended.abort();
        await running;
      };
    },
    stopWriting: async () => await stopWriting(),
    written: async () => {
      const before = ledger.acknowledged();
      await until('another acknowledged write', 30_000, () => ledger.acknowledged() > before);
    },
    missing: async ({ seats }) => {
      const missing: Record<string, readonly string[]> = {};
      for (const seat of seats) {
        const kv = createKvClient({ url: clientUrlOf(seat) }, clock);
        try {
          const entries = await ledger.missingFrom(kv, AbortSignal.timeout(30_000));
          if (entries.length > 0) missing[seat.slot] = entries;
        } finally {
          kv.close();
        }
      }
      return missing;
    },
    close: async (failed) => {
      for (const end of ends.toReversed()) await end();
      if (failed) console.log(`what was left is in ${directory}`);
      else rmSync(directory, { recursive: true, force: true });
    },
  };
}

const isSound = ({ taskEnd, lost }: Seat): boolean => taskEnd === null && lost === null;
