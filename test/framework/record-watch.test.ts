import { expect, test } from 'vitest';
import { StateStoreError } from '../../src/base/ports.ts';
import { watchRecord } from '../../src/framework/record-watch.ts';
import { serializeRecord } from '../../src/protocol/record.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryStore } from '../sim/memory-store.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { record } from './fixtures.ts';

function world() {
  const clock = createVirtualClock({ settleTurns: 3 });
  const store = createMemoryStore();
  const seen: number[] = [];
  const stop = new AbortController();
  let failNext = false;
  const onRecord = ({ generation }: { readonly generation: number }): Promise<void> => {
    const fails = failNext;
    failNext = false;
    if (fails) return Promise.reject(new Error('the key cannot be read'));
    seen.push(generation);
    return Promise.resolve();
  };
  const start = () => watchRecord({ store, clock, log: silentLogger, onRecord }, stop.signal);
  const fail = (): void => {
    failNext = true;
  };
  return { clock, store, seen, stop, start, fail };
}
const generation = (number: number) => serializeRecord(record({ generation: number }));

test('every record that is another is told of, once', async () => {
  const { clock, store, seen, start } = world();
  void start();
  await clock.advance(3_000);
  const first = await store.save(generation(1), null);
  await clock.advance(3_000);
  await store.save(generation(2), first);
  await clock.advance(3_000);
  expect(seen).toEqual([1, 2]);
});

test('what could not be read, or not be taken, comes later', async () => {
  const { clock, store, seen, start, fail } = world();
  await store.save(generation(1), null);
  fail();
  const { load } = store;
  store.load = () => Promise.reject(new StateStoreError('unavailable', 'the store is away'));
  void start();
  await clock.advance(3_000);
  store.load = load;
  await clock.advance(3_000);
  expect(seen).toEqual([1]);
});

test('it ends at once, though the store does not answer', async () => {
  const { clock, store, stop, start } = world();
  store.load = () => new Promise(() => undefined);
  const watching = start();
  await clock.settle();
  stop.abort();
  await watching;
});
