import { createChance, type RandomStream } from './prng.ts';
import { createWorld, type SimStorage, type World, type WorldOptions } from './world.ts';

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
  readonly debug?: boolean;
  readonly onLine?: (line: string) => void;
  /** Breaks something on purpose. */
  readonly canary?: WorldOptions['canary'];
}

const WHOLE_WITHIN_MS = 15 * 60_000;
const CALM_MS = 15_000;
const HOUR_MS = 3_600_000;
/** Scheduler passes in a virtual minute of calm, under a steady writer. */
const PASSES_PER_MINUTE_MAX = 600;

export async function runScenario(options: ScenarioOptions): Promise<Outcome> {
  const chance = createChance(options.seed);
  const random = chance.stream('scenario');
  const size = random.pick([1, 3, 3, 3, 5]);
  const world = createWorld({
    seed: options.seed,
    size,
    hosts: size + random.integer(1, 3),
    latencyMs: random.pick([0.3, 1, 5]),
    ...(options.storage === undefined ? {} : { storage: options.storage }),
    debug: options.debug === true,
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    ...(options.canary === undefined ? {} : { canary: options.canary }),
  });
  const plan: string[] = [];
  let failure: string | null = null;
  const { stackTraceLimit } = Error;
  // Thousands of errors are made in passing; the stack of the one that counts is wanted in a replay only.
  if (options.onLine === undefined) Error.stackTraceLimit = 0;
  try {
    const faults = FAULTS[options.storage ?? 'persistent'];
    await live(world, { random, jumps: chance.stream('clock jumps'), plan, faults });
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
    failure,
    story: world.story.lines(),
    virtualMs: world.clock.monotonicMs(),
    steps: world.steps,
    calls: world.calls,
    crashes: world.crashes,
  };
}

interface Life {
  readonly random: RandomStream;
  readonly jumps: RandomStream;
  readonly plan: string[];
  readonly faults: Faults;
}

async function live(world: World, { random, jumps, plan, faults }: Life): Promise<void> {
  const say = (text: string) => {
    plan.push(text);
    world.story.tell('scenario', text);
  };
  say(`${world.size} members on ${world.hosts.length} hosts`);
  if (random.chance(0.5)) planCrash(world, random, say);
  world.startScheduler();
  await world.runUntil('the cluster has formed and is whole', () => isWhole(world), WHOLE_WITHIN_MS);
  world.startWriter();
  await world.run(random.between(0, 20_000));
  const budget = { lost: 0 };
  const times = random.integer(1, 4);
  for (let count = 0; count < times; count += 1) {
    if (jumps.chance(0.2)) {
      const jumpMs = jumps.integer(-6 * HOUR_MS, 6 * HOUR_MS);
      say(`the wall clocks jump by ${Math.round(jumpMs / 60_000)} minutes`);
      world.clock.jumpWall(jumpMs);
    }
    await inject(world, random, { budget, faults, say });
    await world.run(random.chance(0.4) ? random.between(0, 2_000) : random.between(0, 30_000));
    if (isWhole(world)) budget.lost = 0;
  }
  say('calm');
  await heal(world);
  await world.runUntil('the cluster is whole again', () => isWhole(world), WHOLE_WITHIN_MS);
  await beCalm(world);
}

/** Whole: what the checkers ask for at rest, and nothing of ours left over in Mesos. */
function isWhole(world: World): boolean {
  return world.schedulerRuns && world.unrest().length === 0;
}

/** It stays whole, and the scheduler has nothing to do. */
async function beCalm(world: World): Promise<void> {
  const before = world.passes();
  await world.run(CALM_MS);
  const unrest = world.unrest();
  if (unrest.length > 0) throw new Error(`it did not stay whole: ${unrest.join('; ')}`);
  const passes = ((world.passes() - before) * 60_000) / CALM_MS;
  if (passes > PASSES_PER_MINUTE_MAX) {
    throw new Error(`the scheduler spins: ${Math.round(passes)} passes a minute with nothing to do`);
  }
}

