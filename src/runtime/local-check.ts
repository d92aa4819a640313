import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock } from '../base/ports.ts';
import { createLedger, type Ledger } from '../drills/ledger.ts';
import { createEtcdClient, createKvClient } from '../etcd/client.ts';
import type { LocalCluster } from '../local/local-cluster.ts';
import { identify, isAlive, type ProcessIdentity } from '../local/process-table.ts';
import type { EtcdMember } from '../protocol/member-status.ts';
import type { Members } from '../protocol/members-port.ts';
import type { PublishedMember, PublishedView } from '../protocol/view.ts';

/** What `etcd-mesos local up --check` breaks, and what it runs on. */
export interface LocalCheckWorld {
  readonly cluster: LocalCluster;
  readonly clock: Clock;
  readonly members: Members;
  readonly view: (signal: AbortSignal) => Promise<PublishedView>;
  /** Told what is being done. */
  readonly note: (line: string) => void;
}

export interface LocalCheckStep {
  readonly name: string;
  readonly done: string;
  readonly seen: string;
  /** Milliseconds from the blow until every member was healthy again and nothing was left to do. */
  readonly wholeAfterMs: number | null;
  /** The longest time without an acknowledged write. */
  readonly withoutWritesMs: number;
  /** What should not have changed and did, or should have and did not. Empty is good. */
  readonly problems: readonly string[];
}

export interface LocalCheckReport {
  readonly ok: boolean;
  readonly steps: readonly LocalCheckStep[];
  readonly acknowledgedWrites: number;
  /** Keys of acknowledged writes that a member does not have, with that member. */
  readonly missingWrites: readonly string[];
}

/** A step that is not over after this long has failed. */
const STEP_MS_MAX = 45_000;
const LOOK_MS = 50;
const ASK_MS_MAX = 2_000;
const READ_BACK_MS_MAX = 30_000;

/** Breaks a running cluster in four ways under a steady writer, and holds what is seen against what should be. */
export async function checkLocal(world: LocalCheckWorld, signal: AbortSignal): Promise<LocalCheckReport> {
  const writing = new AbortController();
  let endpoints: readonly string[] = (await world.view(signal)).endpoints.client;
  const ledger = createLedger({
    clock: world.clock,
    endpoints: () => endpoints,
    open: (url) => createKvClient({ url }, world.clock),
    prefix: 'etcd-mesos-check/',
  });
  const watched: LocalCheckWorld = {
    ...world,
    view: async (limit) => {
      const view = await world.view(limit);
      if (view.endpoints.client.length > 0) endpoints = view.endpoints.client;
      return view;
    },
  };
  const writer = ledger.run(AbortSignal.any([signal, writing.signal]));
  const steps: LocalCheckStep[] = [];
  try {
    for (const step of STEPS) {
      world.note(step.name);
      steps.push(await runStep(watched, ledger, step, signal));
    }
  } finally {
    writing.abort();
    await writer;
  }
  const missingWrites = await missingFromMembers(watched, ledger, signal);
  return {
    ok: missingWrites.length === 0 && steps.every((step) => step.problems.length === 0),
    steps,
    acknowledgedWrites: ledger.acknowledged(),
    missingWrites,
  };
}

/** What is known of the cluster at one moment, from outside of it. */
interface Snapshot {
  readonly view: PublishedView;
  readonly listed: readonly EtcdMember[];
}

interface Step {
  readonly name: string;
  readonly slot: string;
  /** Strikes, and says what it did. */
  readonly strike: (world: LocalCheckWorld, victim: Victim, signal: AbortSignal) => Promise<string>;
  /** What is left to be done once the cluster is whole again. */
  readonly mend?: (world: LocalCheckWorld, victim: Victim, signal: AbortSignal) => Promise<void>;
  readonly expect: 'same-task' | 'same-member' | 'new-member';
}
interface Victim {
  readonly member: PublishedMember;
  readonly agent: number;
  readonly supervisor: ProcessIdentity;
  readonly etcd: ProcessIdentity;
}

const STEPS: readonly Step[] = [
  {
    name: 'etcd killed',
    slot: 'etcd-0',
    expect: 'same-task',
    strike: async (_world, { etcd, member }) => {
      process.kill(etcd.pid, 'SIGKILL');
      return `SIGKILL to the etcd of ${member.slot} (pid ${etcd.pid})`;
    },
  },
  {
    name: 'supervisor killed',
    slot: 'etcd-1',
    expect: 'same-member',
    strike: async (_world, { supervisor, member }) => {
      process.kill(supervisor.pid, 'SIGKILL');
      return `SIGKILL to the supervisor of ${member.slot} (pid ${supervisor.pid})`;
    },
  },
  {
    name: 'host lost',
    slot: 'etcd-2',
    expect: 'new-member',
    strike: async ({ cluster }, { agent, member }) => {
      await cluster.killHost(agent);
      cluster.wipe(agent);
      await cluster.markGone(agent);
      return `everything on ${member.hostname} killed, its directory removed, the agent marked gone`;
    },
  },
  {
    name: 'agent out of sight, then back',
    slot: 'etcd-0',
    expect: 'new-member',
    strike: async ({ cluster }, { agent, member }) => {
      cluster.stopAgent(agent);
      return `the agent ${member.hostname} stopped past the unreachable timeout, resumed after the replacement`;
    },
    mend: async ({ cluster, clock }, { agent, supervisor, etcd, member }, signal) => {
      if (!isAlive(supervisor)) throw new Error(`the task of ${member.slot} ended while it was out of sight`);
      cluster.resumeAgent(agent);
      await until(clock, signal, `the returned task of ${member.slot} to be stopped`, async () => {
        return !isAlive(supervisor) && !isAlive(etcd);
      });
    },
  },
];

