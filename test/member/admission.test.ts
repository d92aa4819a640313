import { expect, test } from 'vitest';
import { type AdmissionState, admit, compareFences, receiptOf } from '../../src/member/admission.ts';
import type { Order } from '../../src/protocol/orders.ts';

const order: Order = {
  id: 'order-9',
  cluster: 'cluster-1',
  task: 'etcd-0__a',
  epoch: 2,
  attempt: 1,
  generation: 5,
  counter: 10,
  kind: 'fence',
  args: {},
};
const state = (changes: Partial<AdmissionState> = {}): AdmissionState => ({
  cluster: 'cluster-1',
  task: 'etcd-0__a',
  fence: { epoch: 2, generation: 5 },
  counter: 9,
  remembered: new Map(),
  ...changes,
});

test.for([
  ['the first ever', {}, { fence: null, counter: 0 }, 'admit'],
  ['the next', {}, {}, 'admit'],
  ['another cluster’s', { cluster: 'cluster-2' }, {}, 'wrong-cluster'],
  ['another task’s', { task: 'etcd-0__b' }, {}, 'wrong-task'],
  ['a lower generation', { generation: 4, counter: 99 }, {}, 'stale-generation'],
  ['a lower epoch of a higher generation', { epoch: 1, generation: 9 }, {}, 'stale-generation'],
  ['a higher generation with any counter', { generation: 6, counter: 1 }, {}, 'admit'],
  ['a higher epoch of a lower generation', { epoch: 3, generation: 1, counter: 1 }, {}, 'admit'],
  ['the same counter under another id', { counter: 9 }, {}, 'replayed'],
  ['a lower counter', { counter: 3 }, {}, 'replayed'],
] as const)('%s', ([, changes, known, expected]) => {
  const admission = admit(state(known), { ...order, ...changes });
  expect(admission.kind === 'admit' ? 'admit' : admission.receipt.problem).toBe(expected);
});

test('an order that was answered is answered the same again, whoever leads by now', () => {
  const receipt = receiptOf('order-9', 'done', null, 'it is done');
  const remembered = new Map([['order-9', { counter: 10, receipt }]]);
  const later = state({ remembered, counter: 10, fence: { epoch: 2, generation: 7 } });
  expect(admit(later, order)).toEqual({ kind: 'answer', receipt });
});

test('a failed order is tried anew only under a higher counter', () => {
  const receipt = receiptOf('order-9', 'failed', 'timeout', 'too late');
  const remembered = new Map([['order-9', { counter: 10, receipt }]]);
  expect(admit(state({ remembered, counter: 10 }), order)).toEqual({ kind: 'answer', receipt });
  expect(admit(state({ remembered, counter: 10 }), { ...order, counter: 11 }).kind).toBe('admit');
});

test('fences are ordered by epoch, then by generation', () => {
  const fences = [
    { epoch: 2, generation: 1 },
    { epoch: 1, generation: 9 },
    { epoch: 1, generation: 2 },
  ];
  expect(fences.toSorted(compareFences)).toEqual(fences.toReversed());
});
