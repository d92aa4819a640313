import type { Clock } from '../../src/base/ports.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { ClusterRecord, Intent } from '../../src/protocol/record.ts';
import type { Acknowledgement } from './ledger.ts';
import type { EtcdObserver, EtcdProcess, ModelEtcd } from './model-etcd.ts';
import {
  applyPayload,
  type ConfigurationChange,
  createDataDirectory,
  type DataDirectory,
  type Entry,
  quorumOf,
  type RaftNode,
  votersOf,
} from './model-raft.ts';

/**
 * What must hold whatever happens (design, §5), checked from outside: by what the model's members do, by what
 * the stored record says at that time, by what agents do to disks. Nothing here asks the system's own code.
 */
export interface Invariants {
  /** Wired to the model. */
  readonly observer: EtcdObserver;
  /** After every step of the world. */
  step(): void;
  /** An agent is about to remove a directory with all in it. */
  removingVolume(host: string, path: string): void;
  /** The record is stored: it says what is about to be done, and what is believed. */
  recordStored(record: ClusterRecord): void;
  /** The record is about to be lost, or replaced by an older one: what its intent ordered may still be committed. */
  recordGone(): void;
  /** An older record was put back: what it says was decided before. */
  recordPutBack(record: ClusterRecord): void;
  /** Somebody who acts for the system is about to end this etcd. */
  stopping(process: EtcdProcess, why: string): void;
  /** A scheduler has got this answer. */
  reported(status: MemberStatus): void;
  /**
   * What a scheduler had heard and not stored is gone with it: the record lags behind what members report, and only
   * their volumes hold it all. So what a disk put back hides from its volume may be hidden from the next scheduler.
   */
  schedulerGone(): void;
  /** Whether a quorum would be left if that host were lost now. */
  canLose(host: string): boolean;
  /** What the world knows when it is calm: empty when all is well. */
  atRest(): readonly string[];
  readonly violations: readonly Violation[];
}
export interface Violation {
  readonly invariant: string;
  readonly text: string;
  readonly atMs: number;
}

export interface InvariantsOptions {
  readonly clock: Clock;
  readonly etcd: () => ModelEtcd;
  /** How many voters were asked for last. */
  readonly size: () => number;
  /** The record as it is stored now. */
  readonly record: () => ClusterRecord | null;
  /** By key, every write that was acknowledged. */
  readonly acknowledged: () => ReadonlyMap<string, Acknowledgement>;
  /** Every name task that runs, and the client port that it stands for. */
  readonly names: () => Iterable<{ readonly task: string; readonly host: string; readonly port: number }>;
  /** A supervisor runs for that seat. */
  readonly supervised: (seatId: string) => boolean;
  /** The scheduler can have heard of that host's etcd: a supervisor has been there for a while. */
  readonly watched: (host: string) => boolean;
  /** Seats whose supervisor runs on an agent that the master reaches. */
  readonly inSight: () => Iterable<string>;
  /** How long a member may be out of the master's sight until it is given up. */
  readonly unreachableTimeoutMs: number;
}

/**
 * The scheduler acts on what it saw a moment ago. What was true within this time is true enough: a host that
 * dies between the look and the act makes no mistake of ours.
 */
const HINDSIGHT_MS = 5_000;

/** In sight for so long is known to the master, and to whoever asks it. */
const SETTLED_MS = 5_000;
/** A removal that was committed this long ago is known to whoever can ask a quorum. */
const REMOVAL_KNOWN_MS = 10_000;

/** Nobody may be sent for longer than this to where no etcd runs, not even while there is no scheduler. */
const NAME_ALONE_MS = 45_000;
const NAMES_LOOK_MS = 1_000;
const APPLIED_WITHIN_MS = 2_000;
/** Health is sampled this often at most. */
const LOOK_MS = 20;

interface Health {
  healthy: boolean;
  sinceMs: number;
}

