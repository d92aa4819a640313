import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join, normalize } from 'node:path';
import { CodedError, describeError } from '../base/errors.ts';
import type { Clock, HttpTransport, Ids, Logger } from '../base/ports.ts';
import {
  type ContainerEvent,
  type ContainerRuntime,
  type ContainerSpec,
  type GroupSpec,
  type OnContainerEvent,
  parentContainer,
} from './container-runtime.ts';
import {
  EXECUTOR_IDENTITY,
  EXECUTOR_JOURNAL,
  EXECUTOR_READY,
  EXECUTOR_SOCKET,
  type ExecutorOrder,
  type PreparedTask,
} from './executor.ts';
import { createFetchCache } from './fetch-cache.ts';
import { fetchUri } from './fetcher.ts';
import { createGroupPreparation } from './group-preparation.ts';
import { createJournalReader, type JournalReader } from './journal.ts';
import { toJsonLine } from './json-lines.ts';
import { isAlive, type ProcessIdentity, signalTree } from './process-table.ts';
import { sandboxOf } from './sandbox.ts';

/** An executor that has not said that it is ready by then never will. */
const EXECUTOR_START_MS = 30_000;
/** URIs of one command. */
const URIS_MAX = 64;
/** Sandboxes of ended tasks that are kept for people to look into; the oldest go. */
const ENDED_SANDBOXES_MAX = 50;
/** The wait status of a process that was killed, as Mesos tells of an executor that ended otherwise than by itself. */
const KILLED_STATUS = 9;
const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** What a task gets of the agent's own environment. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];
/** Variables that tell to which local Mesos and host a process belongs: they reach every process below. */
const MARKER_PREFIX = 'ETCD_MESOS_LOCAL_';

/** Why a task could not be started; its framework reads the message in the task's update. */
export class ContainerError extends CodedError<'executor-start-failed' | 'bad-volume' | 'too-many-uris'> {}

export interface ProcessContainerRuntimeOptions {
  /**
   * Absolute. `sandboxes/<task>/<container>/` holds what a task sees, `containers/<container>/` an executor's
   * socket and journal while it lives.
   */
  readonly workDirectory: string;
  /** How an executor is started; `--directory <path>` is added. */
  readonly executorCommand: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly http: HttpTransport;
  readonly logger: Logger;
  /**
   * Told synchronously. {@link ProcessContainerRuntime.taken} counts the event already: who stores that count
   * together with what the event meant takes every event exactly once, whenever it dies.
   */
  readonly onEvent: OnContainerEvent;
}

export interface RecoveredContainer {
  readonly containerId: string;
  /** Events of its journal that an earlier agent process has taken. */
  readonly taken: number;
  /** It is an executor of task groups. Default no. */
  readonly shared?: boolean;
}

export interface ProcessContainerRuntime extends ContainerRuntime {
  /** Finds the executors of an earlier agent process again; what happened since is told after this returns. */
  recover(containers: readonly RecoveredContainer[]): void;
  /** How many events of each container's journal were told. */
  taken(): Readonly<Record<string, number>>;
  /** Where a task's files are, ended tasks included. */
  sandboxDirectory(taskId: string, containerId: string): string;
  /** Leaves the containers to themselves: the agent's process ends, they live on. */
  close(): void;
}

interface Container {
  readonly id: string;
  readonly journal: JournalReader;
  /** Events of the journal that were told. */
  taken: number;
  /** Events at the journal's beginning that an earlier agent process has taken. */
  skip: number;
  socket: Socket | null;
  /** Orders given before there was anybody to hear them. */
  waiting: ExecutorOrder[];
  /** The first process of each task, by the task's container. */
  readonly taskPids: Map<string, number>;
  /** Ends the preparations; `null` once an executor has the task. */
  preparing: AbortController | null;
  /** Of task groups: the start of the executor, which the first of them brings about. `null` for a single task. */
  shared: { starting: Promise<void> | null; hasTasks: boolean } | null;
}

interface Executor {
  readonly directory: string;
  readonly process: ChildProcess;
}

