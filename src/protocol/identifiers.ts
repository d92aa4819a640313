import * as z from 'zod';

/** A slot's name, `etcd-0` … `etcd-6`: a stable place for a member. */
export const slotName = z.string().regex(/^etcd-\d{1,2}$/, 'must look like etcd-0');
/** An etcd member or cluster id as etcd prints it: lower-case hex, no leading zeros. */
export const etcdId = z.string().regex(/^[0-9a-f]{1,16}$/, 'must be a hexadecimal etcd id');
/** A revision or raft index: an unsigned 64-bit integer in decimal, since JSON's numbers are too small for it. */
export const uint64Text = z.string().regex(/^\d{1,20}$/, 'must be a decimal integer');
/** Members of a cluster: odd, since an even number fails no better than one less. */
export const CLUSTER_SIZES = [1, 3, 5, 7] as const;

/** Mesos allows no slash or white space in a task id, and 255 characters. */
export function taskIdOf(slot: string, freshId: string): string {
  return `${slot}__${freshId}`;
}

/** `<` 0, 0 or `>` 0 as two decimal integers compare. */
export function compareUint64(left: string, right: string): number {
  const difference = BigInt(left) - BigInt(right);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}
