import { orderSchema, type SignedOrder } from '../../src/protocol/orders.ts';
import type { SpaceRecord } from '../../src/protocol/record.ts';
import type { EtcdProcess } from './model-etcd.ts';
import { inUseOf } from './model-store.ts';

/** Of a quota: where more is in use, nobody but an operator lets an alarm go. */
const FULL = 0.8;

export interface SpaceCheckOptions {
  readonly running: () => Iterable<EtcdProcess>;
  /** What the stored record says of work on the database. */
  readonly space: () => SpaceRecord | null;
  /** Revisions before the newest that are kept. */
  readonly keepRevisions: number;
}

/** What is done about a full database, by what orders came to. */
export interface SpaceCheck {
  /** A supervisor has carried out an order. Answers with what is wrong about that; `null`: nothing is. */
  done(signed: SignedOrder): string | null;
}

export function createSpaceCheck({ running, space, keepRevisions }: SpaceCheckOptions): SpaceCheck {
  return {
    done(signed) {
      const order = orderSchema.parse(JSON.parse(signed.order));
      const all = [...running()];
      if (order.kind === 'compact') {
        const newest = Math.max(0, ...all.map(({ data }) => data.store.revision));
        const { revision } = order.args;
        return Number(revision) <= newest - keepRevisions
          ? null
          : `space violated: compacted to revision ${revision}, the newest is ${newest}, ${keepRevisions} are kept`;
      }
      if (order.kind !== 'disarm' || order.args.alarm !== 'NOSPACE') return null;
      // An operator may.
      if (space()?.disarm?.alarm === 'NOSPACE' || all.length === 0) return null;
      // One that was away may have more in it.
      const isFull = all.every(
        ({ data, commandLine }) => inUseOf(data.store) >= FULL * commandLine.quotaBytes,
      );
      return isFull ? 'space violated: NOSPACE is disarmed, and every database is full' : null;
    },
  };
}
