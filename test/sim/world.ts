import { assert } from '../../src/base/assert.ts';
import { describeError } from '../../src/base/errors.ts';
import type { Processes, StateStore } from '../../src/base/ports.ts';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import { ownerOf } from '../../src/framework/labels.ts';
import type { ContainerSpec } from '../../src/local/container-runtime.ts';
import type { Resource } from '../../src/mesos/wire.ts';
import { readPin } from '../../src/protocol/artifact-pin.ts';
import { isNameTaskId } from '../../src/protocol/identifiers.ts';
import type { Members } from '../../src/protocol/members-port.ts';
import { orderSchema, type SignedOrder } from '../../src/protocol/orders.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { createOrderKey } from '../../src/protocol/signature.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import type { OperatorCommand } from '../../src/reconcile/commands.ts';
import type { ClusterHealth } from '../../src/reconcile/decision.ts';
import { seatsToUpdate, targetOf } from '../../src/reconcile/rollout.ts';
import { archiveUnrest, createArchiveChecks } from './archive-checks.ts';
import { createDecisionChecks } from './decision-checks.ts';
import { createFenceCheck } from './fence-check.ts';
import { createInvariants } from './invariants.ts';
import { type Ledger, startLedger } from './ledger.ts';
import {
  type AsksForUser,
  createModelEtcd,
  type EtcdObserver,
  type EtcdProcess,
  type ModelEtcdClient,
} from './model-etcd.ts';
import { USUAL_VERSION } from './model-versions.ts';
import { createNetwork, type Network } from './network.ts';
import { createChance } from './prng.ts';
import { createSimArchive, type SimArchive } from './sim-archive.ts';
import {
  configOf,
  describeAgent,
  KEEP_REVISIONS,
  type SimOptions,
  type SimStorage,
  simArtifact,
  UNREACHABLE_TIMEOUT_MS,
} from './sim-config.ts';
import { createSimContainers, type SimContainers } from './sim-containers.ts';
import { createSimDisk } from './sim-disk.ts';
import { type SimMember, startSimMember } from './sim-member.ts';
import { createSimMembers } from './sim-members.ts';
import { createSimMesos, MASTER_HOST, workDirectoryOf } from './sim-mesos.ts';
import { type SimName, startSimName } from './sim-name.ts';
import { createSimSchedulers, type DownPlan } from './sim-schedulers.ts';
import { createStateInFile, createStateInZooKeeper, ZOOKEEPER_HOST } from './sim-state.ts';
import { createSpaceCheck } from './space-check.ts';
import { createStory, type Story } from './story.ts';
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts';

/** A whole Mesos cluster with our scheduler, supervisors and etcds in it, in one process and virtual time. */
export interface World {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly story: Story;
  /** How many members were asked for last. */
  readonly size: number;
  /** What an operator has asked for last, answered or not. */
  readonly asked: number;
  /** Addresses of the agents' hosts. */
  readonly hosts: readonly string[];
  /** Of the scheduler that acts, else of any. */
  readonly schedulerHost: string;
  readonly schedulerHosts: readonly string[];
  readonly masterHost: string;
  /** `null` where the schedulers have none. */
  readonly zooKeeperHost: string | null;
  /** `null`: nothing is archived. */
  readonly archive: SimArchive | null;
  /** What is wrong with what lies in the archive. */
  archiveProblems(): Promise<readonly string[]>;
  readonly unreachableTimeoutMs: number;
  /** One acts. */
  readonly schedulerRuns: boolean;
  readonly steps: number;
  /** Kinds of calls that schedulers made, and what they were killed at. */
  readonly calls: ReadonlySet<string>;
  readonly crashes: readonly string[];
  /** Passes that all schedulers made together. */
  passes(): number;
  /** Requests that the master has got. */
  masterRequests(): number;
  /** By the scheduler that acts. */
  health(): ClusterHealth | null;
  /** Members that run, and where. */
  etcds(): readonly string[];
  /** Offers that the scheduler which runs has received. */
  offersReceived(): number;
  record(): ClusterRecord | null;
  /** Why the world is not whole and at rest; empty when it is. */
  unrest(): readonly string[];
  /** Hosts of the seats that the record holds. */
  seatHosts(): readonly string[];

