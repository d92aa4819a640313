import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createLedger, type Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import type { LocalCluster, LocalClusterOptions } from '../../src/local/local-cluster.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { holdingOf, holdingsOfMaster, listMembers, readRecord, votersOf } from '../e2e/etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from '../e2e/scheduler-process.ts';
import { agentNames, smallAgents } from '../e2e/small-agents.ts';
import { clock, until } from '../wait.ts';

/*
 * A cluster, of three members unless its scheduler is told otherwise, on a Mesos of this machine: what a trial does to
 * it, and what it sees of it from outside.
 */

/** Milliseconds for whatever has to happen: the machine may be busy. */
export const PHASE_MS_MAX = 120_000;
const ANSWER_MS_MAX = 30_000;
/** Between two looks at the member list. */
const WATCH_MS = 100;

export const SLOTS = ['etcd-0', 'etcd-1', 'etcd-2'];

/** What a scheduler is started with unless it is told otherwise. */
const USUAL = [
  ['--cpus', '0.1'],
  ['--mem', '256'],
  ['--disk', '1024'],
] as const;

/** A cluster at rest. */
export interface Whole {
  readonly record: ClusterRecord;
  /** By slot: the id of the voter that serves there. */
  readonly voters: ReadonlyMap<string, string>;
}

export interface Writer {
  readonly ledger: Ledger;
  /** Resolves once one more write is acknowledged. */
  written(): Promise<void>;
  stop(): Promise<void>;
}

/** What was seen of the cluster's membership while it was watched. */
export interface Sights {
  votersMin: number;
  votersMax: number;
  membersMax: number;
  /** Places that were given up at the same time. */
  lostMax: number;
}

export interface Trial {
  readonly directory: string;
  readonly mesos: LocalCluster;
  /** Starts a scheduler on the trial's state; the one before must have ended. */
  start(...args: readonly string[]): SchedulerProcess;
  /** The same with a program that was built, whose members run from the tarball that it packs. */
  startBuilt(entry: string): SchedulerProcess;
  record(): ClusterRecord;
  /** What the schedulers have told, the newest last. */
  story(): readonly string[];
  /** The state directory is removed: what the scheduler knew is lost. */
  forget(): void;
  /** As many voters that serve as are wanted, no change in progress, and the master holds what the record names. */
  settled(what: string, also?: (record: ClusterRecord) => boolean): Promise<Whole>;
  /** The index of the agent that a place is on. */
  agentOf(seat: Seat): number;
  startWriter(): Promise<Writer>;
  /** What an operator asks the master for. */
  ask(call: { readonly type: string; readonly [field: string]: unknown }): Promise<unknown>;
  /** Looks at the member list until it is stopped. */
  watch(): { stop(): Promise<Sights> };
  /** Every member has all that was ever acknowledged. */
  expectNothingMissing(whole: Whole, ledger: Ledger): Promise<void>;
  /** Ends everything; what is on disk stays where the trial has failed. */
  end(hasFailed: boolean): Promise<void>;
}

