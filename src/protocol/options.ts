import { ARCHIVE_OPTIONS } from './archive-options.ts';
import { CLUSTER_SIZES, USUAL_CLUSTER_SIZE } from './identifiers.ts';
import { MASTER_OPTIONS } from './master-options.ts';
import {
  choiceKind,
  decimalKind,
  durationKind,
  integerKind,
  oneOfNumbersKind,
  pathKind,
  placementKind,
  sizeKind,
  textKind,
  urlKind,
  zooKeeperKind,
} from './option-kinds.ts';
import { flag, key, type OptionSpec, option, platform, variable } from './option-spec.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const ROLE = /^(?!\*$|\.\.?$|-|\/)(?!.*\/\/)(?!.*\/$)[^\s\\]{1,200}$/;

/**
 * The scheduler's options: the one table from which flags, environment variables, keys of the file, the help
 * and the reference (`docs/options.md`) are made. `option-sources.ts` reads them, `option-rules.ts` holds what
 * must be true between them.
 */
export const OPTIONS = {
  ...MASTER_OPTIONS,
  frameworkName: option({
    name: 'framework-name',
    kind: textKind(
      /^(?!.*__)(?!.*([^./]\/?){64})\/?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)*$/,
      'letters, digits, dots, dashes and single underscores, in folders if wanted, as etcd or /team/etcd, at most ' +
        '63 without slashes, which is what DNS makes a label of, or between two dots',
    ),
    initial: 'etcd',
    about: 'Name of the framework. It names the cluster in Mesos and in DNS.',
    changes: 'never',
    aliases: [
      flag('cluster-name'),
      variable('FRAMEWORK_NAME'),
      variable('CLUSTER_NAME'),
      key('service.name'),
      key('etcd.framework-name'),
    ],
  }),
  size: option({
    name: 'cluster-size',
    kind: oneOfNumbersKind(CLUSTER_SIZES),
    initial: null,
    otherwise: `the number that the cluster has; ${USUAL_CLUSTER_SIZE} where one begins`,
    about:
      'Members of the cluster: odd, since an even number survives no more failures than one less. A new value has ' +
      'members added or removed, one at a time; `etcd-mesos scale` does so too.',
    changes: 'restart',
    aliases: [variable('CLUSTER_SIZE'), key('node.count'), key('etcd.cluster-size')],
  }),
  role: option({
    name: 'role',
    kind: textKind(ROLE, 'a Mesos role other than *, without white space, leading dash or empty part'),
    initial: null,
    otherwise: '--group-role where there is one, else <framework-name>-role',
    about: 'Mesos role for which the members’ places are reserved.',
    changes: 'never',
    aliases: [key('service.role')],
  }),
  preReservedRole: option({
    name: 'pre-reserved-role',
    kind: textKind(ROLE, 'a Mesos role other than *, without white space, leading dash or empty part'),
    initial: null,
    otherwise: 'members are placed on any agent',
    about:
      'A role for which resources are reserved already, as slave_public on the public agents of DC/OS: members ' +
      'are placed where some are, and reserve them for <pre-reserved-role>/<role>.',
    changes: 'never',
  }),
  groupRole: option({
    name: 'group-role',
    kind: textKind(/^[^\s]{1,200}$/, 'a Mesos role'),
    initial: null,
    otherwise: 'the scheduler belongs to no group',
    about:
      'Role of the group that the scheduler runs in, as DC/OS passes it. The default of --role, unless it is * ' +
      'or slave_public.',
    changes: 'never',
    aliases: [platform('MESOS_ALLOCATION_ROLE')],
  }),
  enforceGroupRole: option({
    name: 'enforce-group-role',
    kind: choiceKind(['true', 'false']),
    initial: 'false',
    about: 'Whether --role must be that of the group, so that the members count to its quota.',
    changes: 'never',
    aliases: [platform('MARATHON_APP_ENFORCE_GROUP_ROLE')],
  }),
  user: option({
    name: 'user',
    kind: textKind(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/, 'the name of a user that exists on the agents'),
    initial: null,
    otherwise: 'the user that the scheduler runs as',
    about: 'User that the members run as.',
    changes: 'never',
    aliases: [key('service.user')],
  }),
  failoverTimeoutMs: option({
    name: 'failover-timeout',
    kind: durationKind(SECOND_MS),
    initial: 28 * DAY_MS,
    about: 'How long Mesos keeps the members alive while no scheduler is connected. Then it kills every one.',
    changes: 'restart',
    aliases: [
      flag('failover-timeout-seconds', 'seconds'),
      variable('FRAMEWORK_FAILOVER_TIMEOUT_SECONDS', 'seconds'),
    ],
  }),
  zkState: option({
    name: 'zk-framework-persist',
    kind: zooKeeperKind,
    initial: null,
    otherwise: 'the cluster record is a file in --state-dir, and one scheduler may run',
    about:
      'ZooKeeper ensemble and path below which the cluster record is kept, in a node of the framework’s name. ' +
      'Any number of schedulers may share it: one of them acts, the others stand by.',
    changes: 'never',
    aliases: [variable('ZK_PERSIST'), key('etcd.zk')],
  }),
  zkAuthFile: option({
    name: 'zk-auth-file',
    kind: pathKind,
    initial: null,
    otherwise: 'ZooKeeper is used without credentials, and what others may do there is not our choice',
    about:
      'File that holds `user:password` for ZooKeeper’s digest authentication. Every node of ours is then for these ' +
      'credentials alone; nodes that were open to others before are closed to them. Used for a `zk://` --master too.',
    changes: 'restart',
  }),
  zkSessionTimeoutMs: option({
    name: 'zk-session-timeout',
    kind: durationKind(2 * SECOND_MS, 2 * MINUTE_MS),
    initial: 10 * SECOND_MS,
    about:
      'After how long without a word ZooKeeper ends a scheduler’s session, and a standby takes over. A scheduler ' +
      'that hears nothing stops acting after two thirds of it. ZooKeeper has limits of its own, 2 to 20 ticks.',
    changes: 'restart',
  }),
  stateDir: option({
    name: 'state-dir',
    kind: pathKind,
    initial: null,
    otherwise: '/var/lib/etcd-mesos/<framework-name>',
    about:
      'Directory of the cluster record. It must outlive the scheduler and be the same after a restart. With ' +
      '--zk-framework-persist it holds a copy of the order key, and may be lost.',
    changes: 'never',
  }),
  orderKeyFile: option({
    name: 'order-key-file',
    kind: pathKind,
    initial: null,
    otherwise: 'order-key.pem in the state directory; with --zk-framework-persist a node in ZooKeeper',
    about:
      'The key that signs orders to supervisors. Made, readable by its owner alone, where it is absent. ' +
      'It must be the same for every scheduler of the cluster.',
    changes: 'never',
  }),
  listen: option({
    name: 'listen',
    kind: textKind(/^[A-Za-z0-9.:_-]{1,253}$/, 'an IP address or a host name'),
    initial: '0.0.0.0',
    about: 'Address on which the HTTP API listens.',
    changes: 'restart',
  }),
  port: option({
    name: 'port',
    kind: integerKind(0, 65535),
    initial: 23400,
    about: 'Port of the HTTP API; 0 takes any that is free.',
    changes: 'restart',
    aliases: [flag('admin-port'), platform('PORT_API'), platform('PORT0'), key('etcd.admin-port')],
  }),
  hostname: option({
    name: 'hostname',
    kind: textKind(/^[A-Za-z0-9.:_-]{1,253}$/, 'an IP address or a host name'),
    initial: null,
    otherwise:
      'the address of --listen; where that is all, the one from which the master is reached, or other ' +
      'machines are if the master is on this one',
    about:
      'Under which name agents and people reach the scheduler; Mesos-DNS publishes it. One that stands for all ' +
      'addresses, as 0.0.0.0, names none.',
    changes: 'restart',
    aliases: [flag('address'), platform('LIBPROCESS_IP')],
  }),
  webuiUrl: option({
    name: 'webui-url',
    kind: urlKind(['http', 'https']),
    initial: null,
    otherwise: 'http://<hostname>:<port>',
    about: 'Where Mesos and DC/OS find the scheduler’s API.',
    changes: 'restart',
    aliases: [flag('framework-weburi'), variable('WEBURI')],
  }),
  apiTokenFile: option({
    name: 'api-token-file',
    kind: pathKind,
    initial: null,
    otherwise: 'off loopback only status is served, and nothing can be changed',
    about: 'File that holds the bearer token which the API asks of requests that do not come over loopback.',
    changes: 'restart',
  }),
  cpus: option({
    name: 'cpus',
    kind: decimalKind(0.01, 256),
    initial: 1,
    about: 'Processors for each member.',
    changes: 'update',
    aliases: [flag('sandbox-cpu-limit'), variable('CPU_LIMIT'), key('node.cpus'), key('etcd.cpu-limit')],
  }),
  memMb: option({
    name: 'mem',
    kind: sizeKind('MiB', 256, 1024 * 1024),
    initial: 2048,
    about:
      'Memory for each member: etcd, its supervisor (about 100 MiB) and the cached pages of the database. ' +
      'etcd maps its whole database, so less than its size means reading from disk. At least 192 MiB and an ' +
      'eighth of --quota-backend-bytes.',
    changes: 'update',
    aliases: [flag('sandbox-mem-limit'), variable('MEM_LIMIT'), key('node.mem'), key('etcd.mem-limit')],
  }),
  diskMb: option({
    name: 'disk',
    kind: sizeKind('MiB', 64, 64 * 1024 * 1024),
    initial: 6656,
    about:
      'Size of each member’s persistent volume. It holds the database three times (itself, a snapshot on its ' +
      'way from the leader, the copy that defragmenting makes) and 512 MiB of log, or 64 MiB where --wal-disk is.',
    changes: 'update',
    aliases: [flag('sandbox-disk-limit'), variable('DISK_LIMIT'), key('node.disk'), key('etcd.disk-limit')],
  }),
  diskType: option({
    name: 'disk-type',
    kind: choiceKind(['root', 'mount']),
    initial: 'root',
    about:
      'On what disk the volume is made: `root`, the agent’s own; `mount`, a MOUNT disk, of which a member takes ' +
      'the smallest that is at least --disk, as a whole.',
    changes: 'new places',
    aliases: [key('node.disk_type')],
  }),
  walDiskMb: option({
    name: 'wal-disk',
    kind: sizeKind('MiB', 64, 1024 * 1024),
    initial: null,
    otherwise: 'the log lies on the same volume as the database',
    about: 'Size of a second volume for etcd’s write-ahead log, 512 MiB or more.',
    changes: 'new places',
    aliases: [key('node.wal_disk')],
  }),
  walDiskType: option({
    name: 'wal-disk-type',
    kind: choiceKind(['root', 'mount']),
    initial: null,
    otherwise: 'that of --disk-type',
    about: 'On what disk that volume is made.',
    changes: 'new places',
    aliases: [key('node.wal_disk_type')],
  }),
  storage: option({
    name: 'storage',
    kind: choiceKind(['persistent', 'sandbox']),
    initial: 'persistent',
    about:
      'Where the data lies: `persistent`, on volumes that outlive the tasks; `sandbox`, in the sandboxes of the ' +
      'tasks, where it ends with them, for those who may reserve nothing.',
    changes: 'never',
  }),
  peerPort: option({
    name: 'peer-port',
    kind: integerKind(0, 65535),
    initial: 0,
    about: 'Port on which every member serves its peers; agents must offer it. 0: any that is offered.',
    changes: 'new places',
    aliases: [key('etcd.peer_port')],
  }),
  clientPort: option({
    name: 'client-port',
    kind: integerKind(0, 65535),
    initial: 0,
    about: 'Port on which every member serves clients; agents must offer it. 0: any that is offered.',
    changes: 'new places',
    aliases: [key('etcd.client_port')],
  }),
  supervisorPort: option({
    name: 'supervisor-port',
    kind: integerKind(0, 65535),
    initial: 0,
    about: 'Port on which every supervisor takes orders; agents must offer it. 0: any that is offered.',
    changes: 'new places',
  }),
  quotaBytes: option({
    name: 'quota-backend-bytes',
    kind: sizeKind('B', 16 * 1024 ** 2, 64 * 1024 ** 3),
    initial: null,
    otherwise: 'a third of what the disk leaves beside the log, at most 2GiB',
    about: 'Size that the database may reach before etcd refuses writes (NOSPACE).',
    changes: 'update',
    aliases: [key('etcd.quota_backend_bytes')],
  }),
  placement: option({
    name: 'placement',
    kind: placementKind,
    initial: [],
    about:
      'Where members may be placed, as Marathon’s constraints on hostname, @zone, @region and the names of agents’ ' +
      'attributes: [["rack","GROUP_BY","3"]], or rack:GROUP_BY:3 with commas between several, which must all hold. ' +
      'Unless one of them counts members by hostname no host gets more than one, and without one on @region agents ' +
      'of the master’s own region are taken alone. Whatever they allow, members are spread over hosts and zones.',
    changes: 'new places',
    aliases: [variable('PLACEMENT_CONSTRAINT'), key('node.placement_constraint'), key('node.placement')],
  }),
  heartbeatIntervalMs: option({
    name: 'heartbeat-interval',
    kind: durationKind(10, 5 * SECOND_MS, 'ms'),
    initial: 100,
    about: 'Time between a leader’s heartbeats: about the longest round trip between two members.',
    changes: 'update',
    aliases: [key('etcd.heartbeat_interval', 'milliseconds')],
  }),
  electionTimeoutMs: option({
    name: 'election-timeout',
    kind: durationKind(50, 50 * SECOND_MS, 'ms'),
    initial: 1000,
    about: 'Time without a heartbeat after which a member calls an election; 5 heartbeats or more.',
    changes: 'update',
    aliases: [key('etcd.election_timeout', 'milliseconds')],
  }),
  snapshotCount: option({
    name: 'snapshot-count',
    kind: integerKind(10, 1_000_000),
    initial: 10_000,
    about: 'Applied entries between two snapshots of the raft log.',
    changes: 'update',
    aliases: [key('etcd.snapshot_count')],
  }),
  compactKeepRevisions: option({
    name: 'compact-keep',
    kind: integerKind(0, 1_000_000_000),
    initial: 10_000,
    about:
      'Revisions before the newest that are kept when a full database (NOSPACE) is compacted: while it refuses ' +
      'writes, watchers catch up, so few need more.',
    changes: 'restart',
    aliases: [],
  }),
  artifact: option({
    name: 'artifact',
    kind: choiceKind(['serve', 'checkout']),
    initial: 'serve',
    about:
      'What members run. `serve`: a tarball with Node.js, etcd-mesos and etcd that the scheduler packs from its ' +
      'own (or takes from --artifact-file or --artifact-uri); nothing need be installed on the agents. ' +
      '`checkout`: this installation, which the agents must see under the same path: for agents on this machine.',
    changes: 'update',
  }),
  artifactUri: option({
    name: 'artifact-uri',
    kind: urlKind(['http', 'https', 'file', 'hdfs']),
    initial: null,
    otherwise: 'the scheduler serves its own',
    about: 'Where agents fetch the tarball instead.',
    changes: 'update',
  }),
  artifactSha256: option({
    name: 'artifact-sha256',
    kind: textKind(/^[0-9a-f]{64}$/, 'a SHA-256 as 64 lower-case hexadecimal digits'),
    initial: null,
    otherwise: 'computed from the file that the scheduler serves',
    about: 'Checksum of the tarball; a member checks it before it runs anything.',
    changes: 'update',
  }),
  artifactEtcdVersion: option({
    name: 'artifact-etcd-version',
    kind: textKind(/^3\.\d+\.\d+([-+.][0-9A-Za-z.-]+)?$/, 'a version of etcd, as 3.5.30'),
    initial: null,
    otherwise: 'what the manifest of a tarball that the scheduler serves says; of any other it is unknown',
    about:
      'Version of the etcd in the tarball. Without it members that run are not updated to a tarball of ' +
      '--artifact-uri: etcd goes up one minor at a time.',
    changes: 'update',
  }),
  artifactFile: option({
    name: 'artifact-file',
    kind: pathKind,
    initial: null,
    otherwise: 'the scheduler packs one',
    about: 'A tarball that was packed before, for the scheduler to serve.',
    changes: 'update',
  }),
  etcdBinary: option({
    name: 'etcd-binary',
    kind: pathKind,
    initial: null,
    otherwise: '`etcd` in PATH',
    about: 'The etcd that is packed into the tarball, or run where members run from this installation.',
    changes: 'update',
    aliases: [flag('etcd-bin')],
  }),
  etcdctlBinary: option({
    name: 'etcdctl-binary',
    kind: pathKind,
    initial: null,
    otherwise: '`etcdctl` in PATH',
    about: 'The etcdctl that is packed into the tarball, for people who look into a member’s sandbox.',
    changes: 'update',
    aliases: [flag('etcdctl-bin')],
  }),
  updateStrategy: option({
    name: 'update-strategy',
    kind: choiceKind(['serial', 'canary']),
    initial: 'serial',
    about:
      'How other options reach members that run, one after the other, the leader last. `serial`: other resources ' +
      'and other options of etcd at once, another artifact (etcd, etcd-mesos) after `etcd-mesos update start`. ' +
      '`canary`: everything after that, and after the first member once more after `continue`.',
    changes: 'restart',
    aliases: [variable('UPDATE_STRATEGY'), key('service.update_strategy')],
  }),
  updateStepTimeoutMs: option({
    name: 'update-step-timeout',
    kind: durationKind(10 * SECOND_MS, 6 * HOUR_MS),
    initial: 10 * MINUTE_MS,
    about:
      'How long a member that was updated may take until it serves and is level with its leader. Then the ' +
      'update stops.',
    changes: 'restart',
  }),
  bootstrap: option({
    name: 'bootstrap',
    kind: choiceKind(['auto', 'adopt', 'new']),
    initial: 'auto',
    about:
      'What a scheduler without a record does. `auto`: makes a new cluster where nothing of one is found, ' +
      'takes over one that is found whole, and stops where what is found contradicts itself. `adopt`: stops ' +
      'unless there is one to take over. `new`: makes a new cluster whatever is found.',
    changes: 'restart',
  }),
  uninstall: option({
    name: 'uninstall',
    kind: choiceKind(['false', 'true']),
    initial: 'false',
    about:
      'Give the service up: members are ended, volumes and reservations given back, the framework torn down, the ' +
      'state removed. Then the scheduler goes on answering that it is done. It cannot be taken back. As the data ' +
      'is destroyed, it waits for `continue` on the plan deploy unless --destroy-data is given.',
    changes: 'restart',
    aliases: [variable('SDK_UNINSTALL')],
  }),
  destroyData: option({
    name: 'destroy-data',
    kind: choiceKind(['false', 'true']),
    initial: 'false',
    about: 'Leave to destroy the data of a service that is uninstalled.',
    changes: 'restart',
  }),
  bootstrapWindowMs: option({
    name: 'bootstrap-window',
    kind: durationKind(0, 10 * MINUTE_MS),
    initial: 5 * SECOND_MS,
    about:
      'How long a first start waits for offers for all members; then a quorum starts and the others join.',
    changes: 'restart',
  }),
  unreachableTimeoutMs: option({
    name: 'unreachable-timeout',
    kind: durationKind(SECOND_MS, 7 * DAY_MS),
    initial: 20 * MINUTE_MS,
    about: 'How long a member’s agent may be out of reach before the member is replaced.',
    changes: 'restart',
  }),
  volumeTimeoutMs: option({
    name: 'volume-timeout',
    kind: durationKind(SECOND_MS, 7 * DAY_MS),
    initial: 15 * MINUTE_MS,
    about: 'How long a member whose task has ended may wait for its volume before it is replaced.',
    changes: 'restart',
  }),
  launchTimeoutMs: option({
    name: 'launch-timeout',
    kind: durationKind(5 * SECOND_MS, 6 * HOUR_MS),
    initial: 5 * MINUTE_MS,
    about: 'How long a launch may take, fetching included, until its supervisor answers.',
    changes: 'restart',
  }),
  killGraceMs: option({
    name: 'kill-grace',
    kind: durationKind(0, 10 * MINUTE_MS),
    initial: 10 * SECOND_MS,
    about: 'Time between SIGTERM and SIGKILL when a member’s task is ended.',
    changes: 'restart',
  }),
  reseedTimeoutMs: option({
    name: 'reseed-timeout',
    kind: durationKind(SECOND_MS, 7 * DAY_MS),
    initial: 240 * SECOND_MS,
    about:
      'How long quorum must have been lost on assertions alone before it may be acted on. ' +
      'This release reports a lost quorum and does not act on it.',
    changes: 'restart',
    aliases: [variable('RESEED_TIMEOUT', 'seconds'), key('etcd.reseed-timeout', 'seconds')],
  }),
  autoReseed: option({
    name: 'auto-reseed',
    kind: choiceKind(['false', 'terminal', 'true']),
    initial: 'terminal',
    about:
      'Whether a lost quorum is recovered without a person: `false` never, `terminal` when the missing members ' +
      'have ended for certain, `true` also when that is only said. Automatic recovery from quorum loss is not ' +
      'part of this release: a warning is logged where this is set.',
    changes: 'restart',
    aliases: [
      flag('auto-reseed', 'auto-reseed-2015'),
      variable('AUTO_RESEED', 'auto-reseed-2015'),
      key('etcd.auto-reseed', 'auto-reseed-2015'),
    ],
  }),
  ...ARCHIVE_OPTIONS,
  logLevel: option({
    name: 'log-level',
    kind: choiceKind(['debug', 'info', 'warn', 'error', 'silent']),
    initial: 'info',
    about: 'The least important lines that are logged.',
    changes: 'restart',
    aliases: [
      flag('v', 'verbosity'),
      variable('VERBOSITY', 'verbosity'),
      key('service.log_level'),
      key('etcd.logging-verbosity', 'verbosity'),
    ],
  }),
} as const;

