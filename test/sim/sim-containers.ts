import type { Clock, ProcessExit } from '../../src/base/ports.ts';
import type { ContainerEvent, ContainerRuntime, ContainerSpec } from '../../src/local/container-runtime.ts';
import { runHealthCheck } from '../../src/local/health-check.ts';
import { createTaskKill, type TaskKill } from '../../src/local/task-kill.ts';
import type { RandomStream } from './prng.ts';

/**
 * The containers of one host: executors that outlive their agent, each with one task whose process is whatever
 * `startTask` makes. Tells what Mesos's executor tells, with the delays of real processes.
 */
export interface SimContainers extends ContainerRuntime {
  /** The host loses its power: nothing of them is left, and nobody is there to tell. */
  loseAll(): void;
  /** The agent knows nothing of them any more, and they run on. */
  abandon(): void;
  /** Of containers whose end nobody could tell: told by the agent's next process. */
  lost(): readonly string[];
  readonly tasks: readonly RunningTask[];
}

/** A task's process tree. */
export interface TaskProcess {
  readonly exit: Promise<ProcessExit>;
  /** To every process of the tree at once, as Mesos's executor signals. */
  signalTree(signal: 'SIGTERM' | 'SIGKILL'): void;
}
export interface RunningTask {
  readonly containerId: string;
  readonly taskId: string;
  readonly process: TaskProcess;
}

export interface SimContainersOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly startTask: (spec: ContainerSpec) => TaskProcess;
  /** Whether something accepts connections at that port of this host. */
  readonly listens: (port: number) => boolean;
  readonly onEvent: (containerId: string, event: ContainerEvent) => void;
}

/** The simulation asks no executor anything: which process it is does not matter. */
const EXECUTOR_PID = 1;
/** From an agent to its executor. */
const LINK_MS = 1;

interface Container {
  readonly spec: ContainerSpec;
  /** `preparing`: there is no executor yet. `over`: the end is about to be told, or was. */
  stage: 'preparing' | 'starting' | 'running' | 'over';
  process: TaskProcess | null;
  killed: boolean;
  /** Of a kill that came before there was a task. */
  killGraceMs: number | null;
  readonly killing: TaskKill;
  /** Ends its health check. */
  readonly checking: AbortController;
  /** Nothing is told any more. */
  readonly over: AbortController;
}

export function createSimContainers(options: SimContainersOptions): SimContainers {
  const { clock, random } = options;
  const containers = new Map<string, Container>();
  const untold: string[] = [];

  const tell = (container: Container, event: ContainerEvent) => {
    if (!container.over.signal.aborted) options.onEvent(container.spec.containerId, event);
  };

  const end = (container: Container, event: ContainerEvent) => {
    if (container.over.signal.aborted) return;
    tell(container, event);
    forget(container);
  };

  /** Not from within the call that asked for it. */
  const cancel = (container: Container, event: ContainerEvent) => {
    container.stage = 'over';
    void clock.sleep(LINK_MS).then(() => end(container, event));
  };

  const forget = (container: Container) => {
    container.stage = 'over';
    container.over.abort();
    container.checking.abort();
    container.killing.stop();
    containers.delete(container.spec.containerId);
  };

  const create = (spec: ContainerSpec): Container => {
    const container: Container = {
      spec,
      stage: 'preparing',
      process: null,
      killed: false,
      killGraceMs: null,
      killing: createTaskKill(clock, (name) => container.process?.signalTree(name)),
      checking: new AbortController(),
      over: new AbortController(),
    };
    containers.set(spec.containerId, container);
    return container;
  };

  const run = async (container: Container): Promise<void> => {
    const { spec } = container;
    await clock.sleep(random.between(20, 300));
    if (isOver(container)) return;
    container.stage = 'starting';
    tell(container, { kind: 'starting', executorPid: EXECUTOR_PID });
    await clock.sleep(random.between(5, 50));
    if (isOver(container)) return;
    container.stage = 'running';
    const process = options.startTask(spec);
    container.process = process;
    tell(container, { kind: 'running', executorPid: EXECUTOR_PID });
    if (container.killGraceMs === null) check(container);
    else kill(container, container.killGraceMs, false);
    const { code, signal } = await process.exit;
    const { killed } = container;
    container.stage = 'over';
    container.checking.abort();
    container.killing.stop();
    await clock.sleep(random.between(1, 50));
    end(container, { kind: 'exited', code, signal, killed });
  };

  const check = (container: Container) => {
    const { healthCheck, killGraceMs } = container.spec;
    if (healthCheck?.type !== 'TCP') return;
    const port = healthCheck.tcp?.port ?? 0;
    void runHealthCheck({
      check: healthCheck,
      clock,
      signal: container.checking.signal,
      probe: async () => ({ type: 'TCP', tcp: { succeeded: options.listens(port) } }),
      onHealth: (healthy) => tell(container, { kind: 'health', healthy }),
      onTooManyFailures: () => kill(container, killGraceMs, true),
    });
  };

  /** As the executor does it, if there is one. */
  const kill = (container: Container, graceMs: number, becauseUnhealthy: boolean) => {
    container.checking.abort();
    if (!container.killed) tell(container, { kind: 'killing', becauseUnhealthy });
    container.killed = true;
    container.killing.start(graceMs);
  };

  return {
    launch: (spec) => void run(create(spec)),
    launchGroup: () => {
      throw new Error('the simulated hosts run no task groups');
    },
    kill: (containerId, graceMs) => {
      const container = containers.get(containerId);
      if (container === undefined) return;
      if (container.stage === 'preparing') {
        cancel(container, { kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
        return;
      }
      void clock.sleep(LINK_MS, container.over.signal).then(() => {
        if (container.stage === 'running') kill(container, graceMs, false);
        else container.killGraceMs = Math.min(container.killGraceMs ?? graceMs, graceMs);
      });
    },
    destroy: (containerId) => {
      const container = containers.get(containerId);
      if (container === undefined || container.stage === 'over') return;
      container.process?.signalTree('SIGKILL');
      cancel(container, { kind: 'executor-terminated' });
    },
    loseAll: () => {
      for (const container of [...containers.values()]) {
        forget(container);
        container.process?.signalTree('SIGKILL');
        untold.push(container.spec.containerId);
      }
    },
    abandon: () => {
      for (const container of [...containers.values()]) forget(container);
    },
    lost: () => untold.splice(0),
    get tasks() {
      return [...containers.values()].flatMap(({ spec, process }) =>
        process === null ? [] : [{ containerId: spec.containerId, taskId: spec.taskId, process }],
      );
    },
  };
}

function isOver(container: Container): boolean {
  return container.stage === 'over';
}
