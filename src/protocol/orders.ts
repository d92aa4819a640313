import * as z from 'zod';
import { etcdId, uint64Text } from './identifiers.ts';
import { kvHashSchema } from './member-status.ts';

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

/** The longest that a defragmentation is waited for: some 10 GiB on a slow disk. */
export const DEFRAGMENT_MS_MAX = 600_000;
/** The longest that the keys are read for the sake of their sizes. */
export const MEASURE_MS_MAX = 30_000;

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
      /**
       * This once without the check of its data against its peers': one peer whose data differs keeps every other
       * member from starting. Only with `resume`; only supervisors that tell `differs` know it.
       */
      unchecked: z.literal(true).optional(),
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
  /**
   * Rewrite the member's database without what is free in it. Done when that is; meanwhile its etcd may answer
   * nobody, and the status says `busy`. Whoever orders it has seen how large the database is. A run that was done is
   * not done again.
   */
  z.strictObject({
    kind: z.literal('defragment'),
    args: z.strictObject({
      run: z.string().min(1).max(200),
      limitMs: z.number().int().min(1_000).max(DEFRAGMENT_MS_MAX),
    }),
  }),
  /** Forget what was superseded up to that revision, in the whole cluster. One that was is compacted already. */
  z.strictObject({ kind: z.literal('compact'), args: z.strictObject({ revision: uint64Text }) }),
  /** Let an alarm go. One that does not stand is disarmed already. */
  z.strictObject({
    kind: z.literal('disarm'),
    args: z.strictObject({ memberId: etcdId, alarm: z.enum(['NOSPACE', 'CORRUPT']) }),
  }),
  /** Tell the hash of all keys up to that revision, by local evidence. */
  z.strictObject({ kind: z.literal('hash-kv'), args: z.strictObject({ revision: uint64Text }) }),
  /**
   * Tell under which prefixes most of what is live now lies, by local evidence. Reads every key and value, for at most
   * `limitMs`.
   */
  z.strictObject({
    kind: z.literal('measure-space'),
    args: z.strictObject({ limitMs: z.number().int().min(100).max(MEASURE_MS_MAX) }),
  }),
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

/** What supervisors of version 1 of the protocol take for malformed. */
const SINCE_2: ReadonlySet<OrderKind> = new Set<OrderKind>([
  'defragment',
  'compact',
  'disarm',
  'hash-kv',
  'measure-space',
]);

/** The version of the protocol that a supervisor has to speak to be given such an order. */
export function protocolOf(kind: OrderKind): number {
  return SINCE_2.has(kind) ? 2 : 1;
}

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
  /** `hash-kv`: that revision was compacted, or is yet to come. */
  'revision-unavailable',
  'etcd-error',
  'timeout',
] as const;
export type OrderProblem = (typeof ORDER_PROBLEMS)[number];

/** Where most of the live data lies. */
export const prefixReportSchema = z.object({
  kind: z.literal('measure-space'),
  /** Of keys and values that are live now; what was superseded and not compacted comes on top. */
  keys: z.number().int().min(0),
  bytes: z.number().min(0),
  /** `false`: the time was up; then it is of the keys up to `lastKey`. */
  complete: z.boolean(),
  lastKey: z.string().nullable(),
  /** The largest, by bytes: of one, two and three path segments, so one may lie in another. */
  prefixes: z.array(z.object({ prefix: z.string(), keys: z.number().int(), bytes: z.number() })).max(64),
});
export type PrefixReport = z.infer<typeof prefixReportSchema>;

/** What an order that asks for something found. */
export const findingSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('hash-kv'), ...kvHashSchema.shape }),
  prefixReportSchema,
]);
export type Finding = z.infer<typeof findingSchema>;

export const receiptSchema = z.object({
  id: z.string(),
  outcome: z.enum(['done', 'refused', 'failed']),
  problem: z.enum(ORDER_PROBLEMS).nullable(),
  /** For people. */
  message: z.string(),
  /** `member-add`: the new member's id. */
  memberId: etcdId.nullable(),
  /** Since version 2; `null` for an order that only does something, and where it is not understood. */
  finding: findingSchema.nullable().default(null).catch(null),
});
export type Receipt = z.infer<typeof receiptSchema>;
