import { faultsIn, isFinal } from './faults.ts';
import { ARCHIVE_THEME, startOverArchive } from './faults-of-archives.ts';
import { startWeather } from './faults-of-network.ts';
import { resumeAll } from './faults-of-pods.ts';
import { forceWhatWaits } from './faults-of-space.ts';
import { loseMajority } from './majority-lost.ts';
import { createChance, type RandomStream } from './prng.ts';
import type { SimStorage } from './sim-config.ts';
import { createWorld, type World, type WorldOptions } from './world.ts';

/**
 * One life of a cluster, chosen by a seed: bootstrap, some faults, calm, and the cluster must be whole again.
 * At most a minority of the voters is lost for good between two times of being whole.
 */
export interface Outcome {
  readonly seed: number;
  /** Hash of all that happened. */
  readonly hash: string;
  /** What was done to it, in words. */
  readonly plan: readonly string[];
  /** Names of the faults among it. */
  readonly faults: readonly string[];
  /** `null` when all held. */
  readonly failure: string | null;
  readonly story: readonly string[];
  /** Virtual time that passed, and timers that fired. */
  readonly virtualMs: number;
  readonly steps: number;
  /** Kinds of calls of the scheduler that were seen, and those it was killed at. */
  readonly calls: ReadonlySet<string>;
  readonly crashes: readonly string[];
}

export interface ScenarioOptions {
  readonly seed: number;
  /** Default `persistent`. In sandboxes what ends a task ends its data: such faults count as losses there. */
  readonly storage?: SimStorage;
  /** Half of the faults are of those whose name begins so. Default: any; those of the archive where there is one. */
  readonly theme?: string;
  readonly debug?: boolean;
  readonly onLine?: (line: string) => void;
  /** Breaks something on purpose. */
  readonly canary?: WorldOptions['canary'];
}

/** Of the lives, those with two schedulers. */
const ELECTED_PART = 0.3;
/** Those with an archive. */
const ARCHIVED_PART = 0.3;
/** Of these, those whose archive is away or not empty when they begin. */
const START_OVER_ARCHIVE_PART = 0.3;
/** Those in which masters may die. */
const MASTERS_FAIL_PART = 0.25;
/** Those in which wall clocks jump. */
const JUMPING_PART = 0.2;
/** Those that end without a majority. */
const MAJORITY_LOST_PART = 0.06;
const FIRST_WEATHER_MS = 60_000;
const WHOLE_WITHIN_MS = 15 * 60_000;
const CALM_MS = 15_000;
const HOUR_MS = 3_600_000;
/** Scheduler passes in a virtual minute of calm, under a steady writer. */
const PASSES_PER_MINUTE_MAX = 150;

export async function runScenario(options: ScenarioOptions): Promise<Outcome> {
  const chance = createChance(options.seed);
  const random = chance.stream('scenario');
  const size = random.pick([1, 3, 3, 3, 5]);
  const world = createWorld({
    seed: options.seed,
    size,
    hosts: size + random.integer(1, 3),
    latencyMs: random.pick([0.3, 1, 5]),
    mastersFail: chance.stream('masters').chance(MASTERS_FAIL_PART),
    isElected: chance.stream('schedulers').chance(ELECTED_PART),
    isArchived: options.storage !== 'sandbox' && chance.stream('archived').chance(ARCHIVED_PART),
    ...(options.storage === undefined ? {} : { storage: options.storage }),
    debug: options.debug === true,
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    ...(options.canary === undefined ? {} : { canary: options.canary }),
  });
  const plan: string[] = [];
  const faults: string[] = [];
  let failure: string | null = null;
  const { stackTraceLimit } = Error;
  // Thousands of errors are made in passing; the stack of the one that counts is wanted in a replay only.
  if (options.onLine === undefined) Error.stackTraceLimit = 0;
  try {
    const say = (text: string) => {
      plan.push(text);
      world.story.tell('scenario', text);
    };
    const storage = options.storage ?? 'persistent';
    const { theme = world.archive === null ? null : ARCHIVE_THEME } = options;
    await live({
      world,
      random,
      jumps: chance.stream('clock jumps'),
      endings: chance.stream('endings'),
      archived: chance.stream('archived'),
      storage,
      theme,
      faults,
      say,
    });
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    world.end();
    Error.stackTraceLimit = stackTraceLimit;
  }
  return {
    seed: options.seed,
    hash: world.story.hash(),
    plan,
    faults,
    failure,
    story: world.story.lines(),
    virtualMs: world.clock.monotonicMs(),
    steps: world.steps,
    calls: world.calls,
    crashes: world.crashes,
  };
}

