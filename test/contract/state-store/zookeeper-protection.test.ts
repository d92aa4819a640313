import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../../src/base/ports.ts';
import { createSystemClock } from '../../../src/runtime/clock.ts';
import { createSystemIds } from '../../../src/runtime/ids.ts';
import { createOrderKeyNode } from '../../../src/runtime/order-key-node.ts';
import { openZooKeeperStateStore } from '../../../src/runtime/zookeeper-state-store.ts';
import { createElection } from '../../../src/zookeeper/election.ts';
import { type FrameworkNodes, frameworkNodes } from '../../../src/zookeeper/nodes.ts';
import type { DigestCredentials, ZooKeeper } from '../../../src/zookeeper/port.ts';
import { forgetFramework } from '../../../src/zookeeper/tree.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { silentLogger } from '../../silent-logger.ts';
import { clock } from '../../wait.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { connectTo } from '../zookeeper/real.ts';

const OURS = { user: 'etcd', password: 'right' };
const THEIRS = { user: 'etcd', password: 'wrong' };
const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

describe.skipIf(lacksZooKeeper())('what a framework keeps in a real ZooKeeper', () => {
  let server: ZooKeeperServer;
  let nodes: FrameworkNodes;
  let directory = '';
  let count = 0;
  const open: ZooKeeper[] = [];
  beforeAll(async () => {
    server = await startZooKeeper();
  });
  beforeEach(async () => {
    count += 1;
    nodes = frameworkNodes(`/shared-${count}`, 'prod__etcd');
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-key-'));
  });
  afterEach(async () => {
    for (const zooKeeper of open.splice(0)) await zooKeeper.close();
    await rm(directory, { recursive: true });
  });
  afterAll(async () => await server.dispose());

  const connect = (credentials: DigestCredentials | null): ZooKeeper => {
    const zooKeeper = connectTo([server.port], { credentials });
    open.push(zooKeeper);
    return zooKeeper;
  };
  const storeWith = async (credentials: DigestCredentials | null, log: Logger = silentLogger) =>
    await openZooKeeperStateStore({
      zooKeeper: connect(credentials),
      nodes,
      isProtected: credentials !== null,
      clock: createSystemClock(),
      ids: createSystemIds(),
      log,
    });
  /** As a leader does that stores the first record. */
  const keyWith = async (credentials: DigestCredentials | null, log: Logger = silentLogger) => {
    const keys = createOrderKeyNode({
      zooKeeper: connect(credentials),
      nodes,
      isProtected: credentials !== null,
      copyFile: join(directory, 'copy.pem'),
      log,
    });
    await keys.open(false);
    await keys.settle();
    return await keys.open(true);
  };
  const warnings = () => {
    const lines: { event: string; fields: unknown }[] = [];
    const log = {
      ...silentLogger,
      warn: (event: string, fields?: unknown) => void lines.push({ event, fields }),
    };
    return { lines, log };
  };
  /** All nodes from the framework's own down. */
  const nodesOf = async (zooKeeper: ZooKeeper, path = nodes.base): Promise<string[]> => {
    const names = await (await zooKeeper.session()).children(path);
    const below = await Promise.all(names.map(async (name) => await nodesOf(zooKeeper, `${path}/${name}`)));
    return [path, ...below.flat()];
  };

  it('is for whoever has its credentials, and for nobody else', async () => {
    const store = await storeWith(OURS);
    const version = await store.save(bytes('record'), null);
    await store.append('audit', 'entry');
    await keyWith(OURS);
    const election = createElection({
      zooKeeper: connect(OURS),
      nodes,
      isProtected: true,
      clock,
      ids: createSystemIds(),
      log: silentLogger,
      url: 'http://a',
    });
    await election.lead(new AbortController().signal);
    const all = await nodesOf(connect(OURS));
    expect(all).toHaveLength(9);
    for (const others of [null, THEIRS]) {
      const session = await connect(others).session();
      for (const node of all) {
        await expect(session.get(node)).rejects.toMatchObject({ code: 'no-auth' });
        await expect(session.set(node, bytes('x'), null)).rejects.toMatchObject({ code: 'no-auth' });
      }
    }
    const outside = await storeWith(null);
    const refusal = { code: 'unreadable', hint: expect.stringContaining('--zk-auth-file') as string };
    await expect(outside.load()).rejects.toMatchObject(refusal);
    await expect(outside.save(bytes('x'), null)).rejects.toMatchObject(refusal);
    await expect(outside.save(bytes('x'), version)).rejects.toMatchObject(refusal);
    await expect(outside.clear()).rejects.toMatchObject(refusal);
    await expect(storeWith(THEIRS)).rejects.toMatchObject(refusal);
    await expect(keyWith(THEIRS)).rejects.toMatchObject({ code: 'state-unusable' });
    expect((await store.load())?.version).toBe(version);
  });

  it('is closed to others, with a warning, where it was open before', async () => {
    const before = await storeWith(null);
    const version = await before.save(bytes('record'), null);
    await before.append('plans', 'entry');
    const { lines, log } = warnings();
    const store = await storeWith(OURS, log);
    expect(lines).toMatchObject([{ event: expect.stringContaining('open to others'), fields: { count: 6 } }]);
    expect((await store.load())?.version).toBe(version);
    expect(await store.read('plans')).toEqual(['entry']);
    await expect(before.load()).rejects.toMatchObject({ code: 'unreadable' });
    await storeWith(OURS, log);
    expect(lines).toHaveLength(1);
  });

  it('warns of an order key without credentials, and takes nothing for one that is none', async () => {
    const { lines, log } = warnings();
    await keyWith(null, log);
    expect(lines).toMatchObject([{ event: expect.stringContaining('without credentials') as string }]);
    await rm(join(directory, 'copy.pem'));
    await (await connect(null).session()).set(nodes.orderKey, bytes('garbage'), null);
    await expect(keyWith(null)).rejects.toMatchObject({ code: 'malformed' });
  });

  it('is damaged where a byte of it is another', async () => {
    const store = await storeWith(null);
    const version = await store.save(bytes('{"a":1}'), null);
    const session = await connect(null).session();
    const { data } = await session.get(nodes.record);
    const harmed = Uint8Array.from(data);
    harmed[harmed.length - 2] = 50;
    await session.set(nodes.record, harmed, null);
    await expect(store.load()).rejects.toMatchObject({ code: 'corrupt' });
    await expect(store.save(bytes('x'), version)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('never takes a version of a record that was removed for one of its successor', async () => {
    const [old, other] = [await storeWith(null), await storeWith(null)];
    const version = await old.save(bytes('old'), null);
    await other.clear();
    await other.save(bytes('new'), null);
    await expect(old.save(bytes('late'), version)).rejects.toMatchObject({ code: 'conflict' });
    expect((await other.load())?.bytes).toEqual(Uint8Array.from(bytes('new')));
  });

  it('leaves nothing behind when it is forgotten', async () => {
    const store = await storeWith(OURS);
    await store.save(bytes('record'), null);
    await store.append('audit', 'entry');
    await keyWith(OURS);
    const zooKeeper = connect(OURS);
    await store.clear();
    await forgetFramework(await zooKeeper.session(), nodes);
    await forgetFramework(await zooKeeper.session(), nodes);
    expect(await (await zooKeeper.session()).stat(nodes.base)).toBeNull();
  });

  it('keeps every acknowledged save through restarts of the servers', async () => {
    const store = await storeWith(null);
    let version: string | null = null;
    const saves = 60;
    const restarts = (async () => {
      for (let at = 0; at < 3; at += 1) {
        await clock.sleep(100);
        await server.stop();
        await server.start();
      }
    })();
    for (let at = 0; at < saves; at += 1) {
      const mine = bytes(`save ${at}`);
      for (;;) {
        try {
          version = await store.save(mine, version);
          break;
        } catch {
          // As the record keeper does: what is stored says whether it was carried out.
          const found = await store.load().catch(() => undefined);
          if (found === undefined) continue;
          const text = found === null ? '' : Buffer.from(found.bytes).toString();
          expect([`save ${at - 1}`, `save ${at}`, at === 0 ? '' : `save ${at}`]).toContain(text);
          version = found?.version ?? null;
          if (text === `save ${at}`) break;
        }
      }
      await clock.sleep(30);
    }
    await restarts;
    expect(Buffer.from((await store.load())?.bytes ?? []).toString()).toBe(`save ${saves - 1}`);
  });
});
