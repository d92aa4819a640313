import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Ids } from '../base/ports.ts';
import { supervisorUrlOf } from '../protocol/launch.ts';
import type { Members } from '../protocol/members-port.ts';
import type { Order, OrderBody, OrderKind, Receipt } from '../protocol/orders.ts';
import { type OrderKey, signOrder } from '../protocol/signature.ts';
import type { Action } from '../reconcile/decision.ts';

/**
 * Gives orders to supervisors, in the background: at most one at a time to a supervisor and at most one that
 * changes the cluster. An order that was just given is not given again before its effect could be seen, and one
 * that failed waits longer each time. All of it can be forgotten: the next pass decides anew.
 */
export interface OrderDesk {
  /** Gives the order unless one is in the way; tells whether it did. */
  give(action: OrderAction, by: { cluster: string; generation: number }): boolean;
  /**
   * Gives an order that only asks for something, now. Resolves with the receipt, or with why there is none. Nothing of
   * it is remembered.
   */
  ask(action: OrderAction, by: { cluster: string; generation: number }): Promise<Receipt | string>;
  /** What the newest order to a seat came to, where that was not `done`. By seat id. */
  problems(): ReadonlyMap<string, OrderProblemView>;
  counts(): Readonly<Record<string, number>>;
  /** Gives up on what is under way. */
  stop(): void;
}
export type OrderAction = Action & { kind: 'order' };

export interface OrderProblemView {
  readonly slot: string;
  readonly kind: OrderKind;
  readonly outcome: 'refused' | 'failed' | 'unanswered';
  readonly message: string;
}

export interface OrderDeskOptions {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly members: Members;
  readonly orderKey: OrderKey;
  /** The sequence of the newest status of a seat's supervisor: it moved when an order has shown effect. */
  readonly sequenceOf: (seatId: string) => number | null;
  readonly onResult: (result: OrderResult) => void;
}
export interface OrderResult {
  readonly action: OrderAction;
  readonly outcome: Receipt['outcome'] | 'unanswered';
  readonly message: string;
  /** The same order came to the same the last time. */
  readonly repeated: boolean;
}

/** Orders that change the cluster: never two under way. */
const CLUSTER_CHANGES: ReadonlySet<OrderKind> = new Set<OrderKind>([
  'member-add',
  'member-remove',
  'member-promote',
  'move-leader',
]);

/** How long an order may take. A start ends when the process runs, a stop after its grace. */
const ORDER_MS = 10_000;
const START_MS = 20_000;
/** What goes through the whole database. */
const DATABASE_MS = 70_000;
/** An order that was carried out and has not shown yet may be given again after this. */
const SETTLE_MS = 1_000;
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 10_000;
/** What etcd refuses only for the moment is asked for again this soon: there is no other way to learn. */
const RETRY_GATE_MS = 100;
const GATES: ReadonlySet<Receipt['problem']> = new Set<Receipt['problem']>([
  'unhealthy-cluster',
  'learner-not-ready',
]);
/** Orders that are remembered for the sake of waiting: far more than there are seats. */
const TRIES_MAX = 256;

interface Try {
  readonly failures: number;
  readonly message: string;
  /** Monotonic. */
  readonly notBeforeMs: number;
  /** Who carried it out, and the sequence of its status then; `null` after a failure. */
  readonly settled: { readonly seat: string; readonly sequence: number | null } | null;
}

