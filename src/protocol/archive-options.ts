import { formatDuration } from '../base/duration.ts';
import {
  choiceKind,
  durationKind,
  integerKind,
  type OptionKind,
  pathKind,
  sizeKind,
  textKind,
} from './option-kinds.ts';
import { contradiction, type OptionProblem } from './option-problem.ts';
import { option } from './option-spec.ts';
import type { GivenOptions } from './options.ts';
import { NO_SCHEDULE, parseSchedule } from './schedule.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const S3 = /^s3:\/\//i;

/** A directory or a bucket. */
const placeKind: OptionKind<string> = {
  name: 'place',
  accepts:
    'a directory, absolute or relative to the working directory, or an S3 bucket with a prefix, as s3://bucket/prefix',
  parse: (text) => {
    const trimmed = text.trim();
    if (S3.test(trimmed))
      return /^s3:\/\/[a-z0-9][a-z0-9.-]{1,62}(\/[^\s]*)?$/.test(trimmed) ? { value: trimmed } : null;
    return /^\w+:\/\//.test(trimmed) ? null : pathKind.parse(text);
  },
  format: (value) => value,
};

/** A cron expression; kept as its text. */
const scheduleKind: OptionKind<string> = {
  name: 'schedule',
  accepts:
    'a cron expression of five fields (minute, hour, day of the month, month, day of the week), by UTC, ' +
    `as 17 3 * * *, or ${NO_SCHEDULE}`,
  parse: (text) => {
    const read = parseSchedule(text);
    return 'problem' in read ? read : { value: read.value === null ? NO_SCHEDULE : text.trim() };
  },
  format: (value) => value,
};

/** The scheduler's options about the archive. */
export const ARCHIVE_OPTIONS = {
  archive: option({
    name: 'archive',
    kind: placeKind,
    initial: null,
    otherwise: 'no archive is kept',
    about:
      'Where the cluster’s archive lies: a directory that every scheduler sees under this path, or S3 as ' +
      's3://bucket/prefix. Every cluster has one of its own. See archive.md.',
    changes: 'restart',
  }),
  archiveGivenUp: option({
    name: 'archive-given-up',
    kind: textKind(/^[A-Za-z0-9-]{1,100}$/, 'the id of an archive, as the scheduler names it'),
    initial: null,
    otherwise: 'the archive that the record names is insisted on',
    about:
      'An archive that is lost for good: where the record names it, another is begun in its stead. It may be given ' +
      'further, since it says nothing of any other.',
    changes: 'restart',
  }),
  archiveS3Endpoint: option({
    name: 'archive-s3-endpoint',
    kind: textKind(
      /^https?:\/\/[^/\s]+\/?$/,
      'a URL with the scheme http or https and without a path, as https://s3.example.com:9000',
    ),
    initial: null,
    otherwise: 'Amazon’s',
    about: 'The S3 server, where it is not Amazon’s.',
    changes: 'restart',
  }),
  archiveS3Region: option({
    name: 'archive-s3-region',
    kind: textKind(/^[a-z0-9-]{1,64}$/, 'the name of a region, as eu-central-1'),
    initial: 'us-east-1',
    about: 'The region of the bucket.',
    changes: 'restart',
  }),
  archiveS3PathStyle: option({
    name: 'archive-s3-path-style',
    kind: choiceKind(['true', 'false']),
    initial: 'false',
    about:
      'Whether the bucket is named in the path instead of the host, as most servers that are not Amazon’s ask.',
    changes: 'restart',
  }),
  archiveS3CaFile: option({
    name: 'archive-s3-ca-file',
    kind: pathKind,
    initial: null,
    otherwise: 'those that the system trusts',
    about: 'Certificates in PEM of the CAs that signed that of the S3 server.',
    changes: 'restart',
  }),
  archiveKeyFile: option({
    name: 'archive-key-file',
    kind: pathKind,
    initial: null,
    otherwise: 'what is archived is not encrypted',
    about:
      'File with the key that the archive is encrypted with: 32 bytes as 64 hexadecimal digits. Every scheduler ' +
      'needs it, and so does whoever restores. Without it the archive is lost.',
    changes: 'never',
  }),
  archiveSegmentIntervalMs: option({
    name: 'archive-segment-interval',
    kind: durationKind(0, MINUTE_MS),
    initial: null,
    otherwise: '0 for a directory, 1s for S3',
    about:
      'How long revisions are gathered before they are written: what the archive may lack when all is lost at once. ' +
      '0: each is durable as it comes, which a directory alone can do.',
    changes: 'restart',
  }),
  archiveFullSchedule: option({
    name: 'archive-full-schedule',
    kind: scheduleKind,
    initial: '17 3 * * *',
    about: 'When a full backup is taken, beside those that are needed.',
    changes: 'restart',
  }),
  archiveFullAfterBytes: option({
    name: 'archive-full-after',
    kind: sizeKind('B', MIB, 1024 * GIB),
    initial: GIB,
    about: 'After so much log a full backup is taken, so that a restore has no more than this to read.',
    changes: 'restart',
  }),
  archiveProofIntervalMs: option({
    name: 'archive-proof-interval',
    kind: durationKind(SECOND_MS, DAY_MS),
    initial: 5 * MINUTE_MS,
    about:
      'How often a member is asked for the hash of all its data, which a restore is held against. It should be ' +
      'shorter than the time between two compactions.',
    changes: 'restart',
  }),
  archiveVerifySchedule: option({
    name: 'archive-verify-schedule',
    kind: scheduleKind,
    initial: '47 4 * * 0',
    about:
      'When the archive is read back, restored on the scheduler’s disk and held against what members told.',
    changes: 'restart',
  }),
  archiveSpoolBytes: option({
    name: 'archive-spool-size',
    kind: sizeKind('B', MIB, 1024 * GIB),
    initial: GIB,
    about:
      'What may wait in the state directory while the archive takes nothing. What comes beyond it is read from the ' +
      'members later, unless they have compacted it by then.',
    changes: 'restart',
  }),
  archiveKeepFulls: option({
    name: 'archive-keep-fulls',
    kind: integerKind(1, 10_000),
    initial: 7,
    about:
      'The newest full backups, with all that came after the oldest of them, are kept however old they are.',
    changes: 'restart',
  }),
  archiveKeepMs: option({
    name: 'archive-keep',
    kind: durationKind(HOUR_MS),
    initial: 30 * DAY_MS,
    about:
      'How far back the archive can restore; what is older is removed, as far as --archive-keep-fulls allows.',
    changes: 'restart',
  }),
} as const;

