import { formatDuration } from '../base/duration.ts';
import { formatSize } from './option-kinds.ts';
import type { GivenOptions, OptionProblem, SchedulerOptions } from './options.ts';

/** Disk that etcd's write-ahead log and raft snapshots may take beside the database. */
const LOG_ALLOWANCE_MB = 512;
/** How often the database may lie on the disk at once: itself, one received from the leader, one defragmented. */
const DATABASE_COPIES = 3;
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
    problems: [
      ...missing(given),
      ...etcdRules(options),
      ...timeRules(options),
      ...artifactRules(options),
      ...uninstallRules(options),
    ],
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
  const { artifact, artifactUri, artifactFile, artifactSha256, etcdBinary, etcdctlBinary } = options;
  const tarball = artifactUri !== null ? '--artifact-uri' : artifactFile !== null ? '--artifact-file' : null;
  const rules: readonly (readonly [broken: boolean, where: string, message: string, hint: string])[] = [
    [
      artifactUri !== null && artifactFile !== null,
      '--artifact-uri',
      '--artifact-uri and --artifact-file are both given',
      'Give one of them.',
    ],
    [
      artifactUri !== null && artifactSha256 === null,
      '--artifact-sha256',
      '--artifact-uri is given without --artifact-sha256',
      'Give the sum that sha256sum prints for it.',
    ],
    [
      artifactSha256 !== null && tarball === null,
      '--artifact-sha256',
      '--artifact-sha256 is given without --artifact-uri or --artifact-file',
      'Say which tarball it is the sum of.',
    ],
    [
      artifact === 'checkout' && tarball !== null,
      '--artifact',
      `--artifact is "checkout" but ${tarball} names a tarball`,
      'Leave one of them out.',
    ],
    [
      tarball !== null && (etcdBinary !== null || etcdctlBinary !== null),
      etcdBinary === null ? '--etcdctl-binary' : '--etcd-binary',
      `${tarball} names a tarball, which brings its own etcd and etcdctl`,
      'Leave --etcd-binary and --etcdctl-binary out.',
    ],
  ];
  return rules
    .filter(([broken]) => broken)
    .map(([, where, message, hint]) => contradiction(where, message, hint));
}

function uninstallRules(options: SchedulerOptions): readonly OptionProblem[] {
  if (options.destroyData === 'false' || options.uninstall === 'true') return [];
  return [
    contradiction(
      '--destroy-data',
      '--destroy-data is given without --uninstall',
      'Leave it out, or give --uninstall=true to give the service up.',
    ),
  ];
}

function contradiction(where: string, message: string, hint: string): OptionProblem {
  return { code: 'contradiction', where, message, hint };
}

/** How many members of a host can be lost together without their majority. */
function sharedHostWarnings({ placement, size }: SchedulerOptions): readonly string[] {
  const limits = placement
    .filter(({ field }) => field === 'hostname')
    .flatMap(({ operator, parameter }) => {
      switch (operator) {
        case 'UNIQUE':
          return [1];
        case 'MAX_PER':
          return [Number(parameter)];
        case 'GROUP_BY':
          return [Math.ceil(size / Number(parameter ?? 1))];
        case 'CLUSTER':
          return [size];
        default:
          return [];
      }
    });
  const mostOnOneHost = Math.min(size, ...limits);
  if (limits.length === 0 || size === 1 || mostOnOneHost <= Math.floor((size - 1) / 2)) return [];
  return [
    `--placement lets ${mostOnOneHost} of ${size} members share a host: the loss of one host can then take ` +
      'the majority, and with it the cluster',
  ];
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
  warnings.push(...sharedHostWarnings(options));
  if (options.size === 1) {
    warnings.push('--cluster-size is 1: any failure of the one member stops the cluster');
  }
  return warnings;
}
