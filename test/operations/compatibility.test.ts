import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readPin } from '../../src/protocol/artifact-pin.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { decodeStateFile } from '../../src/runtime/state-header.ts';
import { runCli } from '../cli/run-cli.ts';
import { etcdProcesses } from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, stateOf } from '../e2e/scheduler-process.ts';
import { skipUnless, skipWithout } from '../needs.ts';
import { PHASE_MS_MAX, seatOf, startTrial, type Trial, type Whole } from '../production/trial.ts';
import { until } from '../wait.ts';
import { buildPreviousRelease, type PreviousRelease } from './previous-release.ts';

/*
 * The scheduler of the previous release and the present one take over from each other, both ways, while the members
 * live: by the record, and by the protocol of the supervisors, which are of either release.
 */

const PRESENT = resolve(import.meta.dirname, '../../dist/etcd-mesos.js');

let previous: PreviousRelease | null = null;
let trial: Trial;

beforeAll(async () => {
  previous = await buildPreviousRelease();
});
afterAll(() => previous?.remove());
beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'etcdctl', 'setpriv', 'git', 'tar');
  skipUnless(context, previous !== null, 'the history of these sources does not hold the previous release');
  trial = await startTrial('compatibility', 3);
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

/** The schema that is stored, whatever reads it. */
function storedSchema(): number {
  const path = join(stateOf(trial.directory), 'record');
  const stored: unknown = JSON.parse(
    new TextDecoder().decode(decodeStateFile(readFileSync(path), path).bytes),
  );
  return (stored as { schemaVersion: number }).schemaVersion;
}

/** Who runs: by seat its task and the process of its etcd. */
function running({ cluster, seats }: ClusterRecord): unknown {
  const pids = new Map(etcdProcesses(cluster).map(({ seat, pid }) => [seat, pid]));
  return Object.fromEntries(seats.map(({ id, task }) => [id, { task, pid: pids.get(id) }]));
}

/** A scheduler takes over, sees every member serve, and touches none. */
async function takesOver(
  before: Whole,
  entry: string,
): Promise<{ scheduler: SchedulerProcess; whole: Whole }> {
  const processes = running(before.record);
  const { generation } = before.record;
  const scheduler = trial.startBuilt(entry);
  await until('every member serves, by the word of the scheduler', PHASE_MS_MAX, async () => {
    const { health, members } = await scheduler.view();
    return health.state === 'healthy' && members.length === 3 && members.every(({ healthy }) => healthy);
  });
  const whole = await trial.settled('the cluster is taken over', (record) => record.generation > generation);
  expect(running(whole.record)).toEqual(processes);
  expect(whole.voters).toEqual(before.voters);
  expect(storedSchema()).toBe(2);
  return { scheduler, whole };
}

/** A supervisor is killed: its member comes back on its data, the others are not touched. */
async function relaunched(before: Whole, slot: string): Promise<Whole> {
  const seat = seatOf(before, slot);
  const task = trial.mesos.tasks(trial.agentOf(seat)).find(({ taskId }) => taskId === seat.task);
  process.kill(task?.taskPid ?? Number.NaN, 'SIGKILL');
  const after = await trial.settled(`${slot} is back`, (record) =>
    record.seats.some((one) => one.id === seat.id && one.task !== seat.task),
  );
  expect(after.voters).toEqual(before.voters);
  for (const other of before.record.seats.filter(({ id }) => id !== seat.id)) {
    expect(seatOf(after, other.slot).task).toBe(other.task);
  }
  return after;
}

const artifactOf = ({ pinned }: Seat) => readPin(pinned.artifact).id;

test('schedulers of the previous release and of this one take over from each other, and no task is touched', async () => {
  const entry = previous?.entry ?? '';
  let scheduler = trial.startBuilt(entry);
  let whole = await trial.settled('the members of the previous release');
  const writer = await trial.startWriter();
  const old = artifactOf(seatOf(whole, 'etcd-0'));
  expect(storedSchema()).toBe(2);
  expect(await scheduler.stop()).toBe(0);

  ({ scheduler, whole } = await takesOver(whole, PRESENT));
  whole = await relaunched(whole, 'etcd-0');
  expect(artifactOf(seatOf(whole, 'etcd-0'))).toBe(old);
  await scheduler.stop();

  // On another machine the tarball that the members run is not there: then one that ends runs the present one.
  const kept = join(stateOf(trial.directory), 'artifacts');
  for (const name of readdirSync(kept)) rmSync(join(kept, name), { recursive: true });
  ({ scheduler, whole } = await takesOver(whole, PRESENT));
  whole = await relaunched(whole, 'etcd-1');
  expect(artifactOf(seatOf(whole, 'etcd-1'))).not.toBe(old);
  await scheduler.stop();

  ({ scheduler, whole } = await takesOver(whole, entry));
  whole = await relaunched(whole, 'etcd-1');
  whole = await relaunched(whole, 'etcd-2');
  await scheduler.stop();

  ({ scheduler, whole } = await takesOver(whole, PRESENT));
  await writer.written();
  await writer.stop();
  await trial.expectNothingMissing(whole, writer.ledger);
});

test('the previous release starts nothing over an operation that it does not know, and says so', async () => {
  const entry = previous?.entry ?? '';
  const scheduler = trial.startBuilt(PRESENT);
  const born = await trial.settled('the members');
  await until('the scheduler listens', PHASE_MS_MAX, () => scheduler.apiUrl());
  // There are no more agents than members: it does not end by itself.
  const address = ['--scheduler', scheduler.apiUrl() ?? ''];
  expect((await runCli(['scale', '5', ...address])).code).toBe(0);
  await until('it is stored', PHASE_MS_MAX, () => storedSchema() === 3);
  await scheduler.stop();
  const processes = running(trial.record());

  const { code, stderr } = await trial.startBuilt(entry).ended;
  expect(code).not.toBe(0);
  expect(stderr).toContain('the stored cluster record has schema 3, this build reads up to 2');
  expect(running(trial.record())).toEqual(processes);

  const next = trial.startBuilt(PRESENT);
  await until('the members are seen again', PHASE_MS_MAX, async () => (await next.view()).health.leader);
  expect((await runCli(['scale', '3', '--scheduler', next.apiUrl() ?? ''])).code).toBe(0);
  const back = await trial.settled('it was taken back', () => storedSchema() === 2);
  expect(running(back.record)).toEqual(processes);
  await next.stop();
  await takesOver(back, entry);
  expect(back.voters).toEqual(born.voters);
});
