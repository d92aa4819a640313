import { describe, expect, it } from 'vitest';
import { LOG_ENTRIES_MAX, LOG_ENTRY_BYTES_MAX, type StateStore } from '../../../src/base/ports.ts';
import { RECORD_BYTES_MAX } from '../../../src/protocol/record.ts';

/** What every state store keeps to. `reopen` gives a store on what the last one left. */
export function stateStoreContract(
  name: string,
  setUp: () => Promise<{ store: StateStore; reopen: () => Promise<StateStore> }>,
): void {
  const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
  const textOf = async (store: StateStore): Promise<string | null> => {
    const stored = await store.load();
    return stored === null ? null : new TextDecoder().decode(stored.bytes);
  };

  describe(`state store: ${name}`, () => {
    it('holds nothing at first', async () => {
      const { store } = await setUp();
      expect(await store.load()).toBeNull();
      expect(await store.read('audit')).toEqual([]);
    });

    it('gives back what was saved, with the version that the save returned', async () => {
      const { store, reopen } = await setUp();
      const first = await store.save(bytesOf('one'), null);
      const second = await store.save(bytesOf('two'), first);
      expect(second).not.toBe(first);
      expect(await textOf(store)).toBe('two');
      expect((await store.load())?.version).toBe(second);
      const again = await reopen();
      expect(await textOf(again)).toBe('two');
      expect((await again.load())?.version).toBe(second);
    });

    it.each([
      ['a first save where something is', null],
      ['a version that was overwritten', 'first'],
      ['a version that never was', '999'],
    ])('refuses %s and keeps what is there', async (_what, expected) => {
      const { store } = await setUp();
      const first = await store.save(bytesOf('one'), null);
      await store.save(bytesOf('two'), first);
      const version = expected === 'first' ? first : expected;
      await expect(store.save(bytesOf('three'), version)).rejects.toMatchObject({ code: 'conflict' });
      expect(await textOf(store)).toBe('two');
    });

    it('refuses a version where nothing is', async () => {
      const { store } = await setUp();
      await expect(store.save(bytesOf('one'), '1')).rejects.toMatchObject({ code: 'conflict' });
      expect(await store.load()).toBeNull();
    });

    it('forgets all when it is cleared, as often as wanted, and begins anew', async () => {
      const { store, reopen } = await setUp();
      const first = await store.save(bytesOf('one'), null);
      await store.save(bytesOf('two'), first);
      await store.append('audit', 'entry');
      await store.clear();
      await store.clear();
      const again = await reopen();
      expect(await again.load()).toBeNull();
      expect(await again.read('audit')).toEqual([]);
      await again.save(bytesOf('new'), null);
      expect(await textOf(again)).toBe('new');
    });

    it('lets one of two savers with the same version win', async () => {
      const { store } = await setUp();
      const first = await store.save(bytesOf('one'), null);
      const outcomes = await Promise.allSettled([
        store.save(bytesOf('left'), first),
        store.save(bytesOf('right'), first),
      ]);
      const won = outcomes.flatMap(({ status }, at) =>
        status === 'fulfilled' ? [['left', 'right'][at]] : [],
      );
      expect(won).toHaveLength(1);
      expect(await textOf(store)).toBe(won[0]);
    });

    it('keeps any bytes, empty ones and those with newlines and zeros too', async () => {
      const { store, reopen } = await setUp();
      const bytes = Uint8Array.from([10, 0, 255, 10, 13, 0]);
      const version = await store.save(bytes, null);
      const again = await reopen();
      expect([...((await again.load())?.bytes ?? [])]).toEqual([...bytes]);
      await again.save(new Uint8Array(), version);
      expect((await (await reopen()).load())?.bytes.byteLength).toBe(0);
    });

    it('refuses more than a record may have', async () => {
      const { store } = await setUp();
      const save = store.save(new Uint8Array(RECORD_BYTES_MAX + 1), null);
      await expect(save).rejects.toMatchObject({ code: 'too-large' });
      expect(await store.load()).toBeNull();
    });

    it('keeps what it has to itself: neither what was given nor what is handed out changes it', async () => {
      const { store } = await setUp();
      const given = bytesOf('one');
      const version = await store.save(given, null);
      given.fill(0);
      (await store.load())?.bytes.fill(0);
      expect(await textOf(store)).toBe('one');
      expect((await store.load())?.version).toBe(version);
    });

    it('refuses an entry of a log that is too long, and keeps the others', async () => {
      const { store } = await setUp();
      // In quotation marks, as JSON text has it.
      const longest = 'x'.repeat(LOG_ENTRY_BYTES_MAX - 2);
      await store.append('audit', longest);
      await expect(store.append('audit', `${longest}x`)).rejects.toMatchObject({ code: 'too-large' });
      expect(await store.read('audit')).toEqual([longest]);
    });

    it('keeps the newest entries of a log, in their order, each log for itself', async () => {
      const { store, reopen } = await setUp();
      const count = LOG_ENTRIES_MAX + 60;
      for (let at = 0; at < count; at += 1) await store.append('plans', `entry ${at}\nwith a newline`);
      await store.append('audit', 'another');
      const plans = await (await reopen()).read('plans');
      expect(plans).toHaveLength(LOG_ENTRIES_MAX);
      expect(plans[0]).toBe(`entry ${count - LOG_ENTRIES_MAX}\nwith a newline`);
      expect(plans.at(-1)).toBe(`entry ${count - 1}\nwith a newline`);
    });
  });
}
