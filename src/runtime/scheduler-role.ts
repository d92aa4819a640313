import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { BUILD_ID, VERSION } from '../base/build.ts';
import { describeError } from '../base/errors.ts';
import { type Clock, type HttpTransport, type Logger, StateStoreError } from '../base/ports.ts';
import type { ArchiveAccess } from '../framework/archive-access.ts';
import type { SchedulerConfig } from '../framework/config.ts';
import { placementRulesOf } from '../framework/placement-rules.ts';
import type { SchedulerPorts } from '../framework/scheduler.ts';
import { actInTerms } from '../framework/terms.ts';
import { MesosError } from '../mesos/errors.ts';
import { configFileOf, type ResolvedOptions, resolveOptions } from '../protocol/option-sources.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import { type ActiveSchedulerOptions, createActiveScheduler } from './active-scheduler.ts';
import { advertisedHost } from './advertised-host.ts';
import { createApiFront } from './api-front.ts';
import { type ApiServer, startApiServer } from './api-server.ts';
import { createSystemClock } from './clock.ts';
import { createHttpTransport } from './http-transport.ts';
import { createSystemIds } from './ids.ts';
import { createLogger } from './logger.ts';
import { type MasterAccess, openMasterAccess } from './master-access.ts';
import { etcdOf, type MemberArtifact, memberArtifactOf } from './member-artifact.ts';
import { createMembersHttp } from './members-http.ts';
import { createSystemRandom } from './random.ts';
import { archiveAccessOf, removeArchivingFiles } from './scheduler-archive.ts';
import { openSchedulerState, type SchedulerState } from './scheduler-state.ts';
import { readSecret } from './secret-file.ts';
import { StartError } from './start-error.ts';

/** What a scheduler is started with. */
export interface SchedulerInputs {
  /** What follows the command's name. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Stands between the scheduler and the world: a trial's way to watch, or to end, it at a call. Default: none. */
  readonly wrapPorts?: (ports: SchedulerPorts) => SchedulerPorts;
}

/**
 * The role `etcd-mesos scheduler`: runs until SIGTERM or SIGINT, which end it and leave the members running.
 * Rejects with what `exit-code.ts` knows.
 */
export async function runScheduler(inputs: SchedulerInputs): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  const { options, warnings } = await readOptions(inputs);
  const log = createLogger({ level: options.logLevel });
  log.info('scheduler starts', {
    version: VERSION,
    build: BUILD_ID,
    node: process.version,
    pid: process.pid,
  });
  for (const warning of warnings) log.warn('option', { warning });

  try {
    const wrapPorts = inputs.wrapPorts ?? ((ports) => ports);
    await runWith(options, { log, wrapPorts, sandbox: inputs.environment['MESOS_SANDBOX'] }, stop.signal);
  } catch (error) {
    if (!isStop(error, stop.signal)) {
      log.error('scheduler ends', { error });
      throw error;
    }
  }
  log.info('scheduler stopped', { members: 'left running' });
}

/** What was being waited for when the signal came says that it was given up. */
function isStop(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  if (error instanceof StateStoreError) return error.code === 'unavailable';
  return error === signal.reason || (error instanceof MesosError && error.code === 'aborted');
}

