import { loadEpoch, openArchive } from '../../src/backup/archive.ts';
import type { ArchiverLimits } from '../../src/backup/archiver.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { archiveEtcd } from '../archive/archiving.ts';

/*
 * Archives an etcd to a directory until it is killed or fenced; says what is durable whenever that changes:
 *
 *     node archive-writer.ts <directory> <url of etcd> <generation> [<limits as JSON>]
 */
const [, , directory = '', url = '', generation = '', limits = '{}'] = process.argv;
const signal = new AbortController().signal;
const archive = await openArchive(
  await openDirectoryArchiveStore(directory),
  { archiveId: null, owner: null },
  signal,
);
const epoch = await loadEpoch(archive, 1, signal);
if (epoch === null) throw new Error('there is no epoch 1');
const archiver = archiveEtcd(
  { archive, epoch },
  url,
  {
    generation: Number(generation),
    limits: { segmentMs: 0, segmentBytesMax: 40_000, ...(JSON.parse(limits) as Partial<ArchiverLimits>) },
  },
  signal,
);
let said = -1n;
const say = (): void => {
  const { archivedRevision } = archiver.status();
  if (archivedRevision === said) return;
  said = archivedRevision;
  process.stdout.write(`${said}\n`);
};
setInterval(say, 2);
archiver.ended.catch((error: unknown) => {
  process.stdout.write(`ended ${(error as { code?: string }).code}\n`);
  process.exit(3);
});
