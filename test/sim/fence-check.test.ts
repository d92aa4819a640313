import { expect, test } from 'vitest';
import type { SignedOrder } from '../../src/protocol/orders.ts';
import { createFenceCheck } from './fence-check.ts';

const order = (id: string, generation: number): SignedOrder => ({
  order: JSON.stringify({
    id,
    cluster: 'c',
    task: 't',
    epoch: 1,
    attempt: 1,
    generation,
    counter: 1,
    kind: 'fence',
    args: {},
  }),
  signature: '',
});

test('an order of an earlier scheduler after one of a later is found, an answer that is repeated is not', () => {
  const check = createFenceCheck();
  expect(check.done('t', order('a', 1))).toBeNull();
  expect(check.done('t', order('b', 2))).toBeNull();
  expect(check.done('t', order('a', 1))).toBeNull();
  expect(check.done('another', order('c', 1))).toBeNull();
  expect(check.done('t', order('d', 1))).toBe(
    'fence violated: t has carried out fence of generation 1.1 after one of 1.2',
  );
});