/** Runs containers as processes of this machine, without isolation, as Mesos does under the posix launcher. */
export function createProcessContainerRuntime(
  options: ProcessContainerRuntimeOptions,
): ProcessContainerRuntime {
  const { clock, logger } = options;
  const sandboxes = join(options.workDirectory, 'sandboxes');
  const directoryOf = (containerId: string) => join(options.workDirectory, 'containers', containerId);
  const containers = new Map<string, Container>();
  const closed = new AbortController();
  const cache = createFetchCache({ directory: join(options.workDirectory, 'fetch-cache') });
  let idle: Promise<Executor> | null = null;
  const groups = createGroupPreparation({
    ...options,
    onEvent: (containerId, event) => {
      if (!closed.signal.aborted) options.onEvent(containerId, event);
    },
    prepare: prepareTask,
    assertVolumes,
    deliver,
    abandon,
  });
  mkdirSync(directoryOf(''), { recursive: true, mode: 0o700 });
  mkdirSync(sandboxes, { recursive: true });
  const inherited = readdirSync(directoryOf(''));
  keepExecutorReady();

  function launch(spec: ContainerSpec): void {
    const container = newContainer(spec.containerId, 0);
    container.preparing = new AbortController();
    void prepare(spec, container, container.preparing.signal);
  }

  async function prepare(spec: ContainerSpec, container: Container, signal: AbortSignal): Promise<void> {
    const sandbox = sandboxDirectory(spec.taskId, spec.containerId);
    try {
      mkdirSync(sandbox, { recursive: true, mode: 0o750 });
      assertVolumes(spec.volumes);
      const task = await prepareTask(spec, sandbox, signal);
      const executor = await takeExecutor();
      if (signal.aborted) {
        discard(executor);
        return;
      }
      renameSync(executor.directory, directoryOf(spec.containerId));
      container.preparing = null;
      container.waiting.unshift({ kind: 'launch', ...task });
      attach(container);
    } catch (error) {
      if (signal.aborted || closed.signal.aborted) return;
      logger.warn('container launch failed', { container: spec.containerId, task: spec.taskId, error });
      containers.delete(spec.containerId);
      const message = `Failed to launch container: ${describeError(error)}`;
      options.onEvent(spec.containerId, { kind: 'fetch-failed', message });
    }
  }

  async function prepareTask(
    spec: ContainerSpec,
    sandbox: string,
    signal: AbortSignal,
  ): Promise<PreparedTask> {
    await fetchAll(spec, sandbox, signal);
    return { spec, sandbox, environment: taskEnvironment(spec, sandbox) };
  }

  function launchGroup(group: GroupSpec): void {
    if (!containers.has(group.containerId))
      newContainer(group.containerId, 0).shared = { starting: null, hasTasks: false };
    groups.launch(group);
  }

  async function deliver(
    containerId: string,
    tasks: readonly PreparedTask[],
    signal: AbortSignal,
  ): Promise<void> {
    const container = containers.get(containerId);
    if (container?.shared === null || container === undefined) {
      throw new ContainerError('executor-start-failed', 'the executor has ended meanwhile');
    }
    container.shared.starting ??= startShared(container);
    await container.shared.starting;
    if (signal.aborted) return;
    container.shared.hasTasks = true;
    send(container, { kind: 'launch-group', tasks });
  }

  async function startShared(container: Container): Promise<void> {
    const executor = await takeExecutor();
    if (closed.signal.aborted || containers.get(container.id) !== container) {
      discard(executor);
      return;
    }
    renameSync(executor.directory, directoryOf(container.id));
    attach(container);
  }

  /** Its only groups came to nothing: an executor that was started for them ends when nobody is there. */
  function abandon(containerId: string): void {
    const container = containers.get(containerId);
    if (container === undefined || groups.has(containerId) || container.shared?.hasTasks === true) return;
    options.onEvent(containerId, { kind: 'executor-ended', status: 0 });
    forget(container);
  }

  function send(container: Container, order: ExecutorOrder): void {
    if (container.socket === null) container.waiting.push(order);
    else container.socket.write(toJsonLine(order));
  }

  async function fetchAll(spec: ContainerSpec, sandbox: string, signal: AbortSignal): Promise<void> {
    const uris = spec.command.uris ?? [];
    if (uris.length > URIS_MAX) {
      throw new ContainerError('too-many-uris', `${uris.length} URIs; at most ${URIS_MAX} are fetched`);
    }
    try {
      const { user = '' } = spec.command;
      for (const uri of uris) {
        await fetchUri({ uri, user, sandbox, cache, http: options.http, clock, signal });
      }
    } catch (error) {
      // The update says as little as Mesos's; the reason is where Mesos's fetcher leaves it, in the sandbox.
      appendFileSync(join(sandbox, 'stderr'), `Failed to fetch: ${describeError(error)}\n`);
      throw new Error(`Failed to fetch all URIs for container '${spec.containerId}': exited with status 1`);
    }
  }

  /** Connects to the container's executor; the end of that connection is the end of the executor. */
  function attach(container: Container): void {
    const directory = openSync(directoryOf(container.id), 'r');
    // By way of the open directory, because a socket's path may have 107 bytes at most.
    const socket = connect(`/proc/self/fd/${directory}/${EXECUTOR_SOCKET}`);
    container.socket = socket;
    for (const order of container.waiting.splice(0)) socket.write(toJsonLine(order));
    // What was written before there was a connection, then what is announced.
    socket.once('connect', () => takeEvents(container));
    socket.on('data', () => takeEvents(container));
    socket.once('error', (error) => logger.debug('executor link broke', { container: container.id, error }));
    socket.once('close', () => {
      closeSync(directory);
      container.socket = null;
      if (containers.has(container.id) && !closed.signal.aborted) finish(container);
    });
  }

  function takeEvents(container: Container): void {
    for (const { event, taskPid, containerId = container.id } of container.journal.read()) {
      if (closed.signal.aborted || !containers.has(container.id)) return;
      if (taskPid !== undefined) container.taskPids.set(containerId, taskPid);
      if (event.kind === 'exited') container.taskPids.delete(containerId);
      if (container.skip > 0) {
        container.skip -= 1;
        continue;
      }
      container.taken += 1;
      options.onEvent(containerId, event);
      if (event.kind === 'running') keepExecutorReady();
      const isLast = container.shared === null ? 'exited' : 'executor-ended';
      if (event.kind === isLast) forget(container);
    }
  }

  /** The executor is gone: its journal tells whether it was done. */
  function finish(container: Container): void {
    takeEvents(container);
    if (!containers.has(container.id)) return;
    logger.warn('executor terminated', { container: container.id });
    if (container.shared === null) options.onEvent(container.id, { kind: 'executor-terminated' });
    else {
      // What is nested in a container goes with it, also under the posix launcher.
      signalTree([...container.taskPids.values()], 'SIGKILL');
      options.onEvent(container.id, { kind: 'executor-ended', status: KILLED_STATUS });
    }
    forget(container);
  }

  function forget(container: Container): void {
    containers.delete(container.id);
    container.socket?.destroy();
    rmSync(directoryOf(container.id), { recursive: true, force: true });
    void dropOldSandboxes(sandboxes, [...containers.keys()]);
  }

  function kill(containerId: string, graceMs: number): void {
    if (groups.cancelTask(containerId)) return;
    const container = containers.get(parentContainer(containerId) ?? containerId);
    if (container === undefined) return;
    if (container.preparing !== null) {
      cancel(container, { kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
      return;
    }
    send(container, { kind: 'kill', containerId, graceMs });
  }

  function destroy(containerId: string): void {
    const container = containers.get(containerId);
    if (container === undefined) return;
    if (container.preparing !== null) {
      cancel(container, { kind: 'executor-terminated' });
      return;
    }
    groups.cancelAll(containerId);
    const executor = readIdentity(directoryOf(containerId));
    const roots = executor !== null && isAlive(executor) ? [executor.pid] : [];
    signalTree([...roots, ...container.taskPids.values()], 'SIGKILL');
  }

  /** There is no executor yet that could tell the end. */
  function cancel(container: Container, event: ContainerEvent): void {
    container.preparing?.abort();
    containers.delete(container.id);
    // Not from within the call that asked for it.
    setImmediate(() => {
      if (!closed.signal.aborted) options.onEvent(container.id, event);
    });
  }

  function recover(found: readonly RecoveredContainer[]): void {
    for (const { containerId, taken, shared = false } of found) {
      const container = newContainer(containerId, taken);
      if (shared) container.shared = { starting: Promise.resolve(), hasTasks: true };
      setImmediate(() => {
        if (closed.signal.aborted) return;
        if (isDirectory(directoryOf(containerId))) attach(container);
        else finish(container);
      });
    }
    dropStrangers(found.map(({ containerId }) => containerId));
  }

  /** Directories of an earlier agent that belong to nobody: executors it kept ready, tasks whose end it took. */
  function dropStrangers(known: readonly string[]): void {
    for (const name of inherited) {
      if (known.includes(name)) continue;
      const executor = readIdentity(directoryOf(name));
      if (executor === null || !isAlive(executor))
        rmSync(directoryOf(name), { recursive: true, force: true });
    }
  }

  function newContainer(id: string, skip: number): Container {
    const container: Container = {
      id,
      journal: createJournalReader(join(directoryOf(id), EXECUTOR_JOURNAL)),
      taken: skip,
      skip,
      socket: null,
      waiting: [],
      taskPids: new Map(),
      preparing: null,
      shared: null,
    };
    containers.set(id, container);
    return container;
  }

  async function takeExecutor(): Promise<Executor> {
    const ready = idle;
    idle = null;
    const executor = await ready?.catch(() => null);
    const lives = executor?.process.exitCode === null && executor.process.signalCode === null;
    return lives ? executor : await startExecutor();
  }

  /** A Node process takes a while to start: the next one waits already. */
  function keepExecutorReady(): void {
    if (idle !== null || closed.signal.aborted) return;
    idle = startExecutor();
    idle.catch(() => {
      idle = null;
    });
  }

  function startExecutor(): Promise<Executor> {
    const directory = directoryOf(`ready-${options.ids.uuid()}`);
    mkdirSync(directory, { mode: 0o700 });
    const [program, ...args] = options.executorCommand;
    const log = openSync(join(directory, 'log'), 'a');
    const child = spawn(program, [...args, '--directory', directory], {
      // The end of its stdin tells an executor without a task that its agent is gone.
      stdio: ['pipe', 'pipe', log],
      detached: true,
      env: options.environment,
    });
    closeSync(log);
    child.unref();
    return awaitReady({ directory, process: child }, clock);
  }

  function discard(executor: Executor): void {
    executor.process.kill('SIGKILL');
    rmSync(executor.directory, { recursive: true, force: true });
  }

  function taskEnvironment(spec: ContainerSpec, sandbox: string): Readonly<Record<string, string>> {
    const passedOn = Object.entries(options.environment).filter(
      ([name]) => INHERITED.includes(name) || name.startsWith(MARKER_PREFIX),
    );
    return {
      PATH: PATH_DEFAULT,
      ...(Object.fromEntries(passedOn) as Record<string, string>),
      MESOS_SANDBOX: sandbox,
      MESOS_TASK_ID: spec.taskId,
      MESOS_CONTAINER_ID: spec.containerId,
    };
  }

  function sandboxDirectory(taskId: string, containerId: string): string {
    return sandboxOf(options.workDirectory, { taskId, containerId });
  }

  return {
    launch,
    launchGroup,
    kill,
    destroy,
    recover,
    taken: () => Object.fromEntries([...containers.values()].map(({ id, taken }) => [id, taken])),
    sandboxDirectory,
    close: () => {
      closed.abort();
      groups.close();
      for (const container of containers.values()) {
        container.preparing?.abort();
        container.socket?.destroy();
      }
      void idle?.then(discard, () => undefined);
    },
  };
}

async function awaitReady(executor: Executor, clock: Clock): Promise<Executor> {
  const { process: child, directory } = executor;
  const done = new AbortController();
  const ready = new Promise<boolean>((resolve) => {
    let words = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      words += chunk.toString('latin1');
      if (words.includes(EXECUTOR_READY)) resolve(true);
    });
    child.once('error', () => resolve(false));
    child.once('exit', () => resolve(false));
  });
  const late = clock.sleep(EXECUTOR_START_MS, done.signal).then(() => false);
  const succeeded = await Promise.race([ready, late]);
  done.abort();
  if (succeeded) return executor;
  child.kill('SIGKILL');
  const words = readFileSync(join(directory, 'log'), 'utf8').trim();
  throw new ContainerError(
    'executor-start-failed',
    `the executor did not start: ${words || 'it said nothing'}`,
  );
}

