import { assert } from '../../src/base/assert.ts';
import { describeError } from '../../src/base/errors.ts';
import { StateStoreError } from '../../src/base/ports.ts';
import { SchedulerError } from '../../src/framework/config.ts';
import type { SchedulerSnapshot } from '../../src/framework/snapshot.ts';
import { MesosError } from '../../src/mesos/errors.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { CrashPlan } from './crash-point.ts';
import { type SimScheduler, type SimSchedulerOptions, startSimScheduler } from './sim-scheduler.ts';

/** The schedulers of a world, and whoever starts them again when they end: one on each of their hosts. */
export interface SimSchedulers {
  /** Starts one on every host where none runs. */
  start(): void;
  /** Whoever acts, or would by its own account; `null` while all stand by or are down. */
  acting(): SimScheduler | null;
  snapshot(): SchedulerSnapshot | null;
  /** Of whoever acts, else of any. */
  readonly host: string;
  readonly hosts: readonly string[];
  /** At least one runs. */
  readonly run: boolean;
  /** Kills whoever acts, or all; each is started again after `downMs`. */
  kill(why: string, downMs: number, whom?: 'acting' | 'all'): void;
  planCrash(plan: DownPlan | null): void;
  /** Whoever acts stands still until the answer is called. */
  pause(): () => void;
  /** The session of whoever acts is over. */
  expire(): void;
  /** Kinds of calls that they made, and what they were killed at. */
  readonly calls: ReadonlySet<string>;
  readonly crashes: readonly string[];
  /** Passes that all made together. */
  passes(): number;
  readonly uninstalled: boolean;
  /** Ends all. */
  end(): void;
}
/** `downMs`: for how long it is down, or held. */
export type DownPlan = CrashPlan & { readonly downMs: number };

export interface SimSchedulersOptions
  extends Pick<SimSchedulerOptions, 'state' | 'clock' | 'story' | 'wrapStore'> {
  readonly hosts: readonly string[];
  /** What the scheduler on that host is started with. */
  readonly given: (
    host: string,
  ) => Pick<SimSchedulerOptions, 'config' | 'random' | 'ids' | 'orderKey' | 'link' | 'members' | 'archive'>;
  /** One has ended, or could not go on, and should have. */
  readonly onFailure: (text: string) => void;
  /** One was killed or stands still: what it had heard and not stored nobody knows. */
  readonly onGone: () => void;
  readonly onStart: () => void;
  /** Whoever acts has heard this of a supervisor. What arrives at one that is dead or superseded is not heard. */
  readonly onStatus: (status: MemberStatus) => void;
}

/** A scheduler that ends by itself is started again after this long. */
const RESTART_MS = 5_000;

