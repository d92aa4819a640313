import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import { type EtcdClient, EtcdError } from '../etcd/port.ts';
import { compareUint64 } from '../protocol/identifiers.ts';
import type { SpaceDone } from '../protocol/member-status.ts';
import type { Finding, OrderProblem, Receipt } from '../protocol/orders.ts';
import { receiptOf } from './admission.ts';
import type { Work } from './decide.ts';
import { measureSpace } from './space-measure.ts';

export type SpaceWork = Work & {
  readonly kind: 'defragment' | 'compact' | 'disarm' | 'hash-kv' | 'measure-space';
};

/** What goes through raft, as a change of the cluster does. */
const RAFT_MS_MAX = 8_000;
/** A compaction goes on by itself once it is agreed on; so long it is waited for until its pages are free. */
const COMPACT_MS_MAX = 60_000;
/** It reads the whole database: a second for each 2 GiB. */
const HASH_MS_MAX = 60_000;
/** Beyond its own limit, for the page that is being read. */
const PAGE_MS_MAX = 5_000;

interface Asked {
  readonly clock: Clock;
  readonly client: EtcdClient;
  /** Of the order. */
  readonly id: string;
}

/** What our own etcd is to do about its database, or to tell of it. What is so already is done. */
export async function askAboutSpace({ clock, client, id }: Asked, work: SpaceWork): Promise<Receipt> {
  const limitMs = limitMsOf(work);
  try {
    const finding = await withDeadline(
      clock,
      limitMs,
      new AbortController().signal,
      async (signal) => await carryOut(clock, client, work, signal),
    );
    return { ...receiptOf(id, 'done', null, `${work.kind} done`), finding };
  } catch (error) {
    if (!(error instanceof EtcdError)) {
      return receiptOf(id, 'failed', 'timeout', `${work.kind}: no answer in ${limitMs} ms`);
    }
    return receiptOf(id, 'failed', PROBLEMS[error.code] ?? 'etcd-error', error.message);
  }
}

/** What the status tells of it ever after. */
export function withDone(before: SpaceDone, work: SpaceWork, { finding }: Receipt): SpaceDone {
  if (work.kind === 'defragment') return { ...before, defragmented: work.run };
  if (work.kind === 'compact') {
    const isHigher = before.compacted === null || compareUint64(work.revision, before.compacted) > 0;
    return isHigher ? { ...before, compacted: work.revision } : before;
  }
  if (finding?.kind !== 'hash-kv') return before;
  const { kind: _, ...hash } = finding;
  return { ...before, hash };
}

async function carryOut(
  clock: Clock,
  client: EtcdClient,
  work: SpaceWork,
  signal: AbortSignal,
): Promise<Finding | null> {
  switch (work.kind) {
    case 'defragment':
      await client.defragment(signal);
      return null;
    case 'compact':
      await compact(client, work.revision, signal);
      return null;
    case 'disarm':
      await client.disarm(work.memberId, work.alarm, signal);
      return null;
    case 'hash-kv':
      return { kind: 'hash-kv', revision: work.revision, ...(await client.hashKv(work.revision, signal)) };
    case 'measure-space':
      return await measureSpace({ clock, client }, work.limitMs, signal);
  }
}

async function compact(client: EtcdClient, revision: string, signal: AbortSignal): Promise<void> {
  try {
    await client.compact(revision, true, signal);
  } catch (error) {
    if (!(error instanceof EtcdError && error.code === 'compacted')) throw error;
  }
}

function limitMsOf(work: SpaceWork): number {
  switch (work.kind) {
    case 'defragment':
      return work.limitMs;
    case 'compact':
      return COMPACT_MS_MAX;
    case 'disarm':
      return RAFT_MS_MAX;
    case 'hash-kv':
      return HASH_MS_MAX;
    case 'measure-space':
      return work.limitMs + PAGE_MS_MAX;
  }
}

const PROBLEMS: Partial<Record<EtcdError['code'], OrderProblem>> = {
  timeout: 'timeout',
  aborted: 'timeout',
  compacted: 'revision-unavailable',
  'future-revision': 'revision-unavailable',
};
