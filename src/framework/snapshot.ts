import type { MasterInfo } from '../mesos/wire.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import type { OfferReport, PublishedArchive, SchedulerCounters, StoryLine } from '../protocol/view.ts';
import type { Blocked, Decision } from '../reconcile/decision.ts';
import type { Observation } from '../reconcile/observation.ts';

/** What a scheduler knows and does at one moment; made after every pass, immutable. */
export interface SchedulerSnapshot {
  /** The service was given up and nothing of it is left. */
  readonly uninstalled: boolean;
  readonly atMs: number;
  /** `null` until the record was read or made. */
  readonly record: ClusterRecord | null;
  readonly observation: Observation | null;
  readonly decision: Decision | null;
  /** `null`: none is configured. */
  readonly archive: PublishedArchive | null;
  /** The core's, and those of placement and orders. */
  readonly blocked: readonly Blocked[];
  readonly mesos: MesosState;
  /** How offers were judged lately. */
  readonly offers: OfferReport;
  /** Newest last. */
  readonly story: readonly StoryLine[];
  readonly counters: SchedulerCounters;
}

export interface MesosState {
  readonly subscribed: boolean;
  readonly frameworkId: string | null;
  readonly master: MasterInfo | null;
  /** Why there is no subscription. */
  readonly problem: string | null;
  readonly suppressed: boolean;
  readonly offersHeld: number;
}
