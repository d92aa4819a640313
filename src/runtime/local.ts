import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Logger } from '../base/ports.ts';
import type { ZooKeeperUrl } from '../base/zookeeper-url.ts';
import { authenticatorFrom, readAcls } from '../local/access-files.ts';
import { createAuthorizer } from '../local/acls.ts';
import { startAgent } from '../local/agent-process.ts';
import {
  type AgentMachineSize,
  agentResources,
  localDomain,
  textAttribute,
} from '../local/agent-resources.ts';
import type { Realm } from '../local/authentication.ts';
import { createFixedLeader } from '../local/leadership.ts';
import {
  type LocalCluster,
  type LocalClusterOptions,
  startLocalCluster as startWith,
} from '../local/local-cluster.ts';
import { type MasterCandidacy, startMaster } from '../local/master-process.ts';
import { createRegistryFile } from '../local/registry-file.ts';
import { createZooKeeper } from '../zookeeper/client.ts';
import { createSystemClock } from './clock.ts';

import { createHttpTransport } from './http-transport.ts';
import { createSystemIds } from './ids.ts';
import { createLocalElection, createLocalLeaderWatch } from './local-election.ts';
import { createLogger, type LogLevel } from './logger.ts';
import { createSystemRandom } from './random.ts';
import { createSockets } from './sockets.ts';

export interface LocalMasterOptions {
  readonly ip: string;
  readonly port: number;
  readonly allocationIntervalMs: number;
  readonly agentPingTimeoutMs: number;
  readonly agentPingTimeoutsMax: number;
  /** One of several masters; `null`: the only one. */
  readonly several: LocalMasterPlace | null;
  readonly access: LocalMasterAccess;
  readonly logLevel: LogLevel;
}

/** Who may ask the master for what; each file may be missing. */
export interface LocalMasterAccess {
  /** Principals and their secrets. */
  readonly credentialsFile: string | null;
  /** Tokens and their principals. */
  readonly tokensFile: string | null;
  /** Where who asks must say who they are. */
  readonly realms: readonly Realm[];
  readonly aclsFile: string | null;
}

export interface LocalMasterPlace {
  readonly zookeeper: ZooKeeperUrl;
  readonly sessionTimeoutMs: number;
  /** Shared by all masters. */
  readonly registryDirectory: string;
}

export interface LocalAgentRoleOptions {
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  readonly size: AgentMachineSize;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  /** `null`: it is in no fault domain. */
  readonly zone: string | null;
  /** The isolator `volume/sandbox_path`: tasks of groups find the volumes of their executor. */
  readonly sandboxPathVolumes: boolean;
  readonly workDirectory: string;
  /** The one master's URL, or where the leading one is found. */
  readonly master: string | ZooKeeperUrl;
  readonly logLevel: LogLevel;
}

/** The role `etcd-mesos local master`: runs until SIGTERM or SIGINT, or until it leads no more. */
export async function runLocalMaster(options: LocalMasterOptions): Promise<void> {
  const logger = createLogger({ level: options.logLevel });
  const { several } = options;
  const master = await startMaster({
    ...options,
    ...accessOf(options.access),
    ...(several === null ? {} : { candidacy: candidacyOf(several, logger) }),
    clock: createSystemClock(),
    ids: createSystemIds(),
    logger,
  });
  const signalled = firstSignal('SIGTERM', 'SIGINT').then(() => 0);
  // As Mesos's master does, for whatever keeps services running to start it again.
  const exitCode = await Promise.race([signalled, master.ended.then(() => 1)]);
  await master.close();
  process.exit(exitCode);
}

function accessOf({ credentialsFile, tokensFile, realms, aclsFile }: LocalMasterAccess) {
  const authenticate = authenticatorFrom({ credentials: credentialsFile, tokens: tokensFile });
  return {
    // Without anybody that it knows, a master that asks is one that nobody may use.
    ...(realms.length === 0
      ? {}
      : { authentication: { authenticate: authenticate ?? (() => null), realms: new Set(realms) } }),
    ...(aclsFile === null ? {} : { authorize: createAuthorizer(readAcls(aclsFile)) }),
  };
}

