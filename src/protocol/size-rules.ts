import { formatSize } from './option-kinds.ts';
import { contradiction, type OptionProblem } from './option-problem.ts';
import type { SchedulerOptions } from './options.ts';

/** What a member's disks and memory must hold, and what follows for etcd's quota. */

/** Disk that etcd's write-ahead log may take: five segments of 64 MiB that are kept, the next, and room for more. */
const LOG_MB = 512;
/** What raft's own snapshots take beside the database. */
const RAFT_SNAPSHOTS_MB = 64;
/** How often the database may lie on the disk at once: itself, one received from the leader, one defragmented. */
const DATABASE_COPIES = 3;
/** etcd's own default. */
const QUOTA_BYTES_USUAL = 2 * 1024 ** 3;
export const QUOTA_BYTES_MIN = 16 * 1024 ** 2;
const MIB = 1024 ** 2;

/** The supervisor about 100 MiB, an etcd without data as much again. */
const PROCESSES_MB = 192;
/** Of its database etcd holds the index of all keys in memory; with small values that is about this part of it. */
const INDEX_PART = 8;

type DiskOptions = Pick<SchedulerOptions, 'diskMb' | 'walDiskMb'>;

/** Disk beside the database on the volume where the database lies. */
function besideDatabaseMb({ walDiskMb }: Pick<DiskOptions, 'walDiskMb'>): number {
  return walDiskMb === null ? LOG_MB : RAFT_SNAPSHOTS_MB;
}

/** What a disk has room for, rounded down to MiB. */
export function usualQuotaBytes(options: DiskOptions): number {
  const roomMb = Math.floor((options.diskMb - besideDatabaseMb(options)) / DATABASE_COPIES);
  return Math.max(QUOTA_BYTES_MIN, Math.min(QUOTA_BYTES_USUAL, roomMb * MIB));
}

export function sizeRules(options: SchedulerOptions): readonly OptionProblem[] {
  return [...diskRules(options), ...memoryRules(options), ...sandboxRules(options)];
}

function diskRules(options: SchedulerOptions): readonly OptionProblem[] {
  const { quotaBytes, diskMb, walDiskMb } = options;
  const problems: OptionProblem[] = [];
  const besideMb = besideDatabaseMb(options);
  const neededMb = Math.ceil((DATABASE_COPIES * quotaBytes) / MIB) + besideMb;
  if (diskMb < neededMb) {
    problems.push(
      contradiction(
        '--disk',
        `--disk is ${formatSize(diskMb * MIB)}; a database of ${formatSize(quotaBytes)} needs ` +
          `${DATABASE_COPIES} times that and ${besideMb}MiB for ${walDiskMb === null ? 'the log' : 'raft’s snapshots'}, ` +
          formatSize(neededMb * MIB),
        'Raise --disk or lower --quota-backend-bytes.',
      ),
    );
  }
  if (walDiskMb !== null && walDiskMb < LOG_MB) {
    problems.push(
      contradiction(
        '--wal-disk',
        `--wal-disk is ${formatSize(walDiskMb * MIB)}; etcd’s log needs ${LOG_MB}MiB`,
        'Raise --wal-disk, or leave it out: then the log lies on the members’ one volume.',
      ),
    );
  }
  return problems;
}

function memoryRules({ memMb, quotaBytes }: SchedulerOptions): readonly OptionProblem[] {
  const neededMb = memoryNeededMb(quotaBytes);
  if (memMb >= neededMb) return [];
  return [
    contradiction(
      '--mem',
      `--mem is ${formatSize(memMb * MIB)}; a member with a database of ${formatSize(quotaBytes)} needs at least ` +
        `${neededMb}MiB: ${PROCESSES_MB}MiB for etcd and its supervisor, and an eighth of the database for its index`,
      'Raise --mem or lower --quota-backend-bytes. What is more caches the database.',
    ),
  ];
}

/** The least memory of a member's task; whatever more it has keeps the mapped database from the disk. */
function memoryNeededMb(quotaBytes: number): number {
  return PROCESSES_MB + Math.ceil(quotaBytes / MIB / INDEX_PART);
}

function sandboxRules({ storage, diskType, walDiskMb }: SchedulerOptions): readonly OptionProblem[] {
  if (storage !== 'sandbox') return [];
  const hint = 'Leave it out, or give --storage persistent.';
  const problems: OptionProblem[] = [];
  if (diskType === 'mount') {
    const message = '--disk-type is mount, but a sandbox lies on the agent’s own disk';
    problems.push(contradiction('--disk-type', message, hint));
  }
  if (walDiskMb !== null) {
    const message =
      '--wal-disk is given, but without volumes the log lies in the sandbox beside the database';
    problems.push(contradiction('--wal-disk', message, hint));
  }
  return problems;
}
