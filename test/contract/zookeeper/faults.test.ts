import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ZooKeeper } from '../../../src/zookeeper/port.ts';
import { lacksZooKeeper } from '../../needs.ts';
import { startTcpProxy } from '../../tcp-proxy.ts';
import { clock, until } from '../../wait.ts';
import { startZooKeeper, type ZooKeeperServer } from '../../zookeeper-server.ts';
import { connectTo } from './real.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');
/** For what a call may take: half the session timeout, and what a busy machine adds. */
const CALL_MS = 4_000;

describe.skipIf(lacksZooKeeper())('a session with a real ZooKeeper', () => {
  let server: ZooKeeperServer;
  const closers: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    server = await startZooKeeper();
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    await server.dispose();
  });
  const connect = (...args: Parameters<typeof connectTo>): ZooKeeper => {
    const zooKeeper = connectTo(...args);
    closers.push(() => zooKeeper.close());
    return zooKeeper;
  };
  /** Listens, and does what it is told with each connection. */
  const listen = async (onConnection: (socket: Socket) => void): Promise<number> => {
    const sockets = new Set<Socket>();
    const listener: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      onConnection(socket);
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    closers.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    });
    return (listener.address() as AddressInfo).port;
  };

  it('finds the one server of a list that answers', async () => {
    const silent = await listen(() => undefined);
    const closing = await listen((socket) => socket.destroy());
    const talking = await listen((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(100)));
    for (let at = 0; at < 4; at += 1) {
      const zooKeeper = connect([silent, closing, talking, server.port], { sessionTimeoutMs: 2_000 });
      await (await zooKeeper.session({ waitMs: CALL_MS })).stat('/');
    }
  });

  it('says of a server that is none what it got', async () => {
    const talking = await listen((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(100)));
    const zooKeeper = connect([talking], { sessionTimeoutMs: 2_000 });
    await expect(zooKeeper.session({ waitMs: 1_000 })).rejects.toMatchObject({
      code: 'not-connected',
      message: expect.stringContaining('1213486160 bytes') as string,
    });
  });

  it('gives a server up that is stopped in its tracks, and resumes when it goes on', async () => {
    const zooKeeper = connect([server.port], { sessionTimeoutMs: 4_000 });
    const session = await zooKeeper.session();
    await session.create('/mine', bytes(''), { ephemeral: true });
    server.pause();
    try {
      const startMs = clock.monotonicMs();
      await expect(session.stat('/')).rejects.toMatchObject({ code: 'connection-lost' });
      expect(clock.monotonicMs() - startMs).toBeLessThan(CALL_MS);
    } finally {
      server.resume();
    }
    const again = await zooKeeper.session();
    expect(again.id).toBe(session.id);
    expect((await again.stat('/mine'))?.owner).toBe(session.id);
  });

  it('survives an answer that breaks off in its middle', async () => {
    const proxy = await startTcpProxy(server.port);
    closers.push(() => proxy.close());
    const zooKeeper = connect([proxy.port]);
    const session = await zooKeeper.session();
    await session.create('/long', new Uint8Array(100_000).fill(65));
    for (const cutAt of [1, 3, 17, 30, 1_000]) {
      proxy.breakNextAnswerAfter(cutAt);
      await until('a read was cut', 10_000, async () => {
        const again = await zooKeeper.session();
        return await again.get('/long').then(
          () => false,
          (error: unknown) => (error as { code: string }).code === 'connection-lost',
        );
      });
      const again = await zooKeeper.session();
      expect((await again.get('/long')).data.byteLength).toBe(100_000);
      expect(again.id).toBe(session.id);
    }
  });

  it('outlives a restart of the servers', async () => {
    const zooKeeper = connect([server.port], { sessionTimeoutMs: 10_000 });
    const session = await zooKeeper.session();
    await session.create('/mine', bytes('x'), { ephemeral: true });
    const { changed } = await session.watch('/mine');
    await server.stop();
    await changed;
    await server.start();
    const again = await zooKeeper.session();
    expect(again.id).toBe(session.id);
    expect(Buffer.from((await again.get('/mine')).data).toString()).toBe('x');
  });

  it('ends when the servers have lost all they held, and another begins', async () => {
    const zooKeeper = connect([server.port]);
    const session = await zooKeeper.session();
    for (let at = 0; at < 20; at += 1) await session.create(`/n${at}`, bytes(''));
    await server.stop();
    await server.wipe();
    await server.start();
    const next = await zooKeeper.session();
    expect(next.id).not.toBe(session.id);
    expect(session.ended.aborted).toBe(true);
    expect(await next.stat('/n0')).toBeNull();
  });

  it('refuses what is too much, and goes on', async () => {
    const zooKeeper = connect([server.port], { sessionTimeoutMs: 60_000 });
    const session = await zooKeeper.session();
    const refusal = { code: 'too-much' };
    await expect(session.create('/big', new Uint8Array(2 ** 20))).rejects.toMatchObject(refusal);
    const many = Array.from({ length: 2_000 }, async () => await session.stat('/'));
    const outcomes = await Promise.allSettled(many);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const outcome of refused) expect(outcome).toMatchObject({ reason: refusal });
    expect(await session.stat('/')).not.toBeNull();
  });

  it('says when nobody is there', async () => {
    await server.stop();
    const zooKeeper = connect([server.port]);
    await expect(zooKeeper.session({ waitMs: 500 })).rejects.toMatchObject({
      code: 'not-connected',
      message: expect.stringContaining(`127.0.0.1:${server.port}`) as string,
    });
  });
});
