import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import { type EtcdClient, EtcdError } from '../etcd/port.ts';
import type { EtcdMember } from '../protocol/member-status.ts';
import type { OrderProblem, Receipt } from '../protocol/orders.ts';
import { receiptOf } from './admission.ts';
import type { Work } from './decide.ts';

export type ClusterWork = Work & {
  readonly kind: 'member-add' | 'member-remove' | 'member-promote' | 'move-leader';
};

/** etcd itself gives a change up after 5 s and two elections; whoever ordered waits a little longer. */
const CLUSTER_WORK_MS_MAX = 8_000;

interface Asked {
  readonly clock: Clock;
  readonly client: EtcdClient;
  /** Of the order. */
  readonly id: string;
}

/** Asks our own etcd to change the cluster. What is so already is done; a receipt tells everything else. */
export async function askEtcd({ clock, client, id }: Asked, work: ClusterWork): Promise<Receipt> {
  try {
    const memberId = await withDeadline(
      clock,
      CLUSTER_WORK_MS_MAX,
      new AbortController().signal,
      async (signal) => await change(client, work, signal),
    );
    return { ...receiptOf(id, 'done', null, `${work.kind} done`), memberId };
  } catch (error) {
    return failed(id, work, error);
  }
}

async function change(client: EtcdClient, work: ClusterWork, signal: AbortSignal): Promise<string | null> {
  switch (work.kind) {
    case 'member-add':
      return await add(client, work, signal);
    case 'member-remove': {
      const members = await confirmedMembers(client, signal);
      if (!members.some((member) => member.id === work.memberId)) return null;
      assertVoters(members, work.voters);
      await unless('member-not-found', async () => await client.memberRemove(work.memberId, signal));
      return null;
    }
    case 'member-promote':
      await promote(client, work, signal);
      return null;
    case 'move-leader': {
      const { leaderId, memberId } = await client.status(signal);
      // Not ours to hand over: somebody else leads already.
      if (leaderId === memberId && memberId !== work.memberId) {
        await unless('not-leader', async () => await client.moveLeader(work.memberId, signal));
      }
      return null;
    }
  }
}

/** Every committed change is in this list; asking for it takes a quorum, which every change needs anyway. */
async function confirmedMembers(client: EtcdClient, signal: AbortSignal): Promise<readonly EtcdMember[]> {
  await client.confirmQuorum(signal);
  return await client.members(signal);
}

/** S1 was judged by these voters; another list asks for another judgement. */
function assertVoters(members: readonly EtcdMember[], expected: readonly string[]): void {
  const found = members.filter((member) => !member.isLearner).map((member) => member.id);
  if (found.length === expected.length && found.every((id) => expected.includes(id))) return;
  throw new VotersError(`the voters are ${found.join(', ')}, not ${expected.join(', ')}`);
}

class VotersError extends Error {
  override readonly name = 'VotersError';
}

/** Looks first: a follower that is asked to promote a member that is not listed asks the leader until it is late. */
async function promote(
  client: EtcdClient,
  { memberId, voters }: { readonly memberId: string; readonly voters: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const members = await confirmedMembers(client, signal);
  const member = members.find((one) => one.id === memberId);
  if (member === undefined) throw new EtcdError('member-not-found', `member ${memberId} is not listed`);
  if (!member.isLearner) return;
  assertVoters(members, voters);
  await unless('not-a-learner', async () => await client.memberPromote(memberId, signal));
}

/** A retried add is recognised by its peer URL (S2). */
async function add(
  client: EtcdClient,
  { peerUrl, voters }: { readonly peerUrl: string; readonly voters: readonly string[] },
  signal: AbortSignal,
): Promise<string> {
  const atUrl = (members: readonly EtcdMember[]) =>
    members.find((member) => member.peerUrls.includes(peerUrl))?.id;
  const before = await confirmedMembers(client, signal);
  const known = atUrl(before);
  if (known !== undefined) return known;
  assertVoters(before, voters);
  try {
    return (await client.memberAddLearner(peerUrl, signal)).memberId;
  } catch (error) {
    if (!(error instanceof EtcdError) || error.code !== 'peer-url-exists') throw error;
    const added = atUrl(await confirmedMembers(client, signal));
    if (added === undefined) throw error;
    return added;
  }
}

async function unless(code: EtcdError['code'], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof EtcdError && error.code === code)) throw error;
  }
}

function failed(id: string, work: ClusterWork, error: unknown): Receipt {
  if (error instanceof VotersError) return receiptOf(id, 'failed', 'membership-changed', error.message);
  if (!(error instanceof EtcdError)) {
    return receiptOf(id, 'failed', 'timeout', `${work.kind}: no answer in ${CLUSTER_WORK_MS_MAX} ms`);
  }
  return receiptOf(id, 'failed', PROBLEMS[error.code] ?? 'etcd-error', error.message);
}

const PROBLEMS: Partial<Record<EtcdError['code'], OrderProblem>> = {
  timeout: 'timeout',
  aborted: 'timeout',
  'unhealthy-cluster': 'unhealthy-cluster',
  'learner-not-ready': 'learner-not-ready',
  'too-many-learners': 'too-many-learners',
};
