import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve as resolvePath } from 'node:path';
import type { HttpTransport, Ids, Random } from '../base/ports.ts';
import { readAgentCheckpoint } from './agent-process.ts';
import { parentContainer } from './container-runtime.ts';
import { EXECUTOR_JOURNAL } from './executor.ts';
import { createJournalReader } from './journal.ts';
import { LocalMesosError } from './local-error.ts';
import { createLocalMasters, type LocalAccess } from './local-masters.ts';
import { createLocalOperator, type DrainOptions, type MaintenancePlan } from './local-operator.ts';
import {
  awaitEnd,
  awaitStart,
  LOOK_MS,
  type RoleWorld,
  signalRole,
  startRole,
  terminate,
} from './local-process.ts';
import { claimPortRange, claimPorts, type PortRange } from './port-range.ts';
import { endAll, isAlive, type ProcessIdentity, type ProcessTable } from './process-table.ts';
import { CLUSTER_VARIABLE, HOST_VARIABLE, markedProcesses } from './reaper.ts';
import { sandboxOf } from './sandbox.ts';

/** Ports of an agent that names none. */
const PORTS_DEFAULT = 100;

export interface LocalAgentOptions {
  readonly hostname: string;
  readonly cpus: number;
  readonly memMb: number;
  readonly diskMb: number;
  /** First and last. Default: 100 that are free. */
  readonly ports?: readonly [begin: number, end: number];
  readonly attributes?: Readonly<Record<string, string>>;
  /** Fault domain; region `local`. */
  readonly zone?: string;
  /** The isolator `volume/sandbox_path`: tasks of groups find their persistent volumes. Default no. */
  readonly sandboxPathVolumes?: boolean;
}

export interface LocalClusterOptions {
  /**
   * Made where it is not there; `master/` and `agents/` in it are the cluster's. A cluster that was here before
   * comes back: its agents with their ids, ports, reservations and volumes, its tasks as failed.
   */
  readonly directory: string;
  readonly agents: readonly LocalAgentOptions[];
  /** Of the first master. Default: a free one. */
  readonly masterPort?: number;
  /** Default 1; more need {@link zookeeper}. */
  readonly masters?: number;
  /** `zk://127.0.0.1:2181/mesos`: by which masters are elected, and found by agents. Default: one master, without. */
  readonly zookeeper?: string;
  /** Default 10 s, as in Mesos: so long a master that was killed is still held for the leader. */
  readonly zookeeperSessionMs?: number;
  /** Who may ask the masters for what. Default: everybody may do everything and need not say who they are. */
  readonly access?: LocalAccess;
  /** Default 1000. */
  readonly agentPingTimeoutMs?: number;
  /** Default 3. */
  readonly agentPingTimeoutsMax?: number;
  /** Default 200. */
  readonly allocationIntervalMs?: number;
}

export interface LocalClusterWorld extends RoleWorld {
  readonly random: Random;
  readonly ids: Ids;
  readonly http: HttpTransport;
}

export interface LocalAgent {
  readonly hostname: string;
  readonly ip: string;
  /** Names the agent's address in offers; nothing listens there. */
  readonly port: number;
  readonly ports: readonly [begin: number, end: number];
  /** Its work directory. */
  readonly directory: string;
}

export interface LocalTask {
  readonly taskId: string;
  readonly containerId: string;
  readonly state: string;
  readonly executorPid: number | null;
  /** The first process of the task; `null` before it runs. */
  readonly taskPid: number | null;
  readonly sandbox: string;
}