async function runStep(
  world: LocalCheckWorld,
  ledger: Ledger,
  step: Step,
  signal: AbortSignal,
): Promise<LocalCheckStep> {
  const { clock } = world;
  const before = await settled(world, signal);
  const victim = await victimOf(world, before.view, step.slot, signal);
  const watch = watchMembership(world, before.view.size, signal);
  const startMs = clock.monotonicMs();
  const problems: string[] = [];
  let done = step.name;
  let wholeAfterMs: number | null = null;
  let seen = 'nothing in time';
  try {
    done = await step.strike(world, victim, signal);
    await until(clock, signal, 'the blow to show', async () =>
      hasLanded(await snapshot(world, signal), step, victim),
    );
    await settled(world, signal, step.mend === undefined);
    wholeAfterMs = Math.round(clock.monotonicMs() - startMs);
    await step.mend?.(world, victim, signal);
    const after = await settled(world, signal);
    problems.push(...differences(before, after, step, victim, watch.learners));
    if (isAlive(victim.etcd)) problems.push(`the old etcd (pid ${victim.etcd.pid}) still runs`);
    seen = describeChange(victim.member, memberAt(after.view, step.slot));
  } catch (error) {
    problems.push(describeError(error));
  } finally {
    problems.push(...(await watch.stop()));
  }
  const withoutWritesMs = Math.round(ledger.longestGapMs(startMs));
  return { name: step.name, done, seen, wholeAfterMs, withoutWritesMs, problems };
}

/** The cluster no longer looks as if nothing had happened to it. */
function hasLanded({ view, listed }: Snapshot, step: Step, { member, etcd, supervisor }: Victim): boolean {
  if (step.expect === 'same-task') return !isAlive(etcd);
  if (step.expect === 'same-member')
    return !isAlive(supervisor) && memberAt(view, step.slot).task !== member.task;
  return listed.every((one) => one.id !== member.memberId);
}

function differences(
  before: Snapshot,
  after: Snapshot,
  step: Step,
  { member }: Victim,
  learners: ReadonlySet<string>,
): string[] {
  const now = memberAt(after.view, step.slot);
  const problems: string[] = [];
  const check = (fine: boolean, problem: string): void => {
    if (!fine) problems.push(problem);
  };
  if (step.expect === 'new-member') {
    check(now.memberId !== member.memberId, `${step.slot} still has member id ${member.memberId}`);
    check(now.seat !== member.seat, `${step.slot} still holds its old place`);
    check(learners.has(now.memberId ?? ''), `the new member ${now.memberId} was never seen as a learner`);
  } else {
    check(now.memberId === member.memberId, `member id ${member.memberId} became ${now.memberId}`);
    check(now.seat === member.seat, `the place ${member.seat} became ${now.seat}`);
    const sameTask = now.task === member.task;
    check(
      sameTask === (step.expect === 'same-task'),
      sameTask ? 'no new task was launched' : 'a new task was launched',
    );
  }
  const sameName = now.nameTask?.task === member.nameTask?.task;
  check(
    sameName === (step.expect === 'same-task'),
    sameName ? 'clients are told of it by the old name task' : 'its name task became another',
  );
  for (const other of before.view.members.filter((one) => one.slot !== step.slot)) {
    const later = memberAt(after.view, other.slot);
    check(
      later.memberId === other.memberId,
      `${other.slot} was untouched, its member id became ${later.memberId}`,
    );
    check(later.task === other.task, `${other.slot} was untouched, its task became ${later.task}`);
    check(
      later.nameTask?.task === other.nameTask?.task,
      `${other.slot} was untouched, its name task became ${later.nameTask?.task}`,
    );
  }
  const voters = after.listed.filter((one) => !one.isLearner);
  check(
    voters.length === after.view.size,
    `${voters.length} voters are listed instead of ${after.view.size}`,
  );
  return problems;
}

function describeChange(before: PublishedMember, after: PublishedMember): string {
  if (after.memberId !== before.memberId) {
    return `${before.slot}: member ${before.memberId} out, ${after.memberId} in as a learner, votes on ${after.hostname}`;
  }
  if (after.task !== before.task)
    return `${before.slot}: same member ${after.memberId}, new task on ${after.hostname}`;
  return `${before.slot}: same member ${after.memberId}, same task, etcd started again`;
}

