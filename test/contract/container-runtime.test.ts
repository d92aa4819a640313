import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe } from 'vitest';
import type { ProcessExit } from '../../src/base/ports.ts';
import type { ContainerEvent, ContainerSpec } from '../../src/local/container-runtime.ts';
import { createContainerWorld, clock as machine, shell, until } from '../local/container-world.ts';
import { createChance } from '../sim/prng.ts';
import { createSimContainers, type TaskProcess } from '../sim/sim-containers.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { containerRuntimeContract } from './container-runtime.ts';

describe('as processes of this machine', () => {
  containerRuntimeContract(async () => {
    const world = createContainerWorld();
    const { runtime, events } = world.start();
    return {
      runtime,
      events: (containerId) => events.filter((entry) => entry.containerId === containerId),
      nowMs: machine.monotonicMs,
      until: async (what, condition) => void (await until(what, condition)),
      endsWith: (containerId, code) => shell(containerId, `exit ${code}`),
      waits: (containerId) => shell(containerId, 'exec sleep 600'),
      launchStubborn: async (containerId) => {
        const spec = shell(containerId, "trap '' TERM; touch ready; while :; do sleep 0.05; done");
        runtime.launch(spec);
        const ready = join(runtime.sandboxDirectory(spec.taskId, containerId), 'ready');
        await until('it ignores SIGTERM', () => existsSync(ready));
      },
      listen: async () => {
        const server = createServer((socket) => socket.destroy());
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        return {
          port: (server.address() as AddressInfo).port,
          stop: async () => void (await new Promise((resolve) => server.close(resolve))),
        };
      },
      close: world.end,
    };
  });
});

describe('in memory', () => {
  containerRuntimeContract(async () => {
    const clock = createVirtualClock();
    const events: { containerId: string; event: ContainerEvent; atMs: number }[] = [];
    const listening = new Set<number>();
    const runtime = createSimContainers({
      clock,
      random: createChance(1).stream('containers'),
      startTask: ({ command }) => modelTask(command.value ?? ''),
      listens: (port) => listening.has(port),
      onEvent: (containerId, event) => events.push({ containerId, event, atMs: clock.monotonicMs() }),
    });
    const of = (containerId: string) => events.filter((entry) => entry.containerId === containerId);
    const spec = (containerId: string, value: string): ContainerSpec => shell(containerId, value);
    return {
      runtime,
      events: of,
      nowMs: clock.monotonicMs,
      until: async (_what, condition) => {
        // Time passes even where no timer waits.
        for (let passedMs = 0; passedMs < 60_000 && !condition(); passedMs += 1) await clock.advance(1);
        await clock.runUntil(condition, 0);
      },
      endsWith: (containerId, code) => spec(containerId, `exit ${code}`),
      waits: (containerId) => spec(containerId, 'wait'),
      launchStubborn: async (containerId) => {
        runtime.launch(spec(containerId, 'ignore SIGTERM'));
        await clock.runUntil(() => of(containerId).some(({ event }) => event.kind === 'running'), 1_000);
      },
      listen: async () => {
        listening.add(2379);
        return { port: 2379, stop: async () => void listening.delete(2379) };
      },
      close: async () => {},
    };
  });
});

/** A task that does what its command says, in words of this file. */
function modelTask(command: string): TaskProcess {
  const { promise: exit, resolve } = Promise.withResolvers<ProcessExit>();
  const code = /^exit (\d+)$/.exec(command)?.[1];
  if (code !== undefined) resolve({ code: Number(code), signal: null });
  return {
    exit,
    signalTree: (signal) => {
      if (signal === 'SIGKILL' || command !== 'ignore SIGTERM') resolve({ code: null, signal });
    },
  };
}
