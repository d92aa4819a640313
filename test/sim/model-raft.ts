import { assert } from '../../src/base/assert.ts';
import type { Clock } from '../../src/base/ports.ts';
import type { EtcdError } from '../../src/etcd/port.ts';
import { applyToStore, createKeyStore, type KeyStore, type StorePayload } from './model-store.ts';
import type { RandomStream } from './prng.ts';

/**
 * A model of etcd's raft group: logs with terms, commit and apply apart from each other, elections by the most
 * advanced log, configuration changes that take effect when they are applied, learners. Heartbeats are not sent:
 * whoever changes what can reach what calls {@link RaftGroup.review}.
 */

export type Payload =
  | { readonly kind: 'noop' }
  | StorePayload
  | {
      readonly kind: 'publish';
      readonly memberId: string;
      readonly name: string;
      readonly clientUrls: readonly string[];
    }
  | ConfigurationChange;
export type ConfigurationChange =
  | { readonly kind: 'add'; readonly memberId: string; readonly peerUrl: string; readonly isLearner: boolean }
  | { readonly kind: 'promote'; readonly memberId: string }
  | { readonly kind: 'remove'; readonly memberId: string };

/** Shared by every log that holds it: two logs agree at an index when they hold the same object. */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly payload: Payload;
  /** When a leader first knew it to be committed; `null` before. */
  committedAtMs: number | null;
}

export interface MemberState {
  readonly id: string;
  name: string;
  peerUrl: string;
  clientUrls: readonly string[];
  isLearner: boolean;
}

/** What a member's disk holds. Survives every kill; nothing appended is ever lost. */
export interface DataDirectory {
  readonly clusterId: string;
  readonly memberId: string;
  readonly log: Entry[];
  term: number;
  commit: number;
  applied: number;
  readonly store: KeyStore;
  readonly members: Map<string, MemberState>;
  readonly removed: Set<string>;
}

/** A running member. */
export interface RaftNode {
  readonly data: DataDirectory;
  readonly host: string;
  /** Where its peer listener is. */
  readonly peerUrl: string;
  readonly startedAtMs: number;
  /** How long the first apply after its start takes: a joiner has a snapshot to load. */
  readonly firstApplyMs: number;
  role: 'leader' | 'follower';
  leader: RaftNode | null;
  stopped: boolean;
  applying: boolean;
  hasApplied: boolean;
  electionArmed: boolean;
  leaderDoubted: boolean;
  /** Leader: what each other member is known to have. */
  readonly progress: Map<string, Progress>;
  /** Leader: index of a configuration change that is not applied yet, 0 without one. */
  pendingChange: number;
  readonly proposals: Map<Payload, Proposal>;
  /** The process ends because the cluster removed its member. */
  readonly onRemoved: () => void;
  readonly onApplied: (entry: Entry) => void;
}
interface Progress {
  match: number;
  next: number;
  commitSent: number;
  sending: boolean;
}
interface Proposal {
  sent: boolean;
  readonly settle: (refusal: Refusal | null) => void;
}
export type Refusal = EtcdError['code'];

export interface RaftOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly electionTimeoutMs: number;
  readonly reachable: (fromHost: string, toHost: string) => boolean;
  readonly latencyMs: (fromHost: string, toHost: string) => number;
  readonly observer: RaftObserver;
  /** What a write to that host's disk takes beyond the usual. */
  readonly diskMs: (host: string) => number;
}
export interface RaftObserver {
  /** Told once an entry, when its leader counts a majority. */
  committed(leader: RaftNode, entry: Entry): void;
  elected(leader: RaftNode): void;
}

export interface RaftGroup {
  start(node: StartedNode): RaftNode;
  stop(node: RaftNode): void;
  /** Something changed about who runs or who reaches whom. */
  review(): void;
  /** Resolves when the node itself has applied it: `null` done, else why it was refused. May never resolve. */
  propose(node: RaftNode, payload: Payload): Promise<Refusal | null>;
  /** ReadIndex: whether the leader was confirmed by a quorum; the index that a read has to wait for. */
  readIndex(node: RaftNode): Promise<number | null>;
  /** Since when the two are connected without a break, `null` while they are not. */
  connectedSinceMs(left: RaftNode, memberId: string): number | null;
  transferLeadership(from: RaftNode, memberId: string): boolean;
  nodeOf(clusterId: string, memberId: string): RaftNode | null;
  readonly nodes: ReadonlySet<RaftNode>;
}
export type StartedNode = Pick<
  RaftNode,
  'data' | 'host' | 'peerUrl' | 'startedAtMs' | 'firstApplyMs' | 'onRemoved' | 'onApplied'
