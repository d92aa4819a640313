import { expect } from 'vitest';
import { withDeadline } from '../../src/base/deadline.ts';
import { createEtcdClient } from '../../src/etcd/client.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import { type CliResult, runCli } from '../cli/run-cli.ts';
import { leaderId, listMembers } from '../e2e/etcd-on-mesos.ts';
import type { SchedulerProcess } from '../e2e/scheduler-process.ts';
import {
  PHASE_MS_MAX,
  type Trial as ProductionTrial,
  startTrial as startProductionTrial,
  untilStopped,
  type Whole,
  type Writer,
} from '../production/trial.ts';
import { clock, until } from '../wait.ts';

export { PHASE_MS_MAX, seatOf, type Whole } from '../production/trial.ts';

/*
 * What an operator does to a cluster on a Mesos of this machine, while it is written to all the time and somebody
 * looks who of its voters answers.
 */

/** Milliseconds between two looks at a voter. */
const LOOK_MS = 20;
/** Between two looks at the member list. */
const LIST_MS = 100;
/** A voter that does not answer in this time is out: the machine may be busy. */
const ANSWER_MS_MAX = 2_000;
const NEVER = new AbortController().signal;

/** What was seen while an operation ran. */
export interface Report {
  readonly tookMs: number;
  /** Writes acknowledged meanwhile. */
  readonly written: number;
  /** The longest time without an acknowledged write. */
  readonly gapMs: number;
  /** Voters that did not answer at the same time. */
  readonly outMax: number;
  /** Slots whose member did not answer at some time. */
  readonly out: ReadonlySet<string>;
}

export interface OperationsTrial extends ProductionTrial {
  /** Runs `etcd-mesos` against the trial's scheduler, from a shell as it were. */
  cli(...words: readonly string[]): Promise<CliResult>;
  /** As `cli`; fails where it does not end with 0. What it printed. */
  command(...words: readonly string[]): Promise<string>;
  /** Kills the scheduler that runs, and starts the next one. */
  crash(): Promise<void>;
  /** The one that was started last. */
  scheduler(): SchedulerProcess;
  /** The slot whose member leads. */
  leader(): Promise<string>;
  /** Does something under the writer and the watcher, and waits until the cluster is at rest again. */
  observe(what: string, operate: () => Promise<unknown>, also?: Settled): Promise<Report & { whole: Whole }>;
  /** What was acknowledged since the trial began is on every member. */
  expectNothingLost(): Promise<void>;
}
type Settled = Parameters<ProductionTrial['settled']>[1];

/** A cluster at rest under a writer, and its watcher. `agents`: one more than members, to move them. */
export async function startTrial(
  name: string,
  options: { readonly agents: number; readonly schedulerArgs?: readonly string[] },
): Promise<OperationsTrial & { readonly born: Whole }> {
  const trial = await startProductionTrial(name, options.agents);
  try {
    let scheduler: SchedulerProcess = trial.start(...(options.schedulerArgs ?? []));
    const born = await trial.settled('the members');
    const writer = await trial.startWriter();
    const watch = watchVoters(trial);
    const operations = operationsOf(trial, { writer, watch, scheduler: () => scheduler });
    return {
      ...trial,
      ...operations,
      born,
      start: (...args) => {
        scheduler = trial.start(...args);
        return scheduler;
      },
      crash: async () => {
        await scheduler.kill();
        scheduler = trial.start(...(options.schedulerArgs ?? []));
      },
      end: async (hasFailed) => {
        await watch.stop();
        await trial.end(hasFailed);
      },
    };
  } catch (error) {
    await trial.end(true);
    throw error;
  }
}