interface Life {
  readonly world: World;
  readonly random: RandomStream;
  readonly jumps: RandomStream;
  readonly endings: RandomStream;
  readonly archived: RandomStream;
  readonly storage: SimStorage;
  readonly theme: string | null;
  /** Names of those that were injected. */
  readonly faults: string[];
  say(text: string): void;
}

async function live(life: Life): Promise<void> {
  const { world, random, jumps, endings, archived, storage, say } = life;
  const elected = world.zooKeeperHost === null ? '' : ', two schedulers';
  const hasArchive = world.archive === null ? '' : ', an archive';
  say(`${world.size} members on ${world.hosts.length} hosts${elected}${hasArchive}`);
  if (random.chance(0.5)) planCrash(world, random, say);
  const calm = new AbortController();
  if (jumps.chance(JUMPING_PART)) void jumpAround(life, calm.signal);
  if (random.chance(0.1)) {
    startWeather(life);
    void world.clock.sleep(FIRST_WEATHER_MS).then(() => world.network.setWeather(null));
  }
  if (world.archive !== null && archived.chance(START_OVER_ARCHIVE_PART))
    await startOverArchive(world, archived, say);
  world.startScheduler();
  await world.runUntil('the cluster has formed and is whole', () => isWhole(world), WHOLE_WITHIN_MS);
  world.startWriter();
  await world.run(random.between(0, 20_000));
  const budget = { lost: 0 };
  const times = random.integer(1, 4);
  for (let count = 0; count < times; count += 1) {
    await inject(life, budget);
    await world.run(random.chance(0.4) ? random.between(0, 2_000) : random.between(0, 30_000));
    if (isWhole(world)) budget.lost = 0;
  }
  say('calm');
  calm.abort();
  await heal(world);
  let resumedAtMs = world.clock.monotonicMs();
  const isWholeAgain = () => {
    // Who was not answered asks again.
    if (world.clock.monotonicMs() - resumedAtMs > RESUME_AGAIN_MS && isHeld(world)) {
      resumedAtMs = world.clock.monotonicMs();
      resumeAll(world);
    }
    askForWhatFits(world);
    forceWhatWaits(world);
    world.insistOnUpdate();
    return isWhole(world);
  };
  if (world.isRecordRolledBack) await giveRecordUp(life, isWholeAgain);
  await world.runUntil('the cluster is whole again', isWholeAgain, WHOLE_WITHIN_MS);
  await beCalm(world);
  const problems = await world.archiveProblems();
  if (problems.length > 0) throw new Error(`the archive is not what was committed: ${problems.join('; ')}`);
  if (storage !== 'sandbox' && endings.chance(MAJORITY_LOST_PART)) await loseMajority(world, endings, say);
}

/**
 * A scheduler with an older copy of the record may only see that it is one, and touch nothing. Then an operator has
 * what runs under the copy's framework ended, gives the record up, and lets the next scheduler adopt what there is.
 */
async function giveRecordUp({ world, say }: Life, isWholeAgain: () => boolean): Promise<void> {
  const untilMs = world.clock.monotonicMs() + OPERATOR_WAITS_MS;
  let whole = false;
  const isOver = () => {
    whole = isWholeAgain();
    return whole || world.clock.monotonicMs() >= untilMs;
  };
  await world.runUntil('it is whole, or an operator is called', isOver, OPERATOR_WAITS_MS + 1_000);
  if (whole) return;
  say('an operator gives the record up');
  world.killScheduler('for good, as it seems', 10_000, 'all');
  await world.tearDown();
  await world.run(5_000);
  await world.wipeRecord();
}
const OPERATOR_WAITS_MS = 5 * 60_000;

/** Wall clocks jump at any moment, until it is calm. */
async function jumpAround({ world, jumps, say }: Life, signal: AbortSignal): Promise<void> {
  for (;;) {
    await world.clock.sleep(jumps.pick([jumps.between(0, 5_000), jumps.between(0, 60_000)]), signal);
    if (signal.aborted) return;
    const jumpMs = jumps.pick([jumps.integer(-6 * HOUR_MS, 6 * HOUR_MS), jumps.integer(-90_000, 90_000)]);
    say(`the wall clocks jump by ${(jumpMs / 60_000).toFixed(1)} minutes`);
    world.clock.jumpWall(jumpMs);
  }
}

const RESUME_AGAIN_MS = 20_000;

