import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { afterEach, beforeEach, expect, type TestContext, test } from 'vitest';
import { openArchive } from '../../src/backup/archive.ts';
import { hashKv } from '../../src/backup/backend/hash-kv.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import { createEtcdClient } from '../../src/etcd/client.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { PublishedPlan } from '../../src/protocol/view.ts';
import type { ArchiveSurvey } from '../../src/runtime/archive-place.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { createDrafts } from '../../src/runtime/draft-files.ts';
import { expectSame, restoreTo } from '../archive/checks.ts';
import { observe } from '../archive/workload.ts';
import { never } from '../backup/sample-log.ts';
import { runCli } from '../cli/run-cli.ts';
import type { SchedulerProcess } from '../e2e/scheduler-process.ts';
import { skipWithout } from '../needs.ts';
import { type EtcdBinary, etcdBinaries, restoreProgram } from '../real-etcd/binaries.ts';
import { clock, until } from '../wait.ts';
import { type OperationsTrial, PHASE_MS_MAX, seatOf, startTrial, type Whole } from './trial.ts';

/*
 * Members that run are brought to other options, other resources and another etcd under a steady writer: never more
 * than one is out, and nothing that was acknowledged is lost.
 */

const SLOTS = ['etcd-0', 'etcd-1', 'etcd-2'];
/** An election for every member at most, on a busy machine. */
const GAP_MS_MAX = 15_000;
/** Longer than the cluster has to be well before the next member has its turn. */
const HELD_MS = 15_000;

let trial: (OperationsTrial & { readonly born: Whole }) | undefined;
let scheduler: SchedulerProcess;

beforeEach((context) => skipWithout(context, 'etcd', 'setpriv'));
afterEach(async ({ task }) => {
  await trial?.end(task.result?.state === 'fail');
  trial = undefined;
});

async function begin(name: string, ...schedulerArgs: readonly string[]): Promise<typeof trial & object> {
  // A place in which a larger member fits is not needed: agents have room.
  const begun = await startTrial(name, { agents: 3, schedulerArgs });
  scheduler = begun.scheduler();
  trial = begun;
  return begun;
}

/** The scheduler's options change: it is started again with others. */
async function restartWith(of: OperationsTrial, ...args: readonly string[]): Promise<void> {
  await scheduler.stop();
  scheduler = of.start(...args);
}

const isRolledOut = ({ rollout }: ClusterRecord): boolean => rollout === null;
const planOf = async (name: string): Promise<PublishedPlan> =>
  await until(`the plan ${name}`, PHASE_MS_MAX, async () => {
    const { plans } = await scheduler.view();
    return plans.find((plan) => plan.name === name);
  });
const versions = async (): Promise<readonly (string | null)[]> =>
  (await scheduler.view()).members.map(({ etcdVersion }) => etcdVersion);

/** In the order in which they were launched last. */
function lastLaunches({ record }: Whole): string[] {
  return record.seats.toSorted((one, other) => one.launchedAtMs - other.launchedAtMs).map(({ slot }) => slot);
}

function ofMinor(context: TestContext, minor: number): EtcdBinary {
  const found = etcdBinaries().find(({ version }) => version.minor === minor);
  if (found !== undefined) return found;
  console.log(`tests are skipped: no etcd 3.${minor} in PATH, in ETCD_BINARIES and in .cache/etcd`);
  return context.skip(`no etcd 3.${minor}`);
}

test('other options of etcd and other resources reach every member in place, the leader last', async () => {
  const of = await begin('options');
  const leader = await of.leader();
  const report = await of.observe(
    'other options and resources',
    async () => await restartWith(of, '--snapshot-count', '5000', '--cpus', '0.2', '--mem', '320'),
    (record) => isRolledOut(record) && record.seats.every(({ pinned }) => pinned.etcd.snapshotCount === 5000),
  );
  expect(report.outMax).toBeLessThanOrEqual(1);
  expect(report.gapMs).toBeLessThan(GAP_MS_MAX);
  expect(report.whole.voters).toEqual(of.born.voters);
  // What is reserved was held against the record when the cluster was at rest.
  for (const slot of SLOTS) {
    const { id, launches, resources } = seatOf(report.whole, slot);
    expect({ id, launches, resources }).toEqual({
      id: seatOf(of.born, slot).id,
      launches: 2,
      resources: { cpus: 0.2, memMb: 320, diskMb: 1024 },
    });
  }
  expect(lastLaunches(report.whole).at(-1)).toBe(leader);
  expect((await planOf('update')).status).toBe('COMPLETE');
  await of.expectNothingLost();
});

