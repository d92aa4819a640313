import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLedger, type Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { holdingOf, holdingsOfMaster, readRecord, votersOf } from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from '../e2e/scheduler-process.ts';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';

/*
 * What happens to hosts and agents of a production Mesos, one thing after the other, under a cluster that is
 * written to all the time.
 */

const PHASE_MS_MAX = 120_000;
const SLOTS = ['etcd-0', 'etcd-1', 'etcd-2'];

let directory = '';
let cluster: LocalCluster;
let scheduler: SchedulerProcess;
let ends: (() => Promise<unknown>)[] = [];
const transport = createHttpTransport();

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-hosts-'));
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: [1, 2, 3, 4].map((number) => ({
      hostname: `agent-${number}`,
      cpus: 1,
      memMb: 1024,
      diskMb: 4096,
    })),
  });
  ends = [cluster.close, () => transport.close()];
  scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory,
    args: ['--cpus', '0.1', '--mem', '256', '--disk', '1024', '--artifact', 'checkout'],
  });
  ends.unshift(scheduler.stop);
});
afterEach(async ({ task }) => {
  for (const end of ends) await end();
  if (task.result?.state === 'fail') console.log(`what was left is in ${directory}`);
  else if (directory !== '') rmSync(directory, { recursive: true, force: true });
});

interface Whole {
  readonly record: ClusterRecord;
  /** By slot: the id of the voter that serves there. */
  readonly voters: ReadonlyMap<string, string>;
}

/** Three voters that serve, no change in progress, and the master holds for us what the record names. */
async function settled(what: string, also: (record: ClusterRecord) => boolean): Promise<Whole> {
  return await until(what, PHASE_MS_MAX, async () => {
    await scheduler.view();
    const record = readRecord(stateOf(directory));
    const isAtRest = record.epoch.phase === 'formed' && record.intent === null && record.leaving.length === 0;
    const sound = record.seats.every(({ taskEnd, lost }) => taskEnd === null && lost === null);
    if (!isAtRest || !sound || !also(record)) return null;
    const voters = await votersOf(record);
    const holdings = await holdingsOfMaster(cluster, transport);
    expect(Object.fromEntries(holdings)).toEqual(
      Object.fromEntries(record.seats.map((seat) => [seat.id, holdingOf(seat)])),
    );
    return { record, voters };
  });
}

function seatOf({ record }: Whole, slot: string): Seat {
  const seat = record.seats.find((one) => one.slot === slot);
  if (seat === undefined) throw new Error(`${slot} has no seat`);
  return seat;
}

const agentOf = (seat: Seat): number =>
  cluster.agents.findIndex(({ hostname }) => hostname === seat.hostname);
const place = ({ id, volumeId, agentId, hostname }: Seat) => ({ id, volumeId, agentId, hostname });

/** The members of the other slots have not so much as changed their task. */
function expectOthersUntouched(before: Whole, after: Whole, slot: string): void {
  for (const other of SLOTS.filter((one) => one !== slot)) {
    expect(after.voters.get(other)).toBe(before.voters.get(other));
    expect(seatOf(after, other).task).toBe(seatOf(before, other).task);
  }
}

function startWriter(): Ledger {
  const ledger = createLedger({
    clock,
    endpoints: () => readRecord(stateOf(directory)).seats.map(clientUrlOf),
    open: (url) => createKvClient({ url }, clock),
    prefix: 'hosts/',
  });
  const ended = new AbortController();
  const running = ledger.run(ended.signal);
  ends.unshift(async () => {
    ended.abort();
    await running;
  });
  return ledger;
}

async function written(ledger: Ledger): Promise<void> {
  const before = ledger.acknowledged();
  await until('another acknowledged write', 30_000, () => ledger.acknowledged() > before);
}

test('hosts reboot, are rebuilt, and agents are shut down, under a cluster that serves', {
  timeout: 480_000,
}, async () => {
  const born = await settled('three members', ({ seats }) => seats.length === SLOTS.length);
  const ledger = startWriter();
  await written(ledger);

  // Rebooted with its disks: the same member, in the same place, on the same volume (L1).
  const rebooted = seatOf(born, 'etcd-0');
  await cluster.killHost(agentOf(rebooted));
  await cluster.restartAgent(agentOf(rebooted));
  const back = await settled('the member of the rebooted host', ({ seats }) =>
    seats.some(({ slot, task }) => slot === 'etcd-0' && task !== rebooted.task),
  );
  expect(place(seatOf(back, 'etcd-0'))).toEqual(place(rebooted));
  expect(back.voters).toEqual(born.voters);
  expectOthersUntouched(born, back, 'etcd-0');
  await written(ledger);

  // Rebuilt, at the same address: its disk is gone, and with it the member (L2).
  const rebuilt = seatOf(back, 'etcd-1');
  await cluster.rebuildAgent(agentOf(rebuilt));
  const replaced = await settled('the member of the rebuilt host', ({ seats }) =>
    seats.some(({ slot, id }) => slot === 'etcd-1' && id !== rebuilt.id),
  );
  expect(replaced.voters.get('etcd-1')).not.toBe(back.voters.get('etcd-1'));
  expectOthersUntouched(back, replaced, 'etcd-1');
  await written(ledger);

  // Unregistered by SIGUSR1 and started again: another agent by its id, at the same address. Its task was killed.
  const shutDown = seatOf(replaced, 'etcd-2');
  const agent = agentOf(shutDown);
  const formerId = cluster.agentId(agent);
  await cluster.shutDownAgent(agent);
  await cluster.restartAgent(agent);
  expect(cluster.agentId(agent)).not.toBe(formerId);
  const again = await settled('the member of the agent that was shut down', ({ seats }) =>
    seats.some(({ slot, task }) => slot === 'etcd-2' && task !== shutDown.task),
  );
  // Its disk is there, whatever Mesos calls its agent: the same member on the same volume (L1).
  expect(place(seatOf(again, 'etcd-2'))).toEqual({ ...place(shutDown), agentId: cluster.agentId(agent) });
  expect(again.voters).toEqual(replaced.voters);
  expectOthersUntouched(replaced, again, 'etcd-2');
  await written(ledger);

  for (const seat of again.record.seats) {
    const client = createKvClient({ url: clientUrlOf(seat) }, clock);
    try {
      expect(await ledger.missingFrom(client, AbortSignal.timeout(30_000))).toEqual([]);
    } finally {
      client.close();
    }
  }
});
