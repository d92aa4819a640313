import type { IRequestOp } from 'etcd3';
import { BUCKETS, type EtcdBackend } from '../../src/backup/backend/backend.ts';
import { sealSnapshot } from '../../src/backup/backend/snapshot-file.ts';
import type { SpliceBatch } from '../../src/backup/backend/splice.ts';
import { BoltWriter } from '../../src/backup/bolt/writer.ts';
import { readEvent } from '../../src/backup/events.ts';
import { encodeFields } from '../../src/etcd/protobuf.ts';
import type { LocalFile } from '../../src/runtime/local-file.ts';
import type { LoneEtcd } from './lone-etcd.ts';

/** A lease that ran out in the middle of a replay would take its keys, and every revision after that were another. */
const REPLAY_TTL_SECONDS = 3600n;

/** A full from which a replay can begin: the same, but for the time that its leases have. */
export async function writeReplayBase(file: LocalFile, { database }: EtcdBackend): Promise<void> {
  const writer = new BoltWriter(file, database.pageSizeBytes);
  for await (const buckets of database.root.leaves()) {
    for (let each = 0; each < buckets.count; each += 1) {
      const name = buckets.key(each);
      writer.begin(name);
      for await (const leaf of (await database.root.bucket(name))?.leaves() ?? []) {
        if (!name.equals(BUCKETS.lease)) writer.appendLeaf(leaf);
        for (let index = 0; name.equals(BUCKETS.lease) && index < leaf.count; index += 1) {
          const key = leaf.key(index);
          const lease = encodeFields([
            [1, key.readBigUInt64BE()],
            [2, REPLAY_TTL_SECONDS],
          ]);
          writer.append(key, lease);
        }
      }
      await writer.drain();
    }
  }
  await writer.finish();
  await sealSnapshot(file);
}

/**
 * Writes into an etcd what happened after the full that it was restored from, a transaction for each revision, as
 * other tools restore: the slow way, which shares nothing with the splice but the events.
 */
export async function replay(
  { theirs }: LoneEtcd,
  batches: Iterable<SpliceBatch>,
  after: bigint,
): Promise<void> {
  const known = new Set((await theirs.leaseClient.leaseLeases()).leases.map(({ ID }) => BigInt(ID)));
  for (const { revisions, leases } of batches) {
    for (const { id } of leases.filter((lease) => !known.has(lease.id))) {
      await theirs.leaseClient.leaseGrant({ ID: String(id), TTL: String(REPLAY_TTL_SECONDS) });
      known.add(id);
    }
    for (const { revision, events } of revisions.filter((each) => each.revision > after)) {
      const success = events.map(readEvent).map(({ type, key: bytes, value, lease }): IRequestOp => {
        const key = Buffer.from(bytes);
        if (type === 'delete') return { request_delete_range: { key } };
        return { request_put: { key, value: Buffer.from(value), lease: String(lease) } };
      });
      const { header } = await theirs.kv.txn({ success });
      if (BigInt(header.revision) !== revision)
        throw new Error(`revision ${revision} became ${header.revision}`);
    }
  }
}
