import type { SpliceBatch } from '../../src/backup/backend/splice.ts';
import { replay } from '../../src/backup/replay.ts';
import { createReplayClient } from '../../src/etcd/replay-client.ts';
import { never } from '../backup/sample-log.ts';
import { clock } from '../wait.ts';
import type { LoneEtcd } from './lone-etcd.ts';

/** {@link replay} into an etcd that was restored from what `writeReplayBase` makes. */
export async function replayInto(
  { url }: LoneEtcd,
  batches: Iterable<SpliceBatch>,
  { after, to }: { readonly after: bigint; readonly to: bigint },
): Promise<void> {
  const client = createReplayClient({ url }, clock);
  try {
    await replay(client, batches, { after, to, times: new Map(), signal: never });
  } finally {
    client.close();
  }
}
