import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLedger, type Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { identify, isAlive } from '../../src/local/process-table.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';
import {
  etcdProcesses,
  holdingOf,
  holdingsOfMaster,
  leaderId,
  taskProcesses,
  tasksOfMaster,
  votersOf,
} from './etcd-on-mesos.ts';
import { keepScheduler, type SchedulerKeeper } from './scheduler-keeper.ts';
import { agentNames, smallAgents } from './small-agents.ts';

/**
 * Every kind of thing that a scheduler does in the life of a cluster: its birth, a task that ends, a host that is
 * lost, an agent that comes back too late. A scheduler is killed just before and just after each.
 */
const ACTIONS = [
  'save the first record',
  'save the field generation',
  'save the field framework',
  'save a seat',
  'save that a seat is prepared',
  'save the phase go',
  'save the phase formed',
  'save a log position',
  'save the end of a task',
  'save a relaunch',
  'save a lost seat',
  'save elapsed time',
  'save an intent',
  'save that an intent is committed',
  'save that a seat is started',
  'save a member id',
  'save that an intent is closed',
  'save a name',
  'save that a name is over',
  'save a leaving seat',
  'save that a seat is gone',
  'call SUBSCRIBE',
  'call RECONCILE',
  'call ACCEPT, place',
  'call ACCEPT, relaunch',
  'call ACCEPT, name',
  'call ACCEPT, release',
  'call DECLINE',
  'call SUPPRESS',
  'call REVIVE',
  'call KILL',
  'call KILL, name',
  'call ACKNOWLEDGE',
  'call ACKNOWLEDGE_OPERATION_STATUS',
  'order fence',
  'order prepare',
  'order start, bootstrap',
  'order start, join',
  'order start, resume',
  'order member-add',
  'order member-remove',
  'order member-promote',
  'order move-leader',
] as const;

/** Saved or not as the race between Mesos and etcd goes; never waited for. */
const MAY_HAPPEN: readonly string[] = [
  'save how often a task ended soon',
  'save that a task is back',
  'save that a seat is found again',
  'save the learner of an intent',
];

const SIZE = 3;
const AGENTS = 5;
/** For a phase in which dozens of schedulers die. */
const PHASE_MS_MAX = 240_000;
/** For all phases; far more than an idle machine of two cores takes. */
const TEST_MS_MAX = 720_000;

let directory = '';
let cluster: LocalCluster;
let keeper: SchedulerKeeper;
let ledger: Ledger;
let state: TrialState;
/** As it was last read. */
let newest: ClusterRecord | null = null;
let close: (() => Promise<void>)[] = [];
const transport = createHttpTransport();

/** Where the schedulers keep their state. */
export interface TrialState {
  /** Options of a scheduler that name it. */
  readonly args: readonly string[];
  /** The record that is stored. Rejects where there is none. */
  record(): Promise<ClusterRecord>;
  close(): Promise<void>;
}

