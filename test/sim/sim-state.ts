import type { Clock, Ids, Leadership, Logger, StateStore } from '../../src/base/ports.ts';
import { type ClusterRecord, parseRecord } from '../../src/protocol/record.ts';
import { decodeStateFile } from '../../src/runtime/state-header.ts';
import { openZooKeeperStateStore } from '../../src/runtime/zookeeper-state-store.ts';
import { createElection } from '../../src/zookeeper/election.ts';
import { frameworkNodes } from '../../src/zookeeper/nodes.ts';
import { createMemoryStore } from './memory-store.ts';
import { createMemoryZooKeeper, type TreeCopy } from './memory-zookeeper.ts';
import type { Network } from './network.ts';

/** What the schedulers of a world keep outside of themselves, and what can happen to it. */
export interface SimState {
  /** The record as it is stored now. */
  record(): ClusterRecord | null;
  /** What a process that starts now finds. */
  open(by: StateUser): Promise<OpenState>;
  /** All that was stored is gone. */
  wipe(): void;
  /** An older copy is put back, of so many saves ago; of the oldest where there are fewer. */
  rollBack(saves: number): void;
}

export interface StateUser {
  readonly host: string;
  /** Of the process; what it waits for may never come, as all that a process waits for. */
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
}

export interface OpenState {
  readonly store: StateStore;
  /** `null`: there is one scheduler. */
  readonly leadership: Leadership | null;
  /** Its process stands still or is dead; goes on. */
  freeze(): void;
  thaw(): void;
  /** Its session is over by the servers' word, and it does not know yet. */
  expire(): void;
}

const SAVE_MS = 0.5;

/** A state directory on the scheduler's own disk. */
export function createStateInFile(clock: Clock): SimState {
  const store = createMemoryStore();
  let read: { readonly bytes: Uint8Array; readonly record: ClusterRecord } | null = null;
  return {
    record: () => {
      const bytes = store.stored();
      if (bytes === null) return null;
      if (read?.bytes !== bytes) read = { bytes, record: parseRecord(bytes) };
      return read.record;
    },
    open: async () => ({
      store: {
        ...store,
        save: async (bytes, expectedVersion) => {
          await clock.sleep(SAVE_MS);
          return await store.save(bytes, expectedVersion);
        },
        clear: async () => {
          await clock.sleep(SAVE_MS);
          await store.clear();
        },
      },
      leadership: null,
      freeze: () => {},
      thaw: () => {},
      expire: () => {},
    }),
    wipe: () => void store.clear(),
    rollBack: (saves) => void store.rollBack(saves),
  };
}

export const ZOOKEEPER_HOST = '10.0.4.1';
const SESSION_MS = 10_000;
/** Copies of the tree that can be put back. */
const COPIES_MAX = 60;

/** A ZooKeeper that schedulers share, and in which one of them is elected. */
export function createStateInZooKeeper(clock: Clock, network: Network): SimState {
  const zooKeeper = createMemoryZooKeeper(clock);
  const nodes = frameworkNodes('/etcd-mesos', 'etcd');
  const copies: { readonly content: Uint8Array; readonly tree: TreeCopy }[] = [];
  let read: { readonly content: Uint8Array; readonly record: ClusterRecord } | null = null;

  const record = (): ClusterRecord | null => {
    const content = zooKeeper.contentOf(nodes.record);
    if (content === null) return null;
    if (read?.content !== content) {
      read = { content, record: parseRecord(decodeStateFile(content, nodes.record).bytes) };
      copies.push({ content, tree: zooKeeper.copy() });
      if (copies.length > COPIES_MAX) copies.shift();
    }
    return read.record;
  };

  return {
    record,
    open: async ({ host, clock: own, ids, log }) => {
      const client = zooKeeper.client({
        timeoutMs: SESSION_MS,
        clock: own,
        latencyMs: () => network.latencyMs(host, ZOOKEEPER_HOST),
      });
      const follow = () => {
        const isThere = network.reachable(host, ZOOKEEPER_HOST) && network.reachable(ZOOKEEPER_HOST, host);
        if (isThere) client.heal();
        else client.cut();
      };
      network.onChange(follow);
      follow();
      const shared = { zooKeeper: client.zooKeeper, nodes, isProtected: false, clock: own, ids, log };
      return {
        store: await openZooKeeperStateStore(shared),
        leadership: createElection({ ...shared, url: `http://${host}:8080` }),
        freeze: client.freeze,
        thaw: client.thaw,
        expire: client.expire,
      };
    },
    wipe: zooKeeper.wipe,
    rollBack: (saves) => {
      record();
      const copy = copies.at(-1 - saves) ?? copies[0];
      if (copy !== undefined) zooKeeper.restore(copy.tree);
    },
  };
}
