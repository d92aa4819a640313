import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openArchive } from '../../src/backup/archive.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import { createLedger, type Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { PublishedArchive } from '../../src/protocol/view.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { missingFromData, restorableBinaries, restoreTo } from '../archive/checks.ts';
import { restoreSnapshot } from '../archive/lone-etcd.ts';
import { lacks } from '../needs.ts';
import { clock, until } from '../wait.ts';
import { readRecord } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';
import { smallAgents } from './small-agents.ts';

/** A cluster under a steady writer is archived, its scheduler killed and started again. */

/** Its member's data is given to the first of these that can take it. */
const RESTORABLE = restorableBinaries();
const never = new AbortController().signal;
let directory = '';
let cluster: LocalCluster;
let scheduler: SchedulerProcess;
let endWriting: () => Promise<void> = () => Promise.resolve();
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-archived-'));
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(['a.example', 'b.example', 'c.example']),
    allocationIntervalMs: 100,
  });
});
afterEach(async () => {
  await endWriting();
  await scheduler.stop();
  await cluster.close();
  rmSync(directory, { recursive: true, force: true });
});

const schedulerDirectory = (): string => join(directory, 'scheduler');
const archiveDirectory = (): string => join(directory, 'archive');
const record = () => readRecord(stateOf(schedulerDirectory()));

function start(): void {
  scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory: schedulerDirectory(),
    args: [
      ...['--artifact', 'checkout', '--cpus', '0.2', '--mem', '256'],
      ...['--disk', '1024', '--quota-backend-bytes', '100MiB'],
      ...['--archive', archiveDirectory(), '--archive-proof-interval', '1s'],
    ],
  });
}

const shown = async (what: string, isSo: (archive: PublishedArchive) => boolean): Promise<PublishedArchive> =>
  await until(what, 90_000, async () => {
    const { archive } = await scheduler.view();
    return archive !== null && isSo(archive) ? archive : null;
  });

function startWriting(): Ledger {
  const urls = record().seats.map(clientUrlOf);
  const ledger = createLedger({
    clock,
    endpoints: () => urls,
    open: (url) => createKvClient({ url }, clock),
    prefix: 'archived/',
  });
  const stop = new AbortController();
  const running = ledger.run(stop.signal);
  endWriting = async () => {
    stop.abort();
    await running;
  };
  return ledger;
}
const written = async (ledger: Ledger, count: number): Promise<void> => {
  const enough = ledger.acknowledged() + count;
  await until(`${count} more writes`, 60_000, () => ledger.acknowledged() >= enough);
};

/** What the archive has of every acknowledged write, as an etcd that was restored from it tells. */
async function missingFromArchive(ledger: Ledger): Promise<readonly string[]> {
  const store = await openDirectoryArchiveStore(archiveDirectory(), { readOnly: true });
  const archive = await openArchive(store, { archiveId: null, owner: null }, never);
  const { report, draft } = await restoreTo(archive, null, directory);
  expect(report.proofs.agreeing).toBeGreaterThan(0);
  const snapshot = join(directory, 'snapshot.db');
  await draft.keepAs(snapshot);
  const [binary] = RESTORABLE;
  if (binary === undefined) throw new Error('there is no etcd with a program that restores');
  const data = join(directory, 'restored');
  await restoreSnapshot(binary, snapshot, data);
  return await missingFromData(binary, data, ledger);
}

describe.skipIf(lacks('etcd') || RESTORABLE.length === 0)('an archived cluster', () => {
  test('loses no write from its archive when the scheduler is killed and started again', async () => {
    start();
    await shown('it is archived', ({ state, lastFull }) => state === 'following' && lastFull !== null);
    const { archive: known } = record();
    expect(known).toMatchObject({ place: archiveDirectory(), made: true });
    const ledger = startWriting();
    await written(ledger, 500);
    await scheduler.kill();
    await written(ledger, 500);
    start();
    await shown('it is archived again', ({ state }) => state === 'following');
    await written(ledger, 500);
    await endWriting();
    const { id } = await shown(
      'all is archived',
      ({ archivedRevision, seenRevision, lastProof }) =>
        Number(archivedRevision) > ledger.acknowledged() &&
        archivedRevision === seenRevision &&
        lastProof?.revision === seenRevision,
    );
    expect(id).toBe(known?.id);
    expect(await scheduler.stop()).toBe(0);

    const store = await openDirectoryArchiveStore(archiveDirectory(), { readOnly: true });
    const archive = await openArchive(store, { archiveId: id, owner: record().cluster }, never);
    const { epochs, problems } = await verifyArchive(archive, { signal: never });
    expect(problems.map(({ problem }) => problem)).toEqual([]);
    expect(epochs.map(({ gaps, runs }) => [gaps.map(({ reason }) => reason), runs.length])).toEqual([
      [['begin'], 1],
    ]);
    expect(await missingFromArchive(ledger)).toEqual([]);
  });
});
