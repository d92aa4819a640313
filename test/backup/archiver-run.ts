import type { Archive, Epoch } from '../../src/backup/archive.ts';
import type { Archiver, ArchiverOptions } from '../../src/backup/archiver.ts';
import type { ArchiveStore } from '../../src/backup/store-port.ts';
import { archiveEtcd } from '../archive/archiving.ts';
import type { FakeMember } from './fake-member.ts';

/** An archiver that a test runs. */
export interface Run {
  readonly archiver: Archiver;
  readonly stop: () => Promise<void>;
}
export interface Place {
  readonly archive: Archive;
  readonly epoch: Epoch;
}

/** What a test says of its archiver; everything else is as plain as it can be. */
export type RunOptions = Partial<
  Pick<
    ArchiverOptions,
    'clock' | 'generation' | 'limits' | 'fullSchedule' | 'retain' | 'verification' | 'spool' | 'connect'
  >
> & { readonly store?: ArchiveStore };

export function start(member: FakeMember, { archive, epoch }: Place, options: RunOptions = {}): Run {
  const { store = archive.store, limits, ...more } = options;
  const over = new AbortController();
  const archiver = archiveEtcd(
    { archive: { ...archive, store }, epoch },
    'http://m0',
    {
      connect: (url) => member.connect(url),
      limits: { segmentMs: 0, segmentBytesMax: 20_000, ...limits },
      ...more,
    },
    over.signal,
  );
  return {
    archiver,
    stop: async () => {
      over.abort();
      await archiver.ended;
    },
  };
}
