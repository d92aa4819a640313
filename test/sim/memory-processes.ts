import {
  type Clock,
  ProcessError,
  type ProcessExit,
  type Processes,
  type ProcessSpec,
} from '../../src/base/ports.ts';

/** A program of a simulated machine: what runs when its name is started. */
export type Program = (context: ProgramContext) => Promise<number>;
export interface ProgramContext {
  readonly args: readonly string[];
  readonly spec: ProcessSpec;
  readonly pid: number;
  /** Writes a line to stderr. */
  print(line: string): void;
  /** Writes a line to stdout. */
  say(line: string): void;
  /** Aborts when the process ends, whatever ends it. */
  readonly ended: AbortSignal;
  /** Called on SIGTERM instead of dying of it. */
  onTerminate(handler: () => void): void;
}

export interface MemoryProcesses extends Processes {
  /** Every process ever started, in order. */
  readonly started: readonly MemoryProcess[];
  /** Those that have not ended. */
  running(): readonly MemoryProcess[];
}
export interface MemoryProcess {
  readonly pid: number;
  readonly spec: ProcessSpec;
  /** `null` while it runs. */
  readonly result: ProcessExit | null;
  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGQUIT'): void;
}

/** Processes that are functions, found by the name of their command. Lines and exits come in program order. */
export function createMemoryProcesses(options: {
  readonly clock: Clock;
  readonly programs: Readonly<Record<string, Program>>;
}): MemoryProcesses {
  const started: MemoryProcess[] = [];
  return {
    started,
    running: () => started.filter((process) => process.result === null),
    start: async (spec) => {
      const program = options.programs[spec.command];
      await options.clock.sleep(0);
      if (program === undefined) throw new ProcessError('not-found', `${spec.command} was not found`);
      const pid = 100 + started.length;
      const ended = new AbortController();
      const { promise: exit, resolve } = Promise.withResolvers<ProcessExit>();
      let result: ProcessExit | null = null;
      let terminate: (() => void) | null = null;
      const end = (value: ProcessExit) => {
        if (result !== null) return;
        result = value;
        ended.abort();
        resolve(value);
      };
      const signal = (name: 'SIGTERM' | 'SIGKILL' | 'SIGQUIT') => {
        if (result !== null) return;
        if (name === 'SIGTERM' && terminate !== null) terminate();
        else end({ code: null, signal: name });
      };
      const tell = (line: string, stream: 'stdout' | 'stderr') => {
        if (result === null) spec.onLine?.(line.slice(0, 64 * 1024), stream);
      };
      started.push({
        pid,
        spec,
        get result() {
          return result;
        },
        kill: signal,
      });
      void program({
        args: spec.args,
        spec,
        pid,
        print: (line) => tell(line, 'stderr'),
        say: (line) => tell(line, 'stdout'),
        ended: ended.signal,
        onTerminate: (handler) => {
          terminate = handler;
        },
      }).then((code) => end({ code, signal: null }));
      return { pid, exit, signal };
    },
  };
}
