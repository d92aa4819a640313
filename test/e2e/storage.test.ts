import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { lacks } from '../needs.ts';
import { until } from '../wait.ts';
import { holdingOf, holdingsOfMaster, readRecord, taskProcesses, votersOf } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';
import { smallAgents } from './small-agents.ts';

/** Where members keep their data: a second volume for the log, and no volume at all. */

const transport = createHttpTransport();
let directory = '';
let cluster: LocalCluster;
let scheduler: SchedulerProcess;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-storage-'));
});
afterEach(async () => {
  await scheduler.stop();
  await cluster.close();
  rmSync(directory, { recursive: true, force: true });
});

async function start(args: readonly string[]): Promise<void> {
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(['a.example', 'b.example', 'c.example', 'd.example']),
    allocationIntervalMs: 100,
  });
  scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory: join(directory, 'scheduler'),
    args: [
      ...['--artifact', 'checkout', '--cpus', '0.2', '--mem', '256'],
      ...['--disk', '1024', '--quota-backend-bytes', '100MiB', ...args],
    ],
  });
}

const record = () => readRecord(stateOf(join(directory, 'scheduler')));
const healthy = async () =>
  await until('a healthy cluster', 90_000, async () => (await scheduler.view()).health.state === 'healthy');

/** Kills every process of the task of a slot. */
function killTask(slot: string): string {
  const seat = record().seats.find((one) => one.slot === slot);
  const task = seat?.task ?? '';
  for (const pid of taskProcesses(record().cluster).get(task) ?? []) process.kill(pid, 'SIGKILL');
  return seat?.id ?? '';
}

describe.skipIf(lacks('etcd'))('storage', () => {
  test('a log on a volume of its own is launched again with its database', async () => {
    await start(['--wal-disk', '512']);
    await healthy();
    const before = await votersOf(record());
    const held = await holdingsOfMaster(cluster, transport);
    for (const seat of record().seats) {
      const own = holdingOf(seat);
      expect(held.get(seat.id)).toMatchObject({
        ...own,
        diskMb: 1024 + 512,
        volumes: expect.anything() as object,
      });
      expect(held.get(seat.id)?.volumes.toSorted()).toEqual([seat.volumeId, seat.wal?.volumeId]);
    }
    const seatId = killTask('etcd-1');
    await until('a new task on the same place', 60_000, async () => {
      const seat = record().seats.find((one) => one.slot === 'etcd-1');
      return seat?.id === seatId && seat.launches === 2;
    });
    await until('the same members', 60_000, async () => {
      const after = await votersOf(record());
      expect([...after]).toEqual([...before]);
      return true;
    });
  });

  test('without reservations a task that ended is replaced, and nothing is ever reserved', async () => {
    await start(['--storage', 'sandbox']);
    await healthy();
    const before = await votersOf(record());
    const seatId = killTask('etcd-2');
    await until('another place', 60_000, async () => {
      const { seats, leaving } = record();
      return seats.length === 3 && leaving.length === 0 && seats.every(({ id }) => id !== seatId);
    });
    await until('three voters', 60_000, async () => {
      const after = await votersOf(record());
      expect(after.get('etcd-0')).toBe(before.get('etcd-0'));
      expect(after.get('etcd-2')).not.toBe(before.get('etcd-2'));
      return true;
    });
    expect([...(await holdingsOfMaster(cluster, transport)).keys()]).toEqual([]);
  });
});