/** Looks at the member list all the time: how many vote, and who was a learner. */
function watchMembership(world: LocalCheckWorld, size: number, signal: AbortSignal) {
  const ended = new AbortController();
  const learners = new Set<string>();
  let votersMax = 0;
  const looking = (async () => {
    while (!ended.signal.aborted && !signal.aborted) {
      const listed = await listMembers(world, await viewOrNull(world, signal), signal).catch(() => []);
      votersMax = Math.max(votersMax, listed.filter((one) => !one.isLearner).length);
      for (const one of listed) if (one.isLearner) learners.add(one.id);
      await world.clock.sleep(LOOK_MS, ended.signal);
    }
  })();
  return {
    learners,
    stop: async (): Promise<string[]> => {
      ended.abort();
      await looking;
      return votersMax > size ? [`${votersMax} voters were listed at a time, ${size} are allowed`] : [];
    },
  };
}

async function viewOrNull(world: LocalCheckWorld, signal: AbortSignal): Promise<PublishedView | null> {
  return await world.view(signal).catch(() => null);
}

async function snapshot(world: LocalCheckWorld, signal: AbortSignal): Promise<Snapshot> {
  const view = await world.view(signal);
  return { view, listed: await listMembers(world, view, signal) };
}

/** Waits until every slot is healthy and has its name and, where asked for, nothing is in progress or leaving. */
async function settled(world: LocalCheckWorld, signal: AbortSignal, quiet = true): Promise<Snapshot> {
  let last: Snapshot | null = null;
  await until(world.clock, signal, 'the cluster to be whole', async () => {
    last = await snapshot(world, signal);
    const { view, listed } = last;
    const holders = view.members.filter((member) => member.role === 'voter' && member.healthy);
    const named = holders.filter((member) => member.nameTask?.mesosState === 'TASK_RUNNING');
    const whole = view.health.state === 'healthy' && view.intent === null && named.length === view.size;
    const tidy = view.members.length === view.size && listed.length === view.size;
    return whole && (tidy || !quiet);
  });
  return last ?? (await snapshot(world, signal));
}

/** The member list by the word of a member that completes a linearizable read. */
async function listMembers(
  world: LocalCheckWorld,
  view: PublishedView | null,
  signal: AbortSignal,
): Promise<readonly EtcdMember[]> {
  let failure: unknown = new Error('no endpoints are published');
  for (const url of view?.endpoints.client ?? []) {
    const client = createEtcdClient({ url }, world.clock);
    try {
      return await withDeadline(world.clock, ASK_MS_MAX, signal, async (limit) => {
        await client.confirmQuorum(limit);
        return await client.members(limit);
      });
    } catch (error) {
      failure = error;
    } finally {
      client.close();
    }
  }
  throw failure;
}

async function victimOf(
  world: LocalCheckWorld,
  view: PublishedView,
  slot: string,
  signal: AbortSignal,
): Promise<Victim> {
  const member = memberAt(view, slot);
  const agent = world.cluster.agents.findIndex((one) => one.hostname === member.hostname);
  const task = world.cluster.tasks(agent).find((one) => one.taskId === member.task);
  const url = `http://${member.host}:${member.ports?.supervisor ?? 0}`;
  const status = await withDeadline(world.clock, ASK_MS_MAX, signal, (limit) =>
    world.members.status(url, null, limit),
  );
  const supervisor = task?.taskPid == null ? null : identify(task.taskPid);
  const etcd = status.etcd === null ? null : identify(status.etcd.pid);
  if (supervisor === null || etcd === null) throw new Error(`the processes of ${slot} are not known`);
  return { member, agent, supervisor, etcd };
}

/** The seat of a slot that holds its member. */
function memberAt(view: PublishedView, slot: string): PublishedMember {
  const seats = view.members.filter((member) => member.slot === slot);
  const holder = seats.find((member) => member.role === 'voter') ?? seats[0];
  if (holder === undefined) throw new Error(`the scheduler does not list ${slot}`);
  return holder;
}

async function missingFromMembers(
  world: LocalCheckWorld,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const missing: string[] = [];
  const view = await world.view(signal);
  for (const url of view.endpoints.client) {
    const client = createKvClient({ url }, world.clock);
    try {
      const keys = await withDeadline(world.clock, READ_BACK_MS_MAX, signal, (limit) =>
        ledger.missingFrom(client, limit),
      );
      missing.push(...keys.map((key) => `${key} at ${url}`));
    } finally {
      client.close();
    }
  }
  return missing;
}

async function until(
  clock: Clock,
  signal: AbortSignal,
  what: string,
  ask: () => Promise<boolean>,
): Promise<void> {
  const endMs = clock.monotonicMs() + STEP_MS_MAX;
  let last: unknown = null;
  while (clock.monotonicMs() < endMs && !signal.aborted) {
    try {
      if (await ask()) return;
      last = null;
    } catch (error) {
      last = error;
    }
    await clock.sleep(LOOK_MS, signal);
  }
  signal.throwIfAborted();
  const why = last === null ? '' : `: ${describeError(last)}`;
  throw new Error(`waited ${STEP_MS_MAX / 1000} s in vain for ${what}${why}`);
}
