import { formatDuration } from '../base/duration.ts';
import { archiveRules, usualSegmentIntervalMs } from './archive-options.ts';
import { foldedName, USUAL_CLUSTER_SIZE } from './identifiers.ts';
import { contradiction, type OptionProblem } from './option-problem.ts';
import type { GivenOptions, SchedulerOptions } from './options.ts';
import { portRules } from './port-rules.ts';
import { roleOf, roleRules } from './role-rules.ts';
import { sizeRules, usualQuotaBytes } from './size-rules.ts';
import { orderKeyFileIn, zooKeeperRules } from './zookeeper-rules.ts';

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
      ...roleRules(given),
      ...etcdRules(options),
      ...sizeRules(options),
      ...portRules(options),
      ...timeRules(options),
      ...credentialRules(options),
      ...artifactRules(options),
      ...zooKeeperRules(options),
      ...uninstallRules(options),
      ...archiveRules(given),
    ],
    warnings: warningsOf(given, options),
  };
}

function withDefaults(given: GivenOptions): SchedulerOptions {
  const folded = foldedName(given.frameworkName ?? 'etcd');
  const stateDir = given.stateDir ?? `/var/lib/etcd-mesos/${folded}`;
  return {
    ...(given as SchedulerOptions),
    masterUrls: given.masterUrls ?? [],
    role: roleOf(given, folded),
    // That of a service account is in its credentials.
    principal: given.principal ?? (given.serviceAccount === null ? `${folded}-principal` : null),
    stateDir,
    orderKeyFile: given.orderKeyFile ?? (given.zkState === null ? orderKeyFileIn(stateDir) : null),
    archiveSegmentIntervalMs: given.archiveSegmentIntervalMs ?? usualSegmentIntervalMs(given.archive),
    walDiskType: given.walDiskType ?? given.diskType ?? 'root',
    quotaBytes:
      given.quotaBytes ?? usualQuotaBytes({ diskMb: given.diskMb ?? 0, walDiskMb: given.walDiskMb }),
  };
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
  const { heartbeatIntervalMs, electionTimeoutMs } = options;
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
  return problems;
}

function credentialRules({ secretFile, serviceAccount }: SchedulerOptions): readonly OptionProblem[] {
  if (secretFile === null || serviceAccount === null) return [];
  return [
    contradiction(
      '--secret-file',
      '--secret-file and --service-account-file are both given: the scheduler authenticates in one way',
      'Give the one that the masters ask for.',
    ),
  ];
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
  const { artifact, artifactUri, artifactFile, artifactSha256, artifactEtcdVersion } = options;
  const { etcdBinary, etcdctlBinary } = options;
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
      artifactEtcdVersion !== null && tarball === null,
      '--artifact-etcd-version',
      '--artifact-etcd-version is given without --artifact-uri or --artifact-file',
      'Leave it out: the etcd of this machine is asked for its version.',
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

/** How many members of a host can be lost together without their majority. */
function sharedHostWarnings(options: SchedulerOptions): readonly string[] {
  const { placement } = options;
  const size = options.size ?? USUAL_CLUSTER_SIZE;
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
  if (options.storage === 'sandbox') {
    warnings.push(
      '--storage=sandbox: the data of a member ends with its task. When a majority of the tasks has ended, ' +
        'everything is lost. It is for trials, and for those who may reserve nothing',
    );
  }
  if (options.size === 1) {
    warnings.push('--cluster-size is 1: any failure of the one member stops the cluster');
  }
  return warnings;
}
