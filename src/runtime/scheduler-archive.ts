import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Archive } from '../backup/archive.ts';
import { retain } from '../backup/retention.ts';
import type { ArchiveVerification } from '../backup/scheduled-verification.ts';
import { sealedStore } from '../backup/sealed-store.ts';
import type { ArchiveStore } from '../backup/store-port.ts';
import type { Clock } from '../base/ports.ts';
import { createStreamClient } from '../etcd/stream-client.ts';
import type { ArchiveAccess } from '../framework/archive-access.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import { scheduleOf } from '../protocol/schedule.ts';
import { readArchiveKey } from './archive-key-file.ts';
import { type ArchivePlace, isInS3, openArchiveStore } from './archive-place.ts';
import { openDirectoryArchiveStore } from './directory-archive-store.ts';
import { verifyNewestWithin } from './draft-files.ts';

/** In the state directory. */
const SPOOL_DIRECTORY = 'spool';
const VERIFICATION_DIRECTORY = 'verification';

/**
 * Where the options say that the cluster is archived; `null`: nowhere. Nothing is opened yet. Rejects with a
 * `StartError` where its key cannot be read.
 */
export async function archiveAccessOf(
  options: SchedulerOptions,
  clock: Clock,
): Promise<ArchiveAccess | null> {
  if (options.archive === null) return null;
  const place = placeOf(options.archive, options);
  const { archiveKeyFile } = options;
  const key = archiveKeyFile === null ? null : await readArchiveKey('--archive-key-file', archiveKeyFile);
  let opened: ArchiveStore | null = null;
  return {
    place: place.archive,
    givenUp: options.archiveGivenUp,
    open: async (signal) => {
      if (opened === null) {
        const store = await openArchiveStore(place, { readOnly: false }, signal);
        opened = key === null ? store : sealedStore(store, key);
      }
      return opened;
    },
    connect: (url) => createStreamClient({ url }, clock),
    openSpool: async () => {
      const store = await openDirectoryArchiveStore(path.join(options.stateDir, SPOOL_DIRECTORY));
      return {
        store: key === null ? store : sealedStore(store, key),
        bytesMax: options.archiveSpoolBytes,
      };
    },
    limits: {
      segmentMs: options.archiveSegmentIntervalMs,
      proofMs: options.archiveProofIntervalMs,
      logBytesPerFull: options.archiveFullAfterBytes,
    },
    fullSchedule: scheduleOf(options.archiveFullSchedule),
    retain: async (archive, signal) => {
      const policy = { keepFulls: options.archiveKeepFulls, keepMs: options.archiveKeepMs };
      await retain(archive, policy, { clock, signal });
    },
    verification: {
      schedule: scheduleOf(options.archiveVerifySchedule),
      run: async (archive, signal) =>
        await verifyIn(path.join(options.stateDir, VERIFICATION_DIRECTORY), archive, clock, signal),
    },
  };
}

/** Removes what archiving has left in the state directory, whether anything is archived now or not. Safe to repeat. */
export async function removeArchivingFiles({ stateDir }: Pick<SchedulerOptions, 'stateDir'>): Promise<void> {
  for (const name of [SPOOL_DIRECTORY, VERIFICATION_DIRECTORY]) {
    await rm(path.join(stateDir, name), { recursive: true, force: true });
  }
}

/** The directory is emptied before: a scheduler that was killed while it verified has left its files there. */
async function verifyIn(
  directory: string,
  archive: Archive,
  clock: Clock,
  signal: AbortSignal,
): Promise<ArchiveVerification> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  return await verifyNewestWithin(directory, archive, clock, signal);
}

function placeOf(archive: string, options: SchedulerOptions): ArchivePlace {
  if (!isInS3(archive)) return { archive: path.resolve(archive) };
  const { archiveS3Endpoint: endpoint, archiveS3CaFile: caFile } = options;
  return {
    archive,
    s3Region: options.archiveS3Region,
    ...(endpoint === null ? {} : { s3Endpoint: endpoint }),
    ...(options.archiveS3PathStyle === 'true' ? { s3PathStyle: true } : {}),
    ...(caFile === null ? {} : { s3CaFile: caFile }),
  };
}
