import type { KeyObject } from 'node:crypto';
import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock } from '../base/ports.ts';
import type { Order, Receipt, SignedOrder } from '../protocol/orders.ts';
import { openOrder } from '../protocol/signature.ts';
import { type Admission, type AdmissionState, admit, type RememberedOrder, receiptOf } from './admission.ts';
import { createSerial } from './serial.ts';

/** Where orders arrive: opened, admitted, carried out one at a time in the order of their arrival, answered. */
export interface OrderLine {
  /** Never rejects for anything that an order can hold. */
  take(signed: SignedOrder): Promise<Receipt>;
  /** Runs something else between two orders. */
  between(work: () => Promise<void>): Promise<void>;
}

export interface OrderLineOptions {
  readonly clock: Clock;
  readonly cluster: string;
  readonly task: string;
  readonly schedulerKey: KeyObject;
  readonly fence: () => AdmissionState['fence'];
  /** Carries out an order that was admitted, `fence` first. A rejection must not happen. */
  readonly carryOut: (order: Order, fence: (Admission & { kind: 'admit' })['fence']) => Promise<Receipt>;
}

/** Receipts that are remembered, so that an order asked twice is answered twice and carried out once. */
const RECEIPTS_MAX = 64;
/** Orders that wait for their turn. */
const ORDERS_WAITING_MAX = 16;
/** An order is answered in this time; its own limits (a stop's grace, a call to etcd) are shorter. */
const ORDER_MS_MAX = 630_000;

export function createOrderLine(options: OrderLineOptions): OrderLine {
  const { clock, cluster, task } = options;
  const inTurn = createSerial();
  const remembered = new Map<string, RememberedOrder>();
  const underWay = new Map<string, Promise<Receipt>>();
  let counter = 0;
  let waiting = 0;

  const handle = async (order: Order): Promise<Receipt> => {
    const fence = options.fence();
    const admission = admit({ cluster, task, fence, counter, remembered }, order);
    if (admission.kind === 'answer') return admission.receipt;
    const receipt = await options.carryOut(order, admission.fence);
    // A fence that could not be stored was not taken, and neither was its first counter.
    if (options.fence()?.generation === order.generation && options.fence()?.epoch === order.epoch) {
      counter = order.counter;
      remember(order, receipt);
    }
    return receipt;
  };

  const remember = (order: Order, receipt: Receipt): void => {
    remembered.delete(order.id);
    remembered.set(order.id, { counter: order.counter, receipt });
    for (const oldest of remembered.keys()) {
      if (remembered.size <= RECEIPTS_MAX) break;
      remembered.delete(oldest);
    }
  };

  return {
    between: inTurn,
    async take(signed) {
      const opened = openOrder(signed, options.schedulerKey);
      if ('problem' in opened) return receiptOf('', 'refused', opened.problem, opened.message);
      const { order } = opened;
      const key = `${order.id} ${order.counter}`;
      const same = underWay.get(key);
      if (same !== undefined) return await same;
      if (waiting >= ORDERS_WAITING_MAX) {
        return receiptOf(order.id, 'failed', 'timeout', `${waiting} orders wait already`);
      }
      waiting += 1;
      const work = inTurn(async () => await handle(order)).finally(() => {
        waiting -= 1;
        underWay.delete(key);
      });
      // Whoever asked hears in time; the next order still waits until this one has ended.
      const receipt = withDeadline(clock, ORDER_MS_MAX, new AbortController().signal, () => work).catch(
        (error: unknown) => receiptOf(order.id, 'failed', 'timeout', describeError(error)),
      );
      underWay.set(key, receipt);
      return await receipt;
    },
  };
}
