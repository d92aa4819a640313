import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../base/errors.ts';
import type { Logger } from '../base/ports.ts';
import { replaceFile } from '../member/durable-file.ts';
import { createOrderKey, type OrderKey, parseOrderKey } from '../protocol/signature.ts';
import { isCode, ZooKeeperError } from '../zookeeper/errors.ts';
import type { FrameworkNodes } from '../zookeeper/nodes.ts';
import { CREATOR_ACL, OPEN_ACL, type ZooKeeper } from '../zookeeper/port.ts';
import { ensureNode } from '../zookeeper/tree.ts';
import { StartError } from './start-error.ts';

export interface OrderKeyNodeOptions {
  readonly zooKeeper: ZooKeeper;
  readonly nodes: FrameworkNodes;
  /** Whether our session has credentials: then the node is for whoever has them alone. */
  readonly isProtected: boolean;
  /** Where a copy is kept on this machine: it brings the key back should ZooKeeper lose it with all it held. */
  readonly copyFile: string;
  /** `false` where members run that know an earlier key: another would be refused by all. */
  readonly mayCreate: boolean;
  readonly log: Logger;
}

/**
 * The key that signs orders, from its node in ZooKeeper, so that every scheduler has the same. Where the node is
 * absent, this machine's copy is put there; without one a new key, if that may be. Of several schedulers that do so
 * at once, one makes it.
 *
 * Rejects with a {@link StartError} `order-key-missing` or `state-unusable`, or an `OrderKeyError`.
 */
export async function openOrderKeyNode(options: OrderKeyNodeOptions): Promise<OrderKey> {
  const { nodes, log, isProtected } = options;
  if (!isProtected) {
    log.warn('the order key lies in zookeeper without credentials', {
      node: nodes.orderKey,
      what: 'whoever reaches ZooKeeper can read it and give orders to the members; --zk-auth-file closes it',
    });
  }
  const copy = await readCopy(options.copyFile);
  try {
    const pem = (await readNode(options)) ?? (await makeNode(options, copy));
    const key = parseOrderKey(pem);
    if (pem !== copy) await keepCopy(options, pem);
    return key;
  } catch (error) {
    if (!(error instanceof ZooKeeperError)) throw error;
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

async function readNode({ zooKeeper, nodes }: OrderKeyNodeOptions): Promise<string | null> {
  try {
    const session = await zooKeeper.session();
    const { data } = await session.get(nodes.orderKey);
    return Buffer.from(data).toString('utf8');
  } catch (error) {
    if (isCode(error, 'no-node')) return null;
    throw error;
  }
}

/** What the node holds in the end, whoever has made it. */
async function makeNode(options: OrderKeyNodeOptions, copy: string | null): Promise<string> {
  const { zooKeeper, nodes, mayCreate, isProtected, log } = options;
  if (copy === null && !mayCreate) {
    throw new StartError(
      'order-key-missing',
      `the order key ${nodes.orderKey} is not in ZooKeeper, but the cluster is there`,
      { hint: 'Its members take orders that this key signs alone. Name a copy of it with --order-key-file.' },
    );
  }
  const pem = copy ?? createOrderKey().pem;
  parseOrderKey(pem);
  const acl = isProtected ? CREATOR_ACL : OPEN_ACL;
  const session = await zooKeeper.session();
  await ensureNode(session, nodes.base, { base: nodes.base, acl });
  try {
    await session.create(nodes.orderKey, Buffer.from(pem, 'utf8'), { acl });
  } catch (error) {
    if (!isCode(error, 'node-exists')) throw error;
    return (await readNode(options)) ?? pem;
  }
  log.info('order key stored in zookeeper', {
    node: nodes.orderKey,
    from: copy === null ? 'new' : 'this machine',
  });
  return pem;
}

/** `null` where there is none, or none that can be read: the node counts. */
async function readCopy(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return null;
  }
}

/** It serves a rare case: that it could not be written keeps nobody from starting. */
async function keepCopy({ copyFile, log }: OrderKeyNodeOptions, pem: string): Promise<void> {
  try {
    await mkdir(path.dirname(path.resolve(copyFile)), { recursive: true, mode: 0o700 });
    await replaceFile(copyFile, Buffer.from(pem, 'utf8'));
  } catch (error) {
    log.warn('no copy of the order key could be kept', { file: copyFile, error });
  }
}