export function createSimSchedulers(options: SimSchedulersOptions): SimSchedulers {
  const { clock, story, hosts } = options;
  const running = new Map<string, SimScheduler>();
  const calls = new Set<string>();
  const crashes: string[] = [];
  let count = 0;
  let plan: DownPlan | null = null;
  let passesBefore = 0;
  let isEnded = false;
  let uninstalled = false;

  const snapshotOf = (one: SimScheduler | null): SchedulerSnapshot | null =>
    one?.acting()?.snapshot() ?? null;

  const startOn = (host: string) => {
    assert(!running.has(host), `a scheduler runs on ${host} already`);
    count += 1;
    const name = `scheduler ${count}`;
    story.tell('world', `${name} is started`);
    const one: SimScheduler = startSimScheduler({
      ...options,
      ...options.given(host),
      name,
      host,
      plan,
      onCrash: (why) => {
        const downMs = plan?.downMs ?? 1_000;
        planCrash(null);
        killOne(one, why, downMs);
      },
      onHold: (why) => {
        const heldMs = plan?.downMs ?? 1_000;
        planCrash(null);
        story.tell('world', `${name} stands still`, why);
        void clock.sleep(heldMs).then(pauseOne(one));
      },
      onStatus: (status) => {
        if (acting() === one) options.onStatus(status);
      },
      onEnd: (end) => {
        if (end === 'uninstalled') uninstalled = true;
        else options.onFailure(`${name} ended by itself`);
      },
      onFailure: (error) => {
        // Whoever keeps schedulers running starts the next one.
        const why = endsRightly(error);
        if (why !== null) killOne(one, why, RESTART_MS);
        else options.onFailure(`${name} ended: ${describeError(error)}\n${(error as Error).stack}`);
      },
    });
    running.set(host, one);
    options.onStart();
    noteCalls();
  };

  const noteCalls = () => {
    for (const { crash } of running.values()) for (const kind of crash.kinds) calls.add(kind);
  };

  const start = () => {
    for (const host of hosts) if (!running.has(host)) startOn(host);
  };

  const killOne = (one: SimScheduler, why: string, downMs: number) => {
    if (running.get(one.host) !== one) return;
    story.tell('world', `${one.name} is killed`, why);
    crashes.push(why);
    noteCalls();
    passesBefore += snapshotOf(one)?.counters.passes ?? 0;
    one.kill();
    options.onGone();
    running.delete(one.host);
    void clock.sleep(downMs).then(() => {
      if (!running.has(one.host) && !isEnded) startOn(one.host);
    });
  };

  const pauseOne = (one: SimScheduler): (() => void) => {
    one.pause();
    options.onGone();
    return () => {
      if (!one.paused) return;
      if (one.alive) story.tell('world', `${one.name} goes on`);
      one.resume();
    };
  };

  const acting = (): SimScheduler | null => {
    const generation = (one: SimScheduler) => snapshotOf(one)?.record?.generation ?? 0;
    const candidates = [...running.values()].filter((one) => !one.paused && snapshotOf(one) !== null);
    return candidates.toSorted((left, right) => generation(right) - generation(left))[0] ?? null;
  };
  const actingOrAny = (): SimScheduler | null => acting() ?? [...running.values()][0] ?? null;

  const planCrash = (next: DownPlan | null) => {
    plan = next;
    for (const { crash } of running.values()) crash.plan(next);
  };

  return {
    start,
    acting,
    snapshot: () => snapshotOf(acting()),
    get host() {
      return actingOrAny()?.host ?? (hosts[0] as string);
    },
    hosts,
    get run() {
      return running.size > 0;
    },
    kill: (why, downMs, whom = 'acting') => {
      const one = actingOrAny();
      const doomed = whom === 'all' ? [...running.values()] : one === null ? [] : [one];
      for (const each of doomed) killOne(each, why, downMs);
    },
    planCrash,
    pause: () => {
      const one = actingOrAny();
      return one === null ? () => {} : pauseOne(one);
    },
    expire: () => actingOrAny()?.expire(),
    get calls() {
      noteCalls();
      return calls;
    },
    crashes,
    passes: () => {
      const passes = [...running.values()].map((one) => snapshotOf(one)?.counters.passes ?? 0);
      return passes.reduce((sum, each) => sum + each, passesBefore);
    },
    get uninstalled() {
      return uninstalled;
    },
    end: () => {
      isEnded = true;
      for (const one of running.values()) one.stop();
    },
  };
}

/** Why a scheduler is right to end with this error; `null` where it is not. */
function endsRightly(error: unknown): string | null {
  if (error instanceof SchedulerError) {
    if (error.code === 'not-a-first-start') return 'since it cannot adopt what it sees';
    if (error.code === 'already-running') return 'since another is connected still';
    // Somebody has put an older copy back.
    if (error.code === 'record-conflict') return 'since somebody else has written the record';
  }
  // Its own subscription that it had given up may arrive late, and take the framework from its present one.
  if (error instanceof MesosError && error.code === 'failed-over') return 'since another seems to lead';
  if (error instanceof StateStoreError && error.code === 'unavailable') {
    return 'since nothing can be read where its state is';
  }
  return null;
}