async function runWith(
  options: SchedulerOptions,
  { log, wrapPorts, sandbox }: Pick<Parts, 'log' | 'wrapPorts'> & { readonly sandbox: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const etcd = await etcdOf(options);
  if (etcd !== null) {
    const { path, version, warnings } = etcd;
    if (warnings.length === 0) log.info('etcd found', { path, version });
    else log.warn('etcd with known defects found', { path, version, defects: warnings });
  }
  const token =
    options.apiTokenFile === null ? null : await readSecret('--api-token-file', options.apiTokenFile);
  const access = await openMasterAccess(options, sandbox);
  const clock = createSystemClock();
  const archive = await archiveAccessOf(options, clock);
  const state = await openSchedulerState(options, log);
  try {
    // Who leads for certain can say at once that the key is unfit, before anything is packed.
    if (state.election === null) await state.orderKey();
    await serve({ options, log, wrapPorts, token, access, archive, state, clock }, etcd, signal);
  } finally {
    await state.close();
  }
}

interface Parts {
  readonly options: SchedulerOptions;
  readonly log: Logger;
  readonly wrapPorts: NonNullable<SchedulerInputs['wrapPorts']>;
  readonly token: string | null;
  readonly access: MasterAccess;
  readonly archive: ArchiveAccess | null;
  readonly state: SchedulerState;
  readonly clock: Clock;
}

/** Listens first, so that a port that is taken is known before anything is packed or registered. */
async function serve(
  parts: Parts,
  etcd: Parameters<typeof memberArtifactOf>[1],
  signal: AbortSignal,
): Promise<void> {
  const { options, log, state, clock } = parts;
  const transport = createHttpTransport();
  // Who signs the masters' certificates has no say in who is a member.
  const toMasters = createHttpTransport({ ca: parts.access.ca });
  const front = createApiFront({
    isElected: state.election !== null,
    relay: transport.relay,
    clock,
    log: log.child({ part: 'api' }),
    token: parts.token,
    build: `${VERSION} (${BUILD_ID})`,
  });
  const server = await startApiServer(front.app, { listen: options.listen, port: options.port });
  try {
    const host = await advertisedHost(options);
    const baseUrl = `http://${host.includes(':') ? `[${host}]` : host}:${server.port}`;
    log.info('api listens', { address: options.listen, port: server.port, url: baseUrl });
    const leadership = state.election?.(baseUrl) ?? null;
    front.listens(baseUrl, leadership);
    const member = await memberArtifactOf(options, etcd, baseUrl);
    for (const warning of member.warnings) log.warn('artifact', { warning });
    const { principal } = parts.access;
    const config = configOf(options, member, { host, webuiUrl: options.webuiUrl ?? baseUrl, principal });
    if (signal.aborted) return;
    const active = createActiveScheduler({
      config,
      state,
      board: state.board,
      wrapPorts: parts.wrapPorts,
      ports: worldOf(parts, { transport, toMasters }),
    });
    front.canAct({ config, artifacts: member.served, scheduler: active.current });
    const end =
      leadership === null
        ? await active.act({ over: signal, holds: () => !signal.aborted, leads: () => true })
        : await actInTerms({ ...active, leadership, clock, log, onTerm: front.leads }, signal);
    if (end === 'uninstalled') {
      front.staysAlone();
      const leftOver = await Promise.allSettled([state.forget(), removeArchivingFiles(options)]);
      for (const one of leftOver) {
        if (one.status === 'rejected') log.warn('the state is not all gone', { error: one.reason });
      }
      await stayAnswering(log, signal);
    }
  } finally {
    await closeQuietly(server, log);
    await Promise.all([transport.close(), toMasters.close()]);
  }
}

/** DC/OS asks for the plan until it is complete, then ends us; whoever were started again would begin anew. */
async function stayAnswering(log: Logger, signal: AbortSignal): Promise<void> {
  log.info('uninstalled; the api goes on answering until the scheduler is stopped');
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

function worldOf(
  { log, access, archive, state, clock }: Parts,
  { transport, toMasters }: { readonly transport: HttpTransport; readonly toMasters: HttpTransport },
): ActiveSchedulerOptions['ports'] {
  const masterHeaders = access.headers({ transport: toMasters, clock });
  return {
    transport: toMasters,
    masters: state.masters,
    ...(masterHeaders === undefined ? {} : { masterHeaders }),
    clock,
    random: createSystemRandom(),
    ids: createSystemIds(),
    log,
    members: createMembersHttp(transport),
    archive,
  };
}

async function readOptions(inputs: SchedulerInputs): Promise<ResolvedOptions> {
  const name = configFileOf(inputs);
  return resolveOptions({
    ...inputs,
    file: name === null ? null : { name, content: await readConfig(name) },
  });
}

async function readConfig(name: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(name, 'utf8'));
  } catch (cause) {
    throw new StartError('config-unreadable', `the file ${name} cannot be read: ${describeError(cause)}`, {
      cause,
      hint: 'It must be a JSON object with option names as keys; see docs/options.md.',
    });
  }
}

function configOf(
  options: SchedulerOptions,
  member: MemberArtifact,
  where: { readonly host: string; readonly webuiUrl: string; readonly principal: string },
): SchedulerConfig {
  const { heartbeatIntervalMs, electionTimeoutMs, quotaBytes, snapshotCount } = options;
  return {
    framework: {
      name: options.frameworkName,
      user: options.user ?? userInfo().username,
      role: options.role,
      preReservedRole: options.preReservedRole,
      principal: where.principal,
      failoverTimeoutMs: options.failoverTimeoutMs,
      hostname: where.host,
      webuiUrl: where.webuiUrl,
    },
    masterTimeoutMs: options.masterTimeoutMs,
    placement: placementRulesOf(options.placement),
    storage: storageOf(options),
    ports: {
      peer: options.peerPort || null,
      client: options.clientPort || null,
      supervisor: options.supervisorPort || null,
    },
    spec: {
      size: options.size,
      bootstrapWindowMs: options.bootstrapWindowMs,
      unreachableTimeoutMs: options.unreachableTimeoutMs,
      volumeTimeoutMs: options.volumeTimeoutMs,
      launchTimeoutMs: options.launchTimeoutMs,
      killGraceMs: options.killGraceMs,
      compactKeepRevisions: options.compactKeepRevisions,
      artifact: member.name,
      kept: member.kept,
      etcd: { heartbeatIntervalMs, electionTimeoutMs, quotaBytes, snapshotCount },
      resources: { cpus: options.cpus, memMb: options.memMb, diskMb: options.diskMb },
      updateStrategy: options.updateStrategy,
      updateStepTimeoutMs: options.updateStepTimeoutMs,
    },
    artifact: member.artifact,
    bootstrap: options.bootstrap,
    uninstall: options.uninstall === 'true' ? { destroyData: options.destroyData === 'true' } : null,
  };
}

function storageOf({
  storage,
  diskType,
  walDiskMb,
  walDiskType,
}: SchedulerOptions): SchedulerConfig['storage'] {
  const wal = walDiskMb === null ? null : { diskMb: walDiskMb, diskType: walDiskType };
  return { kind: storage, diskType, wal };
}

async function closeQuietly(server: ApiServer, log: Logger): Promise<void> {
  try {
    await server.close();
  } catch (error) {
    log.warn('api did not close', { error });
  }
}
