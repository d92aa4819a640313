import { describe } from 'vitest';
import type { ProcessSpec } from '../../src/base/ports.ts';
import { createProcesses } from '../../src/runtime/processes.ts';
import { createMemoryProcesses, type ProgramContext } from '../sim/memory-processes.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { processesContract } from './processes.ts';

describe('of this machine', () => {
  const shell = (script: string): ProcessSpec => ({
    command: '/bin/sh',
    args: ['-c', script],
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
  });
  processesContract(() => ({
    processes: createProcesses(),
    speak: shell('echo out; echo err >&2; exit 3'),
    wait: shell('exec sleep 60'),
    stubborn: shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"),
    longLine: shell('printf %0100000d 0'),
    settle: async (promise) => await promise,
  }));
});

describe('in memory', () => {
  processesContract(() => {
    const clock = createVirtualClock();
    const forever = (context: ProgramContext) =>
      new Promise<number>((resolve) => context.ended.addEventListener('abort', () => resolve(0)));
    const processes = createMemoryProcesses({
      clock,
      programs: {
        speak: async (context) => {
          context.say('out');
          context.print('err');
          return 3;
        },
        wait: forever,
        stubborn: async (context) => {
          context.onTerminate(() => {});
          context.print('ready');
          return await forever(context);
        },
        longLine: async (context) => {
          context.say('0'.repeat(100_000));
          return 0;
        },
      },
    });
    const program = (command: string): ProcessSpec => ({ command, args: [], cwd: '/', env: {} });
    return {
      processes,
      speak: program('speak'),
      wait: program('wait'),
      stubborn: program('stubborn'),
      longLine: program('longLine'),
      settle: async (promise) => await clock.during(promise),
    };
  });
});
