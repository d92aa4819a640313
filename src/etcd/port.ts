import { CodedError } from '../base/errors.ts';

/**
 * One etcd member, asked directly: one channel, a deadline on every call, nothing retried. Field meanings are
 * those of etcd's `rpc.proto` (Maintenance, Cluster, KV). All 64-bit numbers are decimal text, ids are hex.
 */
export interface EtcdClient {
  /** Maintenance.Status: local, answers without a leader. */
  status(signal: AbortSignal): Promise<EtcdStatus>;
  /** `GET /version`: the cluster version as the member knows it, as `3.5.0`; `null` while it knows none. */
  clusterVersion(signal: AbortSignal): Promise<string | null>;
  /** Resolves when a linearizable read was answered: the member sees a quorum now. A learner refuses. */
  confirmQuorum(signal: AbortSignal): Promise<QuorumAnswer>;
  /** Cluster.MemberList by local evidence; after {@link confirmQuorum} it holds every change committed before. */
  members(signal: AbortSignal): Promise<readonly EtcdMember[]>;
  /** Maintenance.Alarm GET, which needs a quorum. */
  alarms(signal: AbortSignal): Promise<readonly { readonly memberId: string; readonly alarm: string }[]>;
  memberAddLearner(peerUrl: string, signal: AbortSignal): Promise<{ readonly memberId: string }>;
  memberRemove(memberId: string, signal: AbortSignal): Promise<void>;
  memberPromote(memberId: string, signal: AbortSignal): Promise<void>;
  moveLeader(memberId: string, signal: AbortSignal): Promise<void>;
  /**
   * Maintenance.Defragment: this member rewrites its database without the free pages, and may answer nobody until it
   * has. It goes on with that when the call is given up; nothing but `signal` limits the call.
   */
  defragment(signal: AbortSignal): Promise<void>;
  /**
   * KV.Compact: forgets what was superseded up to that revision, in the whole cluster. With `physical` it resolves
   * when this member's pages are free. Rejects with `compacted` where that was done before.
   */
  compact(revision: string, physical: boolean, signal: AbortSignal): Promise<void>;
  /** Maintenance.Alarm DEACTIVATE, which needs a quorum. An alarm that is not raised is disarmed already. */
  disarm(memberId: string, alarm: AlarmName, signal: AbortSignal): Promise<void>;
  /**
   * Maintenance.HashKV by local evidence: of every key up to that revision. Two members' are comparable at the same
   * revision and compact revision. Rejects with `compacted` or `future-revision` where it cannot be computed.
   */
  hashKv(revision: string, signal: AbortSignal): Promise<KvHash>;
  /** KV.Range by local evidence: the sizes of at most `countMax` keys from that one on, in their order; not empty. */
  keySizes(from: Uint8Array, countMax: number, signal: AbortSignal): Promise<KeySizes>;
  /** What is open then, or is asked afterwards, ends as `aborted`. */
  close(): void;
}

/** How a quorum was confirmed. */
export interface QuorumAnswer {
  /**
   * The read itself was refused, since etcd's authentication is on and names no user here: a quorum was asked before
   * that. What else such an etcd refuses is a matter of its version.
   */
  readonly needsUser: boolean;
}

/** The alarms that etcd knows. */
export const ALARM_NAMES = ['NOSPACE', 'CORRUPT'] as const;
export type AlarmName = (typeof ALARM_NAMES)[number];

export interface KvHash {
  /** CRC-32C. */
  readonly hash: number;
  /** What was compacted before it was computed; 0 for nothing, as text. */
  readonly compactRevision: string;
}

export interface KeySizes {
  /** Bytes of the key and of its value. */
  readonly keys: readonly { readonly key: Uint8Array; readonly bytes: number }[];
  /** There are keys after the last of these. */
  readonly more: boolean;
}

/** Keys and values through one member, linearizable. Keys and values are text, as UTF-8. */
export interface KvClient {
  /** Resolves when the write is acknowledged; a rejection leaves its outcome open. */
  put(key: string, value: string, signal: AbortSignal): Promise<{ readonly revision: string }>;
  /** Keys in [from, to) in their order, at most `countMax`. */
  range(from: string, to: string, countMax: number, signal: AbortSignal): Promise<readonly KeyValue[]>;
  /** As {@link EtcdClient.close}. */
  close(): void;
}
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly modRevision: string;
}