/** A master and agents as processes of this machine. Agents are named by their index in `agents`. */
export interface LocalCluster {
  /** Of the first master. */
  readonly masterUrl: string;
  readonly masterUrls: readonly string[];
  /** Where schedulers find the leading master: its URL, or with several masters `zk://…`. */
  readonly masterAddress: string;
  readonly directory: string;
  readonly agents: readonly LocalAgent[];
  /** The newest id that the agent had; it outlives the agent's directory. `null` before the first. */
  agentId(index: number): string | null;
  /** The agent's process is paused (SIGSTOP): its tasks run on, the master cannot reach it. */
  stopAgent(index: number): void;
  resumeAgent(index: number): void;
  /** Ends the agent's process alone; its tasks run on. `SIGTERM` as an operator does, `SIGKILL` as a crash does. */
  terminateAgent(index: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts the agent's process again on its directory, after ending it where it runs. */
  restartAgent(index: number): Promise<void>;
  /** Agent, executors, tasks and all that is below end at once, by SIGKILL. */
  killHost(index: number): Promise<void>;
  /** Removes the agent's directory, volumes and all. Its host must have been killed. */
  wipe(index: number): void;
  /** Starts an agent with an empty directory at the same address, after ending what was left there. */
  rebuildAgent(index: number): Promise<void>;
  /** Ends the agent for good, as an operator does by SIGUSR1: it unregisters and its tasks are killed. */
  shutDownAgent(index: number): Promise<void>;
  /**
   * The host goes down and comes back with its disks: agent and tasks die, the agent starts on its directory, has
   * the id that it had (as Mesos's has since 1.4) and tells of its tasks as failed.
   */
  rebootHost(index: number): Promise<void>;
  /** The operator's word that this agent will never come back. */
  markGone(index: number): Promise<void>;
  /** `DRAIN_AGENT`: its tasks are killed, and nothing of it is offered until it is reactivated. */
  drainAgent(index: number, drain?: DrainOptions): Promise<void>;
  /** Nothing of it is offered any more; what runs there runs on. */
  deactivateAgent(index: number): Promise<void>;
  reactivateAgent(index: number): Promise<void>;
  /** In place of whatever was scheduled before; no agents: nothing is. Frameworks there get inverse offers. */
  scheduleMaintenance(indexes: readonly number[], plan: MaintenancePlan): Promise<void>;
  /**
   * Scheduled maintenance begins: the agent ends, its tasks are lost. Until it is over no agent can be started there;
   * the one that is started then has another id, and the reservations and volumes.
   */
  startMaintenance(index: number): Promise<void>;
  stopMaintenance(index: number): Promise<void>;
  /** The index of the master that leads; `null` while none does. */
  leadingMaster(): Promise<number | null>;
  /** {@link leadingMaster}, once there is one. */
  awaitLeadingMaster(): Promise<number>;
  /**
   * Ends a master, default the first and by SIGTERM. It stays away until it is restarted; one of several that ends
   * by itself, because it has lost the leadership, is started again at once.
   */
  terminateMaster(index?: number, signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** At the same address, default the first; it knows nothing, agents and frameworks come back to it. */
  restartMaster(index?: number): Promise<void>;
  /** The master's process is paused (SIGSTOP). */
  stopMaster(index: number): void;
  resumeMaster(index: number): void;
  /** What the agent has on disk about its tasks. */
  tasks(index: number): readonly LocalTask[];
  /** Ends everything that was started, and waits for it. Files stay. */
  close(): Promise<void>;
}

interface Host {
  readonly agent: LocalAgent;
  readonly options: LocalAgentOptions;
  /** Marks all processes of the host. */
  readonly mark: string;
  process: ProcessIdentity | null;
  agentId: string | null;
}

/**
 * Starts a master and agents and waits until all agents are registered. What is started ends with the process that
 * called this, however that ends: a reaper sees to it.
 * Rejects with a {@link LocalMesosError}; nothing is left running then.
 */
export async function startLocalCluster(
  options: LocalClusterOptions,
  world: LocalClusterWorld,
): Promise<LocalCluster> {
  const { clock } = world;
  const directory = resolvePath(options.directory);
  assertAgents(options.agents);
  mkdirSync(directory, { recursive: true });
  const mark = world.ids.uuid();
  const claimed: PortRange[] = [];
  const variables = { [CLUSTER_VARIABLE]: mark };
  const masters = await createLocalMasters(
    { ...options, directory, ...mastersOptions(options) },
    { ...world, variables },
  );
  const operator = createLocalOperator(masters.ask, clock);
  const hosts: Host[] = [];
  const reaper = startReaper();

  async function start(): Promise<void> {
    for (const [index, agent] of options.agents.entries()) hosts.push(await describeHost(agent, index));
    await Promise.all([masters.start(), ...hosts.map(startAgent)]);
  }

  async function describeHost(agent: LocalAgentOptions, index: number): Promise<Host> {
    const ports = agent.ports ?? (await choosePorts(agent.hostname));
    return {
      agent: {
        hostname: agent.hostname,
        ip: '127.0.0.1',
        port: 5051 + index,
        ports,
        directory: join(directory, 'agents', agent.hostname),
      },
      options: agent,
      mark: world.ids.uuid(),
      process: null,
      agentId: null,
    };
  }

  /** An agent that was here before has promised its ports to tasks: it keeps them. */
  async function choosePorts(hostname: string): Promise<readonly [number, number]> {
    const path = join(directory, 'agents', `${hostname}.ports`);
    const earlier = readPorts(path);
    const range =
      earlier === null ? await claimPortRange(PORTS_DEFAULT, world.random) : await claimPorts(...earlier);
    if (range === null) {
      const message = `the ports ${earlier?.join('-')} of the earlier agent ${hostname} are in use`;
      const hint = 'end what listens there, or take another directory';
      throw new LocalMesosError('no-free-ports', message, { hint });
    }
    claimed.push(range);
    mkdirSync(join(directory, 'agents'), { recursive: true });
    writeFileSync(path, JSON.stringify([range.begin, range.end]));
    return [range.begin, range.end];
  }

  async function startAgent(host: Host): Promise<void> {
    const { agent } = host;
    const home = agent.directory;
    const identity = startRole(world, {
      args: agentArguments(host, masters.address),
      home,
      variables: { ...variables, [HOST_VARIABLE]: host.mark },
    });
    host.process = identity;
    await awaitStart(clock, { identity, what: `agent ${agent.hostname}`, home }, async () => {
      // Not the one from before: an agent whose directory was removed gets another.
      const id = readAgentCheckpoint(agent.directory)?.agentId ?? null;
      if (id === null || !(await isActive(id))) return false;
      host.agentId = id;
      return true;
    });
  }

  function startReaper(): ChildProcess {
    const [command, ...first] = world.program;
    const child = spawn(command, [...first, 'local', 'reaper', '--cluster', mark], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: world.environment,
    });
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    child.unref();
    return child;
  }

  /** The directory may have been removed since. */
  function newestAgentId(host: Host): string | null {
    host.agentId = readAgentCheckpoint(host.agent.directory)?.agentId ?? host.agentId;
    return host.agentId;
  }

  async function isActive(agentId: string): Promise<boolean> {
    const answer = await masters.ask('GET', '/slaves', null).catch(() => null);
    if (answer?.status !== 200) return false;
    const { slaves } = JSON.parse(answer.body) as {
      slaves: readonly { id: string; active: boolean; deactivated: boolean }[];
    };
    // One that is to be offered to nobody is not active either.
    return slaves.some(({ id, active, deactivated }) => id === agentId && (active || deactivated));
  }

  async function killHost(host: Host): Promise<void> {
    await endMarked((table) => markedProcesses(table, HOST_VARIABLE, host.mark));
    host.process = null;
  }

  async function endMarked(find: (table: ProcessTable) => ReadonlySet<number>): Promise<void> {
    const left = await endAll(find, () => clock.sleep(LOOK_MS));
    if (left.size === 0) return;
    throw new LocalMesosError('processes-left', `processes ${[...left].join(', ')} do not end`);
  }

  async function close(): Promise<void> {
    masters.close();
    await endMarked((table) => markedProcesses(table, CLUSTER_VARIABLE, mark));
    for (const range of claimed) range.release();
    if (reaper.exitCode !== null || reaper.signalCode !== null) return;
    reaper.ref();
    const ended = new Promise<void>((resolve) => reaper.once('exit', () => resolve()));
    reaper.stdin?.end();
    await ended;
  }

  function hostAt(index: number): Host {
    const host = hosts[index];
    if (host !== undefined) return host;
    throw new LocalMesosError('bad-agent', `there is no agent ${index}; there are 0 to ${hosts.length - 1}`);
  }

  function agentIdAt(index: number): string | null {
    return newestAgentId(hostAt(index));
  }

  function machineAt(index: number): { hostname: string; ip: string } {
    const { hostname, ip } = hostAt(index).agent;
    return { hostname, ip };
  }

  const cluster: LocalCluster = {
    masterUrl: masters.urls[0] ?? '',
    masterUrls: masters.urls,
    masterAddress: masters.address,
    directory,
    get agents() {
      return hosts.map(({ agent }) => agent);
    },
    agentId: agentIdAt,
    stopAgent: (index) => signalRole(hostAt(index).process, 'SIGSTOP'),
    resumeAgent: (index) => signalRole(hostAt(index).process, 'SIGCONT'),
    terminateAgent: (index, signal) => terminate(clock, hostAt(index).process, signal),
    restartAgent: async (index) => {
      await terminate(clock, hostAt(index).process, 'SIGTERM');
      await startAgent(hostAt(index));
    },
    killHost: (index) => killHost(hostAt(index)),
    wipe: (index) => {
      const { process: identity, agent } = hostAt(index);
      newestAgentId(hostAt(index));
      if (identity !== null && isAlive(identity)) {
        throw new LocalMesosError(
          'work-directory-in-use',
          `agent ${agent.hostname} runs on what is to be removed`,
        );
      }
      rmSync(agent.directory, { recursive: true, force: true });
    },
    rebuildAgent: async (index) => {
      await killHost(hostAt(index));
      rmSync(hostAt(index).agent.directory, { recursive: true, force: true });
      await startAgent(hostAt(index));
    },
    shutDownAgent: async (index) => {
      signalRole(hostAt(index).process, 'SIGUSR1');
      await awaitEnd(clock, hostAt(index).process);
    },
    rebootHost: async (index) => {
      await killHost(hostAt(index));
      await startAgent(hostAt(index));
    },
    markGone: (index) => operator.markGone(agentIdAt(index)),
    drainAgent: (index, drain = {}) => operator.drain(agentIdAt(index), drain),
    deactivateAgent: (index) => operator.deactivate(agentIdAt(index)),
    reactivateAgent: (index) => operator.reactivate(agentIdAt(index)),
    scheduleMaintenance: (indexes, plan) => operator.schedule(indexes.map(machineAt), plan),
    startMaintenance: async (index) => {
      await operator.startMaintenance(machineAt(index));
      await awaitEnd(clock, hostAt(index).process);
    },
    stopMaintenance: (index) => operator.stopMaintenance(machineAt(index)),
    leadingMaster: masters.leading,
    awaitLeadingMaster: masters.awaitLeader,
    terminateMaster: (index = 0, signal = 'SIGTERM') => masters.terminate(index, signal),
    restartMaster: (index = 0) => masters.restart(index),
    stopMaster: (index) => masters.signal(index, 'SIGSTOP'),
    resumeMaster: (index) => masters.signal(index, 'SIGCONT'),
    tasks: (index) => readTasks(hostAt(index).agent.directory),
    close,
  };
  try {
    await start();
  } catch (error) {
    await close();
    throw error;
  }
  return cluster;
}

function mastersOptions({ masters, masterPort }: LocalClusterOptions) {
  return {
    ...(masters === undefined ? {} : { count: masters }),
    ...(masterPort === undefined ? {} : { port: masterPort }),
  };
}

function agentArguments(host: Host, masterAddress: string): string[] {
  const { agent, options } = host;
  const args = ['local', 'agent', '--master', masterAddress, '--work-dir', agent.directory];
  args.push('--hostname', agent.hostname, '--ip', agent.ip, '--port', String(agent.port));
  args.push('--cpus', String(options.cpus), '--mem', String(options.memMb), '--disk', String(options.diskMb));
  args.push('--ports', `${agent.ports[0]}-${agent.ports[1]}`);
  for (const [name, value] of Object.entries(options.attributes ?? {})) {
    args.push('--attribute', `${name}:${value}`);
  }
  if (options.zone !== undefined) args.push('--zone', options.zone);
  if (options.sandboxPathVolumes === true) args.push('--isolation', 'volume/sandbox_path');
  return args;
}

function readTasks(directory: string): readonly LocalTask[] {
  const checkpoint = readAgentCheckpoint(directory);
  return (checkpoint?.tasks ?? []).map(({ task, containerId, executorId, state, executorPid }) => {
    const parent = parentContainer(containerId);
    const path = join(directory, 'containers', parent ?? containerId, EXECUTOR_JOURNAL);
    const started = createJournalReader(path)
      .read()
      .find((entry) => entry.taskPid !== undefined && (parent === null || entry.containerId === containerId));
    return {
      taskId: task.task_id.value,
      containerId,
      state,
      executorPid,
      taskPid: started?.taskPid ?? null,
      sandbox: sandboxOf(directory, { taskId: task.task_id.value, executorId, containerId }),
    };
  });
}

function readPorts(path: string): readonly [number, number] | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as [number, number];
  } catch {
    return null;
  }
}

function assertAgents(agents: readonly LocalAgentOptions[]): void {
  const names = agents.map(({ hostname }) => hostname);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new LocalMesosError('bad-agent', `two agents are called '${repeated}'`);
  for (const { hostname, ports } of agents) {
    if (!/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(hostname)) {
      throw new LocalMesosError('bad-agent', `'${hostname}' is no host name`);
    }
    if (ports !== undefined && ports[0] > ports[1]) {
      throw new LocalMesosError(
        'bad-agent',
        `the ports ${ports[0]}-${ports[1]} of ${hostname} end before they begin`,
      );
    }
  }
}
