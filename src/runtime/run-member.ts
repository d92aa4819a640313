import { networkInterfaces } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { BUILD_ID, VERSION } from '../base/build.ts';
import type { Clock } from '../base/ports.ts';
import { listenHosts } from '../etcd/arguments.ts';
import type { EtcdClient } from '../etcd/port.ts';
import { etcdEnvironment } from '../member/death-pact.ts';
import { createFileVolume, type FileVolumeOptions } from '../member/file-volume.ts';
import { listenForSchedulers, type MemberServer, MemberServerError } from '../member/http-server.ts';
import { createProcOrphans } from '../member/orphans.ts';
import { checkEtcd } from '../member/preflight.ts';
import { createSupervisor, type Supervisor } from '../member/supervisor.ts';
import { LAUNCH_VARIABLE, type Launch, launchSchema } from '../protocol/launch.ts';
import { parsePublicOrderKey } from '../protocol/signature.ts';
import { createSystemClock } from './clock.ts';
import { createLogger } from './logger.ts';
import { createProcesses } from './processes.ts';
import { StartError } from './start-error.ts';

/**
 * `etcd-mesos run-member`: a member's supervisor. Everything it does follows from {@link LAUNCH_VARIABLE} and
 * from orders. Our log goes to stdout as JSON, etcd's own as it is to stderr.
 * Resolves when `signal` has aborted and etcd has ended. Rejects with a {@link StartError}, an `EtcdBinaryError`,
 * an `OrderKeyError` or an `OrphanError`.
 */
export async function runMember(options: {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The sandbox. */
  readonly workDirectory: string;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { workDirectory, environment } = options;
  const launch = readLaunch(environment[LAUNCH_VARIABLE]);
  const schedulerKey = parsePublicOrderKey(launch.schedulerKey);
  const log = createLogger({ level: 'info' }).child({ slot: launch.slot, task: launch.task });
  const clock = createSystemClock();
  const processes = createProcesses();
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const env = etcdEnvironment(launch, environment);
  const run = { program: launch.etcdBinary, cwd: workDirectory, env, signal };
  const { version, warnings } = await checkEtcd({ processes, clock }, run);
  for (const warning of warnings) log.warn('known defect', { warning });
  const volumePath = path.resolve(workDirectory, launch.volume.path);
  const hosts = listenHosts(launch.host, localAddresses());
  const etcdClients = etcdClientsOf(clock);
  const supervisor = createSupervisor({
    launch,
    schedulerKey,
    clock,
    processes,
    volume: createFileVolume(volumePath, volumeOptions(launch, workDirectory)),
    orphans: orphansOf(launch, volumePath, clock),
    etcd: async (url) => (await etcdClients()).connect(url),
    log,
    etcdLog: (line) => void process.stderr.write(`${line}\n`),
    build: `${VERSION}+${BUILD_ID}`,
    etcdVersion: version,
    warnings,
    listenHosts: hosts,
    workDirectory,
    environment: env,
  });
  const running = supervisor.run(signal);
  try {
    const server = await serve(supervisor, running, { launch, hosts, log });
    // What every start of etcd needs a moment later, and nothing before: loaded while orders are on their way.
    void etcdClients();
    await running;
    await server?.close();
  } finally {
    stop.abort();
    await running;
  }
}

/** Loads what talks to etcd, once. */
function etcdClientsOf(clock: Clock): () => Promise<{ connect(url: string): EtcdClient }> {
  const load = async () => {
    const [{ createEtcdClient }, { createHttpTransport }] = await Promise.all([
      import('../etcd/client.ts'),
      import('./http-transport.ts'),
    ]);
    const transport = createHttpTransport();
    return { connect: (url: string) => createEtcdClient({ url }, clock, transport) };
  };
  let loaded: ReturnType<typeof load> | null = null;
  return () => (loaded ??= load());
}

function volumeOptions({ wal, storage }: Launch, sandbox: string): FileVolumeOptions {
  const place = { sandbox, storage: storage ?? ('persistent' as const) };
  return wal === undefined ? { place } : { place, walPath: path.resolve(sandbox, wal.path) };
}

/** Reads a launch, strictly. Throws a {@link StartError} that names what is wrong. */
export function readLaunch(text: string | undefined): Launch {
  const hint = 'run-member is started by the scheduler, as a Mesos task; nothing else makes a launch.';
  if (text === undefined || text === '') {
    throw new StartError('launch-unusable', `the environment has no ${LAUNCH_VARIABLE}`, { hint });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new StartError('launch-unusable', `${LAUNCH_VARIABLE} is not JSON`, { cause, hint });
  }
  const parsed = launchSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new StartError('launch-unusable', `${LAUNCH_VARIABLE}: ${z.prettifyError(parsed.error)}`, { hint });
}

/** Not before the volume was read: a status from before would tell of an empty one. */
async function serve(
  supervisor: Supervisor,
  running: Promise<void>,
  options: Pick<Parameters<typeof listenForSchedulers>[0], 'hosts' | 'log'> & { readonly launch: Launch },
): Promise<MemberServer | null> {
  await Promise.race([supervisor.ready, running]);
  const { launch, hosts, log } = options;
  try {
    return await listenForSchedulers({ supervisor, hosts, port: launch.ports.supervisor, log });
  } catch (error) {
    if (!(error instanceof MemberServerError)) throw error;
    const holder = supervisor.status().problem;
    const code = error.code === 'port-in-use' ? 'port-in-use' : 'cannot-listen';
    throw new StartError(code, holder === null ? error.message : `${error.message}; ${holder}`, {
      cause: error,
      hint: 'The port was reserved for this task: whoever holds it took it without Mesos.',
    });
  }
}

function orphansOf(launch: Launch, volumePath: string, clock: Clock) {
  const { cluster, seat, ports } = launch;
  return createProcOrphans({
    clock,
    cluster,
    seat,
    volumePath,
    ports: [ports.supervisor, ports.client, ports.peer],
    ownPid: process.pid,
    kill: (pid, signal) => process.kill(pid, signal),
  });
}

function localAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}
