import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openArchive } from '../../src/backup/archive.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import { type BackupAnswer, backupAnswerSchema } from '../../src/protocol/backup-answer.ts';
import type { PublishedArchive } from '../../src/protocol/view.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { never } from '../backup/sample-log.ts';
import { runCli } from '../cli/run-cli.ts';
import { lacks, lacksZooKeeper } from '../needs.ts';
import type { OneOfSeveral } from '../production/one-of-several.ts';
import {
  API_TOKEN,
  SETTLE_MS,
  type SeveralSchedulers,
  startSeveral,
} from '../production/several-schedulers.ts';
import { clock, until } from '../wait.ts';
import { restorableBinaries, restoreTo, withRestored } from './checks.ts';

/** Schedulers that share their state in a ZooKeeper, and one archive: whoever leads writes it. */

const [binary] = restorableBinaries();
/** Some time after the writer has begun. */
const APPEND = 'archive append 200';

describe.skipIf(binary === undefined || lacks('setpriv') || lacksZooKeeper())(
  'an archive of several schedulers',
  () => {
    let directory: string;
    let world: SeveralSchedulers;

    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-several-archived-'));
      world = await startSeveral();
    });
    afterEach(async ({ task }) => {
      const hasFailed = task.result?.state === 'fail';
      await world.close(hasFailed);
      if (!hasFailed) rmSync(directory, { recursive: true, force: true });
    });

    const archiveDirectory = (): string => join(directory, 'archive');
    const start = (name: string, ...pausesBefore: readonly string[]): OneOfSeveral =>
      world.start(name, {
        pausesBefore,
        args: [
          ...['--etcd-binary', binary?.path ?? '', '--archive', archiveDirectory()],
          // Each revision by itself: a write is always on its way.
          ...['--archive-segment-interval', '0s', '--archive-proof-interval', '1s'],
        ],
      });
    /** The first leads and archives under a steady writer, the other stands by. */
    const begin = async (
      ...pausesBefore: readonly string[]
    ): Promise<readonly [OneOfSeveral, OneOfSeveral]> => {
      const first = start('a', ...pausesBefore);
      await world.leader([first]);
      const second = start('b');
      await world.whole('three members');
      await archiving(first, 'it is archived');
      world.write();
      await world.written();
      await until('the other knows who leads', SETTLE_MS, async () => {
        return (await second.liveness()).leader === first.url();
      });
      return [first, second];
    };
    const archiving = async (
      one: OneOfSeveral,
      what: string,
      isSo: (archive: PublishedArchive) => boolean = () => true,
    ): Promise<PublishedArchive> =>
      await until(what, SETTLE_MS, async () => {
        const { archive } = await one.view();
        return archive?.state === 'following' && archive.lastFull !== null && isSo(archive) ? archive : null;
      });
    const written = async (count: number): Promise<void> => {
      const enough = world.ledger.acknowledged() + count;
      await until(`${count} more writes`, SETTLE_MS, () => world.ledger.acknowledged() >= enough);
    };
    /** One log of all that was acknowledged up to now, without a gap, and without what an old writer has added. */
    const expectWhole = async (leading: OneOfSeveral): Promise<void> => {
      if (binary === undefined) throw new Error('there is no etcd with a program that restores');
      await world.stopWriting();
      const { archivedRevision } = await archiving(leading, 'all is archived', (archive) => {
        const isAll = Number(archive.archivedRevision) > world.ledger.acknowledged();
        return isAll && archive.lastProof?.revision === archive.seenRevision;
      });
      const store = await openDirectoryArchiveStore(archiveDirectory(), { readOnly: true });
      const { cluster } = await world.record();
      const archive = await openArchive(store, { archiveId: null, owner: cluster }, never);
      const { epochs, problems } = await verifyArchive(archive, { signal: never });
      // What a writer that was followed has added is told of, and counts for nothing.
      expect(problems.filter(({ problem }) => !problem.includes('are no whole frame'))).toEqual([]);
      expect(epochs.map(({ gaps, runs }) => [gaps.map(({ reason }) => reason), runs.length])).toEqual([
        [['begin'], 1],
      ]);
      const { draft, report } = await restoreTo(archive, null, directory);
      expect(report.revision).toBe(archivedRevision);
      expect(report.proofs.disagreeing).toEqual([]);
      expect(report.proofs.agreeing).toBeGreaterThan(0);
      const snapshot = join(directory, 'snapshot.db');
      await draft.keepAs(snapshot);
      await withRestored(binary, snapshot, join(directory, 'restored'), async ({ url }) => {
        const client = createKvClient({ url }, clock);
        try {
          expect(await world.ledger.missingFrom(client, never)).toEqual([]);
        } finally {
          client.close();
        }
      });
    };

    test('a leader that is paused while it writes wakes beside the one that took over: it is fenced, and nothing forks', async () => {
      const [first, second] = await begin(APPEND);
      await until('it is paused with what it is about to write', SETTLE_MS, () => {
        return first.journal().some(({ moment, kinds }) => moment === 'paused' && kinds.includes(APPEND));
      });
      await world.leader([second]);
      await archiving(second, 'the next one archives');
      await written(200);
      first.kill('SIGCONT');
      await until('it has written it', SETTLE_MS, () => {
        return first.journal().some(({ moment, kinds }) => moment === 'after' && kinds.includes(APPEND));
      });
      await until('it stands by', SETTLE_MS, async () => {
        const { role, leader } = await first.liveness();
        return role === 'standby' && leader === second.url();
      });
      await written(200);
      await archiving(second, 'the next one archives still');
      await expectWhole(second);
    });

    test('a full that a standby is asked for is taken by the one that leads', async () => {
      const [first, second] = await begin();
      const ask = async (path: string, init: RequestInit = {}): Promise<BackupAnswer> => {
        const headers = { 'content-type': 'application/json', authorization: `Bearer ${API_TOKEN}` };
        const response = await fetch(`${second.url()}${path}`, { ...init, headers });
        expect([200, 202]).toContain(response.status);
        return backupAnswerSchema.parse(await response.json());
      };
      let answer = await ask('/v1/backup', {
        method: 'POST',
        body: JSON.stringify({ reason: 'through a standby' }),
      });
      const taken = await until('it is taken', SETTLE_MS, async () => {
        if (answer.outcome === 'under-way') answer = await ask(`/v1/backup/requests/${answer.id}`);
        return answer.outcome === 'taken' ? answer : null;
      });
      expect((await first.view()).archive?.lastFull?.name).toBe(taken.name);

      const refused = await fetch(`${second.url()}/v1/backup`, {
        method: 'POST',
        headers: { 'x-forwarded-for': '10.9.9.9' },
      });
      expect(refused.status).toBe(401);
      const asked = await runCli([
        'backup',
        'now',
        '--scheduler',
        second.url(),
        '--token-file',
        world.tokenFile,
      ]);
      expect(asked.stdout).toContain('it was read back whole');
      expect(asked.code).toBe(0);
      await expectWhole(first);
    });
  },
);
