import type { ArchiveStore } from '../src/backup/store-port.ts';
import { openDirectoryArchiveStore } from '../src/runtime/directory-archive-store.ts';
import { openS3ArchiveStore, type S3Place } from '../src/runtime/s3-archive-store.ts';
import { type S3Server, s3ServerProgram, startS3Server } from '../test/contract/archive-store/s3-server.ts';

/** Where a measured process is to archive to, as it is told on its command line. */
export type ArchivePlace = { readonly directory: string } | { readonly s3: S3Place };

export async function openPlace(place: ArchivePlace, signal: AbortSignal): Promise<ArchiveStore> {
  return 's3' in place
    ? await openS3ArchiveStore(place.s3, signal)
    : await openDirectoryArchiveStore(place.directory);
}

/** An S3 server on loopback, over a directory of its own. */
export async function startBenchS3(): Promise<S3Server> {
  const program = s3ServerProgram();
  if (program === null)
    throw new Error('there is no versitygw: ./scripts/check builds one where there is a Go');
  return await startS3Server(program);
}

export function placeIn(server: S3Server, prefix: string): ArchivePlace {
  const { bucket, port, credentials } = server;
  const endpoint = `http://127.0.0.1:${port}`;
  const how = { region: 'us-east-1', pathStyle: true, caCertificates: null, credentials };
  return { s3: { bucket, prefix, endpoint, ...how } };
}