/** A cluster's life, in which schedulers that keep their state there die at every step. */
export function crashTrial(open: (directory: string) => Promise<TrialState>): void {
  beforeEach(async (context) => {
    skipWithout(context, 'etcd', 'setpriv');
    await begin(open);
  });
  afterEach(async ({ task }) => {
    for (const end of close.toReversed()) await end();
    if (task.result?.state === 'fail') console.log(`what was left is in ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  });
  test('whoever follows a killed scheduler ends at the same', { timeout: TEST_MS_MAX }, liveAndCrash);
}

async function begin(open: (directory: string) => Promise<TrialState>): Promise<void> {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-crash-'));
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(agentNames(AGENTS)),
  });
  close = [() => transport.close(), () => cluster.close()];
  state = await open(directory);
  close.push(() => state.close());
}

async function liveAndCrash(): Promise<void> {
  keeper = keepScheduler({
    directory: join(directory, 'scheduler'),
    points: ACTIONS.flatMap(pointsOf),
    args: [
      ...['--master', cluster.masterUrl, ...state.args, '--cluster-size', String(SIZE)],
      ...['--listen', '127.0.0.1', '--port', '0', '--hostname', '127.0.0.1', '--artifact', 'checkout'],
      ...['--cpus', '0.1', '--mem', '256', '--disk', '1024', '--unreachable-timeout', '5s'],
    ],
  });
  close.push(async () => void (await keeper.stop()));

  const born = await settled('three members');
  ledger = startWriter();
  await until('offers are not wanted any more', PHASE_MS_MAX, () => isDoneWith('after call SUPPRESS'));
  const relaunched = await endTask(born, 'etcd-1');
  const replaced = await loseHost(relaunched, 'etcd-2');
  const { record } = await sendAway(replaced, await leaderOf(replaced));

  expect([...keeper.left], 'kinds around which no scheduler was killed').toEqual([]);
  const known = new Set([...ACTIONS, ...MAY_HAPPEN].flatMap(pointsOf));
  expect(
    [...keeper.reached()].filter((point) => !known.has(point)),
    'kinds that the list lacks',
  ).toEqual([]);
  await expectNothingElse(record);
  await expectNothingMissing(record);
  expect(await keeper.stop()).toBe(0);
  await expectNothingElse(record);
}

const pointsOf = (kind: string): readonly string[] => [`before ${kind}`, `after ${kind}`];

/** A task ends: the same place, the same member, another task. */
async function endTask(before: Whole, slot: string): Promise<Whole> {
  const ended = seatOf(before.record, slot);
  process.kill(supervisorOf(ended), 'SIGKILL');
  const after = await settled('the member of the ended task', (record) => {
    return seatOf(record, slot).task !== ended.task;
  });
  expect(after.voters).toEqual(before.voters);
  expect(seatsBut(after.record, slot)).toEqual(seatsBut(before.record, slot));
  expect(seatOf(after.record, slot).id).toBe(ended.id);
  await written();
  return after;
}

/** A host is lost with its disk: another member takes over. */
async function loseHost(before: Whole, slot: string): Promise<Whole> {
  const lost = seatOf(before.record, slot);
  const agent = agentOf(lost);
  await cluster.killHost(agent);
  cluster.wipe(agent);
  await cluster.markGone(agent);
  const after = await settled('the member of the lost host', (record) => seatOf(record, slot).id !== lost.id);
  expectReplaced(before, after, slot);
  await written();
  return after;
}

/**
 * The leader's agent is away for too long and comes back with its task: leadership is handed over, the task ends
 * and gives back all it held.
 */
async function sendAway(before: Whole, slot: string): Promise<Whole> {
  const away = seatOf(before.record, slot);
  const agent = agentOf(away);
  const supervisor = identify(supervisorOf(away));
  const runs = (): boolean => supervisor !== null && isAlive(supervisor);
  cluster.stopAgent(agent);
  const moved = await whole('the member of the agent that is away', (record) => {
    return seatOf(record, slot).id !== away.id;
  });
  expectReplaced(before, moved, slot);
  expect(runs()).toBe(true);
  cluster.resumeAgent(agent);
  const after = await settled('what came back has ended and is given back');
  expect(after.voters).toEqual(moved.voters);
  expect(runs()).toBe(false);
  await written();
  return after;
}

async function readRecord(): Promise<ClusterRecord> {
  newest = await state.record();
  return newest;
}

function isDoneWith(point: string): boolean {
  keeper.assertKept();
  return !keeper.left.has(point);
}

interface Whole {
  readonly record: ClusterRecord;
  /** By slot: the member's id. */
  readonly voters: ReadonlyMap<string, string>;
}

/** Waits until every slot has its voter and its name, and no change of members is in progress. */
async function whole(what: string, also: (record: ClusterRecord) => boolean): Promise<Whole> {
  return await until(what, PHASE_MS_MAX, async () => {
    keeper.assertKept();
    const record = await readRecord();
    const isAtRest = record.epoch.phase === 'formed' && record.intent === null;
    const sound = record.seats.filter(({ taskEnd, lost }) => taskEnd === null && lost === null);
    if (!isAtRest || sound.length !== SIZE || record.seats.length !== SIZE || !also(record)) return null;
    const tasks = await tasksOfMaster(cluster, transport);
    if (record.seats.some(({ nameTask }) => tasks.get(nameTask?.task ?? '')?.state !== 'TASK_RUNNING'))
      return null;
    return { record, voters: await votersOf(record) };
  });
}

/** As {@link whole}, and nothing is on its way out. */
async function settled(what: string, also: (record: ClusterRecord) => boolean = () => true): Promise<Whole> {
  return await whole(what, (record) => record.leaving.length === 0 && also(record));
}

function seatOf(record: ClusterRecord, slot: string): Seat {
  const seat = record.seats.find((one) => one.slot === slot && one.lost === null);
  if (seat === undefined) throw new Error(`${slot} has no seat`);
  return seat;
}

const seatsBut = (record: ClusterRecord, slot: string) =>
  record.seats
    .filter((seat) => seat.slot !== slot)
    .map(({ id, task, agentId }) => ({ id, task, agentId }))
    .toSorted((a, b) => a.id.localeCompare(b.id));

function expectReplaced(before: Whole, after: Whole, slot: string): void {
  expect(seatsBut(after.record, slot)).toEqual(seatsBut(before.record, slot));
  for (const [other, member] of before.voters) {
    if (other === slot) expect(after.voters.get(other)).not.toBe(member);
    else expect(after.voters.get(other)).toBe(member);
  }
}

/** The slot of the member that leads. */
async function leaderOf({ record, voters }: Whole): Promise<string> {
  return await until('a leader', PHASE_MS_MAX, async () => {
    const leader = await leaderId(clientUrlOf(seatOf(record, 'etcd-0')));
    return [...voters].find(([, member]) => member === leader)?.[0];
  });
}

const agentOf = (seat: Seat): number => cluster.agents.findIndex((agent) => agent.hostname === seat.hostname);

function supervisorOf(seat: Seat): number {
  const task = cluster.tasks(agentOf(seat)).find(({ taskId }) => taskId === seat.task);
  if (task?.taskPid == null) throw new Error(`task ${seat.task} has no process`);
  return task.taskPid;
}

function startWriter(): Ledger {
  const writer = createLedger({
    clock,
    endpoints: () => {
      const { seats } = newest as ClusterRecord;
      return seats.filter(({ data }) => data?.started === true).map(clientUrlOf);
    },
    open: (url) => createKvClient({ url }, clock),
    prefix: 'crash-test/',
  });
  const ended = new AbortController();
  const running = writer.run(ended.signal);
  close.push(async () => {
    ended.abort();
    await running;
  });
  return writer;
}

/** Writes are still acknowledged. */
async function written(): Promise<void> {
  const before = ledger.acknowledged();
  await until('another acknowledged write', 30_000, () => ledger.acknowledged() > before);
}

/** Master, agents and processes hold what the record names, and nothing else. */
async function expectNothingElse(record: ClusterRecord): Promise<void> {
  const state = 'TASK_RUNNING';
  const frameworkId = record.framework.id;
  const wanted = record.seats.flatMap(({ task, nameTask, agentId }) =>
    [task, nameTask?.task ?? 'no name'].map((id) => [id, { state, agentId, frameworkId }] as const),
  );
  expect(Object.fromEntries(await tasksOfMaster(cluster, transport))).toEqual(Object.fromEntries(wanted));
  const members = record.seats.map(({ task }) => task).toSorted();
  expect([...taskProcesses(record.cluster).keys()].toSorted()).toEqual(members);
  const serving = etcdProcesses(record.cluster).map(({ seat }) => seat);
  expect(serving.toSorted()).toEqual(record.seats.map(({ id }) => id).toSorted());
  const holdings = await holdingsOfMaster(cluster, transport);
  expect(Object.fromEntries(holdings)).toEqual(
    Object.fromEntries(record.seats.map((seat) => [seat.id, holdingOf(seat)])),
  );
}

async function expectNothingMissing(record: ClusterRecord): Promise<void> {
  expect(ledger.acknowledged()).toBeGreaterThan(100);
  for (const seat of record.seats) {
    const client = createKvClient({ url: clientUrlOf(seat) }, clock);
    try {
      expect(await ledger.missingFrom(client, AbortSignal.timeout(30_000))).toEqual([]);
    } finally {
      client.close();
    }
  }
}
