import { assert } from '../base/assert.ts';
import { type ArchivedRevision, type Batch, eventsSizeBytes, type LeaseGrant } from './batch.ts';
import type { Gap, Proof } from './documents.ts';
import type { RevisionEvents } from './events.ts';

/** What is to be written to the log next. */
export type InboxEntry =
  | { readonly kind: 'batch'; readonly batch: Batch; readonly revisions: number; readonly sizeBytes: number }
  | { readonly kind: 'gap'; readonly gap: Gap }
  | { readonly kind: 'proof'; readonly proof: Proof };

/** Revisions that came together. */
export interface Arrival {
  readonly atMs: number;
  readonly leases: readonly LeaseGrant[];
  readonly revisions: readonly RevisionEvents[];
}

/**
 * What has come from a member and is not durable yet, in its order. It is bounded: who puts something in waits while
 * there is too much, and the member waits with him.
 */
export interface Inbox {
  /** Resolves when there is room for more; at once when `signal` aborts. */
  room(signal: AbortSignal): Promise<void>;
  putRevisions(arrival: Arrival): void;
  putGap(gap: Gap): void;
  putProof(proof: Proof): void;
  /** Resolves when there is no room for more; at once when `signal` aborts. */
  crowded(signal: AbortSignal): Promise<void>;
  /** Resolves when there is something; at once when `signal` aborts. */
  something(signal: AbortSignal): Promise<void>;
  /** Resolves when there is enough for a whole batch; at once when `signal` aborts. */
  batchful(signal: AbortSignal): Promise<void>;
  /** What comes first: as many revisions as make a batch. `null` when it is empty. It stays until {@link drop}. */
  peek(): InboxEntry | null;
  /** What was peeked is durable, or elsewhere. */
  drop(entry: InboxEntry): void;
  /** Forgets everything. */
  clear(): void;
  readonly sizeBytes: number;
  readonly isEmpty: boolean;
  readonly hasRoom: boolean;
  /** When the oldest revision in it came, by the wall clock; `null` when there is none. */
  readonly oldestAtMs: number | null;
}

interface Waiting {
  readonly isMet: () => boolean;
  readonly resolve: () => void;
}

type Item =
  | {
      readonly kind: 'revision';
      readonly atMs: number;
      readonly leases: readonly LeaseGrant[];
      readonly revision: RevisionEvents;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'gap'; readonly gap: Gap }
  | { readonly kind: 'proof'; readonly proof: Proof };

/**
 * @param limits.bytesMax there is room while less than this is in it.
 * @param limits.batchBytesMax a batch ends with the revision that makes it as long.
 */
export function createInbox(limits: { readonly bytesMax: number; readonly batchBytesMax: number }): Inbox {
  const { bytesMax, batchBytesMax } = limits;
  let items: Item[] = [];
  let sizeBytes = 0;
  /** Items that are no revisions: they are not waited with. */
  let others = 0;
  const waiting = new Set<Waiting>();

  const tell = (): void => {
    for (const waiter of waiting) if (waiter.isMet()) waiter.resolve();
  };
  const when = async (isMet: () => boolean, signal: AbortSignal): Promise<void> => {
    if (isMet() || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const waiter = { isMet, resolve: () => done() };
      const done = (): void => {
        waiting.delete(waiter);
        signal.removeEventListener('abort', done);
        resolve();
      };
      waiting.add(waiter);
      signal.addEventListener('abort', done, { once: true });
    });
  };
  const put = (added: readonly Item[], addedBytes: number): void => {
    items.push(...added);
    sizeBytes += addedBytes;
    tell();
  };

  return {
    room: async (signal) => await when(() => sizeBytes < bytesMax, signal),
    putRevisions: ({ atMs, leases, revisions }) => {
      for (const [index, revision] of revisions.entries()) {
        const bytes = eventsSizeBytes(revision.events);
        // The first revision brings the leases: they stand in the log no later than what uses them.
        const brought = index === 0 ? leases : [];
        put([{ kind: 'revision', atMs, leases: brought, revision, sizeBytes: bytes }], bytes);
      }
    },
    putGap: (gap) => {
      others += 1;
      put([{ kind: 'gap', gap }], 0);
    },
    putProof: (proof) => {
      others += 1;
      put([{ kind: 'proof', proof }], 0);
    },
    crowded: async (signal) => await when(() => sizeBytes >= bytesMax, signal),
    something: async (signal) => await when(() => items.length > 0, signal),
    batchful: async (signal) => {
      await when(() => sizeBytes >= batchBytesMax || others > 0, signal);
    },
    peek: () => {
      const [first] = items;
      if (first === undefined || first.kind !== 'revision') return first ?? null;
      const revisions: ArchivedRevision[] = [];
      const leases: LeaseGrant[] = [];
      let bytes = 0;
      for (const item of items) {
        if (item.kind !== 'revision' || bytes >= batchBytesMax) break;
        const isLater = item.atMs > first.atMs;
        revisions.push(isLater ? { ...item.revision, atMs: item.atMs } : item.revision);
        leases.push(...item.leases);
        bytes += item.sizeBytes;
      }
      const batch: Batch = { atMs: first.atMs, leases, revisions };
      return { kind: 'batch', batch, revisions: revisions.length, sizeBytes: bytes };
    },
    drop: (entry) => {
      const count = entry.kind === 'batch' ? entry.revisions : 1;
      assert(items.length >= count, 'only what was there is dropped');
      items = items.slice(count);
      if (entry.kind === 'batch') sizeBytes -= entry.sizeBytes;
      else others -= 1;
      tell();
    },
    clear: () => {
      items = [];
      [sizeBytes, others] = [0, 0];
      tell();
    },
    get sizeBytes() {
      return sizeBytes;
    },
    get isEmpty() {
      return items.length === 0;
    },
    get hasRoom() {
      return sizeBytes < bytesMax;
    },
    get oldestAtMs() {
      const oldest = items.find(({ kind }) => kind === 'revision');
      return oldest?.kind === 'revision' ? oldest.atMs : null;
    },
  };
}