test.for([
  [4, 5],
  [5, 6],
] as const)(
  'etcd 3.%i goes to 3.%i member by member, after a word; a pause outlives the scheduler',
  async ([from, to], context) => {
    const [old, next] = [ofMinor(context, from), ofMinor(context, to)];
    const of = await begin(`upgrade-${from}-${to}`, '--etcd-binary', old.path);
    const leader = await of.leader();
    expect(await versions()).toEqual(SLOTS.map(() => old.version.text));

    await restartWith(of, '--etcd-binary', next.path);
    const waiting = await planOf('update');
    expect(waiting.status).toBe('WAITING');
    expect(waiting.phases[0]?.steps[0]?.message).toMatch(
      /becomes etcd 3.*no archive: no full is taken; waits for etcd-mesos update start/,
    );

    const paused = await of.observe(
      `3.${from} to 3.${to}, paused after the first member`,
      async () => {
        expect(await of.command('update', 'start')).toContain('one after the other, the leader last');
        await until(
          'the first member to have its turn',
          PHASE_MS_MAX,
          () => of.record().rollout?.step != null,
        );
        expect(await of.command('update', 'pause')).toContain('has been paused');
        await scheduler.kill();
        scheduler = of.start('--etcd-binary', next.path);
      },
      ({ rollout }) => rollout !== null && rollout.step === null,
    );
    const pausedAtMs = clock.monotonicMs();
    await until('it to be held longer than a step takes', PHASE_MS_MAX, async () => {
      expect((await planOf('update')).status).toBe('WAITING');
      return clock.monotonicMs() - pausedAtMs > HELD_MS;
    });
    const updated = paused.whole.record.seats.filter(({ launches }) => launches > 1);
    expect(updated.map(({ slot }) => slot)).toEqual(
      of
        .record()
        .seats.filter(({ launches }) => launches > 1)
        .map(({ slot }) => slot),
    );
    expect(updated.length).toBeLessThanOrEqual(1);
    expect((await planOf('update')).paused?.by).toMatch(/@.* at 127\.0\.0\.1$/);

    const resumed = await of.observe(
      `3.${from} to 3.${to}, resumed`,
      async () => expect(await of.command('update', 'resume')).toContain('has been resumed'),
      isRolledOut,
    );
    expect(await versions()).toEqual(SLOTS.map(() => next.version.text));
    expect(Math.max(paused.outMax, resumed.outMax)).toBe(1);
    expect(Math.max(paused.gapMs, resumed.gapMs)).toBeLessThan(GAP_MS_MAX);
    expect(resumed.whole.voters).toEqual(of.born.voters);
    expect(lastLaunches(resumed.whole).at(-1)).toBe(leader);

    // etcd's cluster version rises a moment after the last member has the new one: there is no way back then.
    await until('the way back to be closed', PHASE_MS_MAX, async () => {
      await restartWith(of, '--etcd-binary', old.path);
      const refused = await until('an answer', PHASE_MS_MAX, async () => {
        const answer = await of.cli('update', 'start');
        return /has not formed|not subscribed/.test(answer.stderr) ? null : answer;
      });
      return refused.stderr.includes('a downgrade takes a backup') ? refused : null;
    });
    expect((await planOf('update')).status).toBe('ERROR');
    await restartWith(of, '--etcd-binary', next.path);
    await of.expectNothingLost();
  },
);

test.for([
  [4, 5],
  [5, 6],
] as const)(
  'where there is an archive etcd 3.%i goes to 3.%i only after a full backup, which is the way back; it is archived all the way',
  async ([from, to], context) => {
    const [old, next] = [ofMinor(context, from), ofMinor(context, to)];
    const archive = join(mkdtempSync(join(tmpdir(), 'etcd-mesos-upgrade-')), 'archive');
    const archived = ['--archive', archive, '--archive-proof-interval', '1s'];
    const of = await begin(`upgrade-archived-${from}-${to}`, '--etcd-binary', old.path, ...archived);
    await until('it is archived', PHASE_MS_MAX, async () => {
      const { archive: seen } = await scheduler.view();
      return seen?.state === 'following' && seen.lastFull !== null;
    });
    await restartWith(of, '--etcd-binary', next.path, ...archived);
    await until('the plan to begin with a full backup', PHASE_MS_MAX, async () => {
      const [first] = (await planOf('update')).phases[0]?.steps ?? [];
      return first?.name === 'full-backup' && first.message.endsWith('; waits for etcd-mesos update start');
    });

    await of.observe(
      `${old.version.text} to ${next.version.text}, with an archive`,
      async () => expect(await of.command('update', 'start')).toContain('a full backup is taken first'),
      isRolledOut,
    );
    expect(await versions()).toEqual(SLOTS.map(() => next.version.text));
    const { stdout } = await runCli(['backup', 'list', '--archive', archive, '--json']);
    const { epochs } = JSON.parse(stdout) as Pick<ArchiveSurvey, 'epochs'>;
    const taken = epochs.flatMap(({ fulls }) => fulls.map(({ name, document }) => ({ name, ...document })));
    const before = taken.filter(({ reason }) => reason === `before the upgrade to etcd ${next.version.text}`);
    const [full, ...others] = before;
    if (full === undefined) throw new Error(`no full was taken for it: ${JSON.stringify(taken)}`);
    expect(others).toEqual([]);
    expect(full.etcdVersion).toBe(old.version.text);
    expect(full.finishedAtMs).toBeLessThan(
      Math.min(...of.record().seats.map(({ launchedAtMs }) => launchedAtMs)),
    );

    expect(await of.command('backup', 'now', '--reason', 'a trial')).toContain('it was read back whole');
    expect(await of.command('backup', 'status')).toContain(`${archive} is written`);

    const takenAt = new Date(full.finishedAtMs).toISOString();
    await until('the way back to be closed, and the full to be named', PHASE_MS_MAX, async () => {
      await restartWith(of, '--etcd-binary', old.path, ...archived);
      const { stderr } = await of.cli('update', 'start');
      return stderr.includes(`restore --to ${takenAt}, when a full of etcd ${old.version.text} was taken`);
    });
    await restartWith(of, '--etcd-binary', next.path, ...archived);
    await of.expectNothingLost();
    await expectArchivedAsItLives(of, archive, full.revision);
    const program = restoreProgram(old);
    const back = await runCli(
      [
        ...['restore', '--archive', archive, '--to', takenAt, '--data-dir', join(of.directory, 'back')],
        ...['--json', ...(program === null ? [] : ['--etcdutl', program])],
      ],
      {},
      null,
      PHASE_MS_MAX,
    );
    expect(back.code, back.stderr).toBe(0);
    expect(JSON.parse(back.stdout)).toMatchObject({
      full: { name: full.name },
      program: { version: old.version.text },
      proofs: { disagreeing: [] },
    });
    rmSync(dirname(archive), { recursive: true });
  },
);

