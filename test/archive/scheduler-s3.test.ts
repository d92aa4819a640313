import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Verification } from '../../src/backup/survey.ts';
import type { Ledger } from '../../src/drills/ledger.ts';
import type { PublishedArchive } from '../../src/protocol/view.ts';
import type { ArchiveSurvey } from '../../src/runtime/archive-place.ts';
import { type CliResult, runCli } from '../cli/run-cli.ts';
import { type S3Server, s3ServerProgram, startS3Server } from '../contract/archive-store/s3-server.ts';
import type { SchedulerProcess } from '../e2e/scheduler-process.ts';
import { lacks } from '../needs.ts';
import { PHASE_MS_MAX, startTrial, type Trial, type Writer } from '../production/trial.ts';
import { restoreProgram } from '../real-etcd/binaries.ts';
import { until } from '../wait.ts';
import { missingFromData, restorableBinaries } from './checks.ts';

/** A cluster under a steady writer, whose scheduler archives it to a real S3 server. */

const program = s3ServerProgram();
const [binary] = restorableBinaries();

describe.skipIf(program === null || binary === undefined || lacks('setpriv'))('an archive in S3', () => {
  let server: S3Server;
  let trial: Trial;
  let scheduler: SchedulerProcess;
  let writer: Writer;
  let environment: Readonly<Record<string, string>>;
  const place = 's3://bucket/clusters/etcd';

  beforeEach(async () => {
    server = await startS3Server(program ?? '');
    environment = {
      AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
    };
    trial = await startTrial('s3', 3, { environment });
    start();
    await shown('it is archived', ({ state, lastFull }) => state === 'following' && lastFull !== null);
    writer = await trial.startWriter();
  });
  afterEach(async ({ task }) => {
    await trial.end(task.result?.state === 'fail');
    await server.close();
  });

  const endpoint = (): string => `http://127.0.0.1:${server.port}`;
  const start = (): void => {
    scheduler = trial.start(
      ...['--etcd-binary', binary?.path ?? '', '--archive', place, '--archive-s3-endpoint', endpoint()],
      ...['--archive-s3-path-style', 'true', '--archive-proof-interval', '1s'],
    );
  };
  const shown = async (
    what: string,
    isSo: (archive: PublishedArchive) => boolean,
  ): Promise<PublishedArchive> =>
    await until(what, PHASE_MS_MAX, async () => {
      const { archive } = await scheduler.view();
      return archive !== null && isSo(archive) ? archive : null;
    });
  const written = async (count: number): Promise<void> => {
    const enough = writer.ledger.acknowledged() + count;
    await until(`${count} more writes`, PHASE_MS_MAX, () => writer.ledger.acknowledged() >= enough);
  };
  const ofScheduler = async (...words: readonly string[]): Promise<CliResult> => {
    const url = await until('the scheduler listens', PHASE_MS_MAX, () => scheduler.apiUrl());
    return await runCli([...words, '--scheduler', url], {}, null, PHASE_MS_MAX);
  };
  const ofArchive = async (...words: readonly string[]): Promise<string> => {
    const flags = ['--archive', place, '--s3-endpoint', endpoint(), '--s3-path-style'];
    const { code, stdout, stderr } = await runCli([...words, ...flags], environment, null, PHASE_MS_MAX);
    expect(code, stdout + stderr).toBe(0);
    return stdout;
  };
  /** What the archive alone gives of all that was acknowledged. */
  const missingFromArchive = async (ledger: Ledger): Promise<readonly string[]> => {
    if (binary === undefined) throw new Error('there is no etcd with a program that restores');
    const data = join(trial.directory, 'restored');
    const peer = 'http://127.0.0.1:2380';
    const member = ['--name', 'm0', '--initial-cluster', `m0=${peer}`, '--initial-advertise-peer-urls', peer];
    await ofArchive(
      ...['restore', '--data-dir', data, ...member, '--all-hashes'],
      ...['--etcdutl', restoreProgram(binary) ?? ''],
    );
    return await missingFromData(binary, data, ledger);
  };
  /** One log without a gap but that of its beginning, all of it restored and held against its hashes, nothing lost. */
  const expectWhole = async (): Promise<void> => {
    await writer.stop();
    await shown('all is archived', ({ state, archivedRevision, seenRevision, lastProof }) => {
      const isAll = Number(archivedRevision) > writer.ledger.acknowledged();
      return state === 'following' && isAll && lastProof?.revision === seenRevision;
    });
    expect(await scheduler.stop()).toBe(0);
    const listed = JSON.parse(await ofArchive('backup', 'list', '--json')) as ArchiveSurvey;
    expect(listed.epochs.map(({ restorable }) => restorable.length)).toEqual([1]);
    const { epochs, problems } = JSON.parse(await ofArchive('backup', 'verify', '--json')) as Verification;
    expect(problems).toEqual([]);
    expect(epochs.map(({ gaps, runs }) => [gaps.map(({ reason }) => reason), runs.length])).toEqual([
      [['begin'], 1],
    ]);
    expect(await missingFromArchive(writer.ledger)).toEqual([]);
  };

  test('has every acknowledged write when the scheduler is killed under them and another takes over', async () => {
    await written(300);
    await scheduler.kill();
    await written(300);
    start();
    await shown('it is archived again', ({ state }) => state === 'following');
    const now = await ofScheduler('backup', 'now', '--reason', 'a trial');
    expect(now.stdout).toContain('it was read back whole');
    expect(now.code).toBe(0);
    await written(300);
    await expectWhole();
  });

  test.for([
    ['hangs', 'SIGSTOP'],
    ['is gone', 'SIGKILL'],
  ] as const)('has every acknowledged write where the server %s for a while', async ([, how]) => {
    await written(100);
    server.signal(how);
    await shown('it says so', ({ state }) => state === 'away');
    await written(300);
    const status = await ofScheduler('backup', 'status');
    expect(status.stdout).toContain(`${place} takes nothing`);
    expect(status.code).toBe(1);
    // What waits there outlives the scheduler.
    await shown('it is spooled', ({ spooledBytes }) => spooledBytes > 0);
    if (how === 'SIGSTOP') server.signal('SIGCONT');
    else await server.start();
    await shown(
      'it is written again',
      ({ state, spooledBytes }) => state === 'following' && spooledBytes === 0,
    );
    expect((await ofScheduler('backup', 'status')).code).toBe(0);
    await expectWhole();
  });
});
