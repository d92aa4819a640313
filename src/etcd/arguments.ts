import type { EtcdVersion } from './versions.ts';

/** What of etcd's own settings is chosen; the same for every member of a cluster. */
export interface EtcdTuning {
  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly quotaBytes: number;
  /** Applied entries between two snapshots of the raft log. */
  readonly snapshotCount: number;
}

/** All that decides how one etcd is started. Nothing in it is secret: a command line can be read by anyone. */
export interface EtcdStart {
  readonly version: EtcdVersion;
  readonly name: string;
  /** Absolute. */
  readonly dataDirectory: string;
  /** Absolute; `null`: the log lies in the data directory. */
  readonly logDirectory: string | null;
  /** Addresses to bind, see {@link listenHosts}. */
  readonly listenHosts: readonly string[];
  readonly peerPort: number;
  readonly clientPort: number;
  /** What peers and clients are told. */
  readonly peerUrl: string;
  readonly clientUrl: string;
  /**
   * `new` only for the first start of a bootstrap. Everything else says `existing`, so that an etcd whose data
   * has vanished cannot form a cluster of its own.
   */
  readonly state: 'new' | 'existing';
  readonly token: string;
  readonly initialCluster: readonly { readonly name: string; readonly peerUrl: string }[];
  readonly options: EtcdTuning;
  /** Without the check of its data against its peers' before it serves. Default: with it. */
  readonly unchecked?: boolean;
}

/** The command line, without the program. Pure; the same input gives the same text. */
export function etcdArguments(start: EtcdStart): readonly string[] {
  const { options } = start;
  return [
    `--name=${start.name}`,
    `--data-dir=${start.dataDirectory}`,
    ...(start.logDirectory === null ? [] : [`--wal-dir=${start.logDirectory}`]),
    `--listen-peer-urls=${urls(start.listenHosts, start.peerPort)}`,
    `--listen-client-urls=${urls(start.listenHosts, start.clientPort)}`,
    `--initial-advertise-peer-urls=${start.peerUrl}`,
    `--advertise-client-urls=${start.clientUrl}`,
    `--initial-cluster=${start.initialCluster.map((member) => `${member.name}=${member.peerUrl}`).join(',')}`,
    `--initial-cluster-state=${start.state}`,
    `--initial-cluster-token=${start.token}`,
    `--heartbeat-interval=${options.heartbeatIntervalMs}`,
    `--election-timeout=${options.electionTimeoutMs}`,
    `--quota-backend-bytes=${options.quotaBytes}`,
    `--snapshot-count=${options.snapshotCount}`,
    '--strict-reconfig-check=true',
    '--logger=zap',
    '--log-outputs=stderr',
    '--log-level=info',
    '--metrics=basic',
    // Keeps a member that comes back from unseating the leader; the default from 3.5 on.
    ...(start.version.minor <= 4 ? ['--pre-vote=true'] : []),
    ...(start.unchecked === true ? [] : [checkOf(start.version.minor)]),
  ];
}

/**
 * Which addresses to bind so that peers and clients reach `host` and the supervisor reaches loopback.
 * @param localAddresses of this machine's interfaces. A host that is none of them (a name, an address that is
 *   translated on the way) leaves only every address.
 */
export function listenHosts(host: string, localAddresses: readonly string[]): readonly string[] {
  if (host === '127.0.0.1' || host === 'localhost') return ['127.0.0.1'];
  if (localAddresses.includes(host)) return [host, '127.0.0.1'];
  return host.includes(':') ? ['::'] : ['0.0.0.0'];
}

/** The check of the data against the peers' before serving. */
function checkOf(minor: number): string {
  return minor <= 5
    ? '--experimental-initial-corrupt-check=true'
    : '--feature-gates=InitialCorruptCheck=true';
}

function urls(hosts: readonly string[], port: number): string {
  return hosts.map((host) => `http://${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
}