  startScheduler(): void;
  /** Kills the one that acts, or all; each is started again after `downMs`. */
  killScheduler(why: string, downMs: number, whom?: 'acting' | 'all'): void;
  planCrash(plan: DownPlan | null): void;
  /** The one that acts stands still until the answer is called: then it goes on with what it knew and had decided. */
  pauseScheduler(): () => void;
  /** ZooKeeper holds the session of the one that acts to be over. */
  expireSession(): void;
  startWriter(): void;
  stopWriter(): void;
  /** A client of one of the members, wherever it is; `null` while there is none. */
  client(): ModelEtcdClient | null;
  /** The data of that host's member is not its peers' any more; the id of the member, `null` without one. */
  damage(host: string): string | null;
  /** Nothing runs any more. */
  readonly ended: boolean;
  /** An operator tells the scheduler that runs; what it answers is in the story. */
  tell(command: OperatorCommand): void;
  /** An operator asks the scheduler that runs for a full; what comes of it is in the story. */
  askForFull(): void;
  /** Asks that the service be given up, with all its data: of the scheduler that runs, or by a restart of it. */
  uninstall(by: 'environment' | 'operator'): void;
  /** An operator asks the scheduler for as many members; it may refuse, or be killed meanwhile. */
  scale(size: number): void;
  /**
   * Asks for as many until that is taken, called again and again; without a size for what nobody has answered, or what
   * was forgotten with the record.
   */
  insistOn(size?: number): void;
  /** Starts the scheduler anew with another `--cluster-size`; once in a life, else nothing is done. */
  startWithSize(size: number): boolean;
  /** Starts the scheduler anew with other options; what is not named stays as it is. */
  startWith(changes: SimOptions): void;
  /** Which etcd the options ask for. */
  readonly etcdAsked: string;
  /** Has what the options ask for rolled out, whatever it waits for; called again and again. */
  insistOnUpdate(): void;
  /** A scheduler has ended because nothing of the service is left. */
  readonly uninstalled: boolean;
  /** What of ours is left: tasks, etcds, reservations, volumes, a framework, a record. */
  leftovers(): readonly string[];

  /** An operator turns etcd's own authentication on, or off. */
  askForUser(when: AsksForUser): void;
  killEtcd(host: string): void;
  killSupervisor(host: string, options: { readonly orphan: boolean }): void;
  stopAgent(host: string): void;
  startAgent(host: string): void;
  cutFromMaster(host: string): void;
  /** The scheduler's connections to the master break, and can be made anew at once. */
  resetConnections(): void;
  /** The master dies; the next is elected after `downMs`. */
  failOverMaster(downMs: number): void;
  readonly mastersFail: boolean;
  /** The connection between master and agent breaks, and what was on its way is lost. */
  resetAgent(host: string): void;
  /** What Mesos refuses to everybody from now on, by the names of its ACLs. */
  deny(actions: readonly string[]): void;
  /** Power is off; the disk stays. */
  reboot(host: string): void;
  /** What is on the host's disk now; to be put back by calling the answer while the power is off. */
  copyDisk(host: string): () => void;
  /** etcd's data directories on that host vanish, while the power is off. */
  loseData(host: string): void;
  /** Every write to that host's disk takes so much longer; 0: it does not. */
  slowDisk(host: string, byMs: number): void;
  /** The agent is a new one to Mesos from now on; what the old one ran runs on until {@link endAbandoned}. */
  wipeAgent(host: string): void;
  endAbandoned(): void;
  /** Power is off and the disk is gone. Answers with the id of the agent that ran there. */
  loseHost(host: string): string | null;
  /** A new agent with an empty disk at a lost host's address. */
  rebuild(host: string): void;
  markGone(agentId: string | null): Promise<void>;
  /** An operator marks every agent gone whose disk is. */
  markWipedGone(): Promise<void>;
  /** An operator removes the framework from Mesos, which ends all its tasks. */
  tearDown(): Promise<void>;
  /** That was done, and no scheduler has registered anew since. */
  readonly isTornDown: boolean;
  /** The machines of these hosts, and no others, will be away. */
  announceMaintenance(windows: readonly { readonly host: string; readonly inMs: number }[]): Promise<void>;
  /** An operator drains the agent, which ends its tasks; or takes that back. */
  drain(host: string): Promise<void>;
  reactivate(host: string): Promise<void>;
  /** The record is lost with all that was stored, and the scheduler with it. */
  wipeRecord(): Promise<void>;
  /** With the schedulers killed an older copy of what was stored is put back, of so many saves ago. */
  rollBackRecord(saves: number): void;
  /** That was done at some time. */
  readonly isRecordRolledBack: boolean;
  isGone(host: string): boolean;
  /** Whether a quorum would be left without that host. */
  canLose(host: string): boolean;

  /** Passes time, checking after every step. Throws at the first violation. */
  run(durationMs: number): Promise<void>;
  /** Passes time until it holds. Throws when it does not within the limit, saying what is missing. */
  runUntil(what: string, condition: () => boolean, limitMs: number): Promise<void>;
  /** Stops what runs. */
  end(): void;
}