>;

const BATCH_ENTRIES = 256;
const APPEND_MS_PER_ENTRY = 0.02;

export function createRaftGroup(options: RaftOptions): RaftGroup {
  const { clock, random, observer } = options;
  const nodes = new Set<RaftNode>();
  /** `left|right` → since when, for pairs that are connected. */
  const connected = new Map<string, number>();

  const after = (durationMs: number, work: () => void) => {
    void clock.sleep(durationMs).then(work);
  };
  const electionMs = () => options.electionTimeoutMs * random.between(1, 2);

  const start = (started: StartedNode): RaftNode => {
    const node: RaftNode = {
      ...started,
      role: 'follower',
      leader: null,
      stopped: false,
      applying: false,
      hasApplied: false,
      electionArmed: false,
      leaderDoubted: false,
      progress: new Map(),
      pendingChange: 0,
      proposals: new Map(),
    };
    nodes.add(node);
    scheduleApply(node);
    review();
    return node;
  };

  const stop = (node: RaftNode) => {
    node.stopped = true;
    nodes.delete(node);
    review();
  };

  const nodeOf = (clusterId: string, memberId: string): RaftNode | null => {
    for (const node of nodes) {
      if (node.data.memberId === memberId && node.data.clusterId === clusterId) return node;
    }
    return null;
  };

  /** Both run, belong to one cluster, and one of them knows where the other listens. */
  const linked = (left: RaftNode, right: RaftNode): boolean =>
    !left.stopped &&
    !right.stopped &&
    left.data.clusterId === right.data.clusterId &&
    !left.data.removed.has(right.data.memberId) &&
    !right.data.removed.has(left.data.memberId) &&
    (knows(left, right) || knows(right, left)) &&
    options.reachable(left.host, right.host) &&
    options.reachable(right.host, left.host);

  const review = () => {
    for (const left of nodes) {
      for (const right of nodes) {
        if (left !== right) reviewPair(left, right);
      }
    }
    for (const node of nodes) reviewNode(node);
  };

  const reviewPair = (left: RaftNode, right: RaftNode) => {
    const key = pairOf(left, right.data.memberId);
    if (!linked(left, right)) connected.delete(key);
    else if (!connected.has(key)) connected.set(key, clock.monotonicMs());
    if (
      left.data.removed.has(right.data.memberId) &&
      left.data.clusterId === right.data.clusterId &&
      knows(right, left) &&
      options.reachable(right.host, left.host)
    ) {
      tellRemoved(right);
    }
  };

  const reviewNode = (node: RaftNode) => {
    for (const key of connected.keys()) {
      const [id, other] = key.split('|') as [string, string];
      if (id === nodeKey(node) && nodeOf(node.data.clusterId, other) === null) connected.delete(key);
    }
    if (node.role === 'leader') {
      for (const memberId of node.progress.keys()) pump(node, memberId);
      if (!hasQuorum(node)) doubtLeader(node);
      return;
    }
    if (node.leader === null) armElection(node);
    else if (node.leader.role !== 'leader' || !linked(node, node.leader)) doubtLeader(node);
  };

  /** After an election timeout without its leader a follower gives it up, without its quorum a leader itself. */
  const doubtLeader = (node: RaftNode) => {
    if (node.leaderDoubted) return;
    node.leaderDoubted = true;
    after(electionMs(), () => {
      node.leaderDoubted = false;
      if (node.stopped) return;
      if (node.role === 'leader') {
        if (!hasQuorum(node)) stepDown(node);
      } else if (
        node.leader !== null &&
        (node.leader.role !== 'leader' ||
          !linked(node, node.leader) ||
          node.leader.data.term < node.data.term)
      ) {
        node.leader = null;
        armElection(node);
      }
    });
  };

  const stepDown = (node: RaftNode) => {
    node.role = 'follower';
    node.leader = null;
    node.progress.clear();
    node.pendingChange = 0;
    armElection(node);
    review();
  };

  const hasQuorum = (leader: RaftNode): boolean => {
    const voters = votersOf(leader.data);
    const reached = voters.filter((id) => id === leader.data.memberId || linkedTo(leader, id));
    return reached.length >= quorumOf(voters.length);
  };
  const linkedTo = (node: RaftNode, memberId: string): boolean => {
    const other = nodeOf(node.data.clusterId, memberId);
    return other !== null && linked(node, other);
  };

  const armElection = (node: RaftNode) => {
    if (node.electionArmed || node.stopped) return;
    if (!votersOf(node.data).includes(node.data.memberId)) return;
    node.electionArmed = true;
    after(electionMs(), () => {
      node.electionArmed = false;
      if (node.stopped || node.role === 'leader' || node.leader !== null) return;
      if (!campaign(node)) armElection(node);
    });
  };

  /** Pre-vote and vote at one instant: a majority without a leader of its own grants or nothing happens. */
  const campaign = (node: RaftNode, forced = false): boolean => {
    const voters = votersOf(node.data);
    if (!voters.includes(node.data.memberId)) return false;
    const granting = voters
      .map((id) => (id === node.data.memberId ? node : nodeOf(node.data.clusterId, id)))
      .filter(
        (other): other is RaftNode =>
          other !== null &&
          (other === node || linked(node, other)) &&
          (forced || other.leader === null) &&
          compareLogs(other.data, node.data) <= 0,
      );
    if (granting.length < quorumOf(voters.length)) return false;
    const term = Math.max(...granting.map((other) => other.data.term)) + 1;
    for (const other of granting) {
      if (other.role === 'leader') stepDown(other);
      other.data.term = term;
    }
    lead(node);
    return true;
  };

  const lead = (node: RaftNode) => {
    node.role = 'leader';
    node.leader = node;
    node.pendingChange = 0;
    node.progress.clear();
    for (const entry of node.data.log.slice(node.data.applied)) {
      if (isChange(entry.payload)) node.pendingChange = entry.index;
    }
    for (const id of node.data.members.keys()) addProgress(node, id);
    observer.elected(node);
    append(node, { kind: 'noop' });
    flushProposals(node);
    review();
  };

  const addProgress = (leader: RaftNode, memberId: string) => {
    if (memberId === leader.data.memberId || leader.progress.has(memberId)) return;
    leader.progress.set(memberId, {
      match: 0,
      next: leader.data.log.length + 1,
      commitSent: 0,
      sending: false,
    });
  };

  const append = (leader: RaftNode, payload: Payload) => {
    const { data } = leader;
    const change = isChange(payload);
    // Raft allows one configuration change in flight; etcd appends an empty entry in place of the second.
    const refused = change && leader.pendingChange > data.applied;
    const entry: Entry = {
      index: data.log.length + 1,
      term: data.term,
      payload: refused ? { kind: 'noop' } : payload,
      committedAtMs: null,
    };
    data.log.push(entry);
    if (change && !refused) leader.pendingChange = entry.index;
    advanceCommit(leader);
    for (const memberId of leader.progress.keys()) pump(leader, memberId);
  };

  const advanceCommit = (leader: RaftNode) => {
    const { data } = leader;
    const voters = votersOf(data);
    const matches = voters
      .map((id) => (id === data.memberId ? data.log.length : (leader.progress.get(id)?.match ?? 0)))
      .toSorted((left, right) => right - left);
    const agreed = matches[quorumOf(voters.length) - 1] ?? 0;
    if (agreed <= data.commit || data.log[agreed - 1]?.term !== data.term) return;
    for (let index = data.commit + 1; index <= agreed; index += 1) {
      const entry = data.log[index - 1] as Entry;
      if (entry.committedAtMs !== null) continue;
      entry.committedAtMs = clock.monotonicMs();
      observer.committed(leader, entry);
    }
    data.commit = agreed;
    scheduleApply(leader);
    for (const memberId of leader.progress.keys()) pump(leader, memberId);
  };

  /** Sends what the member lacks, one message on its way at a time. */
  const pump = (leader: RaftNode, memberId: string) => {
    const progress = leader.progress.get(memberId);
    const follower = nodeOf(leader.data.clusterId, memberId);
    if (progress === undefined || progress.sending || follower === null || !linked(leader, follower)) return;
    const upToDate =
      progress.next > leader.data.log.length &&
      progress.commitSent >= leader.data.commit &&
      follower.leader === leader;
    if (upToDate) return;
    progress.sending = true;
    const first = progress.next;
    const entries = leader.data.log.slice(first - 1, first - 1 + BATCH_ENTRIES);
    const { term, commit } = leader.data;
    const still = () =>
      leader.role === 'leader' && leader.data.term === term && leader.progress.get(memberId) === progress;
    const writeMs = entries.length * APPEND_MS_PER_ENTRY + options.diskMs(follower.host);
    const sendMs = options.latencyMs(leader.host, follower.host) + writeMs;
    after(sendMs, () => {
      if (!still() || !linked(leader, follower)) {
        progress.sending = false;
        return;
      }
      if (follower.data.term > term) {
        stepDown(leader);
        return;
      }
      const match = receive(follower, leader, first, entries, commit);
      after(options.latencyMs(follower.host, leader.host), () => {
        progress.sending = false;
        if (!still()) return;
        if (match === null) progress.next = commonLength(leader.data, follower.data) + 1;
        else {
          progress.match = Math.max(progress.match, match);
          progress.next = match + 1;
          progress.commitSent = commit;
          advanceCommit(leader);
        }
        pump(leader, memberId);
      });
    });
  };

  /** The follower's side of an append: the index up to which it now agrees, `null` where the logs do not meet. */
  const receive = (
    follower: RaftNode,
    leader: RaftNode,
    first: number,
    entries: readonly Entry[],
    commit: number,
  ): number | null => {
    const { data } = follower;
    if (follower.role === 'leader') stepDown(follower);
    // Who begins is sent the leader's database, with whatever is wrong in it.
    if (data.log.length === 0) data.store.damage = leader.data.store.damage;
    data.term = leader.data.term;
    if (follower.leader !== leader) {
      follower.leader = leader;
      flushProposals(follower);
    }
    const previous = first - 1;
    if (previous > 0 && data.log[previous - 1] !== leader.data.log[previous - 1]) return null;
    for (const entry of entries) {
      if (data.log[entry.index - 1] === entry) continue;
      assert(entry.index > data.commit, `the model lost the committed entry ${entry.index}`);
      data.log.length = entry.index - 1;
      data.log.push(entry);
    }
    const match = previous + entries.length;
    data.commit = Math.max(data.commit, Math.min(commit, match));
    scheduleApply(follower);
    return match;
  };

  const scheduleApply = (node: RaftNode) => {
    if (node.applying || node.stopped || node.data.applied >= node.data.commit) return;
    node.applying = true;
    const target = node.data.commit;
    const usualMs = node.hasApplied ? random.between(0.1, 2) : node.firstApplyMs;
    const durationMs = usualMs + options.diskMs(node.host);
    after(durationMs, () => {
      node.applying = false;
      if (node.stopped) return;
      node.hasApplied = true;
      while (node.data.applied < target && !node.stopped) apply(node);
      scheduleApply(node);
    });
  };

  const apply = (node: RaftNode) => {
    const { data } = node;
    const entry = data.log[data.applied] as Entry;
    data.applied = entry.index;
    const refusal = applyPayload(data, entry.payload);
    node.onApplied(entry);
    const proposal = node.proposals.get(entry.payload);
    node.proposals.delete(entry.payload);
    proposal?.settle(refusal);
    if (refusal === null && isChange(entry.payload)) applyChange(node, entry.payload);
  };

  const applyChange = (node: RaftNode, change: ConfigurationChange) => {
    if (change.kind === 'remove' && change.memberId === node.data.memberId) tellRemoved(node);
    if (node.role === 'leader') {
      if (change.kind === 'add') addProgress(node, change.memberId);
      if (change.kind === 'remove') node.progress.delete(change.memberId);
      advanceCommit(node);
    }
    review();
  };

  const told = new WeakSet<RaftNode>();
  const tellRemoved = (node: RaftNode) => {
    if (told.has(node)) return;
    told.add(node);
    after(random.between(50, 800), () => {
      if (!node.stopped) node.onRemoved();
    });
  };

  const propose = (node: RaftNode, payload: Payload): Promise<Refusal | null> => {
    const { promise, resolve } = Promise.withResolvers<Refusal | null>();
    node.proposals.set(payload, { sent: false, settle: resolve });
    flushProposals(node);
    return promise;
  };

  const flushProposals = (node: RaftNode) => {
    const { leader } = node;
    if (leader === null) return;
    for (const [payload, proposal] of node.proposals) {
      if (proposal.sent) continue;
      proposal.sent = true;
      if (leader === node) append(node, payload);
      else {
        after(options.latencyMs(node.host, leader.host), () => {
          if (leader.role === 'leader' && linked(node, leader)) append(leader, payload);
        });
      }
    }
  };

  const readIndex = async (node: RaftNode): Promise<number | null> => {
    const { leader } = node;
    if (leader === null) return null;
    if (leader !== node) await clock.sleep(options.latencyMs(node.host, leader.host));
    if (leader.role !== 'leader' || (leader !== node && !linked(node, leader))) return null;
    const index = leader.data.commit;
    if (leader.data.log[index - 1]?.term !== leader.data.term) return null;
    if (votersOf(leader.data).length > 1) await clock.sleep(2 * options.latencyMs(leader.host, node.host));
    if (leader.stopped || leader.role !== 'leader' || !hasQuorum(leader)) return null;
    if (leader !== node && !linked(node, leader)) return null;
    return index;
  };

  const transferLeadership = (from: RaftNode, memberId: string): boolean => {
    const target = nodeOf(from.data.clusterId, memberId);
    if (target === null || !linked(from, target)) return false;
    return campaign(target, true);
  };

  return {
    start,
    stop,
    review,
    propose,
    readIndex,
    connectedSinceMs: (left, memberId) => connected.get(pairOf(left, memberId)) ?? null,
    transferLeadership,
    nodeOf,
    nodes,
  };
}

