import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContainerEvent, ContainerSpec } from '../../src/local/container-runtime.ts';
import type { ProcessContainerRuntime } from '../../src/local/process-container-runtime.ts';
import { createProcessContainerRuntime } from '../../src/local/process-container-runtime.ts';
import { endAll, processesWithVariable } from '../../src/local/process-table.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';

import { silentLogger } from '../silent-logger.ts';
import { clock, until as untilWithin } from '../wait.ts';

export { clock };

const ids = createSystemIds();

export const ENTRY = join(import.meta.dirname, '../../src/cli/main.ts');

/** Waits as long as something on a busy machine may take. */
export async function until<T>(what: string, look: () => T | null | undefined | false): Promise<T> {
  return await untilWithin(what, 30_000, look);
}

/** A work directory with container runtimes on it, and an end that leaves no process. */
export function createContainerWorld() {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-containers-'));
  const marker = ids.uuid();
  const http = createHttpTransport();
  const runtimes: ProcessContainerRuntime[] = [];

  function start() {
    const events: { containerId: string; event: ContainerEvent; atMs: number }[] = [];
    const runtime = createProcessContainerRuntime({
      workDirectory: directory,
      executorCommand: [process.execPath, ENTRY, 'local', 'executor'],
      environment: { PATH: process.env['PATH'], ETCD_MESOS_LOCAL_HOST: marker },
      clock,
      ids,
      http,
      logger: silentLogger,
      onEvent: (containerId, event) => events.push({ containerId, event, atMs: clock.monotonicMs() }),
    });
    runtimes.push(runtime);
    const kinds = (containerId: string) =>
      events.filter((entry) => entry.containerId === containerId).map(({ event }) => event.kind);
    const first = <Kind extends ContainerEvent['kind']>(containerId: string, kind: Kind) =>
      until(`${kind} of ${containerId}; there was ${kinds(containerId).join(', ')}`, () =>
        events.find((entry) => entry.containerId === containerId && entry.event.kind === kind),
      ).then((entry) => ({ ...(entry.event as Extract<ContainerEvent, { kind: Kind }>), atMs: entry.atMs }));
    return { runtime, events, kinds, first };
  }

  return {
    directory,
    marker,
    start,
    processes: (table: Parameters<typeof processesWithVariable>[0]) =>
      processesWithVariable(table, `ETCD_MESOS_LOCAL_HOST=${marker}`),
    async end() {
      for (const runtime of runtimes) runtime.close();
      const left = await endAll(
        (table) => processesWithVariable(table, `ETCD_MESOS_LOCAL_HOST=${marker}`),
        () => clock.sleep(5),
      );
      await http.close();
      rmSync(directory, { recursive: true, force: true });
      if (left.size > 0) throw new Error(`processes ${[...left].join(', ')} could not be ended`);
    },
  };
}

export function shell(
  containerId: string,
  command: string,
  rest: Partial<ContainerSpec> = {},
): ContainerSpec {
  return {
    containerId,
    taskId: `task-${containerId}`,
    command: { shell: true, value: command },
    healthCheck: null,
    killGraceMs: 3000,
    volumes: [],
    ...rest,
  };
}
