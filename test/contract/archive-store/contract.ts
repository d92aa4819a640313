import { describe, expect, it } from 'vitest';
import { type ArchiveStore, readWhole } from '../../../src/backup/store-port.ts';

const never = new AbortController().signal;
const put = { ifAbsent: false, signal: never };
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What every store of an archive keeps to. `reopen` gives a store on what the last one left. */
export function archiveStoreContract(
  name: string,
  setUp: () => Promise<{ store: ArchiveStore; reopen: () => Promise<ArchiveStore> }>,
): void {
  const textOf = async (store: ArchiveStore, key: string): Promise<string> =>
    (await readWhole(store, key, { bytesMax: 1e8, signal: never })).toString();
  const keysOf = async (store: ArchiveStore, prefix: string, after?: string): Promise<readonly string[]> => {
    const keys: string[] = [];
    const options = after === undefined ? { signal: never } : { after, signal: never };
    for await (const { key } of store.list(prefix, options)) keys.push(key);
    return keys;
  };

  describe(`archive store: ${name}`, () => {
    it('holds nothing at first', async () => {
      const { store } = await setUp();
      expect(await keysOf(store, '')).toEqual([]);
      expect(await store.head('a/b', never)).toBeNull();
      await expect(textOf(store, 'a/b')).rejects.toMatchObject({ code: 'not-found' });
      await store.remove('a/b', never);
    });

    it('gives back what was put, also when it is opened anew', async () => {
      const { store, reopen } = await setUp();
      const bytes = Uint8Array.from([10, 0, 255, 13]);
      expect(await store.put('a/b', bytes, put)).toEqual({ key: 'a/b', sizeBytes: 4 });
      await store.put('empty', new Uint8Array(), put);
      bytes.fill(0);
      const again = await reopen();
      expect([...(await readWhole(again, 'a/b', { bytesMax: 4, signal: never }))]).toEqual([10, 0, 255, 13]);
      expect(await textOf(again, 'empty')).toBe('');
      expect(await again.head('a/b', never)).toEqual({ key: 'a/b', sizeBytes: 4 });
    });

    it('takes a long object part by part, and gives any range of it', async () => {
      const { store } = await setUp();
      const whole = Buffer.alloc(13 * 1024 * 1024);
      for (let at = 0; at < whole.byteLength; at += 4) whole.writeUInt32LE(at, at);
      const parts = async function* () {
        await Promise.resolve();
        for (let at = 0; at < whole.byteLength; at += 700_001) yield whole.subarray(at, at + 700_001);
      };
      expect(await store.put('long', parts(), put)).toEqual({ key: 'long', sizeBytes: whole.byteLength });
      const back = await readWhole(store, 'long', { bytesMax: whole.byteLength, signal: never });
      expect(back.equals(whole)).toBe(true);
      for (const [offset, length] of [
        [0, 1],
        [5_000_000, 3_000_000],
        [whole.byteLength - 1, 1],
        [7, 0],
        [whole.byteLength, 0],
      ] as const) {
        const got: Uint8Array[] = [];
        for await (const part of store.read('long', { range: { offset, length }, signal: never }))
          got.push(part);
        expect(Buffer.concat(got).equals(whole.subarray(offset, offset + length))).toBe(true);
      }
      const beyond = store.read('long', {
        range: { offset: whole.byteLength - 1, length: 2 },
        signal: never,
      });
      await expect(beyond[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'not-found' });
    });

    it('replaces an object, unless it is to be absent', async () => {
      const { store } = await setUp();
      await store.put('a', bytesOf('one'), { ifAbsent: true, signal: never });
      await expect(store.put('a', bytesOf('two'), { ifAbsent: true, signal: never })).rejects.toMatchObject({
        code: 'exists',
      });
      expect(await textOf(store, 'a')).toBe('one');
      await store.put('a', bytesOf('three'), put);
      expect(await textOf(store, 'a')).toBe('three');
    });

    it('lets one of many win that put the same name at once', async () => {
      const { store } = await setUp();
      const outcomes = await Promise.allSettled(
        Array.from(
          { length: 8 },
          async (_, at) => await store.put('claim', bytesOf(`${at}`), { ifAbsent: true, signal: never }),
        ),
      );
      const won = outcomes.flatMap(({ status }, at) => (status === 'fulfilled' ? [`${at}`] : []));
      expect(won).toHaveLength(1);
      expect(await textOf(store, 'claim')).toBe(won[0]);
      const lost = outcomes.flatMap((outcome) =>
        outcome.status === 'rejected' ? [(outcome.reason as { code?: string }).code] : [],
      );
      expect(new Set(lost)).toEqual(new Set(['exists']));
    });

    it('lists by prefix in the order of the keys, after a key', async () => {
      const { store } = await setUp();
      const keys = ['a', 'a-b', 'a.b', 'a/b', 'a/b-c', 'a/b/c', 'a/c', 'a0', 'b/a/1', 'b/a/2', 'b/b'];
      for (const key of keys.toReversed()) {
        if (key !== 'a' && key !== 'a/b') await store.put(key, bytesOf(key), put);
      }
      const stored = ['a-b', 'a.b', 'a/b-c', 'a/b/c', 'a/c', 'a0', 'b/a/1', 'b/a/2', 'b/b'];
      expect(await keysOf(store, '')).toEqual(stored);
      expect(await keysOf(store, 'a/')).toEqual(['a/b-c', 'a/b/c', 'a/c']);
      expect(await keysOf(store, 'a/b')).toEqual(['a/b-c', 'a/b/c']);
      expect(await keysOf(store, 'c')).toEqual([]);
      for (const after of keys) {
        expect(await keysOf(store, '', after)).toEqual(stored.filter((key) => key > after));
        expect(await keysOf(store, 'b/', after)).toEqual(
          stored.filter((key) => key.startsWith('b/') && key > after),
        );
      }
    });

    it('lists more than a page', async () => {
      const { store } = await setUp();
      const keys = Array.from({ length: 1205 }, (_, at) => `page/${String(at).padStart(6, '0')}`);
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(
          keys.slice(at, at + 50).map(async (key) => await store.put(key, bytesOf('x'), put)),
        );
      }
      expect(await keysOf(store, 'page/')).toEqual(keys);
      expect(await keysOf(store, 'page/', keys[1100])).toEqual(keys.slice(1101));
    });

    it('removes, as often as wanted', async () => {
      const { store } = await setUp();
      await store.put('a/b', bytesOf('one'), put);
      await store.remove('a/b', never);
      await store.remove('a/b', never);
      expect(await keysOf(store, '')).toEqual([]);
      await store.put('a/b', bytesOf('two'), { ifAbsent: true, signal: never });
      expect(await textOf(store, 'a/b')).toBe('two');
    });

    it('keeps nothing of an object whose content ends in an error, which it passes on', async () => {
      const { store } = await setUp();
      const wrong = new Error('the member is gone');
      for (const sizeBytes of [10, 6 * 1024 * 1024]) {
        const content = async function* () {
          yield await Promise.resolve(Buffer.alloc(sizeBytes));
          throw wrong;
        };
        await expect(store.put('half', content(), put)).rejects.toBe(wrong);
      }
      expect(await store.head('half', never)).toBeNull();
      expect(await keysOf(store, '')).toEqual([]);
    });

    it('does nothing for a signal that has aborted, and stops when it does', async () => {
      const { store } = await setUp();
      await store.put('a', Buffer.alloc(100), put);
      const signal = AbortSignal.abort();
      const aborted = { code: 'aborted' };
      await expect(store.put('b', bytesOf('x'), { ifAbsent: false, signal })).rejects.toMatchObject(aborted);
      await expect(store.head('a', signal)).rejects.toMatchObject(aborted);
      await expect(store.remove('a', signal)).rejects.toMatchObject(aborted);
      await expect(store.read('a', { signal })[Symbol.asyncIterator]().next()).rejects.toMatchObject(aborted);
      await expect(store.list('', { signal })[Symbol.asyncIterator]().next()).rejects.toMatchObject(aborted);
      const giveUp = new AbortController();
      const endless = async function* () {
        for (;;) {
          yield await Promise.resolve(Buffer.alloc(1024));
          giveUp.abort();
        }
      };
      await expect(
        store.put('c', endless(), { ifAbsent: false, signal: giveUp.signal }),
      ).rejects.toMatchObject(aborted);
      expect(await keysOf(store, '')).toEqual(['a']);
    });

    it('refuses to read more than the reader takes', async () => {
      const { store } = await setUp();
      await store.put('a', Buffer.alloc(100), put);
      await expect(readWhole(store, 'a', { bytesMax: 99, signal: never })).rejects.toMatchObject({
        code: 'unsuitable',
      });
    });
  });
}