export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

export function votersOf(data: DataDirectory): string[] {
  return [...data.members.values()].filter((member) => !member.isLearner).map((member) => member.id);
}

/** An empty directory that belongs to a member of a cluster. */
export function createDataDirectory(clusterId: string, memberId: string): DataDirectory {
  return {
    clusterId,
    memberId,
    log: [],
    term: 0,
    commit: 0,
    applied: 0,
    store: createKeyStore(),
    members: new Map(),
    removed: new Set(),
  };
}

/** Entries stay the same objects: by them logs are compared. */
export function copyOfData(data: DataDirectory): DataDirectory {
  return {
    ...data,
    log: [...data.log],
    store: structuredClone(data.store),
    members: structuredClone(data.members),
    removed: new Set(data.removed),
  };
}

/** What each member of a new cluster writes to its log before it starts: the members, committed, in term 1. */
export function bootstrapLog(data: DataDirectory, entries: readonly Entry[]): void {
  for (const entry of entries) {
    data.log.push(entry);
    applyPayload(data, entry.payload);
  }
  data.term = 1;
  data.commit = entries.length;
  data.applied = entries.length;
}

/** Changes the state as etcd's apply does; every member comes to the same result. */
export function applyPayload(data: DataDirectory, payload: Payload): Refusal | null {
  switch (payload.kind) {
    case 'noop':
      return null;
    case 'put':
    case 'delete':
    case 'compact':
    case 'alarm':
      return applyToStore(data.store, payload);
    case 'publish': {
      const member = data.members.get(payload.memberId);
      if (member === undefined) return 'member-not-found';
      member.name = payload.name;
      member.clientUrls = payload.clientUrls;
      return null;
    }
    case 'add':
      return applyAdd(data, payload);
    case 'promote': {
      const member = data.members.get(payload.memberId);
      if (member === undefined) return 'member-not-found';
      if (!member.isLearner) return 'not-a-learner';
      member.isLearner = false;
      return null;
    }
    case 'remove':
      if (!data.members.delete(payload.memberId)) return 'member-not-found';
      data.removed.add(payload.memberId);
      return null;
  }
}

