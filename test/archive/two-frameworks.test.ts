import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openArchive } from '../../src/backup/archive.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { never } from '../backup/sample-log.ts';
import { readRecord } from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from '../e2e/scheduler-process.ts';
import { smallAgents } from '../e2e/small-agents.ts';
import { lacks } from '../needs.ts';
import { until } from '../wait.ts';

/** Frameworks of one Mesos that are told to archive to the same place: it stays the first one's. */

const PHASE_MS_MAX = 120_000;
/** An exit code: what is there is not what a first start may begin beside. */
const NOT_FIRST_START = 8;

describe.skipIf(lacks('etcd', 'setpriv'))('an archive that two frameworks are given', () => {
  let directory: string;
  let mesos: LocalCluster;
  const running = new Set<SchedulerProcess>();

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-two-archived-'));
    mesos = await startLocalCluster({
      directory: join(directory, 'mesos'),
      agents: smallAgents(['a', 'b', 'c']),
      allocationIntervalMs: 100,
    });
  });
  afterEach(async ({ task }) => {
    for (const scheduler of running) await scheduler.stop();
    await mesos.close();
    if (task.result?.state === 'fail') console.log(`what was left is in ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  });

  const archiveDirectory = (): string => join(directory, 'archive');
  const homeOf = (name: string): string => join(directory, name);
  const recordOf = (name: string) => readRecord(stateOf(homeOf(name)));
  const start = (name: string, ...args: readonly string[]): SchedulerProcess => {
    const scheduler = startScheduler({
      masterUrl: mesos.masterUrl,
      directory: homeOf(name),
      args: [
        ...['--framework-name', name, '--cluster-size', '1', '--artifact', 'checkout'],
        ...['--cpus', '0.2', '--mem', '256', '--disk', '1024', ...args],
      ],
    });
    running.add(scheduler);
    return scheduler;
  };
  const archived = (): readonly string[] => ['--archive', archiveDirectory()];
  const end = async (scheduler: SchedulerProcess): Promise<void> => {
    expect(await scheduler.stop()).toBe(0);
    running.delete(scheduler);
  };
  const shown = async (
    scheduler: SchedulerProcess,
    what: string,
    isSo: (view: PublishedView) => boolean,
  ): Promise<PublishedView> =>
    await until(what, PHASE_MS_MAX, async () => {
      const view = await scheduler.view();
      return isSo(view) ? view : null;
    });
  const isFollowing = ({ archive }: PublishedView): boolean =>
    archive?.state === 'following' && archive.lastFull !== null;

  test('stays the first one’s: the second is refused, changes nothing of it, and its cluster goes on', async () => {
    const first = start('first', ...archived());
    const second = start('second');
    await shown(first, 'the first archives', isFollowing);
    await shown(second, 'the second has its members', ({ health }) => health.state === 'healthy');
    await end(first);
    await end(second);
    const owner = recordOf('first').cluster;
    const other = recordOf('second').cluster;

    const before = contentOf(archiveDirectory());
    const told = start('second', ...archived());
    const { archive, warnings } = await shown(told, 'it is refused', (view) => {
      return view.archive?.state === 'refused';
    });
    expect(archive?.problem).toContain(
      `${archiveDirectory()} holds the archive of ${owner}, not of ${other}. Give every cluster an archive of its own.`,
    );
    expect(warnings.map(({ code }) => code)).toContain('archive-refused');
    await shown(told, 'its cluster goes on', ({ health }) => health.state === 'healthy');
    expect(contentOf(archiveDirectory())).toEqual(before);

    const again = start('first', ...archived());
    await shown(again, 'the first archives again, beside the one that is refused', isFollowing);
    expect((await told.view()).archive?.state).toBe('refused');
    await end(told);
    await end(again);
    const store = await openDirectoryArchiveStore(archiveDirectory(), { readOnly: true });
    const own = await openArchive(store, { archiveId: null, owner }, never);
    const { epochs, problems } = await verifyArchive(own, { signal: never });
    expect(problems).toEqual([]);
    expect(epochs.map(({ gaps }) => gaps.map(({ reason }) => reason))).toEqual([['begin']]);
  });

  test('is not begun beside: a framework that was not there yet ends and says what is in the way', async () => {
    const first = start('first', ...archived());
    await shown(first, 'the first archives', isFollowing);
    await end(first);
    const before = contentOf(archiveDirectory());
    const { code, stderr } = await start('other', ...archived()).ended;
    expect(stderr).toContain(`of cluster ${recordOf('first').cluster}`);
    expect(stderr).toContain('needs an --archive of its own');
    expect(code).toBe(NOT_FIRST_START);
    expect(contentOf(archiveDirectory())).toEqual(before);
  });
});

/** Every file with a hash of its bytes. */
function contentOf(directory: string): Readonly<Record<string, string>> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    files
      .map(({ parentPath, name }) => join(parentPath, name))
      .toSorted()
      .map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]),
  );
}