function assertVolumes(volumes: ContainerSpec['volumes']): void {
  for (const { containerPath, hostPath } of volumes) {
    const path = normalize(containerPath);
    if (path.startsWith('/') || path.startsWith('..') || path === '.') {
      throw new ContainerError(
        'bad-volume',
        `the volume's container path '${containerPath}' leaves the sandbox`,
      );
    }
    if (!isDirectory(hostPath))
      throw new ContainerError('bad-volume', `the volume '${hostPath}' is not there`);
  }
}

function readIdentity(directory: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(join(directory, EXECUTOR_IDENTITY), 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

async function dropOldSandboxes(directory: string, living: readonly string[]): Promise<void> {
  const ended: { path: string; changedMs: number }[] = [];
  for (const task of await readdir(directory).catch(() => [])) {
    for (const container of await readdir(join(directory, task)).catch(() => [])) {
      const path = join(directory, task, container);
      const state = statSync(path, { throwIfNoEntry: false });
      if (state !== undefined && !living.includes(container)) ended.push({ path, changedMs: state.mtimeMs });
    }
  }
  ended.sort((left, right) => right.changedMs - left.changedMs);
  for (const { path } of ended.slice(ENDED_SANDBOXES_MAX)) await rm(path, { recursive: true, force: true });
}