function applyAdd(data: DataDirectory, change: ConfigurationChange & { kind: 'add' }): Refusal | null {
  if (data.removed.has(change.memberId) || data.members.has(change.memberId)) return 'member-exists';
  const members = [...data.members.values()];
  if (members.some((member) => member.peerUrl === change.peerUrl)) return 'peer-url-exists';
  if (change.isLearner && members.some((member) => member.isLearner)) return 'too-many-learners';
  data.members.set(change.memberId, {
    id: change.memberId,
    name: '',
    peerUrl: change.peerUrl,
    clientUrls: [],
    isLearner: change.isLearner,
  });
  return null;
}

/** Raft's rule: the later last term wins, then the longer log. */
function compareLogs(left: DataDirectory, right: DataDirectory): number {
  const difference = (left.log.at(-1)?.term ?? 0) - (right.log.at(-1)?.term ?? 0);
  return difference === 0 ? left.log.length - right.log.length : difference;
}

function commonLength(left: DataDirectory, right: DataDirectory): number {
  let length = Math.min(left.log.length, right.log.length);
  while (length > 0 && left.log[length - 1] !== right.log[length - 1]) length -= 1;
  return length;
}

function isChange(payload: Payload): payload is ConfigurationChange {
  return payload.kind === 'add' || payload.kind === 'promote' || payload.kind === 'remove';
}

function knows(node: RaftNode, other: RaftNode): boolean {
  return node.data.members.get(other.data.memberId)?.peerUrl === other.peerUrl;
}

function nodeKey(node: RaftNode): string {
  return `${node.data.clusterId}/${node.data.memberId}`;
}

function pairOf(left: RaftNode, memberId: string): string {
  return `${nodeKey(left)}|${memberId}`;
}
