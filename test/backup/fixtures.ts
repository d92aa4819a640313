import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const DATA = join(import.meta.dirname, '..', 'data', 'backend');

/** What was recorded of an etcd of each minor; test/data/backend/README.md says how. */
export const RECORDED_VERSIONS = ['3.4.23', '3.5.30', '3.6.16'] as const;
export type RecordedVersion = (typeof RECORDED_VERSIONS)[number];

/** A snapshot as etcd sent it, with its trailing hash. */
export function recordedSnapshot(version: RecordedVersion): Buffer {
  return gunzipSync(readFileSync(join(DATA, `etcd-${version}.db.gz`)));
}

/** What its HashKV answered, by the revision that was asked for; `null` where it refused. */
export function recordedHashes(version: RecordedVersion): Readonly<Record<string, RecordedHash | null>> {
  return JSON.parse(readFileSync(join(DATA, `etcd-${version}.hashes.json`), 'utf8')) as Readonly<
    Record<string, RecordedHash | null>
  >;
}
export interface RecordedHash {
  readonly hash: number;
  readonly compactRevision: string;
}