export type ArchiveOptionKey = keyof typeof ARCHIVE_OPTIONS;

/** The default of `--archive-segment-interval`. */
export function usualSegmentIntervalMs(archive: string | null): number {
  return isS3(archive) ? SECOND_MS : 0;
}

/** What must be true between the options of the archive. */
export function archiveRules(given: GivenOptions): readonly OptionProblem[] {
  const { archive } = given;
  if (archive === null)
    return told(given, () => true, 'but --archive is not', 'Give --archive, or leave it out.');
  if (!isS3(archive)) {
    const hint = 'Leave it out, or give --archive s3://bucket/prefix.';
    return told(
      given,
      (key) => key.startsWith('archiveS3'),
      `but --archive is a directory, ${archive}`,
      hint,
    );
  }
  if (given.archiveSegmentIntervalMs !== 0) return [];
  return [
    contradiction(
      '--archive-segment-interval',
      `--archive-segment-interval is 0, but ${archive} takes whole objects alone: nothing can be written as it comes`,
      `Leave it out for ${formatDuration(SECOND_MS)}, or give more.`,
    ),
  ];
}

function isS3(archive: string | null): boolean {
  return archive !== null && S3.test(archive);
}

/** The first of those options that says something else than without a word. */
function told(
  given: GivenOptions,
  isMeant: (key: string) => boolean,
  why: string,
  hint: string,
): readonly OptionProblem[] {
  const all = Object.keys(ARCHIVE_OPTIONS) as ArchiveOptionKey[];
  return all
    .filter((key) => key !== 'archive' && isMeant(key) && given[key] !== ARCHIVE_OPTIONS[key].initial)
    .map((key) => {
      const name = `--${ARCHIVE_OPTIONS[key].name}`;
      return contradiction(name, `${name} is given ${why}`, hint);
    });
}
