import { type Archive, beginEpoch, createArchive, type Epoch } from '../../src/backup/archive.ts';
import { type Archiver, type ArchiverOptions, startArchiver } from '../../src/backup/archiver.ts';
import type { ArchiveStore } from '../../src/backup/store-port.ts';
import { createStreamClient } from '../../src/etcd/stream-client.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { never } from '../backup/sample-log.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock } from '../wait.ts';

export interface ArchivedPlace {
  readonly archive: Archive;
  readonly epoch: Epoch;
}

/** An archiver as plain as it can be, but for what is said. */
export function archiveEtcd(
  place: ArchivedPlace,
  url: string,
  options: Partial<ArchiverOptions>,
  signal: AbortSignal,
): Archiver {
  return startArchiver(
    {
      ...place,
      generation: 1,
      members: () => Promise.resolve([{ url }]),
      connect: (member) => createStreamClient({ url: member }, clock),
      clock,
      ids: createSystemIds(),
      logger: silentLogger,
      spool: null,
      fullSchedule: null,
      retain: null,
      verification: null,
      ...options,
    },
    signal,
  );
}

export async function placeIn(store: ArchiveStore, clusterId: string): Promise<ArchivedPlace> {
  const archive = await createArchive(store, { archiveId: 'a1', owner: 'etcd', atMs: 1 }, never);
  const epoch = await beginEpoch(archive, { epoch: 1, clusterId, parent: null, atMs: 2 }, never);
  return { archive, epoch };
}