/**
 * Nobody writes any more: the archive has a log without a gap, and what is restored of it is what each member has, key
 * by key and by its hash; with the full from before the upgrade and all that came since as well as with the newest.
 */
async function expectArchivedAsItLives(
  of: OperationsTrial,
  place: string,
  fullBefore: string | null,
): Promise<void> {
  await until('all to be archived', PHASE_MS_MAX, async () => {
    const { archive } = await scheduler.view();
    const isAll = archive !== null && archive.archivedRevision === archive.seenRevision;
    return isAll && archive.state === 'following' && archive.lastProof?.revision === archive.seenRevision;
  });
  const store = await openDirectoryArchiveStore(place, { readOnly: true });
  const archive = await openArchive(store, { archiveId: null, owner: of.record().cluster }, never);
  const { epochs, problems } = await verifyArchive(archive, {
    newFile: createDrafts(of.directory),
    signal: never,
  });
  expect(problems).toEqual([]);
  expect(epochs.map(({ gaps, runs }) => [gaps.map(({ reason }) => reason), runs.length])).toEqual([
    [['begin'], 1],
  ]);
  const [first] = epochs
    .flatMap(({ restorable }) => restorable)
    .filter(({ fromRevision }) => fromRevision === fullBefore);
  expect(first?.proofs?.disagreeing).toEqual([]);
  expect(first?.proofs?.agreeing).toBeGreaterThan(0);

  const { backend, report, draft } = await restoreTo(archive, null, of.directory);
  expect(report.proofs.disagreeing).toEqual([]);
  for (const seat of of.record().seats) {
    const url = clientUrlOf(seat);
    const [ours, theirs] = [createEtcdClient({ url }, clock), new Etcd3({ hosts: url })];
    try {
      const seen = await observe(theirs);
      expect(String(seen.revision)).toBe(report.revision);
      await expectSame(backend, seen);
      const { hash, compactRevision } = await ours.hashKv(report.revision, AbortSignal.timeout(10_000));
      expect((await hashKv(backend, { compactRevision: BigInt(compactRevision) })).hash, seat.slot).toBe(
        hash,
      );
    } finally {
      ours.close();
      theirs.close();
    }
  }
  await draft.discard();
}

test('a member that does not serve with what is new stops the update; the former options heal it', async (context) => {
  const binary = ofMinor(context, 4);
  const of = await begin('failing', '--etcd-binary', binary.path);
  const broken = join(of.directory, 'broken-etcd');
  writeFileSync(
    broken,
    `#!/bin/sh\n[ "$1" = --version ] && exec ${binary.path} --version\necho 'broken' >&2\nexit 1\n`,
  );
  chmodSync(broken, 0o755);
  const strict = ['--update-step-timeout', '15s'];
  const failed = await of.observe(
    'another etcd that does not run, and back',
    async () => {
      await restartWith(of, '--etcd-binary', broken, ...strict);
      await until(
        'the plan to wait',
        PHASE_MS_MAX,
        async () => (await planOf('update')).status === 'WAITING',
      );
      await of.command('update', 'start');
      await until(
        'the update to stop',
        PHASE_MS_MAX,
        async () => (await planOf('update')).status === 'ERROR',
      );
      expect(await of.command('update', 'status')).toMatch(/\(ERROR\): it did not serve again in 1\d s/);
      expect(of.record().seats.filter(({ launches }) => launches > 1)).toHaveLength(1);
      await restartWith(of, '--etcd-binary', binary.path, ...strict);
    },
    isRolledOut,
  );
  expect(failed.outMax).toBe(1);
  expect(failed.whole.voters).toEqual(of.born.voters);
  expect(failed.whole.record.seats.filter(({ launches }) => launches > 1)).toHaveLength(1);
  await of.expectNothingLost();
});