function candidacyOf(place: LocalMasterPlace, logger: Logger): MasterCandidacy {
  return {
    election: createLocalElection(electionOptions(place.zookeeper, place.sessionTimeoutMs, logger)),
    registry: createRegistryFile(resolve(place.registryDirectory)),
  };
}

function electionOptions({ servers, path }: ZooKeeperUrl, sessionTimeoutMs: number, logger: Logger) {
  const clock = createSystemClock();
  const zooKeeper = createZooKeeper({
    sockets: createSockets(),
    clock,
    random: createSystemRandom(),
    log: logger,
    servers,
    sessionTimeoutMs,
  });
  return { zooKeeper, path, clock, logger };
}

/** Milliseconds that an agent's session with ZooKeeper outlives its connection: as Mesos's agents. */
const AGENT_SESSION_MS = 10_000;

/**
 * The role `etcd-mesos local agent`: SIGTERM and SIGINT end the agent and leave its tasks alive, SIGUSR1 ends it
 * for good and its tasks with it, as with Mesos's agent.
 */
export async function runLocalAgent(options: LocalAgentRoleOptions): Promise<void> {
  const logger = createLogger({ level: options.logLevel });
  const agent = startAgent({
    description: {
      hostname: options.hostname,
      ip: options.ip,
      port: options.port,
      resources: agentResources(options.size),
      attributes: options.attributes.map(([name, value]) => textAttribute(name, value)),
      domain: options.zone === null ? null : localDomain(options.zone),
    },
    leader:
      typeof options.master === 'string'
        ? createFixedLeader(options.master)
        : createLocalLeaderWatch(electionOptions(options.master, AGENT_SESSION_MS, logger)),
    sandboxPathVolumes: options.sandboxPathVolumes,
    workDirectory: resolve(options.workDirectory),
    executorCommand: [...programOfThisProcess(), 'local', 'executor'],
    environment: process.env,
    clock: createSystemClock(),
    random: createSystemRandom(),
    ids: createSystemIds(),
    http: createHttpTransport(),
    logger,
  });
  process.on('SIGUSR1', () => agent.shutDown());
  const signalled = firstSignal('SIGTERM', 'SIGINT');
  const why = await Promise.race([signalled, agent.ended]);
  logger.info('agent stopped', { why });
  await agent.stop();
  process.exit(0);
}

/**
 * A local Mesos whose processes end with this one.
 * @param options.program how `etcd-mesos` is started; default: as this process was, or from the sources.
 */
export async function startLocalCluster(
  options: LocalClusterOptions & { readonly program?: readonly [string, ...string[]] },
): Promise<LocalCluster> {
  const http = createHttpTransport();
  const cluster = await startWith(options, {
    program: options.program ?? programOfThisProcess(),
    environment: process.env,
    clock: createSystemClock(),
    random: createSystemRandom(),
    ids: createSystemIds(),
    http,
  }).catch(async (error: unknown) => {
    await http.close();
    throw error;
  });
  return {
    ...cluster,
    close: async () => {
      await cluster.close();
      await http.close();
    },
  };
}

/** From the sources the entry is known; what is built starts as it was started. */
function programOfThisProcess(): [string, ...string[]] {
  const source = join(import.meta.dirname, '../cli/main.ts');
  const entry =
    import.meta.filename.endsWith('.ts') && existsSync(source) ? source : (process.argv[1] ?? source);
  return [process.execPath, entry];
}

function firstSignal(...signals: readonly NodeJS.Signals[]): Promise<string> {
  return new Promise((resolveWith) => {
    for (const signal of signals) process.once(signal, () => resolveWith(signal));
  });
}