/** Something of it is paused. */
function isHeld(world: World): boolean {
  const record = world.record();
  return (
    record !== null && (record.plans.paused.length > 0 || record.seats.some((seat) => seat.paused !== null))
  );
}

/** Whole: what the checkers ask for at rest, and nothing of ours left over in Mesos. */
function isWhole(world: World): boolean {
  return world.schedulerRuns && world.unrest().length === 0;
}

/** It stays whole, and the scheduler has nothing to do. */
async function beCalm(world: World): Promise<void> {
  const before = world.passes();
  const requestsBefore = world.masterRequests();
  await world.run(CALM_MS);
  const unrest = world.unrest();
  if (unrest.length > 0) throw new Error(`it did not stay whole: ${unrest.join('; ')}`);
  const requests = world.masterRequests() - requestsBefore;
  if (requests > CALM_REQUESTS_MAX) throw new Error(`${requests} calls to the master with nothing to do`);
  const passes = ((world.passes() - before) * 60_000) / CALM_MS;
  // Every write shows at every member, at another time at each.
  if (passes > PASSES_PER_MINUTE_MAX * (1 + world.size)) {
    throw new Error(`the scheduler spins: ${Math.round(passes)} passes a minute with nothing to do`);
  }
}

/** Calls to the master in the time of calm, whether a subscription has just begun or not. */
const CALM_REQUESTS_MAX = 60;

/** All that can come back is brought back. */
async function heal(world: World): Promise<void> {
  world.planCrash(null);
  await world.announceMaintenance([]);
  for (const host of world.hosts) if (!world.isGone(host)) await world.reactivate(host);
  world.network.healAll();
  world.archive?.heal();
  world.deny([]);
  world.endAbandoned();
  for (const host of world.hosts) world.slowDisk(host, 0);
  for (const host of world.hosts) if (!world.isGone(host)) world.startAgent(host);
  world.startScheduler();
  resumeAll(world);
  await world.run(1);
}

/** Who was not answered asks again; who has asked for more members than there are hosts takes that back. */
function askForWhatFits(world: World): void {
  const hosts = world.hosts.filter((host) => !world.isGone(host)).length;
  const fits = world.asked <= hosts ? undefined : ([5, 3, 1].find((size) => size <= hosts) ?? 1);
  world.insistOn(fits);
}

function planCrash(world: World, random: RandomStream, say: (text: string) => void): void {
  const kinds = ['any', 'any', 'save', 'call ACCEPT', 'call ACKNOWLEDGE', 'call KILL', ...ORDERS];
  const kind = random.pick(kinds);
  const plan = {
    kind,
    nth: kind === 'any' ? random.integer(1, 60) : random.integer(1, 3),
    when: random.pick(['before', 'sent', 'after'] as const),
    downMs: random.chance(0.8) ? random.between(10, 2_000) : random.between(2_000, 40_000),
  };
  say(`the scheduler will be killed ${plan.when} its call ${plan.nth} of kind ${kind}`);
  world.planCrash(plan);
}
const ORDERS = ['fence', 'prepare', 'start', 'member-add', 'member-remove', 'member-promote'].map(
  (kind) => `order ${kind}`,
);

interface Budget {
  /** Voters lost for good since the cluster was whole. */
  lost: number;
}

async function inject(life: Life, budget: Budget): Promise<void> {
  const { world, random, storage, say } = life;
  const seats = world.seatHosts();
  const host = random.pick(seats.length === 0 ? world.hosts : seats);
  const mayLose =
    budget.lost < Math.floor((world.size - 1) / 2) &&
    world.canLose(host) &&
    world.hosts.filter((other) => !world.isGone(other)).length > world.size;
  const all = faultsIn(world, storage);
  const final = all.filter((fault) => isFinal(fault, storage));
  const harmless = all.filter((fault) => !isFinal(fault, storage));
  const { theme } = life;
  const themed = theme === null ? [] : harmless.filter(({ name }) => name.startsWith(theme));
  const usual = mayLose ? [...harmless, ...harmless, ...final, ...final] : harmless;
  const fault = random.pick(themed.length > 0 && random.chance(0.5) ? themed : usual);
  life.faults.push(fault.name);
  if (random.chance(0.5)) planCrash(world, random, say);
  if (isFinal(fault, storage)) budget.lost += 1;
  await fault.inject({
    world,
    random,
    storage,
    host,
    seats,
    say,
    lasting: async (durationMs, undo) => {
      if (random.chance(0.5)) {
        void world.clock.sleep(durationMs).then(undo);
        return;
      }
      await world.run(durationMs);
      undo();
    },
  });
}
