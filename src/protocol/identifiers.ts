import * as z from 'zod';

/** A slot's name, `etcd-0` … `etcd-6`: a stable place for a member. */
export const slotName = z.string().regex(/^etcd-\d{1,2}$/, 'must look like etcd-0');
/** An etcd member or cluster id as etcd prints it: lower-case hex, no leading zeros. */
export const etcdId = z.string().regex(/^[0-9a-f]{1,16}$/, 'must be a hexadecimal etcd id');
/** A revision or raft index: an unsigned 64-bit integer in decimal, since JSON's numbers are too small for it. */
export const uint64Text = z.string().regex(/^\d{1,20}$/, 'must be a decimal integer');
/** Members of a cluster: odd, since an even number fails no better than one less. */
export const CLUSTER_SIZES = [1, 3, 5, 7] as const;
/** Of a cluster that begins, where nobody says how many members it is to have. */
export const USUAL_CLUSTER_SIZE = 3;

/** Mesos allows no slash or white space in a task id, and 255 characters. */
export function taskIdOf(slot: string, freshId: string): string {
  return `${slot}__${freshId}`;
}

/** The task that stands for the client port of a slot's member in DNS; never the id of a member's task. */
export function nameTaskIdOf(slot: string, freshId: string): string {
  return `${slot}-client__${freshId}`;
}

/** Whether a task of ours is a name task; all others are members. */
export function isNameTaskId(task: string): boolean {
  return NAME_TASK_ID.test(task);
}

/** The slot that a task of ours belongs to; `null` where its id is of neither form. */
export function slotOfTask(task: string): string | null {
  return TASK_ID.exec(task)?.[1] ?? null;
}

const NAME_TASK_ID = /^etcd-\d{1,2}-client__/;
const TASK_ID = /^(etcd-\d{1,2})(?:-client)?__/;

/** `<` 0, 0 or `>` 0 as two decimal integers compare. */
export function compareUint64(left: string, right: string): number {
  const difference = BigInt(left) - BigInt(right);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** A framework's name as one word, for a directory, a role or a node: `/team/etcd` is `team__etcd`. */
export function foldedName(frameworkName: string): string {
  return frameworkName.replace(/^\//, '').replaceAll('/', '__');
}