/** All that can come back is brought back. */
async function heal(world: World): Promise<void> {
  world.planCrash(null);
  await world.announceMaintenance([]);
  for (const host of world.hosts) if (!world.isGone(host)) await world.reactivate(host);
  for (const host of world.hosts) {
    world.network.heal(host);
    if (!world.isGone(host)) world.startAgent(host);
  }
  if (!world.schedulerRuns) world.startScheduler();
  await world.run(1);
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

async function inject(
  world: World,
  random: RandomStream,
  { budget, faults, say }: { budget: Budget; faults: Faults; say: (text: string) => void },
): Promise<void> {
  const seats = world.seatHosts();
  const host = random.pick(seats.length === 0 ? world.hosts : seats);
  const mayLose =
    budget.lost < Math.floor((world.size - 1) / 2) &&
    world.canLose(host) &&
    world.hosts.filter((other) => !world.isGone(other)).length > world.size;
  const { harmless, final } = faults;
  const fault = random.pick(mayLose ? [...harmless, ...harmless, ...final, ...final] : harmless);
  if (random.chance(0.5)) planCrash(world, random, say);
  if (final.includes(fault)) budget.lost += 1;
  switch (fault) {
    case 'etcd killed':
      say(`etcd on ${host} is killed`);
      world.killEtcd(host);
      return;
    case 'supervisor killed':
      say(`the supervisor on ${host} is killed`);
      world.killSupervisor(host, { orphan: false });
      return;
    case 'supervisor killed, etcd orphaned':
      say(`the supervisor on ${host} is killed, its etcd runs on`);
      world.killSupervisor(host, { orphan: true });
      return;
    case 'host lost': {
      say(`${host} is lost, its agent will be marked gone`);
      const agentId = world.loseHost(host);
      await world.run(random.between(0, 20_000));
      await world.markGone(agentId);
      return;
    }
    case 'agent rebuilt':
      say(`${host} is rebuilt: a new agent with an empty disk`);
      world.loseHost(host);
      await world.run(random.between(0, 30_000));
      world.rebuild(host);
      return;
    case 'host rebooted':
      say(`${host} is rebooted with its disk`);
      world.reboot(host);
      await world.run(random.between(0, 20_000));
      world.startAgent(host);
      return;
    case 'agent out of sight':
      say(`the master does not reach the agent on ${host} for longer than the timeout`);
      world.cutFromMaster(host);
      await world.run(world.unreachableTimeoutMs + random.between(2_000, 20_000));
      world.network.heal(host);
      return;
    case 'host cut off':
      say(`nobody reaches ${host} for longer than the timeout`);
      world.network.isolate(host);
      await world.run(world.unreachableTimeoutMs + random.between(2_000, 20_000));
      world.network.heal(host);
      return;
    case 'host cut off shortly':
      say(`nobody reaches ${host} for a while`);
      world.network.isolate(host);
      await world.run(random.between(100, 20_000));
      world.network.heal(host);
      return;
    case 'agent restarted':
      say(`the agent's process on ${host} is restarted`);
      world.stopAgent(host);
      await world.run(random.between(10, 5_000));
      world.startAgent(host);
      return;
    case 'scheduler killed': {
      const downMs = random.between(10, 40_000);
      say(`the scheduler is killed for ${Math.round(downMs / 1000)} s`);
      world.killScheduler('by the scenario', downMs);
      return;
    }
    case 'maintenance announced': {
      const announced = random.chance(0.4) ? seats.slice(0, 2) : [host];
      const windows = announced.map((one) => ({ host: one, inMs: random.between(0, 60_000) }));
      say(`maintenance of ${announced.join(' and ')} is announced`);
      await world.announceMaintenance(windows);
      await world.run(random.between(0, 40_000));
      if (!random.chance(0.5)) return;
      say('the maintenance is cancelled');
      await world.announceMaintenance([]);
      return;
    }
    case 'agents drained': {
      const drained = random.chance(0.4) ? seats.slice(0, 2) : [host];
      say(`${drained.join(' and ')} are drained`);
      for (const one of drained) await world.drain(one);
      await world.run(random.between(0, 90_000));
      for (const one of drained) if (!world.isGone(one)) await world.reactivate(one);
      return;
    }
    case 'record lost': {
      const how = random.pick(faults.recordLost);
      say(`the record is lost ${how}`);
      // Where tasks are said to be on agents that nobody sees, and none runs elsewhere, nothing is adopted.
      await world.markWipedGone();
      world.killScheduler('for good, as it seems', 10_000);
      if (how === 'and the framework torn down') await world.tearDown();
      if (how === 'while all hosts are down') for (const seatHost of seats) world.reboot(seatHost);
      // What was ordered is carried out before nobody knows why it was.
      await world.run(5_000);
      await world.wipeRecord();
      await world.run(random.between(0, 10_000));
      for (const other of world.hosts) if (!world.isGone(other)) world.startAgent(other);
      return;
    }
    case 'framework torn down':
      say('an operator tears the framework down');
      await world.tearDown();
      return;
    case 'scheduler cut off':
      say('the scheduler reaches nobody');
      world.network.isolate(world.schedulerHost);
      await world.run(random.between(100, 30_000));
      world.network.heal(world.schedulerHost);
  }
}

interface Faults {
  /** After which a voter is lost for good. */
  readonly final: readonly Fault[];
  readonly harmless: readonly Fault[];
  readonly recordLost: readonly string[];
}

const ON_VOLUMES: Faults = {
  final: ['host lost', 'agent rebuilt'],
  harmless: [
    'etcd killed',
    'supervisor killed',
    'supervisor killed, etcd orphaned',
    'host rebooted',
    'agent out of sight',
    'host cut off',
    'host cut off shortly',
    'agent restarted',
    'scheduler killed',
    'scheduler cut off',
    'framework torn down',
    'record lost',
    'maintenance announced',
    'agents drained',
  ],
  recordLost: ['while all runs', 'while all hosts are down', 'and the framework torn down'],
};
const IN_SANDBOXES: Faults = {
  final: ['host lost', 'agent rebuilt', 'supervisor killed', 'host rebooted'],
  harmless: [
    'etcd killed',
    'agent out of sight',
    'host cut off',
    'host cut off shortly',
    'agent restarted',
    'scheduler killed',
    'scheduler cut off',
    'record lost',
    'maintenance announced',
  ],
  recordLost: ['while all runs'],
};
const FAULTS: Readonly<Record<SimStorage, Faults>> = {
  persistent: ON_VOLUMES,
  mount: ON_VOLUMES,
  sandbox: IN_SANDBOXES,
};
type Fault =
  | 'etcd killed'
  | 'supervisor killed'
  | 'supervisor killed, etcd orphaned'
  | 'host lost'
  | 'agent rebuilt'
  | 'host rebooted'
  | 'agent out of sight'
  | 'host cut off'
  | 'host cut off shortly'
  | 'agent restarted'
  | 'scheduler killed'
  | 'scheduler cut off'
  | 'framework torn down'
  | 'record lost'
  | 'maintenance announced'
  | 'agents drained';
