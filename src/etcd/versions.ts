import { CodedError } from '../base/errors.ts';

export interface EtcdVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** As etcd prints it, with what follows the patch: `3.6.0-rc.1`. */
  readonly text: string;
}

/** What is known of a version before it is run. */
export interface VersionVerdict {
  /** Why it is not run; `null` when it is. */
  readonly refusal: string | null;
  /** Sentences for people; shown in the status of every member that runs it. */
  readonly warnings: readonly string[];
}

/** A defect is fixed in a minor's patch release; `null` where that minor never got the fix. */
interface Defect {
  readonly issue: number | null;
  readonly text: string;
  /** By minor of etcd 3: the versions that have it. A minor that is not named does not have it. */
  readonly affected: Readonly<Record<number, PatchRange>>;
  readonly refuse?: true;
  /** What a watch tells may not be what happened: an archive of it may lack events. */
  readonly ofWatch?: true;
}
interface PatchRange {
  /** First patch that has it; 0 where absent. */
  readonly from?: number;
  /** First patch that does not; absent: every one has it. */
  readonly fixedIn?: number;
}

/** The one list of defects that decides whether a version is run, and what is said about it. */
const DEFECTS: readonly Defect[] = [
  {
    issue: 13766,
    text: 'a crash under load can leave a member inconsistent with the others, silently',
    affected: { 5: { fixedIn: 3 } },
    refuse: true,
  },
  {
    issue: 14685,
    text: 'a crash during defragmentation can make revisions inconsistent',
    affected: { 5: { fixedIn: 6 } },
  },
  {
    issue: 14370,
    text: 'a cluster of one may lose an acknowledged write in a crash',
    affected: { 4: { fixedIn: 21 }, 5: { fixedIn: 5 } },
  },
  {
    issue: 15271,
    text: 'a watch may go back in time after a snapshot was applied',
    affected: { 4: { fixedIn: 25 }, 5: { fixedIn: 8 } },
    ofWatch: true,
  },
  {
    issue: 15220,
    text: 'requested watch progress is not ordered with the events of its stream',
    affected: { 4: { fixedIn: 25 }, 5: { fixedIn: 8 } },
  },
  {
    issue: 17529,
    text: 'a watch may lose events after a compaction, and an old leader may revoke leases',
    affected: { 4: { fixedIn: 31 }, 5: { fixedIn: 13 } },
    ofWatch: true,
  },
  {
    issue: 17780,
    text: 'the revision may go back after a crash during compaction',
    affected: { 4: { fixedIn: 32 }, 5: { fixedIn: 14 } },
  },
  {
    issue: 18089,
    text: 'a watch may lose a delete event when its revision is compacted',
    affected: { 4: { fixedIn: 34 }, 5: { fixedIn: 16 } },
    ofWatch: true,
  },
  {
    issue: 19179,
    text: 'a watch may lose a delete event when its revision is compacted, second case',
    affected: { 4: { fixedIn: 36 }, 5: { fixedIn: 18 } },
    ofWatch: true,
  },
  {
    issue: null,
    text: 'a transaction that fails midway may be applied in part',
    affected: { 5: { fixedIn: 17 } },
    ofWatch: true,
  },
  {
    issue: 20221,
    text: 'a watch on a future revision may be given old events',
    affected: { 4: { fixedIn: 38 }, 5: { fixedIn: 22 }, 6: { fixedIn: 2 } },
    ofWatch: true,
  },
  {
    issue: null,
    text: 'defragmentation while a snapshot is applied may corrupt the data',
    affected: { 4: { fixedIn: 38 }, 5: { fixedIn: 23 }, 6: { fixedIn: 5 } },
  },
  {
    issue: null,
    text: '--force-new-cluster may drop applied entries',
    affected: { 4: {}, 5: { fixedIn: 22 }, 6: { fixedIn: 1 } },
  },
  {
    issue: null,
    text: 'an upgrade to 3.6 may bring removed members back',
    affected: { 5: { fixedIn: 26 } },
  },
  {
    issue: 20418,
    text: 'a linearizable read may be stale after the process was paused',
    affected: { 4: { from: 20, fixedIn: 42 }, 5: { fixedIn: 28 }, 6: { fixedIn: 9 } },
  },
  {
    issue: 21694,
    text: 'an update of a learner’s peer URLs makes it a voter',
    affected: { 4: {}, 5: { fixedIn: 31 }, 6: { fixedIn: 12 } },
  },
];

const OLDEST_MINOR = 4;
const NEWEST_MINOR = 6;

/** Reads the output of `etcd --version`. Throws an {@link EtcdBinaryError} `unparsable`. */
export function parseEtcdVersion(output: string): EtcdVersion {
  const match = /etcd Version:\s*((\d+)\.(\d+)\.(\d+)\S*)/.exec(output);
  if (match === null) {
    const shown = JSON.stringify(output.trim().slice(0, 200));
    throw new EtcdBinaryError('unparsable', `--version of the etcd program printed ${shown}`, {
      hint: 'Name the path of an etcd 3.4, 3.5 or 3.6.',
    });
  }
  const [, text = '', major, minor, patch] = match;
  return { major: Number(major), minor: Number(minor), patch: Number(patch), text };
}

export function judgeVersion(version: EtcdVersion): VersionVerdict {
  if (version.major !== 3 || version.minor < OLDEST_MINOR) {
    const refusal = `etcd ${version.text} is not supported: 3.${OLDEST_MINOR} to 3.${NEWEST_MINOR} are`;
    return { refusal, warnings: [] };
  }
  if (version.minor > NEWEST_MINOR) {
    const warning = `etcd ${version.text} is newer than what this release was tested with (3.${NEWEST_MINOR})`;
    return { refusal: null, warnings: [warning] };
  }
  const defects = DEFECTS.filter((defect) => has(defect, version));
  const fatal = defects.find((defect) => defect.refuse === true);
  const describe = (defect: Defect) => `etcd ${version.text}: ${defect.text}${issueOf(defect)}`;
  return { refusal: fatal === undefined ? null : describe(fatal), warnings: defects.map(describe) };
}

/** Defects of a version by which a watch may leave events out or alter them, as sentences; of an unknown one none. */
export function watchDefectsOf(version: string): readonly string[] {
  const parsed = readEtcdVersion(version);
  if (parsed === null) return [];
  const defects = DEFECTS.filter((defect) => defect.ofWatch === true && has(defect, parsed));
  return defects.map((defect) => `${defect.text}${issueOf(defect)}`);
}

/** A version as a member tells it; `null` for what is none. */
export function readEtcdVersion(text: string): EtcdVersion | null {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
  return major === undefined
    ? null
    : { major: Number(major), minor: Number(minor), patch: Number(patch), text };
}

/** Finding the etcd program and asking for its version. */
export class EtcdBinaryError extends CodedError<'not-found' | 'unparsable' | 'refused' | 'not-run'> {}

function has(defect: Defect, version: EtcdVersion): boolean {
  const range = defect.affected[version.minor];
  if (range === undefined) return false;
  return version.patch >= (range.from ?? 0) && version.patch < (range.fixedIn ?? Number.POSITIVE_INFINITY);
}

function issueOf(defect: Defect): string {
  return defect.issue === null ? '' : ` (etcd-io/etcd#${defect.issue})`;
}
