import { tombstoneOf } from '../../src/backup/backend/key-value.ts';
import { revisionKey } from '../../src/backup/backend/revision-key.ts';
import { type RevisionEvents, readEvent } from '../../src/backup/events.ts';
import { writeDatabase } from './bolt/database.ts';

/** The smallest backend file of etcd that is at a revision: it holds the first event of it, and nothing else. */
export async function smallestBackend(
  { revision, events }: RevisionEvents,
  authRevision: bigint,
): Promise<Uint8Array> {
  const { type, key, keyValue } = readEvent(events[0] ?? new Uint8Array());
  const isDelete = type === 'delete';
  const value = isDelete ? tombstoneOf(Buffer.from(key)) : Buffer.from(keyValue);
  const auth = Buffer.alloc(8);
  auth.writeBigUInt64BE(authRevision);
  const file = await writeDatabase(
    new Map([
      ['key', [[revisionKey(revision, 0, isDelete), value]]],
      ['meta', [[Buffer.from('consistent_index'), Buffer.alloc(8, 1)]]],
      ['auth', [[Buffer.from('authRevision'), auth]]],
    ]),
  );
  return file.bytes;
}
