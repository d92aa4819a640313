import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createZooKeeperMasters } from '../../../src/mesos/zookeeper-masters.ts';
import type { ZooKeeper, ZooKeeperSession } from '../../../src/zookeeper/port.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { silentLogger } from '../../silent-logger.ts';
import { clock } from '../../wait.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { connectTo } from './real.ts';

const never = (): AbortSignal => new AbortController().signal;
const TRACE = join(import.meta.dirname, '../../data/mesos-traces/12-master-failover-zookeeper.jsonl');

/** What a real master wrote. */
async function recordedInfo(port: number): Promise<Uint8Array> {
  const lines = (await readFile(TRACE, 'utf8'))
    .split('\n')
    .filter((line) => line.includes('"kind":"zookeeper"'));
  const nodes = lines.flatMap((line) => (JSON.parse(line) as { get?: { data: string }[] }).get ?? []);
  const json = nodes
    .map(({ data }) => data.slice(data.indexOf('{')))
    .find((text) => text.includes(`"port":${port}`));
  return Buffer.from((json ?? '').trim());
}

describe.skipIf(lacksZooKeeper())('masters in a real ZooKeeper', () => {
  let server: ZooKeeperServer;
  let zooKeeper: ZooKeeper;
  let session: ZooKeeperSession;
  let count = 0;
  let path = '';
  const setUp = async () => {
    count += 1;
    path = `/mesos-${count}`;
    zooKeeper = connectTo([server.port]);
    session = await zooKeeper.session();
    return createZooKeeperMasters({ zooKeeper, path, clock, log: silentLogger });
  };
  const register = async (data: Uint8Array): Promise<string> => {
    if ((await session.stat(path)) === null) await session.create(path, new Uint8Array());
    return await session.create(`${path}/json.info_`, data, { ephemeral: true, sequential: true });
  };
  beforeAll(async () => {
    server = await startZooKeeper();
  });
  afterEach(async () => await zooKeeper.close());
  afterAll(async () => await server.dispose());

  it('are read as a real master writes them, the lowest first, whatever lies beside', async () => {
    const source = await setUp();
    const first = await register(await recordedInfo(5050));
    await register(await recordedInfo(5060));
    await session.create(`${path}/log_replicas`, new Uint8Array());
    expect(await source.next(never())).toEqual(['http://127.0.0.1:5050']);
    const change = source.changed?.(never());
    await session.remove(first, null);
    await change;
    expect(await source.next(never())).toEqual(['http://127.0.0.1:5060']);
  });

  it('are none where none has registered yet, and are found once one has', async () => {
    const source = await setUp();
    await expect(source.next(never())).rejects.toMatchObject({
      code: 'no-master',
      hint: expect.stringContaining('--zk'),
    });
    await register(await recordedInfo(5050));
    expect(await source.next(never())).toEqual(['http://127.0.0.1:5050']);
  });

  it('are the last known while ZooKeeper is away', async () => {
    const source = await setUp();
    await register(await recordedInfo(5050));
    await source.next(never());
    await server.stop();
    try {
      expect(await source.next(never())).toEqual(['http://127.0.0.1:5050']);
    } finally {
      await server.start();
    }
  });

  it('are told by address and by name, and refused where they are not theirs', async () => {
    const source = await setUp();
    const named = { address: { hostname: 'm1.example', ip: '10.0.0.1', port: 5050 } };
    const node = await register(Buffer.from(JSON.stringify(named)));
    expect(await source.next(never())).toEqual(['http://10.0.0.1:5050', 'http://m1.example:5050']);
    const secure = createZooKeeperMasters({ zooKeeper, path, scheme: 'https', clock, log: silentLogger });
    expect(await secure.next(never())).toEqual(['https://m1.example:5050', 'https://10.0.0.1:5050']);
    for (const wrong of ['garbage', '{}', '{"address":{"port":5050}}', '{"hostname":"m1"}']) {
      await session.set(node, Buffer.from(wrong), null);
      await expect(source.next(never())).rejects.toMatchObject({ code: 'not-mesos' });
    }
  });

  it('of before 0.24 are refused by name', async () => {
    const source = await setUp();
    await session.create(path, new Uint8Array());
    await session.create(`${path}/info_`, Buffer.from([10, 3, 1, 2, 3]), { sequential: true });
    await expect(source.next(never())).rejects.toThrow('binary form');
  });
});
