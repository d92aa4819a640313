import type { PublishedMember, ViewWarning } from '../protocol/view.ts';
import { COMFORTABLE } from '../reconcile/space.ts';

/** Members whose database is near the quota at which etcd refuses writes: what is in use, not what is free in it. */
export function fullMembersOf(members: readonly PublishedMember[]): readonly ViewWarning[] {
  return members.flatMap(({ slot, dbSizeInUseBytes, quotaBytes }) => {
    if (dbSizeInUseBytes === null || quotaBytes === null || dbSizeInUseBytes < COMFORTABLE * quotaBytes)
      return [];
    const share = Math.round((100 * dbSizeInUseBytes) / quotaBytes);
    const message = `${slot} has ${share} % of its quota in use; at 100 % etcd refuses writes: see etcd-mesos space`;
    return [{ code: 'nearly-full', message }];
  });
}