function operationsOf(
  trial: ProductionTrial,
  of: {
    readonly writer: Writer;
    readonly watch: VoterWatch;
    readonly scheduler: () => SchedulerProcess;
  },
): Pick<OperationsTrial, 'cli' | 'command' | 'scheduler' | 'leader' | 'observe' | 'expectNothingLost'> {
  const { writer, watch, scheduler } = of;
  const cli = async (...words: readonly string[]): Promise<CliResult> => {
    const url = await until('the scheduler to listen', PHASE_MS_MAX, () => scheduler().apiUrl());
    return await runCli([...words, '--scheduler', url], {}, null, PHASE_MS_MAX);
  };
  return {
    cli,
    scheduler,
    command: async (...words) => {
      const { code, stdout, stderr } = await cli(...words);
      expect(stderr).toBe('');
      expect(code, stdout).toBe(0);
      return stdout;
    },
    leader: async () =>
      await until('a leader', PHASE_MS_MAX, async () => {
        const { seats } = trial.record();
        const ids = await Promise.all(seats.map((seat) => leaderId(clientUrlOf(seat)).catch(() => null)));
        const [id] = ids.filter((one) => one !== null);
        return seats.find((seat) => seat.data?.memberId === id)?.slot;
      }),
    observe: async (what, operate, also) => {
      const sinceMs = clock.monotonicMs();
      const before = writer.ledger.acknowledged();
      watch.begin();
      await operate();
      const whole = await trial.settled(`${what}: the cluster is at rest again`, also);
      await writer.written();
      const tookMs = clock.monotonicMs() - sinceMs;
      const written = writer.ledger.acknowledged() - before;
      const gapMs = writer.ledger.longestGapMs(sinceMs);
      const { outMax, out } = watch.seen();
      const seconds = (tookMs / 1000).toFixed(1);
      const who = [...out].sort().join(', ') || 'nobody';
      console.log(
        `${what}: ${seconds} s, ${written} writes acknowledged, none for at most ${Math.round(gapMs)} ms; ` +
          `out: ${who}, at most ${outMax} at a time`,
      );
      return { tookMs, written, gapMs, outMax, out, whole };
    },
    expectNothingLost: async () => {
      const whole = await trial.settled('the cluster is at rest');
      await writer.stop();
      await trial.expectNothingMissing(whole, writer.ledger);
    },
  };
}

interface VoterWatch {
  /** Forgets what was seen so far. */
  begin(): void;
  seen(): Pick<Report, 'outMax' | 'out'>;
  stop(): Promise<void>;
}

/** Asks every voter all the time, each by itself, whether it answers. */
function watchVoters(trial: ProductionTrial): VoterWatch {
  /** By client URL: the slot of the voter, and whether it answered lastly. */
  const voters = new Map<string, { readonly slot: string; isOut: boolean }>();
  let outMax = 0;
  let out = new Set<string>();
  const note = (): void => {
    const now = [...voters.values()].filter(({ isOut }) => isOut);
    outMax = Math.max(outMax, now.length);
    for (const { slot } of now) out.add(slot);
  };
  const stop = untilStopped(async (signal) => {
    const asking = new Map<string, Promise<void>>();
    while (!signal.aborted) {
      await refresh(trial, voters);
      for (const url of voters.keys()) {
        if (asking.has(url)) continue;
        const asked = askAll(url, { voters, note, signal }).finally(() => asking.delete(url));
        asking.set(url, asked);
      }
      await clock.sleep(LIST_MS, signal);
    }
    await Promise.all(asking.values());
  });
  return {
    begin: () => {
      outMax = 0;
      out = new Set();
    },
    seen: () => ({ outMax, out }),
    stop,
  };
}

/** The voters by the word of the first member that tells for a quorum; who left the list is not looked at any more. */
async function refresh(
  trial: ProductionTrial,
  voters: Map<string, { readonly slot: string; isOut: boolean }>,
): Promise<void> {
  for (const seat of trial.record().seats) {
    const members = await listMembers(clientUrlOf(seat)).catch(() => null);
    if (members === null) continue;
    const urls = new Map(
      members
        .filter(({ isLearner }) => !isLearner)
        .flatMap(({ clientUrls, name }) => clientUrls.map((url) => [url, name] as const)),
    );
    for (const url of voters.keys()) if (!urls.has(url)) voters.delete(url);
    for (const [url, slot] of urls) if (!voters.has(url)) voters.set(url, { slot, isOut: false });
    return;
  }
}

/** Looks at one voter until it is none any more. */
async function askAll(
  url: string,
  of: {
    readonly voters: ReadonlyMap<string, { isOut: boolean }>;
    readonly note: () => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { voters, note, signal } = of;
  const client = createEtcdClient({ url }, clock);
  try {
    for (;;) {
      const isOut = !(await answers(client));
      const voter = voters.get(url);
      if (voter === undefined || signal.aborted) return;
      voter.isOut = isOut;
      note();
      await clock.sleep(LOOK_MS, signal);
    }
  } finally {
    client.close();
  }
}

async function answers(client: ReturnType<typeof createEtcdClient>): Promise<boolean> {
  try {
    await withDeadline(clock, ANSWER_MS_MAX, NEVER, async (signal) => await client.status(signal));
    return true;
  } catch {
    return false;
  }
}
