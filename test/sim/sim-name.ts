import type { Clock, ProcessExit } from '../../src/base/ports.ts';
import { NAME_WATCH } from '../../src/framework/name-task.ts';
import type { ContainerSpec } from '../../src/local/container-runtime.ts';
import type { TaskProcess } from './sim-containers.ts';

/** A name task's shell as a process of a simulated host. */
export interface SimName extends TaskProcess {
  readonly host: string;
  readonly task: string;
  /** The client port that it stands for. */
  readonly port: number;
  readonly alive: boolean;
}

export function startSimName(options: {
  readonly host: string;
  readonly spec: ContainerSpec;
  readonly clock: Clock;
  /** Whether something accepts connections at that port of its host. */
  readonly listens: (port: number) => boolean;
}): SimName {
  const { host, spec, clock } = options;
  const port = spec.healthCheck?.tcp?.port ?? 0;
  const over = new AbortController();
  const { promise: exit, resolve } = Promise.withResolvers<ProcessExit>();
  const end = (result: ProcessExit) => {
    over.abort();
    resolve(result);
  };
  const watch = async (): Promise<void> => {
    let closed = 0;
    while (closed < NAME_WATCH.closedLooksMax) {
      closed = options.listens(port) ? 0 : closed + 1;
      await clock.sleep(NAME_WATCH.lookS * 1000, over.signal);
      if (over.signal.aborted) return;
    }
    end({ code: 1, signal: null });
  };
  void watch();
  return {
    host,
    task: spec.taskId,
    port,
    get alive() {
      return !over.signal.aborted;
    },
    exit,
    signalTree: (name) => end({ code: null, signal: name }),
  };
}