/**
 * What a backup takes from one member: its whole store, and everything that happens to it. Nothing is retried. An
 * iteration that is left, or whose signal aborts, ends the call.
 */
export interface StreamClient {
  status(signal: AbortSignal): Promise<EtcdStatus>;
  /**
   * Maintenance.Snapshot: the backend file in pieces of some 32 KiB, and at last 32 bytes that are the SHA-256 of all
   * before. It ends early only by throwing an {@link EtcdError}.
   */
  snapshot(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Watches all keys from a revision on, as `Watch.Watch` answers: fragments are not put together, progress is told.
   * It ends by a cancelled answer or by throwing an {@link EtcdError}; also when the member loses its leader.
   */
  watchAll(startRevision: bigint, signal: AbortSignal): AsyncIterable<WatchAnswer>;
  /** Seconds that a lease was granted for; `null` when there is no such lease (any more). */
  leaseTtl(leaseId: bigint, signal: AbortSignal): Promise<bigint | null>;
  /** As {@link EtcdClient.hashKv}. */
  hashKv(revision: string, signal: AbortSignal): Promise<KvHash>;
  /**
   * Auth.AuthStatus, which needs a quorum: rises with every change of users and roles, of which no watch tells.
   * `null` where there is no such call: before etcd 3.5.
   */
  authRevision(signal: AbortSignal): Promise<bigint | null>;
  /** As {@link EtcdClient.close}. */
  close(): void;
}

/** One `WatchResponse`. */
export interface WatchAnswer {
  readonly clusterId: string;
  readonly memberId: string;
  /** Of the member's store; says how far the events went only when there are none and nothing else was told. */
  readonly revision: bigint;
  readonly created: boolean;
  readonly cancelled: boolean;
  readonly cancelReason: string;
  /** Of a watch that was cancelled because what it wanted is compacted; 0 else. */
  readonly compactRevision: bigint;
  /** More of the same answer follows. */
  readonly isFragment: boolean;
  /** `mvccpb.Event` messages as they came. */
  readonly events: readonly Uint8Array[];
}

/** A member as etcd lists it. */
export interface EtcdMember {
  readonly id: string;
  /** Empty until the member has started and published itself. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface EtcdStatus {
  readonly version: string;
  readonly clusterId: string;
  readonly memberId: string;
  /** `null` while it knows no leader. */
  readonly leaderId: string | null;
  readonly isLearner: boolean;
  readonly raftTerm: string;
  readonly raftIndex: string;
  readonly raftAppliedIndex: string;
  readonly revision: string;
  readonly dbSizeBytes: number;
  readonly dbSizeInUseBytes: number;
  readonly errors: readonly string[];
}

/** What asking an etcd member can end in. */
export class EtcdError extends CodedError<
  /** Nobody answers at its address, or the connection broke. */
  | 'unavailable'
  /** It did not answer in time. It may have done what it was asked for. */
  | 'timeout'
  /** The caller gave up. */
  | 'aborted'
  /** It knows no leader, so it answers nothing that needs one. */
  | 'no-leader'
  /** It refuses a change of members while too few of them are healthy. */
  | 'unhealthy-cluster'
  | 'member-not-found'
  | 'member-exists'
  /** Another member has that peer URL. */
  | 'peer-url-exists'
  /** The cluster has as many learners as it takes. */
  | 'too-many-learners'
  /** The learner is too far behind to be promoted. */
  | 'learner-not-ready'
  /** Only a learner can be promoted. */
  | 'not-a-learner'
  /** Leadership can only be moved by who has it. */
  | 'not-leader'
  /** A learner does not serve this. */
  | 'refused-on-learner'
  /** Writes are refused: a member’s database has reached its quota, and the alarm stands. */
  | 'no-space'
  /** Reads and writes are refused: a member was found to differ from the others, and the alarm stands. */
  | 'corrupt-cluster'
  /** Its authentication is on, and it answers nobody without a name. */
  | 'needs-user'
  /** That revision was compacted. */
  | 'compacted'
  /** That revision is yet to come. */
  | 'future-revision'
  /** The answer is larger than is taken: ask for less at once. */
  | 'answer-too-large'
  /** The answer is not what etcd's API promises. */
  | 'protocol'
  /** Anything else that etcd said; the message has it. */
  | 'other'
> {}
