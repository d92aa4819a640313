import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createOrderKey } from '../../../src/protocol/signature.ts';
import { createOrderKeyNode } from '../../../src/runtime/order-key-node.ts';
import { createEndpointsNode } from '../../../src/zookeeper/endpoints-node.ts';
import { frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import type { DigestCredentials, ZooKeeper } from '../../../src/zookeeper/port.ts';
import { forgetFramework, removeTree } from '../../../src/zookeeper/tree.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { silentLogger } from '../../silent-logger.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { connectTo } from './real.ts';

describe.skipIf(lacksZooKeeper())('what a framework keeps in ZooKeeper beside its record', () => {
  let server: ZooKeeperServer;
  let count = 0;
  let closers: (() => Promise<void> | void)[] = [];
  beforeAll(async () => {
    server = await startZooKeeper();
  });
  afterAll(async () => await server.dispose());
  afterEach(async () => {
    for (const close of closers) await close();
    closers = [];
  });

  /** A framework, and schedulers of it on machines of their own. */
  function world() {
    count += 1;
    const nodes = frameworkNodes('/services', `etcd-${count}`);
    const directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-order-key-'));
    closers.push(() => rmSync(directory, { recursive: true }));
    const connect = (credentials: DigestCredentials | null = null): ZooKeeper => {
      const zooKeeper = connectTo([server.port], { credentials });
      closers.push(() => zooKeeper.close());
      return zooKeeper;
    };
    const zooKeeper = connect();
    return {
      nodes,
      connect,
      zooKeeper,
      scheduler: (machine: string) => {
        const copyFile = join(directory, machine, 'order-key.pem');
        const keys = createOrderKeyNode({
          zooKeeper,
          nodes,
          isProtected: false,
          copyFile,
          log: silentLogger,
        });
        return { ...keys, copyFile };
      },
      wipe: async () => await removeTree(await zooKeeper.session(), nodes.base),
      stored: async () => {
        const { data } = await (await zooKeeper.session()).get(nodes.orderKey);
        return Buffer.from(data).toString('utf8');
      },
    };
  }

  test('a new key is stored with the first record, not before: nobody knows yet whose members there are', async () => {
    const { scheduler, stored } = world();
    const first = scheduler('a');
    const key = await first.open(false);
    await expect(stored()).rejects.toMatchObject({ code: 'no-node' });
    expect(existsSync(first.copyFile)).toBe(false);
    await first.settle();
    expect((await scheduler('b').open(true)).publicKey).toBe(key.publicKey);
    expect(readFileSync(first.copyFile, 'utf8')).toBe(await stored());
  });

  test('one that led brings the key back after ZooKeeper was wiped, with its copy or without', async () => {
    const { scheduler, wipe, stored } = world();
    const led = scheduler('a');
    const key = await led.open(false);
    await led.settle();
    const pem = await stored();
    await wipe();
    expect((await scheduler('a').open(false)).publicKey, 'started again').toBe(key.publicKey);
    rmSync(led.copyFile);
    expect((await led.open(false)).publicKey, 'from memory').toBe(key.publicKey);
    await led.settle();
    expect(await stored()).toBe(pem);
  });

  test('so does one that only ever stood by', async () => {
    const { scheduler, wipe } = world();
    const led = scheduler('a');
    const key = await led.open(false);
    await led.settle();
    const standby = scheduler('b');
    await standby.learn();
    await wipe();
    expect((await standby.open(false)).publicKey).toBe(key.publicKey);
  });

  test('a key that another made in the meantime, and that no record was stored with, overrides none', async () => {
    const { scheduler, wipe, stored } = world();
    const led = scheduler('a');
    const key = await led.open(false);
    await led.settle();
    await wipe();
    const stranger = scheduler('new');
    expect((await stranger.open(false)).publicKey).not.toBe(key.publicKey);
    expect((await led.open(false)).publicKey).toBe(key.publicKey);
    await led.settle();
    expect((await stranger.open(true)).publicKey, 'with a record the node counts').toBe(key.publicKey);
    expect(await stored()).toBe(readFileSync(stranger.copyFile, 'utf8'));
  });

  test('with a record and no key anywhere it says what to do', async () => {
    const { scheduler } = world();
    await expect(scheduler('a').open(true)).rejects.toMatchObject({ code: 'order-key-missing' });
  });

  test('a copy that is broken is none, and is replaced', async () => {
    const { scheduler, stored } = world();
    const { copyFile, ...keys } = scheduler('a');
    await keys.open(false);
    await keys.settle();
    writeFileSync(copyFile, 'half a k');
    await scheduler('a').open(true);
    expect(readFileSync(copyFile, 'utf8')).toBe(await stored());
    expect(createOrderKey().pem).not.toBe(await stored());
  });

  test('endpoints are told to everybody, or with credentials to whoever has them', async () => {
    const { zooKeeper, nodes, connect } = world();
    const board = createEndpointsNode({ zooKeeper, nodes, isProtected: false });
    for (const text of ['{"client":[]}', '{"client":["http://a:2379"]}']) {
      await board.write(text);
      const { data } = await (await connect().session()).get(nodes.endpoints);
      expect(Buffer.from(data).toString()).toBe(text);
    }
    const closed = world();
    const owner = connect({ user: 'etcd', password: 'secret' });
    await createEndpointsNode({ zooKeeper: owner, nodes: closed.nodes, isProtected: true }).write('{}');
    const stranger = await connect().session();
    await expect(stranger.get(closed.nodes.endpoints)).rejects.toMatchObject({ code: 'no-auth' });
  });

  test('nothing of it is left when the framework is forgotten', async () => {
    const { zooKeeper, nodes, scheduler } = world();
    const keys = scheduler('a');
    await keys.open(false);
    await keys.settle();
    await createEndpointsNode({ zooKeeper, nodes, isProtected: false }).write('{}');
    const session = await zooKeeper.session();
    await forgetFramework(session, nodes);
    expect(await session.stat(nodes.base)).toBeNull();
  });
});
