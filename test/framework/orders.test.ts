import { describe, expect, it } from 'vitest';
import { createOrderDesk, type OrderAction, type OrderResult } from '../../src/framework/orders.ts';
import type { OrderBody } from '../../src/protocol/orders.ts';
import { createOrderKey } from '../../src/protocol/signature.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { createFakeMembers, done } from './fake-master.ts';
import { seat } from './fixtures.ts';

const BY = { cluster: 'cluster-1', generation: 4 };

function desk() {
  const clock = createVirtualClock({ settleTurns: 2 });
  const members = createFakeMembers(clock.sleep);
  const results: OrderResult[] = [];
  const sequences = new Map<string, number>();
  let ids = 0;
  const orders = createOrderDesk({
    clock,
    members,
    orderKey: createOrderKey().key,
    ids: {
      uuid: () => {
        ids += 1;
        return `id-${ids}`;
      },
    },
    sequenceOf: (id) => sequences.get(id) ?? null,
    onResult: (result) => results.push(result),
  });
  return { clock, members, results, sequences, orders };
}

const action = (slot: number, body: OrderBody): OrderAction => ({
  kind: 'order',
  seat: seat({ id: `seat-${slot}`, slot: `etcd-${slot}`, task: `etcd-${slot}__one`, host: `10.0.0.${slot}` }),
  body,
  epoch: 1,
  attempt: 1,
  reason: 'a test',
});
const prepare: OrderBody = { kind: 'prepare', args: { token: 't' } };
const remove: OrderBody = { kind: 'member-remove', args: { memberId: 'a1', voters: ['a1'] } };
const promote: OrderBody = { kind: 'member-promote', args: { memberId: 'b2', voters: ['a1'] } };

describe('the order desk', () => {
  it('never has two orders under way that change the cluster, at whichever supervisors', async () => {
    const { clock, members, orders } = desk();
    let finish = (): void => undefined;
    members.respond = (order) =>
      new Promise((resolve) => {
        finish = () => resolve(done(order));
      });
    expect(orders.give(action(0, remove), BY)).toBe(true);
    expect(orders.give(action(1, promote), BY)).toBe(false);
    expect(orders.give(action(0, prepare), BY)).toBe(false);
    expect(orders.give(action(2, prepare), BY)).toBe(true);
    await clock.advance(100);
    expect(orders.give(action(1, promote), BY)).toBe(false);
    members.respond = (order) => Promise.resolve(done(order));
    finish();
    await clock.advance(9_950);
    // The first was given up when its time was over; only then another may follow.
    expect(orders.give(action(1, promote), BY)).toBe(true);
    await clock.settle();
    expect(members.orders.map(({ order }) => order.kind)).toEqual([
      'member-remove',
      'prepare',
      'member-promote',
    ]);
  });

  it('numbers orders upwards and names them differently', async () => {
    const { clock, members, orders } = desk();
    for (const slot of [0, 1, 2]) orders.give(action(slot, prepare), BY);
    await clock.settle();
    expect(members.orders.map(({ order }) => [order.counter, order.id, order.generation])).toEqual([
      [1, 'id-1', 4],
      [2, 'id-2', 4],
      [3, 'id-3', 4],
    ]);
  });

  it('gives an order again once the supervisor has moved on, or after a while', async () => {
    const { clock, members, orders, sequences } = desk();
    sequences.set('seat-0', 7);
    orders.give(action(0, prepare), BY);
    await clock.settle();
    expect(orders.give(action(0, prepare), BY)).toBe(false);
    sequences.set('seat-0', 8);
    expect(orders.give(action(0, prepare), BY)).toBe(true);
    await clock.settle();
    await clock.advance(1_000);
    expect(orders.give(action(0, prepare), BY)).toBe(true);
    await clock.settle();
    expect(members.orders).toHaveLength(3);
  });

  it('asks soon again for what etcd refuses only for the moment, whoever is asked, and says so once', async () => {
    const { clock, members, orders, results } = desk();
    members.respond = (order) =>
      Promise.resolve({ ...done(order), outcome: 'failed', problem: 'unhealthy-cluster', message: 'no' });
    for (let tick = 0; tick < 100; tick += 1) {
      orders.give(action(tick % 2, remove), BY);
      await clock.advance(10);
    }
    expect(members.orders).toHaveLength(10);
    expect(results.map(({ repeated }) => repeated)).toEqual([false, ...Array<boolean>(9).fill(true)]);
  });

  it('does not ask another member for a change that one has just made', async () => {
    const { clock, members, orders } = desk();
    orders.give(action(0, remove), BY);
    await clock.settle();
    expect(orders.give(action(1, remove), BY)).toBe(false);
    expect(orders.give(action(1, promote), BY)).toBe(true);
    await clock.settle();
    expect(members.orders.map(({ order }) => order.kind)).toEqual(['member-remove', 'member-promote']);
  });

  it('does not keep one order waiting for the failure of another', async () => {
    const { clock, members, orders } = desk();
    members.respond = (order) =>
      Promise.resolve({ ...done(order), outcome: 'failed', problem: 'etcd-error', message: 'no' });
    orders.give(action(0, remove), BY);
    await clock.settle();
    expect(orders.give(action(0, remove), BY)).toBe(false);
    expect(orders.give(action(0, promote), BY)).toBe(true);
  });

  it('reports an order that nobody answers, and shows it until one is carried out', async () => {
    const { clock, members, orders, results } = desk();
    members.respond = () => new Promise(() => undefined);
    orders.give(action(0, prepare), BY);
    await clock.advance(9_999);
    expect(results).toEqual([]);
    await clock.advance(1);
    expect(results).toMatchObject([{ outcome: 'unanswered' }]);
    expect(orders.problems().get('seat-0')).toMatchObject({ kind: 'prepare', outcome: 'unanswered' });
    members.respond = (order) => Promise.resolve(done(order));
    await clock.advance(1_000);
    orders.give(action(0, prepare), BY);
    await clock.settle();
    expect(orders.problems().size).toBe(0);
    expect(orders.counts()).toEqual({ unanswered: 1, done: 1 });
  });

  it('gives none after it was stopped', async () => {
    const { clock, members, orders, results } = desk();
    members.respond = () => new Promise(() => undefined);
    orders.give(action(0, prepare), BY);
    orders.stop();
    await clock.advance(20_000);
    expect(orders.give(action(1, prepare), BY)).toBe(false);
    expect(results).toEqual([]);
  });
});
