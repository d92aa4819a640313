import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../base/errors.ts';
import { type Logger, StateStoreError } from '../base/ports.ts';
import { replaceFile } from '../member/durable-file.ts';
import { createOrderKey, type OrderKey, parseOrderKey } from '../protocol/signature.ts';
import { isCode, isTransient, ZooKeeperError } from '../zookeeper/errors.ts';
import type { FrameworkNodes } from '../zookeeper/nodes.ts';
import { CREATOR_ACL, OPEN_ACL, type ZooKeeper } from '../zookeeper/port.ts';
import { ensureNode } from '../zookeeper/tree.ts';
import { StartError } from './start-error.ts';

/**
 * The key that signs orders, in a node of ZooKeeper, so that every scheduler has the same. Each remembers it, and
 * keeps a copy on its machine: either brings it back should ZooKeeper lose all that it held.
 *
 * Each function rejects with a {@link StartError} `order-key-missing` or `state-unusable`, an `OrderKeyError`, or a
 * `StateStoreError` `unavailable` where trying again may help.
 */
export interface OrderKeyNode {
  /**
   * The key for whoever leads. With a record it is the node's, and where that is absent the one that this process
   * remembers or has a copy of. Without a record nobody knows yet whether members run that follow a key: the
   * remembered one is taken, else the node's, else a new one, and nothing is written before {@link settle}.
   */
  open(hasRecord: boolean): Promise<OrderKey>;
  /** A first record is about to be stored, so the key that was opened is the cluster's: it is stored before. */
  settle(): Promise<void>;
  /** Remembers the key of a cluster that has a record. */
  learn(): Promise<void>;
}

export interface OrderKeyNodeOptions {
  readonly zooKeeper: ZooKeeper;
  readonly nodes: FrameworkNodes;
  /** Whether our session has credentials: then the node is for whoever has them alone. */
  readonly isProtected: boolean;
  /** Where the copy is kept. */
  readonly copyFile: string;
  readonly log: Logger;
}

export function createOrderKeyNode(options: OrderKeyNodeOptions): OrderKeyNode {
  const { zooKeeper, nodes, isProtected, copyFile, log } = options;
  let remembered: string | null = null;
  let opened: string | null = null;
  let warned = false;

  const read = async (): Promise<string | null> => {
    try {
      const session = await zooKeeper.session();
      const { data } = await session.get(nodes.orderKey);
      return Buffer.from(data).toString('utf8');
    } catch (error) {
      if (isCode(error, 'no-node')) return null;
      throw error;
    }
  };
  const write = async (pem: string): Promise<void> => {
    const session = await zooKeeper.session();
    const acl = isProtected ? CREATOR_ACL : OPEN_ACL;
    await ensureNode(session, nodes.base, { base: nodes.base, acl });
    const data = Buffer.from(pem, 'utf8');
    try {
      await session.create(nodes.orderKey, data, { acl });
    } catch (error) {
      if (!isCode(error, 'node-exists')) throw error;
      await session.set(nodes.orderKey, data, null);
    }
    log.info('order key stored in zookeeper', { node: nodes.orderKey });
  };
  /** For as long as the process lives, and on its machine. */
  const remember = async (pem: string): Promise<void> => {
    parseOrderKey(pem);
    if (remembered === pem) return;
    remembered = pem;
    await keepCopy(copyFile, pem, log);
  };
  const ofCluster = async (): Promise<string> => {
    const stored = await read();
    if (stored !== null) return stored;
    const known = remembered ?? (await readCopy(copyFile));
    if (known === null) throw missing(nodes);
    parseOrderKey(known);
    await write(known);
    return known;
  };
  const warnOnce = (): void => {
    if (isProtected || warned) return;
    warned = true;
    log.warn('the order key lies in zookeeper without credentials', {
      node: nodes.orderKey,
      what: 'whoever reaches ZooKeeper can read it and give orders to the members; --zk-auth-file closes it',
    });
  };

  return {
    open: async (hasRecord) =>
      await usable(async () => {
        warnOnce();
        if (hasRecord) {
          opened = await ofCluster();
          await remember(opened);
        } else {
          opened = remembered ?? (await readCopy(copyFile)) ?? (await read()) ?? createOrderKey().pem;
        }
        return parseOrderKey(opened);
      }),
    settle: async () =>
      await usable(async () => {
        if (opened === null) return;
        if ((await read()) !== opened) await write(opened);
        await remember(opened);
      }),
    learn: async () =>
      await usable(async () => {
        const stored = await read();
        if (stored !== null) await remember(stored);
      }),
  };
}

async function usable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ZooKeeperError)) throw error;
    if (isTransient(error)) {
      const message = `the order key in ZooKeeper cannot be reached: ${describeError(error)}`;
      throw new StateStoreError('unavailable', message, { cause: error });
    }
    throw new StartError(
      'state-unusable',
      `the order key in ZooKeeper cannot be used: ${describeError(error)}`,
      {
        cause: error,
        hint: isCode(error, 'no-auth')
          ? 'The node is for other credentials. Name the file that holds them with --zk-auth-file.'
          : 'Check that a majority of the ensemble runs and that its addresses are right.',
      },
    );
  }
}

function missing(nodes: FrameworkNodes): StartError {
  return new StartError(
    'order-key-missing',
    `the order key ${nodes.orderKey} is not in ZooKeeper, but the cluster is there`,
    { hint: 'Its members take orders that this key signs alone. Name a copy of it with --order-key-file.' },
  );
}

/** `null` where there is none, or none that can be read: it serves a rare case. */
async function readCopy(file: string): Promise<string | null> {
  try {
    const pem = await readFile(file, 'utf8');
    parseOrderKey(pem);
    return pem;
  } catch {
    return null;
  }
}

/** That it could not be written keeps nobody from starting. */
async function keepCopy(file: string, pem: string, log: Logger): Promise<void> {
  try {
    if ((await readCopy(file)) === pem) return;
    await mkdir(path.dirname(path.resolve(file)), { recursive: true, mode: 0o700 });
    await replaceFile(file, Buffer.from(pem, 'utf8'));
  } catch (error) {
    log.warn('no copy of the order key could be kept', { file, error });
  }
}
