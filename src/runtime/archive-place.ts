import { readFile } from 'node:fs/promises';
import { type Archive, openArchive } from '../backup/archive.ts';
import { sealedStore } from '../backup/sealed-store.ts';
import { type ArchiveStore, ArchiveStoreError } from '../backup/store-port.ts';
import { type Verification, type VerifyOptions, verifyArchive } from '../backup/survey.ts';
import { type Synthesis, type SynthesisOptions, synthesizeFull } from '../backup/synthesis.ts';
import { describeError } from '../base/errors.ts';
import { readArchiveKey } from './archive-key-file.ts';
import { createSystemClock } from './clock.ts';
import { openDirectoryArchiveStore } from './directory-archive-store.ts';
import { createDrafts, withScratch } from './draft-files.ts';

/** Where an archive is, as a person types it. */
export interface ArchivePlace {
  /** A directory, or `s3://bucket/prefix`. */
  readonly archive: string;
  /** Of an S3 that is not Amazon's, with its scheme. */
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly s3PathStyle?: true;
  /** A file, PEM. */
  readonly s3CaFile?: string;
  /** A file with the key that it is encrypted with; without one nothing in it is encrypted. */
  readonly keyFile?: string;
}

/**
 * Opens an archive to read it: nothing is made or written there. S3's credentials are those of the environment, the
 * user's files or the machine. Rejects with an `ArchiveError`, an {@link ArchiveStoreError} or a `StartError`.
 */
export async function openArchiveToRead(place: ArchivePlace, signal: AbortSignal): Promise<Archive> {
  return await openArchiveToChange(place, { readOnly: true }, signal);
}

/** As {@link openArchiveToRead}, but that it can be changed unless it is `readOnly`. */
export async function openArchiveToChange(
  place: ArchivePlace,
  options: { readonly readOnly: boolean },
  signal: AbortSignal,
): Promise<Archive> {
  const key = place.keyFile === undefined ? null : await readArchiveKey('--key-file', place.keyFile);
  const store = await openArchiveStore(place, options, signal);
  const known = key === null ? store : sealedStore(store, key);
  return await openArchive(known, { archiveId: null, owner: null }, signal);
}

export function isInS3(archive: string): boolean {
  return /^s3:/i.test(archive);
}

/**
 * Opens the store alone, whose objects may be encrypted. Rejects with an {@link ArchiveStoreError}.
 * @param options.readOnly nothing is made or written there.
 */
export async function openArchiveStore(
  place: Omit<ArchivePlace, 'keyFile'>,
  options: { readonly readOnly: boolean },
  signal: AbortSignal,
): Promise<ArchiveStore> {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(place.archive) ?? [];
  if (bucket === undefined) {
    if (!/^\w+:\/\//.test(place.archive)) {
      return await openDirectoryArchiveStore(place.archive, options);
    }
    throw new ArchiveStoreError('unsuitable', `${place.archive} is no place of an archive`, {
      hint: 'Name a directory, or s3://bucket/prefix.',
    });
  }
  const { openS3ArchiveStore } = await import('./s3-archive-store.ts');
  const { s3Endpoint: endpoint = null, s3Region: region = 'us-east-1', s3CaFile = null } = place;
  if (endpoint !== null && !/^https?:\/\/[^/]+\/?$/.test(endpoint)) {
    throw new ArchiveStoreError('unsuitable', `${endpoint} is no endpoint of an S3`, {
      hint: 'Name it with its scheme and without a path, as https://s3.example.com:9000.',
    });
  }
  const caCertificates = s3CaFile === null ? null : await readCertificates(s3CaFile);
  const s3 = {
    bucket,
    prefix: prefix.replace(/\/+$/, ''),
    endpoint,
    region,
    caCertificates,
    credentials: null,
  };
  return await openS3ArchiveStore({ ...s3, pathStyle: place.s3PathStyle === true }, signal, options);
}

async function readCertificates(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new ArchiveStoreError('unsuitable', `${file} cannot be read: ${describeError(cause)}`, {
      cause,
      hint: 'Name a file with the certificates of who signed the server’s, PEM.',
    });
  }
}

/**
 * Reads all of an archive and, where it `restores`, proves that it can be restored, with its files in a directory below
 * `within` that is gone afterwards.
 */
export async function verifyWithin(
  archive: Archive,
  options: Omit<VerifyOptions, 'newFile'> & { readonly within: string | null; readonly restores: boolean },
): Promise<Verification> {
  if (!options.restores) return await verifyArchive(archive, options);
  return await withScratch(
    options.within,
    async (directory) => await verifyArchive(archive, { ...options, newFile: createDrafts(directory) }),
  );
}

/** Makes a full of the newest one and the log, with its files in a directory below `within` that is gone afterwards. */
export async function synthesizeWithin(
  archive: Archive,
  options: Pick<SynthesisOptions, 'epoch' | 'onProgress' | 'signal'> & { readonly within: string | null },
): Promise<Synthesis> {
  return await withScratch(
    options.within,
    async (directory) =>
      await synthesizeFull({
        ...options,
        archive,
        newFile: createDrafts(directory),
        clock: createSystemClock(),
      }),
  );
}

export { planRemovals, type RemovalPlan, removePlanned } from '../backup/retention.ts';
export type { ArchiveSurvey, FullSurvey, Verification } from '../backup/survey.ts';
export { findFull, surveyArchive } from '../backup/survey.ts';
export type { Synthesis } from '../backup/synthesis.ts';
