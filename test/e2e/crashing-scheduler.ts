import { openSync, writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import type { SchedulerPorts } from '../../src/framework/scheduler.ts';
import { runScheduler } from '../../src/runtime/scheduler-role.ts';
import { callKinds, orderKinds, saveKinds } from './scheduler-actions.ts';

/*
 * The real scheduler, which kills itself around certain of its actions:
 *
 *     node crashing-scheduler.ts <journal> <points> [OPTIONS OF THE SCHEDULER]
 *
 * <points> is a JSON array of what it dies at, as "before call KILL" or "after save the phase go"; <journal> gets
 * a line for every action: {"point": …, "died": …}.
 */

const [journalPath = '', pointsText = '[]', ...argv] = process.argv.slice(2);
const points = new Set(JSON.parse(pointsText) as readonly string[]);
const journal = openSync(journalPath, 'a');

// One that is killed leaves nothing for the next: now, while it can.
flushCompileCache();

// Whoever started it holds the other end: it does not outlive its test.
process.stdin.on('end', () => process.exit(1)).resume();

try {
  await runScheduler({ argv, environment: {}, wrapPorts });
} finally {
  process.stdin.destroy();
}

function wrapPorts(ports: SchedulerPorts): SchedulerPorts {
  return {
    ...ports,
    store: dyingStore(ports.store),
    members: dyingMembers(ports),
    transport: dyingTransport(ports),
  };
}

/** Dies if one of these is what it is to die at, at this moment. */
function reach(moment: 'before' | 'after', kinds: readonly string[]): void {
  const reached = kinds.map((kind) => `${moment} ${kind}`);
  const died = reached.some((point) => points.has(point));
  for (const point of reached) writeSync(journal, `${JSON.stringify({ point, died })}\n`);
  if (died) process.kill(process.pid, 'SIGKILL');
}

function dyingStore(store: SchedulerPorts['store']): SchedulerPorts['store'] {
  let stored: Uint8Array | null = null;
  return {
    load: async () => {
      const found = await store.load();
      stored = found?.bytes ?? null;
      return found;
    },
    save: async (bytes, expectedVersion) => {
      const kinds = saveKinds(stored, bytes);
      reach('before', kinds);
      const version = await store.save(bytes, expectedVersion);
      reach('after', kinds);
      stored = bytes;
      return version;
    },
    append: (kind, entry) => store.append(kind, entry),
    read: (kind) => store.read(kind),
    clear: () => store.clear(),
  };
}

function dyingMembers({ members }: SchedulerPorts): SchedulerPorts['members'] {
  return {
    status: (url, last, signal) => members.status(url, last, signal),
    order: async (url, order, signal) => {
      const kinds = orderKinds(order);
      reach('before', kinds);
      const receipt = await members.order(url, order, signal);
      if (receipt.outcome === 'done') reach('after', kinds);
      return receipt;
    },
  };
}

function dyingTransport({ transport }: SchedulerPorts): SchedulerPorts['transport'] {
  return {
    request: async (request) => {
      const kinds = request.url.endsWith('/api/v1/scheduler') ? callKinds(request.body) : [];
      reach('before', kinds);
      const response = await transport.request(request);
      if (response.status === 200 || response.status === 202) reach('after', kinds);
      return response;
    },
  };
}