export interface WorldOptions {
  readonly seed: number;
  readonly size: number;
  /** How many agents there are. */
  readonly hosts: number;
  readonly latencyMs: number;
  /** Where members keep their data. Default `persistent`. */
  readonly storage?: SimStorage;
  /** Two schedulers, one of which is elected in ZooKeeper, where the record is. Default: one, and a file. */
  readonly isElected?: boolean;
  /** Masters may die. Default: there is one, for ever. */
  readonly mastersFail?: boolean;
  /** The cluster is archived. Default: it is not. */
  readonly isArchived?: boolean;
  readonly debug: boolean;
  readonly onLine?: (line: string) => void;
  readonly canary?: Canary;
}

/** What can be broken on purpose, to see that the checkers see it. */
export interface Canary {
  readonly store?: (store: StateStore) => StateStore;
  readonly members?: (members: Members) => Members;
  readonly processes?: (processes: Processes) => Processes;
}

const SCHEDULER_HOST = '10.0.2.1';
const STANDBY_HOST = '10.0.2.2';
const CLIENT_HOST = '10.0.3.1';
/** Conditions over everything are looked at this often, not after every timer. */
const LOOK_MS = 250;
const DECISIONS_LOOK_MS = 20;
/** Steps at one instant: more means that something goes round without time passing. */
const STEPS_AT_ONCE_MAX = 20_000;
/** Steps of a whole life, several times what the longest takes: more means that it never comes to an end. */
const STEPS_MAX = 400_000;
/** A supervisor that runs for this long is known to the scheduler, and so is its etcd. */
const SETTLED_MS = 5_000;
/** Between two words of an operator who insists. */
const INSIST_MS = 10_000;
const MAINTENANCE_MS = 6 * 3_600_000;
const ORDER_KEY = createOrderKey().key;