/** What a store keeps to that takes objects that grow. */
export function growingObjectsContract(
  name: string,
  setUp: () => Promise<{ store: ArchiveStore; reopen: () => Promise<ArchiveStore> }>,
): void {
  describe(`growing objects: ${name}`, () => {
    it('shows what is durable, and no other gets the name', async () => {
      const { store, reopen } = await setUp();
      const grown = await store.growing?.create('log/1', bytesOf('head '), never);
      await grown?.append(bytesOf('one '));
      await grown?.append(new Uint8Array());
      await grown?.append(bytesOf('two'));
      const again = await reopen();
      const read = await readWhole(again, 'log/1', { bytesMax: 100, signal: never });
      expect(read.toString()).toBe('head one two');
      await expect(again.growing?.create('log/1', bytesOf('other'), never)).rejects.toMatchObject({
        code: 'exists',
      });
      await expect(
        again.put('log/1', bytesOf('other'), { ifAbsent: true, signal: never }),
      ).rejects.toMatchObject({
        code: 'exists',
      });
      await grown?.append(bytesOf('!'));
      await grown?.close();
      await grown?.close();
      await expect(grown?.append(bytesOf('more'))).rejects.toMatchObject({ code: 'unavailable' });
      expect((await again.head('log/1', never))?.sizeBytes).toBe(13);
    });
  });
}
