import type { WatchAnswer } from '../../src/etcd/port.ts';

/** What a member answers to a watch: these events and nothing out of the ordinary, but for what `more` says. */
export function watchAnswer(
  member: Pick<WatchAnswer, 'clusterId' | 'memberId' | 'revision'>,
  events: readonly Uint8Array[],
  more: Partial<WatchAnswer> = {},
): WatchAnswer {
  return {
    created: false,
    cancelled: false,
    cancelReason: '',
    compactRevision: 0n,
    isFragment: false,
    ...member,
    events,
    ...more,
  };
}
