import type { OrderBody } from '../protocol/orders.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';

/** What a task runs, and with which options. */
export type Pinned = Seat['pinned'];

/** What needs an offer. Matched with the offers in hand by the framework; the result goes into the record first. */
export type Want =
  /** A new seat for a slot. */
  | { readonly kind: 'place'; readonly slot: string; readonly run: Pinned; readonly reason: string }
  /** A new task on a seat whose reservation and volume are to be offered. */
  | {
      readonly kind: 'relaunch';
      readonly seat: string;
      readonly task: string;
      readonly run: Pinned;
      /** What the seat is to have from now on, as far as its agent has room; absent: what it has. */
      readonly resources?: Seat['resources'];
      readonly reason: string;
    }
  /** A name task on the share that a seat keeps for it. */
  | { readonly kind: 'name'; readonly seat: string; readonly task: string; readonly reason: string }
  /** Destroy the volume and give the reservation back. */
  | { readonly kind: 'release'; readonly seat: string; readonly reason: string };

/**
 * What is to be done once the record is stored. Each is safe to repeat and safe to lose: the next pass decides
 * again from what it sees.
 */
export type Action =
  | {
      readonly kind: 'order';
      readonly seat: Seat;
      readonly body: OrderBody;
      readonly epoch: number;
      readonly attempt: number;
      readonly reason: string;
    }
  | {
      readonly kind: 'kill';
      readonly task: string;
      readonly agentId: string;
      readonly graceMs: number;
      readonly reason: string;
    };

/** Why nothing is done about something: shown to the operator, never acted on. */
export interface Blocked {
  /** Stable, kebab-case: `waits-for-offers`, `quorum-lost` … */
  readonly code: string;
  readonly slot: string | null;
  readonly message: string;
}

export interface Decision {
  /** To be stored before anything below is done. */
  readonly record: ClusterRecord;
  readonly wants: readonly Want[];
  /** Orders that change the cluster: at most one in a decision. Kills and starts may be several. */
  readonly actions: readonly Action[];
  readonly blocked: readonly Blocked[];
  readonly health: ClusterHealth;
  /** Why a full that is verified is to be taken before anything goes on; `null`: none is waited for. */
  readonly fullWanted: string | null;
  /** The service was given up, and nothing of it is left that can be reached: its framework may be torn down. */
  readonly givenUp: boolean;
  /** Look again after this long even if nothing happens. */
  readonly wakeMs: number;
}

export interface ClusterHealth {
  /**
   * `forming` before the first epoch is formed; `unknown` when nobody answers; `needs-user` when members serve and tell
   * nothing, as etcd's authentication is on: whoever of them confirmed a quorum counts as healthy then.
   */
  readonly state: 'forming' | 'healthy' | 'degraded' | 'quorum-lost' | 'needs-user' | 'unknown';
  readonly voters: number;
  readonly healthyVoters: number;
  readonly leader: string | null;
}