export function createWorld(options: WorldOptions): World {
  const { storage = 'persistent' } = options;
  const chance = createChance(options.seed);
  const clock = createVirtualClock();
  const story = createStory({
    monotonicMs: clock.monotonicMs,
    debug: options.debug,
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
  });
  const network = createNetwork({ clock, random: chance.stream('network'), latencyMs: options.latencyMs });
  const hosts = Array.from({ length: options.hosts }, (_, index) => `10.0.0.${index + 1}`);
  const gone = new Set<string>();
  /** Tasks of a framework that was torn down: they end by an operator's word, not by ours. */
  const condemned = new Set<string>();
  /** The framework that an operator has removed last. */
  let tornDownId: string | null = null;
  /** Hosts whose agents an operator has drained and not reactivated. */
  const drained = new Set<string>();
  /** Ids of agents that never come back. */
  const wiped = new Set<string>();
  const members = new Set<SimMember>();
  const names = new Set<SimName>();
  const failures: string[] = [];
  const fences = createFenceCheck();
  const slowDisks = new Map<string, number>();
  /** Members that no agent knows any more. */
  const abandoned = new Set<SimMember>();
  let steps = 0;
  let ledger: Ledger | null = null;
  const bulk = chance.stream('bulk');
  let ended = false;
  let uninstall: SchedulerConfig['uninstall'] = null;
  /** What `--cluster-size` says. */
  let sizeOption = options.size;
  /** What an operator, or the option, has said last. */
  let wanted = options.size;
  /** What was asked for, and nobody has answered; or what a record knew that is gone. */
  let unsettled: number | null = null;
  let isSizeAsked = false;

  const state =
    options.isElected === true ? createStateInZooKeeper(clock, network) : createStateInFile(clock);
  /** Since when the network is as it is, and the same scheduler acts. */
  let isRecordRolledBack = false;
  let disturbedAtMs = 0;
  const disturbed = () => {
    disturbedAtMs = clock.monotonicMs();
  };
  network.onChange(disturbed);
  const isInSight = (host: string) =>
    network.reachable(schedulers.host, host) && network.reachable(host, schedulers.host);

  const invariants = createInvariants({
    clock,
    etcd: () => etcd,
    size: () => wanted,
    record: state.record,
    acknowledged: () => ledger?.acknowledged ?? new Map(),
    watched: (host) =>
      isInSight(host) &&
      !network.stormy &&
      clock.monotonicMs() - disturbedAtMs > SETTLED_MS &&
      [...members].some(
        (member) => member.host === host && clock.monotonicMs() - member.startedAtMs > SETTLED_MS,
      ),
    names: () => names,
    inSight: function* () {
      const tasks = new Set(state.record()?.seats.map(({ task }) => task));
      for (const member of members) {
        const { alive, host, launch } = member;
        if (!alive || abandoned.has(member) || !tasks.has(launch.task)) continue;
        if (mesos.isInSight(host)) yield launch.seat;
      }
    },
    unreachableTimeoutMs: UNREACHABLE_TIMEOUT_MS,
    supervised: (seatId) => [...members].some((member) => member.alive && member.launch.seat === seatId),
  });
  const archiveChecks = createArchiveChecks({
    place: () => archive?.place ?? null,
    record: state.record,
    onViolation: (text) => failures.push(`archive violated: ${text}`),
  });
  const observer = told(invariants.observer, story);
  const etcd = createModelEtcd({
    clock,
    random: chance.stream('etcd'),
    reachable: network.reachable,
    latencyMs: network.latencyMs,
    diskMs: (host) => slowDisks.get(host) ?? 0,
    observer: {
      ...observer,
      started: (process) => {
        observer.started(process);
        archiveChecks.started(process);
      },
      committed: (leader, entry) => {
        observer.committed(leader, entry);
        archiveChecks.committed(leader, entry);
      },
    },
  });
  network.onChange(etcd.networkChanged);
  const archive =
    options.isArchived === true
      ? createSimArchive({
          clock,
          random: chance.stream('archive'),
          network,
          etcd,
          observer: archiveChecks,
        })
      : null;
  const disk = createSimDisk(etcd);

  const containers = new Map<string, SimContainers>();
  const runtimeOf = (host: string): SimContainers => {
    const created = createSimContainers({
      clock,
      random: chance.stream(`containers ${host}`),
      startTask: (spec) => (isNameTaskId(spec.taskId) ? startName(host, spec) : startMember(host, spec)),
      listens: (port) => listens(host, port),
      onEvent: (containerId, event) => {
        story.tell(host, `container ${event.kind}`);
        mesos.agentAt(host).containerEvent(containerId, event);
      },
    });
    containers.set(host, created);
    return created;
  };
  const containersOf = (host: string): SimContainers => containers.get(host) as SimContainers;

  const listens = (host: string, port: number): boolean =>
    [...etcd.running].some((one) => one.host === host && one.serving && one.commandLine.clientPort === port);

  const startName = (host: string, spec: ContainerSpec): SimName => {
    const name = startSimName({ host, spec, clock, listens: (port) => listens(host, port) });
    names.add(name);
    void name.exit.then(() => names.delete(name));
    return name;
  };

  const startMember = (host: string, spec: ContainerSpec): SimMember => {
    const member: SimMember = startSimMember({
      host,
      spec,
      clock,
      random: chance.stream(`member ${host}`),
      etcd,
      disk,
      members,
      ...(options.canary?.processes === undefined ? {} : { wrapProcesses: options.canary.processes }),
      log: story.logger(`member ${host.split('.').at(-1)}`),
      stopping: (process, why) => {
        if (!condemned.has(spec.taskId)) invariants.stopping(process, why);
      },
    });
    members.add(member);
    void member.exit.then(() => members.delete(member));
    return member;
  };

  const mesos = createSimMesos({
    clock,
    network,
    ids: (name) => chance.ids(name),
    agents: hosts.map((host, index) => describeAgent(host, index, storage)),
    runtimeOf,
    disk: {
      create: disk.create,
      remove: (host, path) => {
        story.tell(host, `volume ${path.split('/').at(-1)} is destroyed`);
        invariants.removingVolume(host, path);
        disk.remove(host, path);
      },
    },
    story: story.tell,
    mastersFail: options.mastersFail === true,
  });

  let specChanges: SimOptions = {};
  let insistedAtMs = Number.NEGATIVE_INFINITY;

  const databases = createSpaceCheck({
    running: () => etcd.running,
    space: () => state.record()?.space ?? null,
    keepRevisions: KEEP_REVISIONS,
  });
  const schedulers = createSimSchedulers({
    clock,
    story,
    state,
    hosts: options.isElected === true ? [SCHEDULER_HOST, STANDBY_HOST] : [SCHEDULER_HOST],
    wrapStore: options.canary?.store,
    given: (host) => {
      const onDone = (task: string, order: SignedOrder) => {
        for (const problem of [fences.done(task, order), databases.done(order)]) {
          if (problem !== null) failures.push(problem);
        }
        const done = orderSchema.parse(JSON.parse(order.order));
        if (done.kind === 'compact') {
          archiveChecks.published(schedulers.snapshot()?.archive ?? null);
          archiveChecks.compacted(BigInt(done.args.revision));
        }
      };
      const port = createSimMembers({ clock, network, members, fromHost: host, onDone });
      return {
        config: { ...configOf({ size: sizeOption, storage, changes: specChanges }), uninstall },
        random: chance.stream('scheduler'),
        ids: chance.ids('scheduler'),
        orderKey: ORDER_KEY,
        link: mesos.transport(host),
        members: options.canary?.members?.(port) ?? port,
        archive: archive === null ? null : (own) => archive.access({ host, clock: own }),
      };
    },
    onFailure: (text) => failures.push(text),
    onGone: () => {
      invariants.schedulerGone();
      disturbed();
    },
    onStart: disturbed,
    onStatus: invariants.reported,
  });

  const askForSize = async (size: number): Promise<CommandAnswer['outcome'] | 'unanswered'> => {
    const asked = schedulers.acting()?.acting();
    const answer = await asked?.tell({ kind: 'scale', size, by: 'operator' }).catch(() => undefined);
    if (answer === undefined) return 'unanswered';
    if (answer.outcome !== 'refused') wanted = size;
    story.tell('operator', `asked for ${size} members: ${answer.outcome}`, answer.message);
    return answer.outcome;
  };
  const scale = async (size: number): Promise<void> => {
    isSizeAsked = true;
    unsettled = size;
    if ((await askForSize(size)) !== 'unanswered' && unsettled === size) unsettled = null;
  };
  const insist = async (): Promise<void> => {
    if (unsettled === null || state.record()?.epoch.phase !== 'formed') return;
    const size = unsettled;
    const outcome = await askForSize(size);
    if (unsettled === size && (outcome === 'done' || outcome === 'already')) unsettled = null;
  };

  const leftovers = (): readonly string[] => [
    ...(state.record() === null ? [] : ['the record']),
    ...[...members].filter((member) => member.alive).map((member) => `task ${member.launch.task}`),
    ...[...etcd.running].map((process) => `etcd ${process.data.memberId} on ${process.host}`),
    ...hosts.flatMap((host) =>
      gone.has(host)
        ? []
        : mesos
            .agentAt(host)
            .reserved()
            .map((resource) => `${host}: reserved ${resource.name}`),
    ),
  ];

  const etcdOn = (host: string): EtcdProcess[] =>
    [...etcd.running].filter((process) => process.host === host);
  const membersOn = (host: string): SimMember[] => [...members].filter((member) => member.host === host);

  /** What power failure does: nothing runs there any more, and the agent learns of it at its next start. */
  const powerOff = (host: string) => {
    mesos.agentAt(host).stop();
    containersOf(host).loseAll();
    for (const member of membersOn(host)) member.kill({ orphan: false });
    for (const process of etcdOn(host)) process.kill('SIGKILL');
  };

  const startAgent = (host: string) => {
    const agent = mesos.agentAt(host);
    if (agent.up) return;
    for (const containerId of containersOf(host).lost()) {
      agent.containerEvent(containerId, { kind: 'executor-terminated' });
    }
    agent.start();
  };

  const tell = (command: OperatorCommand): void => {
    const what = JSON.stringify(command);
    story.tell('operator', what);
    schedulers
      .acting()
      ?.acting()
      ?.tell(command)
      .then(
        ({ outcome, message }) => story.tell('operator', `${what}: ${outcome}`, message),
        (error: unknown) => story.tell('operator', `${what}: unanswered`, describeError(error)),
      );
  };

  const askForFull = (): void => {
    const asked = schedulers.acting()?.acting()?.fullNow('an operator asked for it');
    asked?.then(
      ({ name }) => story.tell('operator', `full ${name} was taken`),
      (error: unknown) => story.tell('operator', 'no full was taken', describeError(error)),
    );
  };

  /** Members do not have what the scheduler's options ask for. */
  const isBehind = (): boolean => {
    const { spec } = configOf({ size: sizeOption, storage, changes: specChanges });
    const record = state.record();
    return record !== null && seatsToUpdate(record, targetOf(spec), 'all').length > 0;
  };

  const unrest = (): readonly string[] => {
    const wrong = [...invariants.atRest()];
    if (unsettled !== null) wrong.push(`nobody has answered who asked for ${unsettled} members`);
    const record = state.record();
    if (record === null) return wrong;
    const seats = new Map(record.seats.map((seat) => [seat.id, seat]));
    const kept = new Set(
      record.leaving.flatMap(({ seat }) => (seat.lost?.cause === 'foreign-data' ? [seat.id] : [])),
    );
    for (const member of members) {
      if (!member.alive) continue;
      const seat = seats.get(member.launch.seat);
      if (seat?.task !== member.launch.task)
        wrong.push(`task ${member.launch.task} runs and the record does not know it`);
    }
    const named = new Set(record.seats.map((seat) => seat.nameTask?.task));
    const running = [...names].filter((name) => name.alive).map((name) => name.task);
    for (const task of running) if (!named.has(task)) wrong.push(`nobody knows the name task ${task}`);
    for (const seat of record.seats) {
      if (!running.includes(seat.nameTask?.task ?? '')) wrong.push(`${seat.slot} has no name task`);
    }
    for (const host of hosts) {
      if (gone.has(host)) continue;
      for (const owner of mesos
        .agentAt(host)
        .reserved()
        .map((resource) => ownerOf(resource as Resource))) {
        if (owner !== null && !seats.has(owner.seat) && !kept.has(owner.seat))
          wrong.push(`${host} keeps a reservation of the unknown seat ${owner.seat}`);
      }
    }
    const snapshot = schedulers.snapshot();
    if (record.rollout !== null || isBehind()) wrong.push('an update is not over');
    wrong.push(...archiveUnrest(snapshot?.archive ?? null));
    // A record that was made from what was found may lack a place: that is looked for in offers for a while.
    const looksAround = record.epoch.source.kind === 'adopted';
    if (snapshot?.mesos.suppressed !== true && !looksAround) wrong.push('the scheduler still wants offers');
    for (const blocked of (snapshot?.blocked ?? []).filter(({ code }) => code !== 'foreign-volume'))
      wrong.push(`blocked: ${blocked.code}: ${blocked.message}`);
    return [...new Set(wrong)];
  };

  const markGone = async (agentId: string | null): Promise<void> => {
    if (agentId === null) return;
    const status = await mesos.operator({
      type: 'MARK_AGENT_GONE',
      mark_agent_gone: { agent_id: { value: agentId } },
    });
    assert([200, 202, 404].includes(status), `MARK_AGENT_GONE answered ${status}`);
  };

  const reactivate = async (host: string): Promise<void> => {
    if (!drained.has(host)) return;
    const value = mesos.agentAt(host).agentId();
    const call = { type: 'REACTIVATE_AGENT', reactivate_agent: { agent_id: { value } } };
    if ((await mesos.operator(call)) === 200) drained.delete(host);
    // Refused while a task's end is not acknowledged: an operator tries again.
    else void clock.sleep(1_000).then(() => (ended ? undefined : reactivate(host)));
  };

  const decisions = createDecisionChecks();
  let decisionsLookedMs = 0;
  let recordSeen: ClusterRecord | null = null;
  let lastMs = 0;
  let stepsAtOnce = 0;
  const step = async (): Promise<void> => {
    await clock.step();
    steps += 1;
    const nowMs = clock.monotonicMs();
    stepsAtOnce = nowMs === lastMs ? stepsAtOnce + 1 : 0;
    lastMs = nowMs;
    assert(stepsAtOnce < STEPS_AT_ONCE_MAX, 'the world goes round without time passing');
    assert(steps < STEPS_MAX, `no end after ${STEPS_MAX} steps`);
    invariants.step();
    const record = state.record();
    if (record !== null && record !== recordSeen) {
      invariants.recordStored(record);
      archiveChecks.recordStored(record);
    }
    recordSeen = record;
    if (nowMs - decisionsLookedMs >= DECISIONS_LOOK_MS) {
      decisionsLookedMs = nowMs;
      const snapshot = schedulers.snapshot();
      const problem = decisions.look(snapshot);
      archiveChecks.published(snapshot?.archive ?? null);
      if (problem !== null) throw new Error(`decisions violated: ${problem}`);
    }
    const violation = invariants.violations[0];
    if (violation !== undefined) throw new Error(`${violation.invariant} violated: ${violation.text}`);
    if (failures[0] !== undefined) throw new Error(failures[0]);
  };

  for (const host of hosts) startAgent(host);

  return {
    clock,
    network,
    story,
    get size() {
      return wanted;
    },
    get asked() {
      return unsettled ?? wanted;
    },
    hosts,
    get schedulerHost() {
      return schedulers.host;
    },
    schedulerHosts: schedulers.hosts,
    masterHost: MASTER_HOST,
    zooKeeperHost: options.isElected === true ? ZOOKEEPER_HOST : null,
    archive,
    archiveProblems: archiveChecks.atEnd,
    unreachableTimeoutMs: UNREACHABLE_TIMEOUT_MS,
    get schedulerRuns() {
      return schedulers.acting() !== null;
    },
    get steps() {
      return steps;
    },
    get calls() {
      return schedulers.calls;
    },
    crashes: schedulers.crashes,
    passes: schedulers.passes,
    masterRequests: mesos.requests,
    health: () => schedulers.snapshot()?.decision?.health ?? null,
    etcds: () => [...etcd.running].map(({ data, host }) => `${data.memberId} on ${host}`),
    offersReceived: () => schedulers.snapshot()?.counters.offersReceived ?? 0,
    record: state.record,
    unrest,
    seatHosts: () => [...new Set((state.record()?.seats ?? []).map((seat) => seat.host))],
    startScheduler: schedulers.start,
    killScheduler: schedulers.kill,
    planCrash: schedulers.planCrash,
    pauseScheduler: schedulers.pause,
    expireSession: schedulers.expire,
    startWriter: () => {
      ledger ??= startLedger({
        clock,
        random: chance.stream('writer'),
        etcd,
        host: CLIENT_HOST,
        endpoints: () =>
          (state.record()?.epoch.phase === 'formed' ? (state.record()?.seats ?? []) : []).map(
            ({ host, ports }) => `http://${host}:${ports.client}`,
          ),
        everyMs: 700,
      });
    },
    stopWriter: () => ledger?.stop(),
    client: () => {
      const serving = [...etcd.running].filter(
        (process) => process.serving && network.reachable(CLIENT_HOST, process.host),
      );
      if (serving.length === 0) return null;
      const { host, commandLine } = bulk.pick(serving);
      return etcd.connect(CLIENT_HOST, `http://${host}:${commandLine.clientPort}`);
    },
    damage: (host) => {
      const process = etcdOn(host).find(({ node }) => node !== null);
      if (process === undefined) return null;
      process.data.store.damage = host;
      return process.data.memberId;
    },
    get ended() {
      return ended;
    },
    tell,
    askForFull,
    uninstall: (by) => {
      if (by === 'environment') {
        uninstall = { destroyData: true };
        schedulers.kill('to be started with --uninstall', 100, 'all');
        return;
      }
      tell({ kind: 'uninstall', by: 'operator', destroyData: true });
    },
    scale: (size) => void scale(size),
    insistOn: (size) => {
      unsettled = size ?? unsettled;
      void insist();
    },
    startWithSize: (size) => {
      if (sizeOption !== options.size || size === sizeOption) return false;
      [sizeOption, wanted, isSizeAsked] = [size, size, true];
      schedulers.kill(`to be started with --cluster-size ${size}`, 100, 'all');
      return true;
    },
    startWith: (changes) => {
      specChanges = { ...specChanges, ...changes };
      schedulers.kill(`to be started with ${JSON.stringify(changes)}`, 100, 'all');
    },
    get etcdAsked() {
      return readPin(specChanges.artifact ?? simArtifact(1)).etcd ?? USUAL_VERSION;
    },
    insistOnUpdate: () => {
      const nowMs = clock.monotonicMs();
      const record = state.record();
      if (record === null || record.epoch.phase !== 'formed' || nowMs - insistedAtMs < INSIST_MS) return;
      if (record.rollout === null && !isBehind()) return;
      insistedAtMs = nowMs;
      const told = { kind: 'plan', plan: 'update', step: null, force: true, by: 'operator' } as const;
      for (const verb of ['restart', 'start', 'continue'] as const) tell({ ...told, verb });
    },
    get uninstalled() {
      return schedulers.uninstalled;
    },
    leftovers,
    askForUser: (when) => {
      story.tell('operator', `has etcd ask for a user: ${when}`);
      etcd.askForUser(when);
    },
    killEtcd: (host) => {
      for (const process of etcdOn(host)) process.kill('SIGKILL');
    },
    killSupervisor: (host, { orphan }) => {
      for (const member of membersOn(host)) member.kill({ orphan });
    },
    stopAgent: (host) => mesos.agentAt(host).stop(),
    startAgent,
    cutFromMaster: (host) => network.cut(host, MASTER_HOST),
    failOverMaster: mesos.failOver,
    mastersFail: options.mastersFail === true,
    resetAgent: mesos.resetLink,
    deny: mesos.deny,
    copyDisk: (host) => disk.copyOf(host, workDirectoryOf(host)),
    loseData: (host) => disk.loseData(host, workDirectoryOf(host)),
    slowDisk: (host, byMs) => slowDisks.set(host, byMs),
    wipeAgent: (host) => {
      for (const member of membersOn(host)) abandoned.add(member);
      for (const name of names) if (name.host === host) name.signalTree('SIGKILL');
      containersOf(host).abandon();
      mesos.agentAt(host).stop();
      mesos.agentAt(host).wipe();
      startAgent(host);
    },
    endAbandoned: () => {
      for (const member of abandoned) member.kill({ orphan: false });
      abandoned.clear();
    },
    resetConnections: () => mesos.resetConnections(schedulers.host),
    reboot: powerOff,
    loseHost: (host) => {
      const agentId = mesos.agentAt(host).agentId();
      gone.add(host);
      powerOff(host);
      containersOf(host).lost();
      disk.remove(host, workDirectoryOf(host));
      mesos.agentAt(host).wipe();
      if (agentId !== null) wiped.add(agentId);
      return agentId;
    },
    rebuild: (host) => {
      gone.delete(host);
      startAgent(host);
    },
    markGone,
    markWipedGone: async () => {
      for (const agentId of wiped) await markGone(agentId);
      wiped.clear();
    },
    get isTornDown() {
      const id = state.record()?.framework.id ?? null;
      return tornDownId !== null && (id === null || id === tornDownId);
    },
    tearDown: async () => {
      const value = state.record()?.framework.id ?? null;
      if (value === null) return;
      for (const member of members) condemned.add(member.launch.task);
      tornDownId = value;
      await mesos.operator({ type: 'TEARDOWN', teardown: { framework_id: { value } } });
    },
    announceMaintenance: async (windows) => {
      const schedule = {
        windows: windows.map(({ host, inMs }) => ({
          machine_ids: [
            {
              hostname: describeAgent(host, hosts.indexOf(host), storage).hostname,
              ip: host,
            },
          ],
          unavailability: {
            start: { nanoseconds: (clock.wallMs() + inMs) * 1e6 },
            duration: { nanoseconds: MAINTENANCE_MS * 1e6 },
          },
        })),
      };
      const call = { type: 'UPDATE_MAINTENANCE_SCHEDULE', update_maintenance_schedule: { schedule } };
      const status = await mesos.operator(call);
      assert(status === 200, `UPDATE_MAINTENANCE_SCHEDULE answered ${status}`);
    },
    drain: async (host) => {
      for (const member of membersOn(host)) condemned.add(member.launch.task);
      drained.add(host);
      const value = mesos.agentAt(host).agentId();
      await mesos.operator({ type: 'DRAIN_AGENT', drain_agent: { agent_id: { value } } });
    },
    reactivate,
    wipeRecord: async () => {
      schedulers.kill('with its state', 1_000, 'all');
      // Whoever has it adopted says how many members it had.
      sizeOption = state.record()?.size ?? sizeOption;
      invariants.recordGone();
      archiveChecks.recordGone();
      state.wipe();
      // What the record told of positions is remembered by the volumes alone.
      invariants.schedulerGone();
      if (isSizeAsked || wanted !== sizeOption) unsettled = wanted;
    },
    get isRecordRolledBack() {
      return isRecordRolledBack;
    },
    rollBackRecord: (saves) => {
      isRecordRolledBack = true;
      schedulers.kill('to put an older copy of the record back', 1_000, 'all');
      invariants.recordGone();
      archiveChecks.recordGone();
      state.rollBack(saves);
      recordSeen = state.record();
      if (recordSeen !== null) invariants.recordPutBack(recordSeen);
      // What was asked for since is forgotten.
      unsettled ??= wanted;
    },
    isGone: (host) => gone.has(host),
    canLose: invariants.canLose,
    run: async (durationMs) => {
      const untilMs = clock.monotonicMs() + durationMs;
      while (clock.monotonicMs() < untilMs) await step();
    },
    runUntil: async (what, condition, limitMs) => {
      const untilMs = clock.monotonicMs() + limitMs;
      let lookMs = 0;
      for (;;) {
        const nowMs = clock.monotonicMs();
        if (nowMs >= lookMs) {
          if (condition()) return;
          lookMs = nowMs + LOOK_MS;
        }
        if (nowMs >= untilMs) {
          throw new Error(`not within ${Math.round(limitMs / 1000)} s: ${what}: ${unrest().join('; ')}`);
        }
        await step();
      }
    },
    end: () => {
      ended = true;
      ledger?.stop();
      schedulers.end();
    },
  };
}

/** The observer, and a line in the story for what people want to see of it. */
function told(observer: EtcdObserver, story: Story): EtcdObserver {
  const name = (process: EtcdProcess) => `etcd ${process.host.split('.').at(-1)}`;
  return {
    started: (process) => {
      story.tell(name(process), `starts (${process.mode}) as ${process.data.memberId}`);
      observer.started(process);
    },
    exited: (process, exit) => {
      story.tell(name(process), `ends with ${exit.signal ?? exit.code}`);
      observer.exited(process, exit);
    },
    removed: observer.removed,
    committed: (leader, entry) => {
      const { payload } = entry;
      if (payload.kind === 'add' || payload.kind === 'promote' || payload.kind === 'remove') {
        story.tell('etcd', `${payload.kind} ${payload.memberId} is committed`);
      }
      observer.committed(leader, entry);
    },
    elected: (leader) => {
      story.tell('etcd', `${leader.data.memberId} leads in term ${leader.data.term}`);
      observer.elected(leader);
    },
    promotionGranted: observer.promotionGranted,
    defragmenting: (node) => {
      story.tell(node.host, 'etcd rewrites its database');
      observer.defragmenting(node);
    },
  };
}
