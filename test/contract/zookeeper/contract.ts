import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { childPath } from '../../../src/zookeeper/nodes.ts';
import {
  CREATOR_ACL,
  type DigestCredentials,
  OPEN_ACL,
  type ZooKeeper,
  type ZooKeeperSession,
} from '../../../src/zookeeper/port.ts';
import { until } from '../../wait.ts';

/** A client, and the network between it and the servers. */
export interface ZooKeeperClient {
  readonly zooKeeper: ZooKeeper;
  /** It can reach nobody any more; what was open breaks. */
  cut(): void;
  heal(): void;
}
export interface ZooKeeperFixture {
  /** Of the sessions of {@link client}. */
  readonly timeoutMs: number;
  /** A node that was made for this test. */
  readonly root: string;
  client(credentials?: DigestCredentials): Promise<ZooKeeperClient>;
  close(): Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');
const text = (data: Uint8Array): string => Buffer.from(data).toString('utf8');

/** What every implementation of {@link ZooKeeper} keeps. */
export function zooKeeperContract(name: string, create: () => Promise<ZooKeeperFixture>): void {
  describe(`zookeeper: ${name}`, () => {
    let fixture: ZooKeeperFixture;
    let one: ZooKeeperClient;
    let session: ZooKeeperSession;
    let path: string;
    beforeEach(async () => {
      fixture = await create();
      one = await fixture.client();
      session = await one.zooKeeper.session();
      path = `${fixture.root}/node`;
    });
    afterEach(async () => await fixture.close());
    const another = async (credentials?: DigestCredentials): Promise<ZooKeeperSession> =>
      await (await fixture.client(credentials)).zooKeeper.session();

    it('keeps what it was given, and counts the changes', async () => {
      expect(await session.stat(path)).toBeNull();
      await expect(session.get(path)).rejects.toMatchObject({ code: 'no-node' });
      expect(await session.create(path, bytes('one'))).toBe(path);
      await expect(session.create(path, bytes('x'))).rejects.toMatchObject({ code: 'node-exists' });
      const first = await session.get(path);
      expect([text(first.data), first.stat.version, first.stat.owner]).toEqual(['one', 0, null]);
      expect((await session.set(path, bytes('two'), 0)).version).toBe(1);
      await expect(session.set(path, bytes('x'), 0)).rejects.toMatchObject({ code: 'bad-version' });
      expect((await session.set(path, new Uint8Array(), null)).version).toBe(2);
      expect((await session.get(path)).data.byteLength).toBe(0);
      await expect(session.remove(path, 1)).rejects.toMatchObject({ code: 'bad-version' });
      await session.remove(path, 2);
      await expect(session.remove(path, null)).rejects.toMatchObject({ code: 'no-node' });
      await session.create(path, bytes('again'));
      const again = await session.stat(path);
      expect(again?.version).toBe(0);
      expect(again?.created).not.toBe(first.stat.created);
    });

    it('keeps nodes below others', async () => {
      await expect(session.create(`${path}/below`, bytes(''))).rejects.toMatchObject({ code: 'no-node' });
      await session.create(path, bytes(''));
      for (const child of ['b', 'a', 'c']) await session.create(`${path}/${child}`, bytes(child));
      expect([...(await session.children(path))].sort()).toEqual(['a', 'b', 'c']);
      await expect(session.remove(path, null)).rejects.toMatchObject({ code: 'not-empty' });
      await expect(session.children(`${path}/x`)).rejects.toMatchObject({ code: 'no-node' });
    });

    it('numbers sequential nodes, and never twice', async () => {
      await session.create(path, bytes(''));
      const make = async (): Promise<string> =>
        await session.create(`${path}/n-`, bytes(''), { sequential: true });
      const first = await make();
      const second = await make();
      expect(first).toMatch(/\/n-\d{10}$/);
      expect(second > first).toBe(true);
      await session.remove(second, null);
      expect((await make()) > second).toBe(true);
    });

    it('shows each what the others have written', async () => {
      const other = await another();
      for (let at = 0; at < 20; at += 1) {
        await (at === 0 ? session.create(path, bytes('0')) : session.set(path, bytes(String(at)), null));
        expect(text((await other.get(path)).data)).toBe(String(at));
      }
    });

    it('takes ephemeral nodes away when their session is closed', async () => {
      const two = await fixture.client();
      const theirs = await two.zooKeeper.session();
      await theirs.create(path, bytes(''), { ephemeral: true });
      const { stat, changed } = await session.watchStat(path);
      expect(stat?.owner).toBe(theirs.id);
      await two.zooKeeper.close();
      await changed;
      await until('it is gone', 5_000, async () => (await session.stat(path)) === null);
      expect(theirs.ended.aborted).toBe(true);
      await expect(theirs.stat(path)).rejects.toMatchObject({ code: 'session-ended' });
      await expect(two.zooKeeper.session()).rejects.toMatchObject({ code: 'closed' });
    });

    it('tells of changes to what is watched, once', async () => {
      const other = await another();
      const absent = await session.watchStat(path);
      expect(absent.stat).toBeNull();
      await other.create(path, bytes('one'));
      await absent.changed;
      const content = await session.watch(path);
      expect(text(content.data)).toBe('one');
      const below = await session.watchChildren(path);
      expect(below.names).toEqual([]);
      await other.create(`${path}/child`, bytes(''));
      await below.changed;
      await other.set(path, bytes('two'), null);
      await content.changed;
      const last = await session.watchStat(path);
      await other.remove(`${path}/child`, null);
      await other.remove(path, null);
      await last.changed;
    });

    it('does all of several changes or nothing', async () => {
      await session.create(path, bytes('one'));
      await session.multi([
        { kind: 'check', path, version: 0 },
        { kind: 'set', path, data: bytes('two'), version: 0 },
        { kind: 'create', path: `${path}/child`, data: bytes('') },
      ]);
      expect(text((await session.get(path)).data)).toBe('two');
      const refused: readonly [string, Parameters<ZooKeeperSession['multi']>[0]][] = [
        [
          'bad-version',
          [
            { kind: 'set', path, data: bytes('x'), version: null },
            { kind: 'check', path, version: 0 },
          ],
        ],
        [
          'no-node',
          [
            { kind: 'set', path, data: bytes('x'), version: null },
            { kind: 'check', path: `${path}/no`, version: null },
          ],
        ],
        [
          'node-exists',
          [
            { kind: 'set', path, data: bytes('x'), version: null },
            { kind: 'create', path: `${path}/child`, data: bytes('') },
          ],
        ],
        [
          'not-empty',
          [
            { kind: 'set', path, data: bytes('x'), version: null },
            { kind: 'remove', path, version: null },
          ],
        ],
      ];
      for (const [code, changes] of refused) {
        await expect(session.multi(changes)).rejects.toMatchObject({ code });
        expect(text((await session.get(path)).data)).toBe('two');
      }
      await session.multi([
        { kind: 'remove', path: `${path}/child`, version: null },
        { kind: 'remove', path, version: 1 },
      ]);
      expect(await session.stat(path)).toBeNull();
    });

    it('keeps the session, and what goes with it, through a short loss of the connection', async () => {
      await session.create(path, bytes(''), { ephemeral: true });
      const watched = await session.watchStat(path);
      one.cut();
      await watched.changed;
      await expect(session.stat(path)).rejects.toMatchObject({
        code: expect.stringMatching(/^(not-connected|connection-lost)$/) as string,
      });
      one.heal();
      const again = await one.zooKeeper.session();
      expect(again.id).toBe(session.id);
      expect((await again.stat(path))?.owner).toBe(session.id);
      expect(session.ended.aborted).toBe(false);
    });

    it('ends a session that was away for too long, and what goes with it', async () => {
      const other = await another();
      await session.create(path, bytes(''), { ephemeral: true });
      const { changed } = await other.watchStat(path);
      one.cut();
      await changed;
      await until('its node is gone', fixture.timeoutMs * 4, async () => (await other.stat(path)) === null);
      one.heal();
      const next = await one.zooKeeper.session();
      expect(next.id).not.toBe(session.id);
      expect(session.ended.aborted).toBe(true);
      await expect(session.create(path, bytes(''))).rejects.toMatchObject({ code: 'session-ended' });
      expect(await next.stat(path)).toBeNull();
    });

    it('is sure of a session for its timeout after it was last heard of, and no longer', async () => {
      await session.stat(path);
      const sure = session.certainUntilMs();
      await until('time has gone on', 5_000, async () => {
        await session.stat(path);
        return session.certainUntilMs() > sure;
      });
      const { changed } = await session.watchStat(path);
      one.cut();
      await changed;
      const lastly = session.certainUntilMs();
      await expect(one.zooKeeper.session({ waitMs: 300 })).rejects.toMatchObject({ code: 'not-connected' });
      expect(session.certainUntilMs()).toBe(lastly);
    });

    it('gives up waiting for a session when told to', async () => {
      const { changed } = await session.watchStat(path);
      one.cut();
      await changed;
      const end = new AbortController();
      const waiting = one.zooKeeper.session({ signal: end.signal });
      end.abort();
      await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
    });

    it('leaves what is for its maker to nobody else', async () => {
      const mine = await another({ user: 'etcd', password: 'right' });
      await mine.create(path, bytes('secret'), { acl: CREATOR_ACL });
      await mine.create(childPath(path, 'child'), bytes('x'), { acl: CREATOR_ACL });
      const same = await another({ user: 'etcd', password: 'right' });
      expect(text((await same.get(path)).data)).toBe('secret');
      for (const other of [session, await another({ user: 'etcd', password: 'wrong' })]) {
        const refusal = { code: 'no-auth' };
        await expect(other.get(path)).rejects.toMatchObject(refusal);
        await expect(other.children(path)).rejects.toMatchObject(refusal);
        await expect(other.set(path, bytes('x'), null)).rejects.toMatchObject(refusal);
        await expect(other.create(`${path}/other`, bytes('x'))).rejects.toMatchObject(refusal);
        await expect(other.remove(`${path}/child`, null)).rejects.toMatchObject(refusal);
        await expect(other.setAcl(path, OPEN_ACL)).rejects.toMatchObject(refusal);
      }
      const [entry] = await same.acl(path);
      expect(entry).toMatchObject({ perms: 31, scheme: 'digest' });
      expect(entry?.id).toMatch(/^etcd:/);
    });
  });
}