export async function startTrial(
  name: string,
  agents: number,
  options: Pick<LocalClusterOptions, 'access'> & {
    /** Of its schedulers, beside the test's. */
    readonly environment?: Readonly<Record<string, string>>;
  } = {},
): Promise<Trial> {
  const { environment = {}, ...local } = options;
  const directory = mkdtempSync(join(tmpdir(), `etcd-mesos-${name}-`));
  const mesos = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: smallAgents(agentNames(agents)),
    ...local,
  });
  const transport = createHttpTransport();
  /** The last that was started goes first. */
  const ends: (() => Promise<unknown>)[] = [mesos.close, () => transport.close()];
  let scheduler: SchedulerProcess | null = null;
  const record = (): ClusterRecord => readRecord(stateOf(directory));

  const launch = (of: { readonly args: readonly string[]; readonly entry?: string }): SchedulerProcess => {
    scheduler = startScheduler({
      ...of,
      masterUrl: mesos.masterUrl,
      directory,
      environment,
      args: [...USUAL.filter(([name]) => !of.args.includes(name)).flat(), ...of.args],
    });
    ends.unshift(scheduler.stop);
    return scheduler;
  };

  const trial: Trial = {
    directory,
    mesos,
    record,
    start: (...args) => launch({ args: ['--artifact', 'checkout', ...args] }),
    startBuilt: (entry) => launch({ args: [], entry }),
    story: () => {
      const lines = readFileSync(join(directory, 'scheduler.log'), 'utf8').split('\n').slice(0, -1);
      const entries = lines.map((line) => JSON.parse(line) as { event: string; text?: string });
      return entries.flatMap(({ event, text = '' }) => (event === 'story' ? [text] : []));
    },
    forget: () => rmSync(stateOf(directory), { recursive: true }),
    settled: async (what, also = () => true) =>
      await until(what, PHASE_MS_MAX, async () => {
        await scheduler?.view();
        const seen = record();
        const { epoch, intent, disruption, leaving } = seen;
        const isAtRest = epoch.phase === 'formed' && intent === null && disruption === null;
        const isSound = seen.seats.every(({ taskEnd, lost }) => taskEnd === null && lost === null);
        const isClean = leaving.length === 0 && seen.seats.length === seen.size;
        if (!isAtRest || !isSound || !isClean || !also(seen)) return null;
        const voters = await votersOf(seen);
        const holdings = await holdingsOfMaster(mesos, transport);
        expect(Object.fromEntries(holdings)).toEqual(
          Object.fromEntries(seen.seats.map((seat) => [seat.id, holdingOf(seat)])),
        );
        return { record: seen, voters };
      }),
    agentOf: (seat) => mesos.agents.findIndex(({ hostname }) => hostname === seat.hostname),
    startWriter: async () => {
      const ledger = createLedger({
        clock,
        endpoints: () => record().seats.map(clientUrlOf),
        open: (url) => createKvClient({ url }, clock),
        prefix: `${name}/`,
      });
      const stop = untilStopped(async (signal) => await ledger.run(signal));
      ends.unshift(stop);
      const written = async (): Promise<void> => {
        const before = ledger.acknowledged();
        await until('another acknowledged write', ANSWER_MS_MAX, () => ledger.acknowledged() > before);
      };
      await written();
      return { ledger, written, stop };
    },
    ask: async (call) => {
      const response = await fetch(`${mesos.masterUrl}/api/v1`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(call),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      const text = await response.text();
      expect(response.status, text).toBe(200);
      return text === '' ? null : (JSON.parse(text) as unknown);
    },
    watch: () => {
      const sights: Sights = { votersMin: SLOTS.length, votersMax: 0, membersMax: 0, lostMax: 0 };
      const stop = untilStopped(async (signal) => {
        while (!signal.aborted) {
          await look(sights, record());
          await clock.sleep(WATCH_MS, signal);
        }
      });
      ends.unshift(stop);
      return {
        stop: async () => {
          await stop();
          return sights;
        },
      };
    },
    expectNothingMissing: async (whole, ledger) => {
      for (const seat of whole.record.seats) {
        const client = createKvClient({ url: clientUrlOf(seat) }, clock);
        try {
          expect(await ledger.missingFrom(client, AbortSignal.timeout(ANSWER_MS_MAX))).toEqual([]);
        } finally {
          client.close();
        }
      }
    },
    end: async (hasFailed) => {
      for (const end of ends) await end();
      if (hasFailed) console.log(`what was left is in ${directory}`);
      else rmSync(directory, { recursive: true, force: true });
    },
  };
  return trial;
}

/** Adds what a member tells just now, the first that answers. */
async function look(sights: Sights, { seats }: ClusterRecord): Promise<void> {
  sights.lostMax = Math.max(sights.lostMax, seats.filter(({ lost }) => lost !== null).length);
  for (const seat of seats) {
    const members = await listMembers(clientUrlOf(seat)).catch(() => null);
    if (members === null) continue;
    const voters = members.filter(({ isLearner }) => !isLearner).length;
    sights.votersMin = Math.min(sights.votersMin, voters);
    sights.votersMax = Math.max(sights.votersMax, voters);
    sights.membersMax = Math.max(sights.membersMax, members.length);
    return;
  }
}

/** Starts something that ends when it is told to; resolves when it has, or rejects with what ended it before. */
export function untilStopped(run: (signal: AbortSignal) => Promise<void>): () => Promise<void> {
  const ended = new AbortController();
  const running = run(ended.signal);
  // Whoever stops it hears of it.
  running.catch(() => undefined);
  return async () => {
    ended.abort();
    await running;
  };
}

export function seatOf({ record }: Whole, slot: string): Seat {
  const seat = record.seats.find((one) => one.slot === slot);
  if (seat === undefined) throw new Error(`${slot} has no seat`);
  return seat;
}

/** What stays as it is for as long as a member lives on its volume. */
export const placeOf = ({ id, volumeId, agentId, hostname }: Seat) => ({ id, volumeId, agentId, hostname });

/** The members of the other slots have not so much as changed their task. */
export function expectOthersUntouched(before: Whole, after: Whole, ...slots: readonly string[]): void {
  for (const other of SLOTS.filter((one) => !slots.includes(one))) {
    expect(after.voters.get(other)).toBe(before.voters.get(other));
    expect(seatOf(after, other).task).toBe(seatOf(before, other).task);
  }
}

/** The same cluster: the same members on the same volumes, in the epoch in which it was born. */
export function expectSameMembers(before: Whole, after: Whole): void {
  expect(after.voters).toEqual(before.voters);
  const bySlot = (whole: Whole) => SLOTS.map((slot) => placeOf(seatOf(whole, slot)));
  expect(bySlot(after)).toEqual(bySlot(before));
  const { cluster, epoch } = before.record;
  expect(after.record.cluster).toBe(cluster);
  expect(after.record.epoch).toMatchObject({ number: epoch.number, clusterId: epoch.clusterId });
}