export function createInvariants(options: InvariantsOptions): Invariants {
  const { clock } = options;
  const violations: Violation[] = [];
  /** Cluster id → its state as the committed entries make it. */
  const clusters = new Map<string, DataDirectory>();
  /** Cluster id → token that its first members were started with. */
  const tokens = new Map<string, string>();
  /** Cluster/member → what its health was and since when. */
  const health = new Map<string, Health>();
  /** Cluster/member → the highest log index that it has reported to a scheduler. */
  const positions = new Map<string, number>();
  /** Name tasks of members that are gone → since when they are. */
  const namesAlone = new Map<string, number>();
  /** Cluster/member of those that have ended because they were removed. */
  const retired = new Set<string>();
  /** Cluster/member → the directory that it was founded on. */
  const foundations = new Map<string, DataDirectory>();
  /** Cluster/member → its slot, and when it was removed. */
  const slots = new Map<string, string>();
  const removals = new Map<string, number>();
  /** Seat → since when it is in sight without a break, and when it last was for a while. */
  const inSightSince = new Map<string, number>();
  const lastInSight = new Map<string, number>();
  /** Seat → when a stored record had it first. */
  const recordedSince = new Map<string, number>();
  /** Seats that the stored record gives up for their absence. */
  let givenUp: ReadonlySet<string> = new Set();
  /** Promotions granted but not committed: what the leader had applied before. */
  const floors = new Map<DataDirectory, number>();

  const violate = (invariant: string, text: string) => {
    violations.push({ invariant, text, atMs: clock.monotonicMs() });
  };
  const require = (condition: boolean, invariant: string, text: () => string) => {
    if (!condition) violate(invariant, text());
  };

  const isHealthy = (clusterId: string, memberId: string): boolean => {
    for (const process of options.etcd().running) {
      const { data, node } = process;
      if (data.clusterId === clusterId && data.memberId === memberId && node !== null) {
        return node.leader !== null && node.leader.role === 'leader' && !node.leader.stopped;
      }
    }
    return false;
  };
  const wasHealthy = (clusterId: string, memberId: string): boolean => {
    const known = health.get(`${clusterId}/${memberId}`);
    if (isHealthy(clusterId, memberId)) return true;
    return known !== undefined && (known.healthy || clock.monotonicMs() - known.sinceMs < HINDSIGHT_MS);
  };
  const healthyAmong = (clusterId: string, voters: readonly string[]) =>
    voters.filter((id) => wasHealthy(clusterId, id)).length;

  let lookedAtMs = Number.NEGATIVE_INFINITY;
  const step = () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedAtMs < LOOK_MS) return;
    lookedAtMs = nowMs;
    checkNames(nowMs);
    checkOneCluster();
    noteSize(nowMs);
    lookAtSight(nowMs);
    for (const [clusterId, state] of clusters) {
      for (const id of state.members.keys()) {
        const key = `${clusterId}/${id}`;
        const now = isHealthy(clusterId, id);
        const known = health.get(key);
        if (known === undefined) health.set(key, { healthy: now, sinceMs: now ? nowMs : -HINDSIGHT_MS });
        else if (known.healthy !== now) health.set(key, { healthy: now, sinceMs: nowMs });
      }
    }
  };

  const lookAtSight = (nowMs: number) => {
    const inSight = new Set(options.inSight());
    for (const seat of inSightSince.keys()) if (!inSight.has(seat)) inSightSince.delete(seat);
    for (const seat of inSight) {
      const sinceMs = inSightSince.get(seat) ?? nowMs;
      inSightSince.set(seat, sinceMs);
      if (nowMs - sinceMs >= SETTLED_MS) lastInSight.set(seat, nowMs);
    }
  };

  /** However the clocks jump: a member has all the time that it was promised. */
  const recordStored = (record: ClusterRecord) => {
    const nowMs = clock.monotonicMs();
    for (const { id } of record.seats) recordedSince.set(id, recordedSince.get(id) ?? nowMs);
    const absent = absentIn(record);
    for (const seat of absent.filter((id) => !givenUp.has(id))) {
      const awayMs = nowMs - Math.max(lastInSight.get(seat) ?? 0, recordedSince.get(seat) ?? 0);
      require(awayMs >= options.unreachableTimeoutMs - LOOK_MS, 'patience', () =>
        `seat ${seat} is given up ${Math.round(awayMs)} ms after it was in sight`);
    }
    givenUp = new Set(absent);
  };

  const recordGone = () => {
    const intent = options.record()?.intent ?? null;
    if (intent !== null) forgotten.push(intent);
  };

  const recordPutBack = (record: ClusterRecord) => {
    givenUp = new Set(absentIn(record));
    // What was reported since is remembered by the volumes alone.
    schedulerGone();
  };

  /** Under one name one cluster serves: the one that the record names, or one that has told of a write it keeps. */
  const checkOneCluster = () => {
    const serving = new Set<string>();
    for (const { data, node, serving: serves } of options.etcd().running) {
      if (serves && node?.role === 'leader' && matters(data.clusterId)) serving.add(data.clusterId);
    }
    require(serving.size <= 1, 'one name', () => `the clusters ${[...serving].join(' and ')} serve`);
  };

  let namesLookedAtMs = Number.NEGATIVE_INFINITY;
  const checkNames = (nowMs: number) => {
    if (nowMs - namesLookedAtMs < NAMES_LOOK_MS) return;
    namesLookedAtMs = nowMs;
    for (const { task, host, port } of options.names()) {
      const stands = [...options.etcd().running].some(
        (one) => one.host === host && one.commandLine.clientPort === port,
      );
      const sinceMs = stands ? nowMs : (namesAlone.get(task) ?? nowMs);
      namesAlone.set(task, sinceMs);
      require(nowMs - sinceMs <= NAME_ALONE_MS, 'names', () =>
        `${task} still stands for port ${port} of ${host}, where no etcd runs`);
    }
  };

  const started = (process: EtcdProcess) => {
    const { data, commandLine } = process;
    if (process.mode === 'bootstrap') checkBootstrap(process);
    if (!clusters.has(data.clusterId)) {
      const state = createDataDirectory(data.clusterId, 'the cluster itself');
      for (const entry of data.log) applyPayload(state, entry.payload);
      clusters.set(data.clusterId, state);
      tokens.set(data.clusterId, commandLine.token);
    }
    const key = `${data.clusterId}/${data.memberId}`;
    slots.set(key, commandLine.name);
    checkListed(process, key);
    require(!retired.has(key), 'S4', () =>
      `${nameOf(process)} was removed and is started again on its old data`);
    require(data.log.length >= (positions.get(key) ?? 0), 'S4', () =>
      `${nameOf(process)} starts on a log of ${data.log.length} entries and had reported ${positions.get(key)}`);
  };

  /** Without a quorum that can be asked nobody knows; raft keeps from harm who starts then. */
  const checkListed = (process: EtcdProcess, key: string) => {
    const { clusterId, memberId } = process.data;
    const state = clusters.get(clusterId);
    if (state === undefined || state.members.has(memberId)) return;
    const removedMs = clock.monotonicMs() - (removals.get(key) ?? 0);
    const voters = votersOf(state);
    const known = soundAmong(clusterId, voters).length >= quorumOf(voters.length);
    require(!known || removedMs < REMOVAL_KNOWN_MS, 'S4', () =>
      `${nameOf(process)} starts, and was removed ${Math.round(removedMs / 1000)} s ago`);
  };

  const checkBootstrap = (process: EtcdProcess) => {
    const key = `${process.data.clusterId}/${process.data.memberId}`;
    const founded = foundations.get(key) ?? process.data;
    foundations.set(key, founded);
    require(founded === process.data, 'S5', () =>
      `${nameOf(process)} was started before in this attempt, and is founded again on an empty directory`);
    const record = options.record();
    const { token } = process.commandLine;
    require(record !== null && record.epoch.token === token && record.epoch.phase !== 'preparing', 'S5', () =>
      `${nameOf(process)} starts attempt ${token}, the stored record says ${epochText(record)}`);
    require(record?.epoch.phase !== 'formed' || sharesToken(process), 'S5', () =>
      `${nameOf(process)} founds a cluster while the record has a formed one`);
    for (const [key, { clusterId }] of options.acknowledged()) {
      if (clusterId === process.data.clusterId) break;
      violate(
        'S5',
        `${nameOf(process)} founds a second cluster while ${key} was acknowledged by ${clusterId}`,
      );
      break;
    }
  };
  const sharesToken = (process: EtcdProcess) =>
    [...tokens.values()].includes(process.commandLine.token) && clusters.has(process.data.clusterId);

  const committed = (leader: RaftNode, entry: Entry) => {
    const { clusterId } = leader.data;
    const state = clusters.get(clusterId);
    if (state === undefined) return;
    const before = votersOf(state);
    const { payload } = entry;
    const member = payload.kind === 'remove' ? state.members.get(payload.memberId) : undefined;
    const refusal = applyPayload(state, payload);
    if (refusal !== null) return;
    if (payload.kind !== 'add' && payload.kind !== 'remove' && payload.kind !== 'promote') return;
    checkChange(leader, payload, { before, after: votersOf(state), wasLearner: member?.isLearner === true });
    checkIntent(payload, member?.peerUrl ?? null);
    if (payload.kind === 'remove') removals.set(`${clusterId}/${payload.memberId}`, clock.monotonicMs());
    if (payload.kind === 'promote') checkPromotion(leader, payload.memberId);
    if (payload.kind === 'remove' && member?.isLearner === false) checkSuccessor(payload.memberId);
  };

  /** The sizes that the stored record has had lately, the newest last. */
  let sizes: readonly { readonly size: number; readonly untilMs: number }[] = [];
  const noteSize = (nowMs: number) => {
    const size = options.record()?.size;
    if (size === undefined) return;
    const older = sizes.filter((one) => one.size !== size && nowMs - one.untilMs < HINDSIGHT_MS);
    sizes = [...older, { size, untilMs: nowMs }];
  };
  /** So many voters are asked for, or were a moment ago; and those beyond the size have not gone yet. */
  const votersMax = (clusterId: string, voters: readonly string[]): number => {
    noteSize(clock.monotonicMs());
    const record = options.record();
    const beyond = (record?.seats ?? []).filter(({ slot }) => indexOf(slot) >= (record?.size ?? 0));
    const members = clusters.get(clusterId)?.members;
    const staying = voters.filter((id) =>
      beyond.every(({ host, ports }) => members?.get(id)?.peerUrl !== `http://${host}:${ports.peer}`),
    );
    return Math.max(0, ...sizes.map(({ size }) => size)) + voters.length - staying.length;
  };

  const checkChange = (
    leader: RaftNode,
    change: ConfigurationChange,
    voters: { before: readonly string[]; after: readonly string[]; wasLearner: boolean },
  ) => {
    const { clusterId } = leader.data;
    const { before, after } = voters;
    if (change.kind === 'add' || voters.wasLearner) return;
    require(healthyAmong(clusterId, before) >= quorumOf(before.length), 'S1', () =>
      `${change.kind} ${change.memberId} without a healthy quorum of the ${before.length} voters before it`);
    require(healthyAmong(clusterId, after) >= quorumOf(after.length), 'S1', () =>
      `${change.kind} ${change.memberId} leaves ${healthyAmong(clusterId, after)} of ${after.length} voters healthy`);
    if (change.kind === 'remove') return;
    const most = votersMax(clusterId, after);
    require(after.length <= most || mustOverlap(clusterId, before), 'target', () =>
      `${after.length} voters after ${change.kind} ${change.memberId}, ${most} are asked for`);
  };

  /** As far as the scheduler could see, the voter that is replaced could not go before its successor votes. */
  const mustOverlap = (clusterId: string, before: readonly string[]): boolean => {
    const leaving = options.record()?.intent?.remove?.memberId;
    const without = before.filter((id) => id !== leaving);
    return without.length < before.length && soundAmong(clusterId, without).length < quorumOf(without.length);
  };
  /** Those whose health the scheduler must have seen. */
  const soundAmong = (clusterId: string, voters: readonly string[]) =>
    voters.filter((id) => {
      const known = health.get(`${clusterId}/${id}`);
      const host = hostOf(clusterId, id);
      if (known?.healthy !== true || host === null || !options.watched(host)) return false;
      return clock.monotonicMs() - known.sinceMs >= HINDSIGHT_MS;
    });
  const hostOf = (clusterId: string, memberId: string): string | null => {
    for (const { data, host } of options.etcd().running) {
      if (data.clusterId === clusterId && data.memberId === memberId) return host;
    }
    return null;
  };

  /** Of records that are gone: a log may hold what they had ordered, until somebody leads again. */
  const forgotten: Intent[] = [];
  const checkIntent = (change: ConfigurationChange, peerUrl: string | null) => {
    const intent = options.record()?.intent ?? null;
    const explains = ({ add, remove }: Intent): boolean =>
      change.kind === 'add'
        ? add?.peerUrl === change.peerUrl
        : remove?.memberId === change.memberId ||
          add?.memberId === change.memberId ||
          (peerUrl !== null && add?.peerUrl === peerUrl);
    const open = intent === null ? forgotten : [intent, ...forgotten];
    require(open.some(explains), 'S2', () =>
      `${change.kind} ${change.memberId} is explained by no stored intent (${JSON.stringify(intent)})`);
  };

  /** A majority that serves may have gone on since the leader was looked at; what it had then is what counts. */
  const checkPromotion = (leader: RaftNode, memberId: string) => {
    const learner = [...options.etcd().running].find(
      (process) => process.data.memberId === memberId && process.data.clusterId === leader.data.clusterId,
    );
    if (learner === undefined) return;
    const floor = floors.get(learner.data) ?? 0;
    floors.delete(learner.data);
    require(floor <= 0, 'S3', () =>
      `${nameOf(learner)} is promoted ${floor} entries behind what the leader had applied`);
  };

  const defragmenting = (node: RaftNode) => {
    const { clusterId, memberId } = node.data;
    const voters = [...(clusters.get(clusterId)?.members.values() ?? [])]
      .filter((member) => !member.isLearner)
      .map(({ id }) => id);
    const others = voters.filter((id) => id !== memberId);
    if (options.record()?.disruption?.forced === true) return;
    require(healthyAmong(clusterId, others) >= quorumOf(voters.length), 'S9', () =>
      `member ${memberId} rewrites its database while the others are no quorum`);
  };

  const promotionGranted = (leader: RaftNode, learner: RaftNode) => {
    const sinceMs = clock.monotonicMs() - HINDSIGHT_MS;
    let index = leader.data.applied;
    while (index > 0 && (leader.data.log[index - 1]?.committedAtMs ?? 0) > sinceMs) index -= 1;
    floors.set(learner.data, index - learner.data.applied);
  };

  const checkSuccessor = (memberId: string) => {
    const record = options.record();
    const intent = record?.intent ?? null;
    if (intent?.remove?.memberId !== memberId || intent.add === null) return;
    const seat = record?.seats.find((other) => other.id === intent.add?.seat);
    require(seat !== undefined && options.supervised(seat.id), 'S1', () =>
      `voter ${memberId} is removed before its successor's supervisor runs (seat ${intent.add?.seat})`);
  };

  const elected = (leader: RaftNode) => {
    const held = new Set(
      leader.data.log.flatMap(({ payload }) => (payload.kind === 'put' ? [payload.key] : [])),
    );
    for (const [key, { clusterId }] of options.acknowledged()) {
      if (clusterId !== leader.data.clusterId || held.has(key)) continue;
      violate('durability', `the new leader ${leader.data.memberId} lacks the acknowledged write ${key}`);
      return;
    }
  };

  /** An operator has said that all may go: what protects the data and its service ends there. */
  const isGivenUp = () => options.record()?.uninstall?.confirmed === true;

  /** It is our cluster, or one that has told somebody that a write is kept. */
  const matters = (clusterId: string): boolean =>
    options.record()?.epoch.clusterId === clusterId ||
    [...options.acknowledged().values()].some((one) => one.clusterId === clusterId);

  const removingVolume = (host: string, path: string) => {
    for (const process of options.etcd().running) {
      const there = process.host === host && process.commandLine.dataDirectory.startsWith(`${path}/`);
      require(!there, 'S8', () => `the volume of ${nameOf(process)} is removed while it runs on it`);
    }
    const data = options.etcd().dataUnder(host, path)[0];
    if (data === undefined || !matters(data.clusterId) || isGivenUp()) return;
    const state = clusters.get(data.clusterId);
    if (state === undefined) return;
    require(!state.members.has(data.memberId), 'S8', () =>
      `the volume of ${data.memberId} is destroyed while it is a member`);
    const voters = votersOf(state);
    const { size, leaving } = options.record() ?? { size: 0, leaving: [] };
    const healthy = voters.filter((id) => wasHealthy(data.clusterId, id)).length;
    // A MOUNT disk is removed under a path of its own.
    const given = leaving.find(
      ({ seat }) =>
        seat.host === host && (path.endsWith(seat.volumeId) || seat.data?.memberId === data.memberId),
    )?.seat;
    const isSurplus = given?.lost?.cause === 'surplus' && given.data?.started === true;
    require(!isSurplus || healthy === voters.length, 'S8', () =>
      `the volume of ${data.memberId}, beyond the size, is destroyed while ${healthy} of ${voters.length} voters serve`);
    const slot = slots.get(`${data.clusterId}/${data.memberId}`);
    // One beyond the size that is asked for again meanwhile is begun anew, elsewhere.
    if (isSurplus || slot === undefined || Number(slot.split('-').at(-1)) >= size) return;
    // Whether that one is healthy now is no matter: that it had caught up is S3's.
    const replaced = voters.some((id) => slots.get(`${data.clusterId}/${id}`) === slot);
    require(replaced, 'S8', () =>
      `the volume of ${data.memberId} is destroyed, and ${slot} has no other voter`);
  };

  const stopping = (process: EtcdProcess, why: string) => {
    const { clusterId, memberId } = process.data;
    const state = clusters.get(clusterId);
    if (state === undefined || state.members.get(memberId)?.isLearner !== false) return;
    if (isGivenUp()) return;
    if (options.record()?.epoch.clusterId !== clusterId || !isHealthy(clusterId, memberId)) return;
    if (options.record()?.disruption?.forced === true) return;
    const voters = votersOf(state);
    const others = voters.filter((id) => id !== memberId);
    require(healthyAmong(clusterId, others) >= quorumOf(voters.length), 'S9', () =>
      `${nameOf(process)} is stopped (${why}) while the others are no quorum`);
  };

  const reported = ({ identity, floor }: MemberStatus) => {
    if (identity?.clusterId == null || identity.memberId === null || floor === null) return;
    const key = `${identity.clusterId}/${identity.memberId}`;
    positions.set(key, Math.max(positions.get(key) ?? 0, Number(floor.index)));
  };

  const schedulerGone = () => {
    const { epoch, seats = [] } = options.record() ?? {};
    positions.clear();
    for (const { data } of seats) {
      if (epoch?.clusterId == null || data?.memberId == null || data.floor === null) continue;
      positions.set(`${epoch.clusterId}/${data.memberId}`, Number(data.floor.index));
    }
  };

  const canLose = (host: string): boolean => {
    const clusterId = options.record()?.epoch.clusterId ?? null;
    const state = clusterId === null ? undefined : clusters.get(clusterId);
    if (clusterId === null || state === undefined) return options.acknowledged().size === 0;
    const there = new Set(
      [...options.etcd().running].filter((one) => one.host === host).map((one) => one.data.memberId),
    );
    const voters = votersOf(state);
    const left = voters.filter((id) => !there.has(id) && isHealthy(clusterId, id));
    // A voter beyond the size may be leaving at this moment.
    const isFewSoon = options.record()?.scaling !== null && left.length - 1 < quorumOf(voters.length - 1);
    return left.length >= quorumOf(voters.length) && !isFewSoon;
  };

  const atRest = (): readonly string[] => {
    const record = options.record();
    const clusterId = record?.epoch.clusterId ?? null;
    if (record === null || clusterId === null) return ['no cluster has formed'];
    const state = clusters.get(clusterId);
    if (state === undefined) return [`the recorded cluster ${clusterId} does not exist`];
    const wrong: string[] = [];
    const voters = votersOf(state);
    const learners = state.members.size - voters.length;
    const size = options.size();
    if (record.size !== size) wrong.push(`${record.size} members are recorded, ${size} were asked for`);
    if (voters.length !== size) wrong.push(`${voters.length} voters of ${size}`);
    if (learners > 0) wrong.push(`${learners} learners are left`);
    const ill = voters.filter((id) => !isHealthy(clusterId, id));
    if (ill.length > 0) wrong.push(`voters ${ill.join(', ')} are not healthy`);
    for (const alarm of state.store.alarms) wrong.push(`the alarm ${alarm} stands`);
    if (record.space !== null) wrong.push('work on the database is not over');
    if (record.disruption !== null)
      wrong.push(`a ${record.disruption.kind} of ${record.disruption.slot} is not over`);
    if (record.intent !== null) wrong.push(`an intent is open: ${record.intent.reason}`);
    // S8: what somebody else left on a disk is kept until an operator's word.
    const leaving = record.leaving.filter(({ seat }) => seat.lost?.cause !== 'foreign-data');
    if (leaving.length > 0) wrong.push(`${leaving.length} seats are still leaving`);
    if (record.seats.length !== size) wrong.push(`${record.seats.length} seats of ${size}`);
    if (record.scaling !== null) wrong.push(`scaling from ${record.scaling.from} is not over`);
    for (const process of options.etcd().running) {
      if (process.data.clusterId !== clusterId || !state.members.has(process.data.memberId)) {
        wrong.push(`${nameOf(process)} runs and belongs to no cluster of ours`);
      }
      if (process.data.store.damage !== null) wrong.push(`${nameOf(process)} holds damaged data`);
      wrong.push(...missingWrites(process));
    }
    return wrong;
  };

  const missingWrites = (process: EtcdProcess): readonly string[] => {
    for (const [key, { clusterId, atMs }] of options.acknowledged()) {
      if (clusterId !== process.data.clusterId)
        return [`${key} was acknowledged by another cluster, ${clusterId}`];
      // A follower applies a moment after the leader has acknowledged.
      if (clock.monotonicMs() - atMs < APPLIED_WITHIN_MS) continue;
      if (!process.data.store.values.has(key))
        return [`${nameOf(process)} lacks the acknowledged write ${key}`];
    }
    return [];
  };

  return {
    observer: {
      started,
      exited: () => {},
      removed: ({ data }) => retired.add(`${data.clusterId}/${data.memberId}`),
      committed,
      elected,
      promotionGranted,
      defragmenting,
    },
    step,
    recordStored,
    recordGone,
    recordPutBack,
    removingVolume,
    stopping,
    reported,
    schedulerGone,
    canLose,
    atRest,
    violations,
  };
}

function nameOf(process: EtcdProcess): string {
  return `etcd ${process.commandLine.name} (${process.data.memberId} on ${process.host})`;
}

const indexOf = (slot: string): number => Number(slot.slice('etcd-'.length));

/** Seats that it gives up for being out of sight. */
function absentIn({ seats }: ClusterRecord): string[] {
  return seats.filter(({ lost }) => lost?.cause === 'unreachable').map(({ id }) => id);
}

function epochText(record: ClusterRecord | null): string {
  return record === null ? 'nothing' : `${record.epoch.token}, ${record.epoch.phase}`;
}
