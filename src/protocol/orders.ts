import * as z from 'zod';
import { etcdId, uint64Text } from './identifiers.ts';

/**
 * Orders: the only way in which a scheduler changes anything at a member. `POST /v1/orders` takes a
 * {@link SignedOrder}, answers with a {@link Receipt}.
 */

const url = z.string().regex(/^https?:\/\//, 'must be a URL');
/**
 * The voters by which the change was found safe (S1): where the list that a quorum confirms has others, it is not
 * made. A list may be read late, or come from a member that has not applied the last change yet.
 */
const voters = z.array(etcdId).max(32).readonly();
const position = z.strictObject({ term: uint64Text, index: uint64Text });

const kinds = [
  /** Adopt the order's epoch and generation; nothing else. A new leader's first word to every supervisor. */
  z.strictObject({ kind: z.literal('fence'), args: z.strictObject({}) }),
  /**
   * Make an empty data directory for (epoch, attempt) and remember it. Repeating it is harmless until a start;
   * refused for an attempt that was started (S5). An older attempt that never formed gives way.
   */
  z.strictObject({ kind: z.literal('prepare'), args: z.strictObject({ token: z.string().min(1) }) }),
  /** Start etcd. Done when the process runs, not when it serves: that shows in the status. */
  z.strictObject({
    kind: z.literal('start'),
    args: z.strictObject({
      /**
       * `bootstrap`: first start, as one of `initialCluster`. `join`: first start, as a member that the cluster
       * has added. `resume`: on the data that an earlier start left; refused if that is not there (S5).
       */
      mode: z.enum(['bootstrap', 'join', 'resume']),
      token: z.string().min(1),
      initialCluster: z.array(z.strictObject({ name: z.string().min(1), peerUrl: url })).max(16),
      /** The cluster it must belong to; `null` until the epoch has formed. */
      clusterId: etcdId.nullable(),
      memberId: etcdId.nullable(),
      /** The highest log position the member ever reported: a log that ends before it is not started (S4). */
      floor: position.nullable(),
    }),
  }),
  /** End etcd: SIGTERM, SIGKILL after `graceMs`; it stays down until a start. */
  z.strictObject({
    kind: z.literal('stop'),
    args: z.strictObject({ graceMs: z.number().int().min(0).max(600_000) }),
  }),
  /** Add a learner at this peer URL. A member that is listed at this URL already is the answer (S2). */
  z.strictObject({ kind: z.literal('member-add'), args: z.strictObject({ peerUrl: url, voters }) }),
  /** Remove a member. One that is not listed is removed already. */
  z.strictObject({ kind: z.literal('member-remove'), args: z.strictObject({ memberId: etcdId, voters }) }),
  /** Make a learner a voter. One that is a voter already is promoted. */
  z.strictObject({ kind: z.literal('member-promote'), args: z.strictObject({ memberId: etcdId, voters }) }),
  /** Hand leadership to that voter, if the member leads. */
  z.strictObject({ kind: z.literal('move-leader'), args: z.strictObject({ memberId: etcdId }) }),
] as const;

const envelope = z.object({
  id: z.string().min(1).max(200),
  cluster: z.string().min(1),
  /** The incarnation it is for: an order never reaches the next task at the same address. */
  task: z.string().min(1),
  epoch: z.number().int().min(1),
  attempt: z.number().int().min(1),
  /** The leader's generation; a supervisor refuses a (epoch, generation) below the highest it has seen. */
  generation: z.number().int().min(1),
  /** Rises within a generation; a supervisor refuses one it has seen, unless the id is the same too. */
  counter: z.number().int().min(1),
});

export const orderBodySchema = z.discriminatedUnion('kind', kinds);
export type OrderBody = z.infer<typeof orderBodySchema>;
export type OrderKind = OrderBody['kind'];

export const orderSchema = z.intersection(envelope, orderBodySchema);
export type Order = z.infer<typeof orderSchema>;

export const signedOrderSchema = z.strictObject({
  /** The order as JSON text: the signature is over exactly these bytes. */
  order: z.string().max(64 * 1024),
  /** Ed25519, base64. */
  signature: z.string().max(200),
});
export type SignedOrder = z.infer<typeof signedOrderSchema>;

/** Why a supervisor did not do what it was told. `refused-*` will not change by asking again. */
export const ORDER_PROBLEMS = [
  'bad-signature',
  'malformed',
  'wrong-cluster',
  'wrong-task',
  'stale-generation',
  'replayed',
  'wrong-epoch',
  'already-started',
  'not-prepared',
  'not-empty',
  'data-missing',
  'data-foreign',
  'data-rolled-back',
  'volume-missing',
  'volume-error',
  'removed',
  'etcd-refused',
  'not-running',
  'unhealthy-cluster',
  'membership-changed',
  'learner-not-ready',
  'too-many-learners',
  'etcd-error',
  'timeout',
] as const;
export type OrderProblem = (typeof ORDER_PROBLEMS)[number];

export const receiptSchema = z.object({
  id: z.string(),
  outcome: z.enum(['done', 'refused', 'failed']),
  problem: z.enum(ORDER_PROBLEMS).nullable(),
  /** For people. */
  message: z.string(),
  /** `member-add`: the new member's id. */
  memberId: etcdId.nullable(),
});
export type Receipt = z.infer<typeof receiptSchema>;
