/**
 * Names of an archive's objects:
 *
 *     archive.json                                whose it is; written once
 *     epochs/<epoch>/epoch.json                   a cluster's life and what it came from; written once
 *     epochs/<epoch>/log/<thousand>/<sequence>    the log's segments, numbered without a hole
 *     epochs/<epoch>/fulls/<full>/data            etcd's backend file with its hash at the end, as a member gave it
 *     epochs/<epoch>/fulls/<full>/full.json       written after its data: without it there is no full
 *
 * Numbers are padded, so that the order of the names is theirs.
 */
export const ARCHIVE_KEY = 'archive.json';
export const EPOCHS_PREFIX = 'epochs/';

const EPOCH_DIGITS = 8;
const SEQUENCE_DIGITS = 12;
const FULL_TIME_DIGITS = 15;
/** Segments of one folder: a directory of a million names is slow to look into. */
const FOLDER_SEGMENTS = 1000;

export const epochPrefix = (epoch: number): string => `${EPOCHS_PREFIX}${padded(epoch, EPOCH_DIGITS)}/`;
export const epochKey = (epoch: number): string => `${epochPrefix(epoch)}epoch.json`;
export const logPrefix = (epoch: number): string => `${epochPrefix(epoch)}log/`;
export const fullsPrefix = (epoch: number): string => `${epochPrefix(epoch)}fulls/`;
export const fullDataKey = (epoch: number, full: string): string => `${fullsPrefix(epoch)}${full}/data`;
export const fullKey = (epoch: number, full: string): string => `${fullsPrefix(epoch)}${full}/full.json`;

export function segmentKey(epoch: number, sequence: number): string {
  const folder = padded(Math.floor(sequence / FOLDER_SEGMENTS), SEQUENCE_DIGITS - 3);
  return `${logPrefix(epoch)}${folder}/${padded(sequence, SEQUENCE_DIGITS)}`;
}

/** The number in a segment's name; `null` for what is none. */
export function sequenceOf(key: string): number | null {
  const match = /\/log\/\d+\/(\d{12})$/.exec(key);
  return match?.[1] === undefined ? null : Number(match[1]);
}

/** The number of the epoch that an object belongs to; `null` for what belongs to none. */
export function epochWithin(key: string): number | null {
  const match = /^epochs\/(\d{8})\//.exec(key);
  return match?.[1] === undefined ? null : Number(match[1]);
}

/** The name of a full by when it was begun and by whom. */
export function fullName(atMs: number, generation: number): string {
  return `${padded(Math.floor(atMs), FULL_TIME_DIGITS)}-${padded(generation, 8)}`;
}

/** The full whose description this is; `null` for what is none. */
export function fullOf(key: string): string | null {
  return /\/fulls\/(\d{15}-\d{8})\/full\.json$/.exec(key)?.[1] ?? null;
}

/** The full whose data this is; `null` for what is none. */
export function fullDataOf(key: string): string | null {
  return /\/fulls\/(\d{15}-\d{8})\/data$/.exec(key)?.[1] ?? null;
}

/** When a full of that name was begun, wall clock. */
export function startOfFull(name: string): number {
  return Number(name.slice(0, FULL_TIME_DIGITS));
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
