import { formatDuration } from '../base/duration.ts';
import { formatSize } from './option-kinds.ts';
import type { GivenOptions, OptionProblem, SchedulerOptions } from './options.ts';

/** Disk that etcd's write-ahead log and raft snapshots may take beside the database. */
export const LOG_ALLOWANCE_MB = 512;
/** How often the database may lie on the disk at once: itself, one received from the leader, one defragmented. */
export const DATABASE_COPIES = 3;
/** etcd's own default. */
const QUOTA_BYTES_USUAL = 2 * 1024 ** 3;
const QUOTA_BYTES_MIN = 16 * 1024 ** 2;
const MIB = 1024 ** 2;
const HOUR_MS = 3_600_000;

export interface CompletedOptions {
  readonly options: SchedulerOptions;
  readonly problems: readonly OptionProblem[];
  readonly warnings: readonly string[];
}

/** Fills in defaults that follow from other options, then holds what must be true between options. */
export function completeOptions(given: GivenOptions): CompletedOptions {
  const options = withDefaults(given);
  return {
    options,
    problems: [...missing(given), ...etcdRules(options), ...timeRules(options), ...artifactRules(options)],
    warnings: warningsOf(given, options),
  };
}

function withDefaults(given: GivenOptions): SchedulerOptions {
  const name = given.frameworkName ?? 'etcd';
  const folded = name.replace(/^\//, '').replaceAll('/', '__');
  const stateDir = given.stateDir ?? `/var/lib/etcd-mesos/${folded}`;
  return {
    ...(given as SchedulerOptions),
    masterUrls: given.masterUrls ?? [],
    role: given.role ?? `${folded}-role`,
    principal: given.principal ?? `${folded}-principal`,
    stateDir,
    orderKeyFile: given.orderKeyFile ?? `${stateDir.replace(/\/+$/, '')}/order-key.pem`,
    quotaBytes: given.quotaBytes ?? usualQuotaBytes(given.diskMb ?? 0),
  };
}

/** What a disk has room for, rounded down to MiB. */
function usualQuotaBytes(diskMb: number): number {
  const roomMb = Math.floor((diskMb - LOG_ALLOWANCE_MB) / DATABASE_COPIES);
  return Math.max(QUOTA_BYTES_MIN, Math.min(QUOTA_BYTES_USUAL, roomMb * MIB));
}

function missing(given: GivenOptions): readonly OptionProblem[] {
  if (given.masterUrls !== null) return [];
  return [
    {
      code: 'missing',
      where: '--master',
      message: '--master is missing: no Mesos master is named',
      hint: 'Give --master http://<host>:5050 or set MESOS_MASTER; etcd-mesos local up needs no Mesos at all.',
    },
  ];
}

function etcdRules(options: SchedulerOptions): readonly OptionProblem[] {
  const problems: OptionProblem[] = [];
  const { heartbeatIntervalMs, electionTimeoutMs, quotaBytes, diskMb } = options;
  if (electionTimeoutMs < 5 * heartbeatIntervalMs) {
    problems.push(
      contradiction(
        '--election-timeout',
        `--election-timeout is ${formatDuration(electionTimeoutMs)}; it must be at least 5 times ` +
          `--heartbeat-interval (${formatDuration(heartbeatIntervalMs)}), ${formatDuration(5 * heartbeatIntervalMs)}`,
        'Raise --election-timeout or lower --heartbeat-interval.',
      ),
    );
  }
  const neededMb = Math.ceil((DATABASE_COPIES * quotaBytes) / MIB) + LOG_ALLOWANCE_MB;
  if (diskMb < neededMb) {
    problems.push(
      contradiction(
        '--disk',
        `--disk is ${formatSize(diskMb * MIB)}; a database of ${formatSize(quotaBytes)} needs ` +
          `${DATABASE_COPIES} times that and ${LOG_ALLOWANCE_MB}MiB for the log, ${formatSize(neededMb * MIB)}`,
        'Raise --disk or lower --quota-backend-bytes.',
      ),
    );
  }
  return problems;
}

function timeRules(options: SchedulerOptions): readonly OptionProblem[] {
  const leastMs = 10 * options.electionTimeoutMs;
  const waits = [
    ['--reseed-timeout', options.reseedTimeoutMs, leastMs],
    ['--unreachable-timeout', options.unreachableTimeoutMs, options.electionTimeoutMs],
  ] as const;
  return waits
    .filter(([, durationMs, minMs]) => durationMs < minMs)
    .map(([name, durationMs, minMs]) =>
      contradiction(
        name,
        `${name} is ${formatDuration(durationMs)}; with an --election-timeout of ` +
          `${formatDuration(options.electionTimeoutMs)} it must be at least ${formatDuration(minMs)}`,
        `Raise ${name}: an election must not look like a loss.`,
      ),
    );
}

function artifactRules(options: SchedulerOptions): readonly OptionProblem[] {
  const { artifactUri, artifactFile, artifactSha256, etcdBinary } = options;
  const problems: OptionProblem[] = [];
  if (artifactUri !== null && artifactFile !== null) {
    const message = '--artifact-uri and --artifact-file are both given';
    problems.push(contradiction('--artifact-uri', message, 'Give one of them.'));
  }
  if (artifactUri !== null && artifactSha256 === null) {
    const message = '--artifact-uri is given without --artifact-sha256';
    problems.push(contradiction('--artifact-sha256', message, 'Give the sum that sha256sum prints for it.'));
  }
  if (artifactSha256 !== null && artifactUri === null && artifactFile === null) {
    const message = '--artifact-sha256 is given without --artifact-uri or --artifact-file';
    problems.push(contradiction('--artifact-sha256', message, 'Say which tarball it is the sum of.'));
  }
  if (etcdBinary !== null && (artifactUri !== null || artifactFile !== null)) {
    const message = '--etcd-binary is given together with a tarball, which brings its own etcd';
    problems.push(contradiction('--etcd-binary', message, 'Leave one of them out.'));
  }
  return problems;
}

function contradiction(where: string, message: string, hint: string): OptionProblem {
  return { code: 'contradiction', where, message, hint };
}

function warningsOf(given: GivenOptions, options: SchedulerOptions): readonly string[] {
  const warnings: string[] = [];
  if (given.autoReseed === 'true') {
    warnings.push('--auto-reseed=true has no effect: this release does not recover a lost quorum by itself');
  }
  if (options.failoverTimeoutMs < HOUR_MS) {
    warnings.push(
      `--failover-timeout is ${formatDuration(options.failoverTimeoutMs)}: ` +
        'Mesos kills every member when no scheduler is connected for that long',
    );
  }
  if (options.size === 1) {
    warnings.push('--cluster-size is 1: any failure of the one member stops the cluster');
  }
  return warnings;
}
