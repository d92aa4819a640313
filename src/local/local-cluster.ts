import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve as resolvePath } from 'node:path';
import { readBody } from '../base/body.ts';
import type { Clock, HttpTransport, Ids, Random } from '../base/ports.ts';
import { readAgentCheckpoint } from './agent-process.ts';
import { parentContainer } from './container-runtime.ts';
import { EXECUTOR_JOURNAL } from './executor.ts';
import { createJournalReader } from './journal.ts';
import { LocalMesosError } from './local-error.ts';
import { claimPortRange, claimPorts, findFreePort, isPortFree, type PortRange } from './port-range.ts';
import {
  endAll,
  identify,
  isAlive,
  type ProcessIdentity,
  type ProcessTable,
  sendSignal,
} from './process-table.ts';
import { CLUSTER_VARIABLE, HOST_VARIABLE, markedProcesses } from './reaper.ts';
import { sandboxOf } from './sandbox.ts';

/** Milliseconds for a process to serve after its start, and for an agent to be registered. */
const START_MS_MAX = 30_000;
/** Milliseconds for a process to end after SIGTERM before SIGKILL. */
const STOP_MS_MAX = 3000;
const LOOK_MS = 10;
const OPERATOR_CALL_MS_MAX = 10_000;
const OPERATOR_ANSWER_BYTES_MAX = 64 * 1024 * 1024;
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
  /** Default: a free one. */
  readonly masterPort?: number;
  /** Default 1000. */
  readonly agentPingTimeoutMs?: number;
  /** Default 3. */
  readonly agentPingTimeoutsMax?: number;
  /** Default 200. */
  readonly allocationIntervalMs?: number;
}

export interface LocalClusterWorld {
  /** How `etcd-mesos` is started: a program and its first arguments. */
  readonly program: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
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
  readonly masterUrl: string;
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
  /** The operator's word that this agent will never come back. */
  markGone(index: number): Promise<void>;
  terminateMaster(): Promise<void>;
  /** At the same address; it knows nothing, agents and frameworks come back to it. */
  restartMaster(): Promise<void>;
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
  const masterPort = options.masterPort ?? (await findFreePort());
  const masterUrl = `http://127.0.0.1:${masterPort}`;
  const hosts: Host[] = [];
  let master: ProcessIdentity | null = null;
  const reaper = startReaper();

