import { expect, test } from 'vitest';
import { createEndpointNotice } from '../../src/framework/endpoint-notice.ts';
import { silentLogger } from '../silent-logger.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

function world() {
  const clock = createVirtualClock({ settleTurns: 3 });
  const written: string[] = [];
  let failures = 0;
  const notice = createEndpointNotice({
    clock,
    log: silentLogger,
    board: {
      write: (text) => {
        if (failures > 0) {
          failures -= 1;
          return Promise.reject(new Error('no session'));
        }
        written.push(text);
        return Promise.resolve();
      },
    },
  });
  const failNext = (count: number): void => {
    failures = count;
  };
  return { clock, written, notice, failNext };
}

const at = (...hosts: readonly string[]) => ({
  client: hosts.map((host) => `http://${host}:2379`),
  peer: hosts.map((host) => `http://${host}:2380`),
});

test('the endpoints are written once, and again when they change', async () => {
  const { clock, written, notice } = world();
  for (const hosts of [
    ['a', 'b'],
    ['a', 'b'],
    ['a', 'c'],
    ['a', 'c'],
  ]) {
    notice.update(at(...hosts));
    await clock.settle();
  }
  expect(written.map((text) => JSON.parse(text) as unknown)).toEqual([at('a', 'b'), at('a', 'c')]);
});

test('nothing is written before the cluster has formed', async () => {
  const { clock, written, notice } = world();
  notice.update(null);
  notice.update(at());
  await clock.settle();
  expect(written).toEqual([]);
});

test('a write that fails is tried again, with what is true by then', async () => {
  const { clock, written, notice, failNext } = world();
  failNext(2);
  notice.update(at('a'));
  await clock.settle();
  notice.update(at('b'));
  await clock.advance(10_000);
  expect(written.map((text) => JSON.parse(text) as unknown)).toEqual([at('b')]);
});

test('after the term nothing is written', async () => {
  const { clock, written, notice, failNext } = world();
  failNext(1);
  notice.update(at('a'));
  await clock.settle();
  await notice.stop();
  notice.update(at('b'));
  await clock.advance(60_000);
  expect(written).toEqual([]);
});
