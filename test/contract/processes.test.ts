import { describe, expect, test } from 'vitest';
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

  test('it gets what its spec names and nothing of ours', async () => {
    const lines: string[] = [];
    const process = await createProcesses().start({
      ...shell('pwd; env; cat'),
      env: { PATH: '/usr/bin:/bin', OWN: 'x y' },
      onLine: (line) => lines.push(line),
    });
    expect(await process.exit).toEqual({ code: 0, signal: null });
    // The shell adds these itself.
    const told = lines.filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line));
    expect(told.toSorted()).toEqual(['/', 'OWN=x y', 'PATH=/usr/bin:/bin']);
  });

  test('what may not be run, and a directory that is not there, are typed errors', async () => {
    const spec = shell('true');
    const start = (changes: Partial<ProcessSpec>) => createProcesses().start({ ...spec, ...changes });
    await expect(start({ command: import.meta.filename })).rejects.toMatchObject({ code: 'not-executable' });
    await expect(start({ cwd: '/not/there' })).rejects.toMatchObject({ code: 'not-found' });
  });

  test('its end is told though a child of its own still holds its output', async () => {
    const lines: string[] = [];
    const process = await createProcesses().start({
      ...shell('sleep 600 & echo $!'),
      onLine: (line) => lines.push(line),
    });
    expect(await process.exit).toEqual({ code: 0, signal: null });
    globalThis.process.kill(Number(lines[0]), 'SIGKILL');
  });
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