  async function start(): Promise<void> {
    for (const [index, agent] of options.agents.entries()) hosts.push(await describeHost(agent, index));
    await Promise.all([startMaster(), ...hosts.map(startAgent)]);
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

  async function startMaster(): Promise<void> {
    // Asked before, because whoever is there may well answer like a master that is up.
    if (!(await isPortFree(masterPort))) {
      const message = `port ${masterPort} of 127.0.0.1 is in use`;
      throw new LocalMesosError('port-in-use', message, { hint: 'choose another port for the master' });
    }
    const args = ['local', 'master', '--port', String(masterPort)];
    if (options.agentPingTimeoutMs !== undefined) {
      args.push('--agent-ping-timeout', `${options.agentPingTimeoutMs}ms`);
    }
    if (options.agentPingTimeoutsMax !== undefined) {
      args.push('--max-agent-ping-timeouts', String(options.agentPingTimeoutsMax));
    }
    if (options.allocationIntervalMs !== undefined) {
      args.push('--allocation-interval', `${options.allocationIntervalMs}ms`);
    }
    master = startRole(args, join(directory, 'master'), {});
    await awaitStart(master, 'the master', join(directory, 'master', 'log'), async () => {
      const answer = await ask('GET', '/health', null).catch(() => null);
      return answer?.status === 200;
    });
  }

  async function startAgent(host: Host): Promise<void> {
    const { agent } = host;
    host.process = startRole(agentArguments(host, masterUrl), agent.directory, {
      [HOST_VARIABLE]: host.mark,
    });
    await awaitStart(host.process, `agent ${agent.hostname}`, join(agent.directory, 'log'), async () => {
      // Not the one from before: an agent whose directory was removed gets another.
      const id = readAgentCheckpoint(agent.directory)?.agentId ?? null;
      if (id === null || !(await isActive(id))) return false;
      host.agentId = id;
      return true;
    });
  }

  /** A process in a session of its own, so that what a terminal sends to its owner does not reach it. */
  function startRole(
    args: readonly string[],
    home: string,
    variables: Record<string, string>,
  ): ProcessIdentity {
    mkdirSync(home, { recursive: true });
    const log = openSync(join(home, 'log'), 'a');
    const [command, ...first] = world.program;
    const child = spawn(command, [...first, ...args], {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...world.environment, [CLUSTER_VARIABLE]: mark, ...variables },
    });
    closeSync(log);
    child.on('error', () => undefined);
    child.unref();
    const identity = child.pid === undefined ? null : identify(child.pid);
    if (identity !== null) return identity;
    throw new LocalMesosError('start-failed', `'${world.program.join(' ')}' could not be started`);
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

  async function awaitStart(
    identity: ProcessIdentity,
    what: string,
    logPath: string,
    isUp: () => Promise<boolean>,
  ): Promise<void> {
    const startedMs = clock.monotonicMs();
    while (!(await isUp())) {
      const waitedMs = clock.monotonicMs() - startedMs;
      if (isAlive(identity) && waitedMs < START_MS_MAX) {
        await clock.sleep(LOOK_MS);
        continue;
      }
      const how = isAlive(identity) ? `is not up after ${Math.round(waitedMs)} ms` : 'ended while it started';
      throw new LocalMesosError('start-failed', `${what} ${how}; its log ends with: ${lastWords(logPath)}`, {
        hint: `see ${logPath}`,
      });
    }
  }

  /** The directory may have been removed since. */
  function newestAgentId(host: Host): string | null {
    host.agentId = readAgentCheckpoint(host.agent.directory)?.agentId ?? host.agentId;
    return host.agentId;
  }

  async function isActive(agentId: string): Promise<boolean> {
    const answer = await ask('GET', '/slaves', null).catch(() => null);
    if (answer?.status !== 200) return false;
    const { slaves } = JSON.parse(answer.body) as { slaves: readonly { id: string; active: boolean }[] };
    return slaves.some(({ id, active }) => id === agentId && active);
  }

  async function ask(method: 'GET' | 'POST', path: string, body: object | null) {
    const deadline = new AbortController();
    const answered = new AbortController();
    void clock.sleep(OPERATOR_CALL_MS_MAX, answered.signal).then(() => deadline.abort());
    try {
      const headers: Record<string, string> = { accept: 'application/json' };
      if (body !== null) headers['content-type'] = 'application/json';
      const response = await world.http.request({
        method,
        url: `${masterUrl}${path}`,
        headers,
        body: body === null ? undefined : JSON.stringify(body),
        signal: deadline.signal,
      });
      const answer = await readBody(response.body, OPERATOR_ANSWER_BYTES_MAX);
      if (!answer.isWhole) {
        const message = `${path} answered more than ${OPERATOR_ANSWER_BYTES_MAX} bytes`;
        throw new LocalMesosError('operator-call-failed', message);
      }
      return { status: response.status, body: answer.text };
    } finally {
      answered.abort();
    }
  }

  async function terminate(identity: ProcessIdentity | null, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (identity === null) return;
    const startedMs = clock.monotonicMs();
    let sent: string | null = null;
    while (isAlive(identity)) {
      const wanted = clock.monotonicMs() - startedMs > STOP_MS_MAX ? 'SIGKILL' : signal;
      if (sent !== wanted) {
        sendSignal(identity.pid, wanted);
        // One that is paused takes SIGTERM only when it goes on.
        sendSignal(identity.pid, 'SIGCONT');
        sent = wanted;
      }
      await clock.sleep(LOOK_MS);
    }
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

  function signalAgent(index: number, signal: NodeJS.Signals): void {
    const { process: identity } = hostAt(index);
    if (identity !== null && isAlive(identity)) sendSignal(identity.pid, signal);
  }

  async function markGone(index: number): Promise<void> {
    const { agent } = hostAt(index);
    const agentId = newestAgentId(hostAt(index));
    const call = { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: agentId } } };
    const answer = await ask('POST', '/api/v1', call);
    if (answer.status >= 200 && answer.status < 300) return;
    const message = `agent ${agent.hostname} (${agentId}) could not be marked gone: ${answer.status} ${answer.body}`;
    throw new LocalMesosError('operator-call-failed', message);
  }

  const cluster: LocalCluster = {
    masterUrl,
    directory,
    get agents() {
      return hosts.map(({ agent }) => agent);
    },
    agentId: (index) => newestAgentId(hostAt(index)),
    stopAgent: (index) => signalAgent(index, 'SIGSTOP'),
    resumeAgent: (index) => signalAgent(index, 'SIGCONT'),
    terminateAgent: (index, signal) => terminate(hostAt(index).process, signal),
    restartAgent: async (index) => {
      await terminate(hostAt(index).process, 'SIGTERM');
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
      signalAgent(index, 'SIGUSR1');
      await awaitEnd(hostAt(index).process, clock);
    },
    markGone,
    terminateMaster: () => terminate(master, 'SIGTERM'),
    restartMaster: async () => {
      await terminate(master, 'SIGTERM');
      await startMaster();
    },
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

function agentArguments(host: Host, masterUrl: string): string[] {
  const { agent, options } = host;
  const args = ['local', 'agent', '--master', masterUrl, '--work-dir', agent.directory];
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

async function awaitEnd(identity: ProcessIdentity | null, clock: Clock): Promise<void> {
  const startedMs = clock.monotonicMs();
  while (identity !== null && isAlive(identity)) {
    if (clock.monotonicMs() - startedMs > START_MS_MAX) {
      throw new LocalMesosError('processes-left', `process ${identity.pid} did not end by itself`);
    }
    await clock.sleep(LOOK_MS);
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

/** What a role said when it gave up, or else its last line. */
function lastWords(path: string): string {
  try {
    const text = readFileSync(path, 'utf8').trimEnd();
    const complaint = text.lastIndexOf('etcd-mesos:');
    return (complaint < 0 ? text.slice(text.lastIndexOf('\n') + 1) : text.slice(complaint)) || '(nothing)';
  } catch {
    return '(nothing)';
  }
}
