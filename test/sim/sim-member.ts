import type { Clock, Logger, ProcessExit, Processes, RunningProcess } from '../../src/base/ports.ts';
import { parseEtcdVersion } from '../../src/etcd/versions.ts';
import type { ContainerSpec } from '../../src/local/container-runtime.ts';
import { createSupervisor, type Supervisor } from '../../src/member/supervisor.ts';
import { LAUNCH_VARIABLE, type Launch, launchSchema } from '../../src/protocol/launch.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { Receipt, SignedOrder } from '../../src/protocol/orders.ts';
import { parsePublicOrderKey } from '../../src/protocol/signature.ts';
import type { EtcdProcess, ModelEtcd } from './model-etcd.ts';
import { versionOfProgram } from './model-versions.ts';
import { createMortal } from './mortal.ts';
import type { RandomStream } from './prng.ts';
import type { TaskProcess } from './sim-containers.ts';
import type { SimDisk } from './sim-disk.ts';
import { workDirectoryOf } from './sim-mesos.ts';
import { createSimOrphans } from './sim-orphans.ts';

/** A member's supervisor as a process of a simulated host. */
export interface SimMember extends TaskProcess {
  readonly host: string;
  readonly launch: Launch;
  /** Monotonic. */
  readonly startedAtMs: number;
  readonly alive: boolean;
  /** It answers on its port. */
  readonly listening: boolean;
  status(wait: { after: number; waitMs: number } | null, signal: AbortSignal): Promise<MemberStatus>;
  order(order: SignedOrder): Promise<Receipt>;
  /** SIGKILL of the supervisor alone. Its etcd dies with it, unless it is `orphaned`. */
  kill(options: { readonly orphan: boolean }): void;
  /** Called when it ends. */
  readonly onExit: Set<() => void>;
}

export interface SimMemberOptions {
  readonly host: string;
  readonly spec: ContainerSpec;
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly etcd: ModelEtcd;
  readonly disk: SimDisk;
  readonly log: Logger;
  /** The supervisors of all hosts. */
  readonly members: ReadonlySet<SimMember>;
  /** Breaks the supervisor's processes on purpose. */
  readonly wrapProcesses?: (processes: Processes) => Processes;
  /** This etcd is about to be ended by its supervisor's or the scheduler's will. */
  readonly stopping: (process: EtcdProcess, why: string) => void;
}

/** Of the volume; or, where the data is to lie in the sandbox, of a directory that is made there. */
function volumePathOf({ host, spec, disk }: SimMemberOptions, launch: Launch): string {
  if (launch.storage !== 'sandbox') return spec.volumes[0]?.hostPath ?? `${host}/no-volume`;
  const path = `${workDirectoryOf(host)}/sandboxes/${launch.task}`;
  disk.create(host, path);
  return path;
}

/** Starts the real supervisor on simulated ports, as `run-member` does with real ones. */
export function startSimMember(options: SimMemberOptions): SimMember {
  const { host, spec, clock, etcd } = options;
  const launch = launchOf(spec);
  const mortal = createMortal();
  const stop = new AbortController();
  const children = new Set<RunningProcess>();
  const { promise: exit, resolve: ended } = Promise.withResolvers<ProcessExit>();
  const volumePath = volumePathOf(options, launch);
  let orphaned = false;
  let listening = false;
  let supervisor: Supervisor | null = null;

  const etcdOf = (pid: number) =>
    [...etcd.running].find((process) => process.host === host && process.pid === pid);

  const processes: Processes = {
    start: async (given) => {
      const { onLine } = given;
      const child = await etcd.processes(host).start({
        ...given,
        onLine: (line, stream) => {
          if (mortal.alive) onLine?.(line, stream);
        },
      });
      if (!mortal.alive && !orphaned) child.signal('SIGKILL');
      children.add(child);
      void child.exit.then(() => children.delete(child));
      return {
        ...child,
        signal: (name) => {
          const process = etcdOf(child.pid);
          if (process !== undefined) options.stopping(process, 'by its supervisor');
          child.signal(name);
        },
      };
    },
  };

  const orphans = createSimOrphans({ ...options, launch, volumePath, self: () => self });

  const end = (result: ProcessExit) => {
    listening = false;
    mortal.kill();
    for (const listener of self.onExit) listener();
    ended(result);
  };

  const kill = ({ orphan }: { readonly orphan: boolean }) => {
    if (!mortal.alive) return;
    orphaned = orphan;
    end({ code: null, signal: 'SIGKILL' });
    if (!orphan) for (const child of children) child.signal('SIGKILL');
  };

  const run = async (): Promise<void> => {
    await clock.sleep(options.random.between(60, 400));
    if (!mortal.alive) return;
    const created = createSupervisor({
      launch,
      schedulerKey: parsePublicOrderKey(launch.schedulerKey),
      clock: mortal.port(clock, ['wallMs', 'monotonicMs']),
      processes: mortal.port(options.wrapProcesses?.(processes) ?? processes),
      volume: mortal.port(options.disk.open(host, volumePath)),
      orphans: mortal.port(orphans),
      etcd: (url) => mortal.port(etcd.connect(host, url)),
      log: options.log,
      etcdLog: () => {},
      build: 'simulated',
      etcdVersion: parseEtcdVersion(`etcd Version: ${versionOfProgram(launch.etcdBinary)}`),
      warnings: [],
      listenHosts: [host, '127.0.0.1'],
      workDirectory: volumePath,
      environment: {},
    });
    supervisor = created;
    created.ready.then(
      () => {
        listening = mortal.alive;
      },
      () => {},
    );
    const code = await created.run(stop.signal).then(
      () => 0,
      (error: unknown) => {
        options.log.error('the supervisor fails', { error });
        return 1;
      },
    );
    if (mortal.alive) end({ code, signal: null });
  };

  const answering = (): Supervisor => {
    if (supervisor === null) throw new Error('a supervisor that listens is there');
    return supervisor;
  };

  const self: SimMember = {
    host,
    launch,
    startedAtMs: clock.monotonicMs(),
    exit,
    onExit: new Set(),
    get alive() {
      return mortal.alive;
    },
    get listening() {
      return listening;
    },
    status: async (wait, signal) =>
      wait === null ? answering().status() : await answering().waitStatus(wait.after, wait.waitMs, signal),
    order: async (order) => await answering().order(order),
    kill,
    signalTree: (name) => {
      if (name === 'SIGKILL') {
        kill({ orphan: false });
        return;
      }
      for (const child of children) {
        const process = etcdOf(child.pid);
        if (process !== undefined) options.stopping(process, 'with its task');
        child.signal(name);
      }
      if (supervisor === null) end({ code: null, signal: name });
      else stop.abort();
    },
  };
  void run();
  return self;
}

function launchOf(spec: ContainerSpec): Launch {
  const variable = spec.command.environment?.variables.find(({ name }) => name === LAUNCH_VARIABLE);
  return launchSchema.parse(JSON.parse(variable?.value ?? 'null'));
}
