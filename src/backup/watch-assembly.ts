import type { WatchAnswer } from '../etcd/port.ts';
import { type RevisionEvents, readEvent } from './events.ts';

/**
 * Puts whole revisions together out of what a watch over all keys answers, and checks that none is missing: every
 * revision has an event, so the next one seen has to be the next one there is.
 */
export interface WatchAssembly {
  /** What one answer, in the order in which they came, completes. Nothing may be put in after an `ending`. */
  take(answer: WatchAnswer): WatchStep;
  /** The first revision that is not complete: from there a new watch goes on. */
  readonly next: bigint;
  /** What the one before it did; empty where that is not known. */
  readonly lastEvents: readonly Uint8Array[];
}

export interface WatchStep {
  /** In their order, without a gap. */
  readonly revisions: readonly RevisionEvents[];
  /** What events of the answer use, also those of a revision that is not complete. */
  readonly leases: readonly bigint[];
  /** Why nothing can be taken from this watch any more; `null` as long as it can. */
  readonly ending: WatchEnding | null;
}

export type WatchEnding =
  /** The member is of another cluster than the one whose log is written. */
  | { readonly kind: 'other-cluster'; readonly clusterId: string }
  /** What was to come next is compacted away: everything before the revision. */
  | { readonly kind: 'compacted'; readonly compactRevision: bigint }
  /** Revisions were left out, or parts of them. */
  | { readonly kind: 'lost'; readonly from: bigint; readonly to: bigint }
  | { readonly kind: 'cancelled'; readonly reason: string };

/**
 * @param start the first revision that is wanted.
 * @param before what the revision before it did: where the watch tells that one too, it has to be the same.
 */
export function createWatchAssembly(
  clusterId: string,
  start: bigint,
  before: readonly Uint8Array[] = [],
): WatchAssembly {
  let next = start;
  /** The revision that is being put together is `next`. */
  let open: Uint8Array[] = [];
  let lastEvents = before;

  const take = (answer: WatchAnswer): WatchStep => {
    const revisions: RevisionEvents[] = [];
    const leases = new Set<bigint>();
    const closeRevision = (): void => {
      if (open.length === 0) return;
      revisions.push({ revision: next, events: open });
      [lastEvents, open] = [open, []];
      next += 1n;
    };
    const endedBy = (ending: WatchEnding | null): WatchStep => ({ revisions, leases: [...leases], ending });

    if (answer.clusterId !== clusterId) {
      return endedBy({ kind: 'other-cluster', clusterId: answer.clusterId });
    }
    for (const event of answer.events) {
      const { modRevision, lease } = readEvent(event);
      if (modRevision < next) {
        // Old etcds give old events again (#20221); what belongs to a revision and came too late, or is of another
        // history with the same numbers, is another matter.
        if (modRevision === next - 1n && lastEvents.length > 0 && !holds(lastEvents, event)) {
          return endedBy({ kind: 'lost', from: modRevision, to: modRevision });
        }
        continue;
      }
      if (modRevision > next) closeRevision();
      if (modRevision !== next) return endedBy({ kind: 'lost', from: next, to: modRevision - 1n });
      open.push(event);
      if (lease !== 0n) leases.add(lease);
    }
    if (!answer.isFragment) closeRevision();
    return endedBy(endingOf(answer));
  };

  const endingOf = (answer: WatchAnswer): WatchEnding | null => {
    const { cancelled, created, compactRevision, cancelReason, revision, events } = answer;
    if (cancelled && compactRevision > 0n) return { kind: 'compacted', compactRevision };
    if (cancelled)
      return { kind: 'cancelled', reason: cancelReason === '' ? 'no reason given' : cancelReason };
    const isProgress = !created && events.length === 0 && !answer.isFragment;
    // All events up to that revision have been told, says the member.
    if (isProgress && revision >= next) return { kind: 'lost', from: next, to: revision };
    return null;
  };

  return {
    take,
    get next() {
      return next;
    },
    get lastEvents() {
      return lastEvents;
    },
  };
}

function holds(events: readonly Uint8Array[], event: Uint8Array): boolean {
  return events.some((known) => Buffer.compare(known, event) === 0);
}
