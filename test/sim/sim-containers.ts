import type { Clock, ProcessExit } from '../../src/base/ports.ts';
import type { ContainerEvent, ContainerRuntime, ContainerSpec } from '../../src/local/container-runtime.ts';
import type { RandomStream } from './prng.ts';

/**
 * The containers of one host: executors that outlive their agent, each with one task whose process is whatever
 * `startTask` makes. Tells what Mesos's executor tells, with the delays of real processes.
 */
export interface SimContainers extends ContainerRuntime {
  /** The host loses its power: nothing of them is left, and nobody is there to tell. */
  loseAll(): void;
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

interface Container {
  readonly spec: ContainerSpec;
  process: TaskProcess | null;
  killed: boolean;
  /** Executor and task are gone. */
  readonly over: AbortController;
}

/** Until the first success a failing check is not told for this long. */
const SECOND_MS = 1_000;

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
    container.over.abort();
    containers.delete(container.spec.containerId);
  };

  const run = async (container: Container): Promise<void> => {
    const { spec, over } = container;
    await clock.sleep(random.between(20, 300));
    if (over.signal.aborted) return;
    if (container.killed) {
      end(container, { kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
      return;
    }
    tell(container, { kind: 'starting', executorPid: 1 });
    await clock.sleep(random.between(5, 50));
    if (over.signal.aborted) return;
    const process = options.startTask(spec);
    container.process = process;
    tell(container, { kind: 'running', executorPid: 1 });
    if (container.killed) process.signalTree('SIGTERM');
    void check(container);
    const { code, signal } = await process.exit;
    await clock.sleep(random.between(1, 50));
    end(container, { kind: 'exited', code, signal, killed: container.killed });
  };

  /** A TCP check: a success is told once, every failure after the grace period anew. */
  const check = async (container: Container): Promise<void> => {
    const { healthCheck } = container.spec;
    const port = healthCheck?.tcp?.port;
    if (healthCheck === null || port === undefined) return;
    const startedAtMs = clock.monotonicMs();
    let healthy: boolean | null = null;
    for (;;) {
      await clock.sleep((healthCheck.interval_seconds ?? 10) * SECOND_MS, container.over.signal);
      if (container.over.signal.aborted) return;
      const now = options.listens(port);
      const graceMs = (healthCheck.grace_period_seconds ?? 10) * SECOND_MS;
      const inGrace = healthy === null && clock.monotonicMs() - startedAtMs < graceMs;
      if (now ? healthy !== true : !inGrace) tell(container, { kind: 'health', healthy: now });
      if (now || !inGrace) healthy = now;
    }
  };

  const kill = (containerId: string, graceMs: number) => {
    const container = containers.get(containerId);
    if (container === undefined || container.killed) return;
    container.killed = true;
    if (container.process === null) return;
    tell(container, { kind: 'killing', becauseUnhealthy: false });
    container.process.signalTree('SIGTERM');
    void clock.sleep(graceMs, container.over.signal).then(() => {
      if (!container.over.signal.aborted) container.process?.signalTree('SIGKILL');
    });
  };

  return {
    launch: (spec) => {
      const container: Container = { spec, process: null, killed: false, over: new AbortController() };
      containers.set(spec.containerId, container);
      void run(container);
    },
    kill,
    destroy: (containerId) => {
      const container = containers.get(containerId);
      if (container === undefined) return;
      container.process?.signalTree('SIGKILL');
      void clock.sleep(1).then(() => end(container, { kind: 'executor-terminated' }));
    },
    loseAll: () => {
      for (const container of [...containers.values()]) {
        container.over.abort();
        container.process?.signalTree('SIGKILL');
        untold.push(container.spec.containerId);
      }
      containers.clear();
    },
    lost: () => untold.splice(0),
    get tasks() {
      return [...containers.values()].flatMap(({ spec, process }) =>
        process === null ? [] : [{ containerId: spec.containerId, taskId: spec.taskId, process }],
      );
    },
  };
}
