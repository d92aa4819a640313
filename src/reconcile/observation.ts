import type { EtcdOptions } from '../protocol/etcd-options.ts';
import type { MemberStatus } from '../protocol/member-status.ts';
import type { Seat, TaskEnd } from '../protocol/record.ts';

/** What the operator asked for, of what the core needs to know. Immutable for the life of a scheduler process. */
export interface Spec {
  /** How many members there are to be; `null`: nobody said, and the cluster keeps as many as it has. */
  readonly size: number | null;
  /** All slots in hand within this time start at once; after it a quorum of the target starts. Default 5 s. */
  readonly bootstrapWindowMs: number;
  /** How long a member's task may be asserted away before it is replaced. Default 20 min. */
  readonly unreachableTimeoutMs: number;
  /** How long a seat whose task has ended may stay without an offer of its volume. Default 15 min. */
  readonly volumeTimeoutMs: number;
  /** How long a launch may take until its supervisor answers. Default 5 min. */
  readonly launchTimeoutMs: number;
  /** SIGTERM to SIGKILL. Default 10 s. */
  readonly killGraceMs: number;
  /** Revisions before the newest that are never compacted without an operator. Default 10000. */
  readonly compactKeepRevisions: number;
  /** What members are to run, as the record keeps it: see `ArtifactPin`. */
  readonly artifact: string;
  /** Tarballs that this scheduler can serve, the present one too: URIs by SHA-256, lower-case hex. */
  readonly kept: ReadonlyMap<string, string>;
  readonly etcd: EtcdOptions;
  /** What a member is given. */
  readonly resources: Seat['resources'];
  /** How changes of these reach members that run. */
  readonly updateStrategy: UpdateStrategy;
  /** How long an updated member may take until it serves again. Default 10 min. */
  readonly updateStepTimeoutMs: number;
}

/**
 * `serial`: other options of etcd and other resources at once, another artifact after a word. `canary`: everything
 * after a word, and after the first member once more.
 */
export type UpdateStrategy = 'serial' | 'canary';

/** What is known of a task by the master's word since the present subscription. */
export type TaskEvidence =
  | {
      readonly kind: 'alive';
      readonly state: string;
      readonly agentId: string | null;
      readonly healthy: boolean | null;
    }
  /** TASK_UNREACHABLE: away for now; may come back, running. */
  | { readonly kind: 'unreachable'; readonly state: string; readonly agentId: string | null }
  | { readonly kind: 'over'; readonly end: TaskEnd; readonly agentId: string | null };

/** A reservation of a seat that the record does not know. Its volume may hold the data of a member of that slot. */
export interface Stray {
  readonly seat: string;
  readonly slot: string;
}

/** A reservation of a recorded seat that is on offer now. */
export interface OfferedSeat {
  /** `false`: its disk is on offer and the volume is not on it any more. */
  readonly volume: boolean;
  /** cpus, memory, disk and all three ports are there. */
  readonly complete: boolean;
}

/** One supervisor as last seen. */
export interface MemberView {
  /** The newest answer of the present task; `null` before the first. */
  readonly status: MemberStatus | null;
  /** Milliseconds since that answer arrived; Infinity without one. */
  readonly ageMs: number;
  /** Milliseconds for which every question has failed; 0 when the last one was answered. */
  readonly failingMs: number;
  /** Milliseconds between the first and the newest answer in a row that say it serves no clients; else 0. */
  readonly notServingMs: number;
}

/** The world as one value. Nothing in it changes after it was made. */
export interface Observation {
  readonly wallMs: number;
  /** Monotonic milliseconds since the previous observation, at most {@link ELAPSED_MS_MAX}. */
  readonly elapsedMs: number;
  /** A UUID nobody has seen: names of this pass are derived from it. */
  readonly freshId: string;
  readonly mesos: {
    /** The event stream is up. */
    readonly subscribed: boolean;
    /** Tasks of the record that the master has not told of in this subscription: nothing is concluded of them. */
    readonly unanswered: ReadonlySet<string>;
    /** By task id; every task that the master told of, ours or not in the record. */
    readonly tasks: ReadonlyMap<string, TaskEvidence>;
    /** By seat id. */
    readonly offered: ReadonlyMap<string, OfferedSeat>;
    /**
     * Agents whose disks are gone for good: marked gone, or another agent id at the same address, without the volume.
     */
    readonly agentsGone: ReadonlySet<string>;
    /** Agents whose maintenance is near or has begun: when it begins, milliseconds since 1970. */
    readonly maintenance: ReadonlyMap<string, number>;
    /** Seats on offer under our labels that the record does not know. */
    readonly strays: readonly Stray[];
  };
  /** By seat id. */
  readonly members: ReadonlyMap<string, MemberView>;
  /** `null`: no archive is configured. */
  readonly archive: ArchiveSight | null;
}

/** What is known of the cluster's archive. */
export interface ArchiveSight {
  /** Everything up to here is durable there: nothing later is compacted. `0` while that is not known. */
  readonly archivedRevision: string;
  /** When the newest full was complete that was read back and found whole; `null`: none is known. */
  readonly verifiedFullAtMs: number | null;
}

/** However long a pass took, no timer advances by more: what was not watched is no evidence. */
export const ELAPSED_MS_MAX = 5_000;
/** A status older than this says nothing about the present. */
export const FRESH_MS = 3_000;