export type OptionKey = keyof typeof OPTIONS;
type ValueOf<S> = S extends OptionSpec<infer T> ? T : never;
type Given = { readonly [K in OptionKey]: ValueOf<(typeof OPTIONS)[K]> | null };
/** Options that may be left without a value for the wiring to fill in. */
type MayBeAbsent =
  | 'preReservedRole'
  | 'groupRole'
  | 'walDiskMb'
  | 'principal'
  | 'secretFile'
  | 'serviceAccount'
  | 'masterCaFile'
  | 'zkState'
  | 'zkAuthFile'
  | 'orderKeyFile'
  | 'user'
  | 'hostname'
  | 'size'
  | 'webuiUrl'
  | 'apiTokenFile'
  | 'artifactUri'
  | 'artifactSha256'
  | 'artifactEtcdVersion'
  | 'artifactFile'
  | 'etcdBinary'
  | 'etcdctlBinary'
  | 'archive'
  | 'archiveGivenUp'
  | 'archiveS3Endpoint'
  | 'archiveS3CaFile'
  | 'archiveKeyFile';

/** What every source together gave, before rules and defaults that follow from other options. */
export type GivenOptions = Given;
/** The options of a scheduler, complete and frozen. Units are in the names. */
export type SchedulerOptions = {
  readonly [K in OptionKey]: K extends MayBeAbsent ? Given[K] : NonNullable<Given[K]>;
};

/** `ETCD_MESOS_` and the option's name in capitals. */
export const ENVIRONMENT_PREFIX = 'ETCD_MESOS_';
export function variableOf(name: string): string {
  return ENVIRONMENT_PREFIX + name.toUpperCase().replaceAll('-', '_');
}
/** In the order of the table. */
export const OPTION_KEYS = Object.keys(OPTIONS) as readonly OptionKey[];
/** The table's row without its value's type, for what treats all options alike. */
export function optionSpec(optionKey: OptionKey): OptionSpec<unknown> {
  return OPTIONS[optionKey] as OptionSpec<unknown>;
}