export function createOrderDesk(options: OrderDeskOptions): OrderDesk {
  const { clock } = options;
  const underWay = new Map<string, OrderBody>();
  const tries = new Map<string, Try>();
  const problems = new Map<string, OrderProblemView>();
  const counts: Record<string, number> = {};
  const stopped = new AbortController();
  let counter = 0;

  const mustWait = (action: OrderAction, key: string): boolean => {
    if (stopped.signal.aborted || underWay.has(action.seat.id)) return true;
    if (isClusterChange(action.body) && [...underWay.values()].some((body) => isClusterChange(body)))
      return true;
    const before = tries.get(key);
    if (before === undefined || clock.monotonicMs() >= before.notBeforeMs) return false;
    const { settled } = before;
    // A change to the cluster shows at one member before it shows at the others, whose older list may be read.
    if (settled === null || isClusterChange(action.body)) return true;
    return settled.sequence === options.sequenceOf(settled.seat);
  };

  const finish = (action: OrderAction, key: string, ending: Ending): void => {
    const { outcome, message } = ending;
    const { id, slot } = action.seat;
    underWay.delete(id);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    const before = tries.get(key);
    const failures = outcome === 'done' ? 0 : (before?.failures ?? 0) + 1;
    tries.delete(key);
    tries.set(key, {
      failures,
      message,
      notBeforeMs: clock.monotonicMs() + waitMsAfter(ending, failures),
      settled: outcome === 'done' ? { seat: id, sequence: options.sequenceOf(id) } : null,
    });
    for (const oldest of tries.keys()) if (tries.size > TRIES_MAX) tries.delete(oldest);
    if (outcome === 'done') problems.delete(id);
    else problems.set(id, { slot, kind: action.body.kind, outcome, message });
    const repeated = failures > 1 && before?.message === message;
    options.onResult({ action, outcome, message, repeated });
  };

  const carryOut = async (action: OrderAction, order: Order): Promise<Receipt> => {
    const signed = signOrder(order, options.orderKey);
    const url = supervisorUrlOf(action.seat);
    return await withDeadline(clock, deadlineMs(action.body), stopped.signal, (signal) =>
      options.members.order(url, signed, signal),
    );
  };

  const orderOf = (action: OrderAction, by: { cluster: string; generation: number }): Order => {
    counter += 1;
    return {
      id: options.ids.uuid(),
      cluster: by.cluster,
      task: action.seat.task,
      epoch: action.epoch,
      attempt: action.attempt,
      generation: by.generation,
      counter,
      ...action.body,
    };
  };

  return {
    async ask(action, by) {
      const { id, slot } = action.seat;
      if (stopped.signal.aborted) return 'the scheduler stops';
      if (underWay.has(id)) return `an order to ${slot} is under way: ask again in a moment`;
      underWay.set(id, action.body);
      try {
        return await carryOut(action, orderOf(action, by));
      } catch (error) {
        return describeError(error);
      } finally {
        underWay.delete(id);
      }
    },
    give(action, by) {
      const key = keyOf(action);
      if (mustWait(action, key)) return false;
      const order = orderOf(action, by);
      underWay.set(action.seat.id, action.body);
      carryOut(action, order).then(
        (receipt) => finish(action, key, { ...receipt, message: describeReceipt(receipt) }),
        (error: unknown) => {
          if (stopped.signal.aborted) return;
          finish(action, key, { outcome: 'unanswered', problem: null, message: describeError(error) });
        },
      );
      return true;
    },
    problems: () => problems,
    counts: () => counts,
    stop: () => stopped.abort(new Error('the scheduler stops')),
  };
}

interface Ending {
  readonly outcome: OrderResult['outcome'];
  readonly problem: Receipt['problem'];
  readonly message: string;
}

function waitMsAfter({ outcome, problem }: Ending, failures: number): number {
  if (outcome === 'done') return SETTLE_MS;
  if (GATES.has(problem)) return RETRY_GATE_MS;
  return Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 16));
}

function isClusterChange(body: OrderBody): boolean {
  return CLUSTER_CHANGES.has(body.kind);
}

/** A change to the cluster is the same one, whichever member is asked for it. */
function keyOf(action: OrderAction): string {
  const what = JSON.stringify(action.body);
  return isClusterChange(action.body) ? what : `${action.seat.task} ${what}`;
}

function deadlineMs(body: OrderBody): number {
  switch (body.kind) {
    case 'stop':
      return ORDER_MS + body.args.graceMs;
    case 'start':
      return START_MS;
    case 'defragment':
    case 'measure-space':
      return ORDER_MS + body.args.limitMs;
    case 'compact':
    case 'hash-kv':
      return DATABASE_MS;
    default:
      return ORDER_MS;
  }
}

function describeReceipt(receipt: Receipt): string {
  return [receipt.problem, receipt.message].filter((text) => text !== null && text !== '').join(': ');
}

/** What an order does, for people: `start (join)`, `remove member 8e9e05c52164694d`. */
export function describeOrder(body: OrderBody): string {
  switch (body.kind) {
    case 'fence':
      return 'follow this scheduler';
    case 'prepare':
      return 'prepare an empty data directory';
    case 'start':
      return `start etcd (${body.args.mode}${body.args.unchecked === true ? ', unchecked' : ''})`;
    case 'stop':
      return 'stop etcd';
    case 'member-add':
      return `add a learner at ${body.args.peerUrl}`;
    case 'member-remove':
      return `remove member ${body.args.memberId}`;
    case 'member-promote':
      return `promote member ${body.args.memberId}`;
    case 'move-leader':
      return `hand leadership to member ${body.args.memberId}`;
    case 'defragment':
      return 'defragment its database';
    case 'compact':
      return `compact up to revision ${body.args.revision}`;
    case 'disarm':
      return `disarm the alarm ${body.args.alarm} of member ${body.args.memberId}`;
    case 'hash-kv':
      return `tell the hash of its keys at revision ${body.args.revision}`;
    case 'measure-space':
      return 'measure the prefixes of its keys';
  }
}
