import { expect, it } from 'vitest';
import { createLedger } from '../../src/drills/ledger.ts';
import type { KvClient } from '../../src/etcd/port.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

/** A store of which every third write fails after it was taken, and which hangs while `stuck`. */
function createStore() {
  const entries = new Map<string, string>();
  let writes = 0;
  const store = {
    entries,
    stuck: false,
    client: (): KvClient => ({
      put: async (key, value, signal) => {
        if (store.stuck)
          await new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(new Error('cut'))),
          );
        entries.set(key, value);
        writes += 1;
        if (writes % 3 === 0) throw new Error('connection lost');
        return { revision: String(writes) };
      },
      range: async (from, to, countMax) =>
        [...entries]
          .filter(([key]) => key >= from && key < to)
          .sort(([left], [right]) => (left < right ? -1 : 1))
          .slice(0, countMax)
          .map(([key, value]) => ({ key, value, modRevision: '1' })),
      close: () => {},
    }),
  };
  return store;
}

it('finds each acknowledged entry that is missing or altered, and none that was never acknowledged', async () => {
  const clock = createVirtualClock({ startMs: 0 });
  const store = createStore();
  const end = new AbortController();
  const ledger = createLedger({ clock, endpoints: () => ['a', 'b'], open: store.client, prefix: 'ledger/' });
  const running = ledger.run(end.signal);
  await clock.advance(30_000);
  expect(ledger.acknowledged()).toBeGreaterThan(2_000);
  expect(ledger.acknowledged()).toBeLessThan(store.entries.size);
  expect(await ledger.missingFrom(store.client(), end.signal)).toEqual([]);

  store.entries.delete('ledger/0000000000');
  store.entries.set('ledger/0000000001', 'something else');
  store.entries.delete('ledger/0000000002');
  expect(await ledger.missingFrom(store.client(), end.signal)).toEqual([
    'ledger/0000000000',
    'ledger/0000000001',
  ]);
  end.abort();
  await clock.advance(10);
  await running;
});

it('measures how long nothing was acknowledged', async () => {
  const clock = createVirtualClock({ startMs: 0 });
  const store = createStore();
  const end = new AbortController();
  const ledger = createLedger({ clock, endpoints: () => ['a'], open: store.client, prefix: 'ledger/' });
  const running = ledger.run(end.signal);
  await clock.advance(1_000);
  const sinceMs = clock.monotonicMs();
  expect(ledger.longestGapMs(sinceMs)).toBeLessThan(50);
  store.stuck = true;
  await clock.advance(3_000);
  expect(ledger.longestGapMs(sinceMs)).toBeGreaterThanOrEqual(2_900);
  store.stuck = false;
  await clock.advance(3_000);
  expect(ledger.longestGapMs(sinceMs)).toBeLessThan(4_500);
  expect(ledger.longestGapMs(clock.monotonicMs() - 100)).toBeLessThan(50);
  end.abort();
  await clock.advance(10);
  await running;
});
