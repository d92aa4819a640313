import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { decodeStateFile, encodeStateFile } from '../../src/runtime/state-header.ts';
import { startScheduler as subscribe } from '../local/scheduler-client.ts';
import { skipWithout } from '../needs.ts';
import { until } from '../wait.ts';
import { etcdProcesses, readRecord } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';
import { agentNames, smallAgents } from './small-agents.ts';

/*
 * What is wrong with a start, or with a volume, beside a cluster that runs: it is told in words and by the exit
 * code, and the cluster is none the worse. What needs no cluster to go wrong is in test/cli.
 */

const LIMIT_MS = 60_000;
const MEMBER = ['--cpus', '0.1', '--mem', '256', '--disk', '1024', '--artifact', 'checkout'];

let directory = '';
let cluster: LocalCluster;
let schedulers: SchedulerProcess[] = [];

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-bad-input-'));
  schedulers = [];
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(agentNames(4)),
  });
});
afterEach(async () => {
  for (const scheduler of schedulers) await scheduler.stop();
  if (directory === '') return;
  await cluster.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A scheduler with its state in a folder of the test's directory. */
function start(home: string, ...args: readonly string[]): SchedulerProcess {
  const scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory: join(directory, home),
    args: [...MEMBER, ...args],
  });
  schedulers.push(scheduler);
  return scheduler;
}

async function whole(scheduler: SchedulerProcess): Promise<PublishedView> {
  return await until('a healthy cluster', LIMIT_MS, async () => {
    const view = await scheduler.view();
    const { health, size, members, intent } = view;
    const isWhole = health.healthyVoters === size && members.length === size && intent === null;
    return isWhole && health.state === 'healthy' ? view : null;
  });
}

const identities = (view: PublishedView) =>
  view.members.map(({ slot, seat, task, memberId }) => [slot, seat, task, memberId]);

/** The state of the first scheduler as another start finds it, once it was changed. */
function copyOfState(name: string, change: (state: string) => void): string {
  cpSync(stateOf(join(directory, 'first')), stateOf(join(directory, name)), { recursive: true });
  change(stateOf(join(directory, name)));
  return name;
}

function changeRecord(state: string, change: (record: Record<string, unknown>) => void): void {
  const path = join(state, 'record');
  const { version, bytes } = decodeStateFile(readFileSync(path), path);
  const record = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
  change(record);
  writeFileSync(path, encodeStateFile({ version, bytes: Buffer.from(JSON.stringify(record)) }));
}

async function ending(scheduler: SchedulerProcess) {
  const { code, stderr } = await scheduler.ended;
  expect(stderr).not.toMatch(/\n\s+at /);
  return { code, stderr };
}

test('a second start that is wrong says so and leaves the cluster that runs alone', async () => {
  const first = start('first', '--cluster-size', '1');
  const before = await whole(first);
  const said = (...words: readonly string[]) => ({ stderr: expect.stringMatching(words.join('[^]*')) });

  expect(await ending(start('first'))).toMatchObject({ code: 5, ...said('in use by process \\d+', 'Stop') });
  expect(await ending(start('second'))).toMatchObject({ code: 6, ...said("'etcd' is connected", 'Stop it') });
  expect(await first.stop()).toBe(0);

  const unknown = start('second');
  expect(await ending(unknown)).toMatchObject({ code: 8, ...said("another scheduler's key", 'key file') });
  const nothing = start('third', '--framework-name', 'other', '--bootstrap', 'adopt');
  expect(await ending(nothing)).toMatchObject({ code: 8, ...said("'other'", '--bootstrap=adopt') });
  const renamed = start(
    copyOfState('renamed', () => undefined),
    '--framework-name',
    'other',
  );
  expect(await ending(renamed)).toMatchObject({
    code: 5,
    ...said("'etcd', not 'other'", 'cannot be renamed'),
  });
  const newer = copyOfState('newer', (state) => {
    changeRecord(state, (record) => {
      record['schemaVersion'] = 99;
    });
  });
  expect(await ending(start(newer))).toMatchObject({ code: 5, ...said('schema 99', 'newer etcd-mesos') });
  const malformed = copyOfState('malformed', (state) => {
    changeRecord(state, (record) => {
      record['generation'] = 'many';
    });
  });
  expect(await ending(start(malformed))).toMatchObject({ code: 5, ...said('malformed', 'generation') });
  const cut = copyOfState('cut', (state) => {
    writeFileSync(join(state, 'record'), readFileSync(join(state, 'record')).subarray(0, -10));
  });
  expect(await ending(start(cut))).toMatchObject({ code: 5, ...said('is damaged', 'copy of it') });
  const keyless = copyOfState('keyless', (state) => rmSync(join(state, 'order-key.pem')));
  expect(await ending(start(keyless))).toMatchObject({ code: 5, ...said('order key', '--order-key-file') });

  const after = await whole(start('first', '--cluster-size', '1'));
  expect(identities(after)).toEqual(identities(before));
  expect(after.framework.id).toBe(before.framework.id);
});

test('a volume with the data of another cluster is never run on: another member takes the place', async () => {
  const scheduler = start('first', '--cluster-size', '3');
  const before = await whole(scheduler);
  const victim = before.members.find(({ slot }) => slot === 'etcd-1');
  const agent = cluster.agents.findIndex(({ hostname }) => hostname === victim?.hostname);
  const task = cluster.tasks(agent).find(({ taskId }) => taskId === victim?.task);
  if (task?.taskPid == null) throw new Error('etcd-1 has no process');
  const owner = join(task.sandbox, 'etcd-volume', 'volume.json');
  writeFileSync(owner, readFileSync(owner, 'utf8').replace(before.cluster ?? '', 'another-cluster'));
  process.kill(task.taskPid, 'SIGKILL');

  const seen = await until('what is wrong with the volume', LIMIT_MS, async () => {
    const { story, members } = await scheduler.view();
    const words = [
      ...story.flatMap(({ text, reason }) => [text, reason]),
      ...members.map((one) => one.problem),
    ];
    return words.find((text) => text?.includes('belongs to cluster another-cluster') === true);
  });
  expect(seen).toContain(`not to ${before.cluster}`);
  const after = await until('the member that takes its place', LIMIT_MS, async () => {
    const view = await whole(scheduler);
    return view.members.some(({ seat }) => seat === victim?.seat) ? null : view;
  });
  const others = (view: PublishedView) => identities(view).filter(([slot]) => slot !== 'etcd-1');
  expect(others(after)).toEqual(others(before));
  const seats = readRecord(stateOf(join(directory, 'first'))).seats.map(({ id }) => id);
  const serving = etcdProcesses(before.cluster ?? '').map(({ seat }) => seat);
  expect(serving.toSorted()).toEqual(seats.toSorted());
});

test('a scheduler that lost its framework to another ends and says so', async () => {
  const first = start('first', '--cluster-size', '1');
  const { framework } = await whole(first);
  const rival = subscribe(cluster.masterUrl, framework.id, { principal: 'etcd-principal' });
  try {
    expect(await ending(first)).toMatchObject({ code: 6, stderr: expect.stringContaining('failed over') });
  } finally {
    await rival.close();
  }
});
