import type { Order, OrderProblem, Receipt } from '../protocol/orders.ts';
import type { Fence } from './volume.ts';

/** What a supervisor knows of orders when one arrives. */
export interface AdmissionState {
  readonly cluster: string;
  readonly task: string;
  /** The highest (epoch, generation) whose order was taken; `null` before the first. */
  readonly fence: Fence | null;
  /**
   * The highest counter seen under the present fence. It lives in memory only: the next supervisor is another
   * task, for which no order of this one is meant.
   */
  readonly counter: number;
  readonly remembered: ReadonlyMap<string, RememberedOrder>;
}
export interface RememberedOrder {
  readonly counter: number;
  readonly receipt: Receipt;
}

export type Admission =
  /** It was carried out, or will never be: this is the answer. */
  | { readonly kind: 'answer'; readonly receipt: Receipt }
  /** It is to be carried out once `fence` is durable. */
  | { readonly kind: 'admit'; readonly fence: Fence };

/**
 * Whether an order whose signature is good may be carried out. The order of the checks matters: whose it is,
 * then whether it was answered before, then whether its sender is still the leader.
 */
export function admit(state: AdmissionState, order: Order): Admission {
  if (order.cluster !== state.cluster) {
    return refuse(order, 'wrong-cluster', `this member belongs to cluster ${state.cluster}`);
  }
  if (order.task !== state.task) {
    return refuse(order, 'wrong-task', `this is task ${state.task}, the order is for ${order.task}`);
  }
  const fence = { epoch: order.epoch, generation: order.generation };
  const comparison = state.fence === null ? 1 : compareFences(fence, state.fence);
  const before = state.remembered.get(order.id);
  // The same question again; a failure is asked anew when a higher counter says that it is meant anew.
  if (before !== undefined && (before.counter === order.counter || before.receipt.outcome === 'done')) {
    return { kind: 'answer', receipt: before.receipt };
  }
  if (comparison < 0) {
    const { epoch, generation } = state.fence as Fence;
    return refuse(order, 'stale-generation', `orders of epoch ${epoch}, generation ${generation} were taken`);
  }
  if (comparison === 0 && order.counter <= state.counter) {
    return refuse(order, 'replayed', `counter ${state.counter} was seen already`);
  }
  return { kind: 'admit', fence };
}

/** Orders (epoch, generation) lexicographically: `<` 0, 0 or `>` 0. */
export function compareFences(left: Fence, right: Fence): number {
  return left.epoch - right.epoch || left.generation - right.generation;
}

export function receiptOf(
  id: string,
  outcome: Receipt['outcome'],
  problem: OrderProblem | null,
  message: string,
): Receipt {
  return { id, outcome, problem, message, memberId: null, finding: null };
}

function refuse(order: Order, problem: OrderProblem, message: string): Admission {
  return { kind: 'answer', receipt: receiptOf(order.id, 'refused', problem, message) };
}
