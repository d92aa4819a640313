import * as z from 'zod';
import { SUPERVISOR_PHASES } from './member-status.ts';

/**
 * The published view: one value that holds all that the HTTP API and the command line show of a cluster.
 * `GET /v1/view` answers with it as JSON. Nothing in it is secret. Readers ignore fields they do not know.
 */

const wallMs = z.number();
const port = z.number().int().min(0).max(65535);

const MEMBER_ROLES = ['voter', 'learner', 'none'] as const;
export const CLUSTER_HEALTH_STATES = [
  'forming',
  'healthy',
  'degraded',
  'quorum-lost',
  'needs-user',
  'unknown',
] as const;

/** One seat of a slot: the one that holds its member, or its successor. A slot without a seat shows none of it. */
export const memberViewSchema = z.object({
  slot: z.string(),
  /** `null` while the slot waits for a place. */
  seat: z.string().nullable(),
  /** The newest task on the seat. */
  task: z.string().nullable(),
  agentId: z.string().nullable(),
  hostname: z.string().nullable(),
  zone: z.string().nullable(),
  /** What peers and clients are told. */
  host: z.string().nullable(),
  ports: z.object({ peer: port, client: port, supervisor: port }).nullable(),
  /** etcd's member id, hex. */
  memberId: z.string().nullable(),
  role: z.enum(MEMBER_ROLES),
  /** The supervisor's word; `null` while it has not answered. */
  phase: z.enum(SUPERVISOR_PHASES).nullable(),
  /** `TASK_RUNNING` …; `null` before the master has told of the task. */
  mesosState: z.string().nullable(),
  /** The task that stands for its client port in DNS; `null` while it has none, as while it does not serve. */
  nameTask: z.object({ task: z.string(), mesosState: z.string().nullable() }).nullable().default(null),
  /** Who has its etcd held down, and since when; `null`: nobody. */
  paused: z.object({ by: z.string(), atMs: wallMs }).nullable().default(null),
  etcdVersion: z.string().nullable(),
  leader: z.boolean(),
  /** The etcd of this seat has answered within the last seconds and knows a leader, or has shown that there is one. */
  healthy: z.boolean(),
  /** Decimal text: JSON's numbers are too small for 64 bits. `null` while etcd does not answer. */
  revision: z.string().nullable(),
  raftTerm: z.string().nullable(),
  raftIndex: z.string().nullable(),
  dbSizeBytes: z.number().nullable(),
  /** What of that is not free. */
  dbSizeInUseBytes: z.number().nullable().default(null),
  /** The size at which its etcd refuses writes; `null` without a place. */
  quotaBytes: z.number().nullable().default(null),
  /** Alarms that it knows of, its own and others'. */
  alarms: z.array(z.object({ memberId: z.string(), alarm: z.string() })).default([]),
  /** Why its etcd may answer nobody although it is well. */
  busy: z.string().nullable().default(null),
  problem: z.string().nullable(),
  /** How often etcd was started again by its supervisor in this incarnation. */
  restarts: z.number().int().min(0),
  /** Known defects of the etcd that runs there, for people. */
  warnings: z.array(z.string()),
});
export type PublishedMember = z.infer<typeof memberViewSchema>;

/** Why something that is wanted is not done. `code` is stable and kebab-case. */
const blockedViewSchema = z.object({
  code: z.string(),
  slot: z.string().nullable(),
  message: z.string(),
});

/** Something that is not as safe as it could be, and that nothing is done about. `code` is stable and kebab-case. */
const viewWarningSchema = z.object({ code: z.string(), message: z.string() });
export type ViewWarning = z.infer<typeof viewWarningSchema>;

/** The archive's are `no-archive`, and those that begin with `archive-`. */
export function isArchiveWarning({ code }: ViewWarning): boolean {
  return code === 'no-archive' || code.startsWith('archive-');
}

/** Something that happened, and why. */
export const storyLineSchema = z.object({
  /** Rises by one with every line, so that a reader knows which it has seen. */
  sequence: z.number().int().min(0),
  atMs: wallMs,
  slot: z.string().nullable(),
  text: z.string(),
  reason: z.string(),
});
export type StoryLine = z.infer<typeof storyLineSchema>;
/** Lines of the story that a view holds: the newest. */
export const STORY_LINES_MAX = 100;

/** One thing that a place must have, held against an offer. */
export const offerRequirementSchema = z.object({
  /** `cpus`, `mem`, `disk`, `ports`, `region`, `maintenance`, or a placement constraint as `hostname UNIQUE`. */
  requirement: z.string(),
  ok: z.boolean(),
  /** A number where it is an amount, else words. */
  needed: z.union([z.number(), z.string()]),
  offered: z.union([z.number(), z.string()]),
  /** By how much an amount falls short, 0 where it does not; `null` where there is no amount. */
  missing: z.number().nullable(),
  /** `MB`, or empty. */
  unit: z.string(),
});
export type OfferRequirement = z.infer<typeof offerRequirementSchema>;

/** How an offer was judged for a slot that waits for one. */
export const offerExplanationSchema = z.object({
  atMs: wallMs,
  slot: z.string(),
  offerId: z.string(),
  agentId: z.string(),
  hostname: z.string(),
  zone: z.string().nullable(),
  outcome: z.enum(['pass', 'fail']),
  explanation: z.string(),
  requirements: z.array(offerRequirementSchema),
});
export type OfferExplanation = z.infer<typeof offerExplanationSchema>;
/** Explanations that a view's source keeps: the newest. */
export const OFFER_EXPLANATIONS_MAX = 200;
/** Milliseconds for which they are shown. */
export const OFFER_EXPLANATION_AGE_MS = 3_600_000;

/** All offers that were looked at for one slot while it waited for a place, or last did. */
export const offerSummarySchema = z.object({
  slot: z.string(),
  sinceMs: wallMs,
  lastMs: wallMs,
  /** Offers looked at, and those of them that fitted. */
  looked: z.number().int().min(0),
  fitted: z.number().int().min(0),
  /** What they missed, the most frequent first. */
  failed: z.array(z.object({ requirement: z.string(), offers: z.number().int().min(1) })),
});
export type OfferSummary = z.infer<typeof offerSummarySchema>;

/** What `/v1/debug/offers` tells. */
export interface OfferReport {
  readonly summaries: readonly OfferSummary[];
  /** Newest last. */
  readonly explanations: readonly OfferExplanation[];
}

/** `GET /v1/debug/offers`. */
export const debugOffersSchema = z.object({
  summary: z.array(
    offerSummarySchema
      .omit({ slot: true, sinceMs: true, lastMs: true })
      .extend({ 'pod-instance-name': z.string(), since: z.string(), last: z.string() }),
  ),
  offers: z.array(
    offerExplanationSchema.pick({ outcome: true, explanation: true, requirements: true }).extend({
      timestamp: z.string(),
      'pod-instance-name': z.string(),
      offer: z.object({
        id: z.string(),
        agent_id: z.string(),
        hostname: z.string(),
        zone: z.string().nullable(),
      }),
    }),
  ),
});
export type DebugOffers = z.infer<typeof debugOffersSchema>;

const count = z.number().int().min(0);

/** What the scheduler's process has counted since it started; the 2015 `/stats` and the metrics are made of it. */
export const schedulerCountersSchema = z.object({
  /** Passes of the loop, and those of them that ended in an error. */
  passes: count,
  passFailures: count,
  /** Milliseconds that all passes took together. */
  passMsSum: z.number().min(0),
  recordSaves: count,
  /** Times that a master has accepted the subscription. */
  subscriptions: count,
  offersReceived: count,
  offersDeclined: count,
  /** By requirement: how often an offer missed it. */
  offersRejected: z.record(z.string(), count),
  /** Offer operations (reserve, create, launch …) that came to nothing. */
  operationsFailed: count,
  /** Tasks launched. */
  launches: count,
  /** Status updates by task state, as `TASK_RUNNING`. */
  taskUpdates: z.record(z.string(), count),
  /** Members' tasks that ended, or were said to have, without being told to. */
  tasksFailed: count,
  /** Orders to supervisors by outcome: `done`, `refused`, `failed`, `unanswered`. */
  orders: z.record(z.string(), count),
  /** Times that health went from anything else to `quorum-lost`. */
  quorumLosses: count,
  /** Membership changes that were finished. */
  intentsClosed: count,
});
export type SchedulerCounters = z.infer<typeof schedulerCountersSchema>;

const PLAN_STATUSES = [
  'PENDING',
  'STARTING',
  'STARTED',
  'WAITING',
  'IN_PROGRESS',
  'ERROR',
  'COMPLETE',
] as const;
export type PlanStatus = (typeof PLAN_STATUSES)[number];
const planStatus = z.enum(PLAN_STATUSES);
const planStrategy = z.enum(['serial', 'parallel', 'serial-canary']);

/** What is being done, in phases and steps, as services of DC/OS tell it. Ids are UUIDs made from the names. */
export const publishedPlanSchema = z.object({
  name: z.string(),
  status: planStatus,
  strategy: planStrategy,
  phases: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      status: planStatus,
      strategy: planStrategy,
      steps: z.array(z.object({ id: z.string(), name: z.string(), status: planStatus, message: z.string() })),
    }),
  ),
  errors: z.array(z.string()),
  /** Who holds it, and since when; absent: nobody does. */
  paused: z.object({ by: z.string(), atMs: wallMs }).optional(),
});
export type PublishedPlan = z.infer<typeof publishedPlanSchema>;

/**
 * `waiting`: for the cluster to form. `starting`: it is being opened. `following`: what happens is archived.
 * `no-member`: there is nobody to follow. `away`: it takes nothing; what happens is spooled. `refused`: it is not
 * ours or not whole, and an operator has to see to it.
 */
export const ARCHIVE_STATES = ['waiting', 'starting', 'following', 'no-member', 'away', 'refused'] as const;

/** What a cluster's archive is like. Revisions are decimal text. */
export const archiveViewSchema = z.object({
  /** Where it is, for people; without credentials. */
  place: z.string(),
  /** `null` until it was opened. */
  id: z.string().nullable(),
  state: z.enum(ARCHIVE_STATES),
  /** Why it is as it is, for people; `null` while nothing is in the way. */
  problem: z.string().nullable(),
  /** Everything up to here is durable. */
  archivedRevision: z.string(),
  /** The last revision that came from a member. */
  seenRevision: z.string(),
  /** How long the oldest revision that is not durable in the archive has been waiting; 0 when there is none. */
  lagMs: z.number().min(0),
  /** What of it waits in memory, and on the local disk. */
  waitingBytes: z.number().min(0),
  spooledBytes: z.number().min(0),
  lastFull: z
    .object({
      name: z.string(),
      revision: z.string(),
      startedAtMs: wallMs,
      sizeBytes: z.number().min(0),
      /** When it was read back whole; `null`: it was not. */
      verifiedAtMs: wallMs.nullable(),
    })
    .nullable(),
  /** Why there is a full to be taken now; `null`: none is. */
  fullWanted: z.string().nullable(),
  /** By the schedule; `null`: there is none. */
  nextFullAtMs: wallMs.nullable(),
  /** The newest hash that a member told of all its data. */
  lastProof: z.object({ revision: z.string(), atMs: wallMs }).nullable(),
  /** The newest time that the archive was restored and held against its proofs. */
  lastVerification: z
    .object({
      atMs: wallMs,
      /** Up to where it was restored. */
      revision: z.string(),
      proofsCompared: z.number().int().min(0),
      problems: z.array(z.string()),
    })
    .nullable(),
  /** The newest ones that were found by the archiver that runs. */
  gaps: z.array(z.object({ reason: z.string(), from: z.string(), to: z.string() })),
});
export type PublishedArchive = z.infer<typeof archiveViewSchema>;

/** What is missing since the archive was begun: what was before that is in its first full. */
export function gapsWithin({ gaps }: PublishedArchive): PublishedArchive['gaps'] {
  return gaps.filter(({ reason }) => reason !== 'begin');
}

export const publishedViewSchema = z.object({
  /** When the view was made. */
  atMs: wallMs,
  /** Version of etcd-mesos. */
  build: z.string(),
  /** The scheduler that acts, and made the view. */
  scheduler: z.object({
    /** Base URL of its own API. */
    url: z.string(),
    /** It won an election: others may stand by. */
    elected: z.boolean(),
    /** How often its process has led since it started. */
    terms: count,
  }),
  framework: z.object({
    name: z.string(),
    /** `null` until a master has given one. */
    id: z.string().nullable(),
    generation: z.number().int().min(0),
  }),
  /** The id that the scheduler gave the cluster; `null` before the record exists. */
  cluster: z.string().nullable(),
  /** The target number of members. */
  size: z.number().int().min(1),
  /** The size was changed, and the members are not as many yet; `null`: they are, or repair is at it. */
  scaling: z
    .object({
      /** So many slots may hold a member until it is done. */
      from: z.number().int().min(1),
      by: z.string(),
      atMs: wallMs,
    })
    .nullable()
    .default(null),
  epoch: z
    .object({
      number: z.number().int().min(1),
      attempt: z.number().int().min(1),
      phase: z.enum(['adopting', 'preparing', 'go', 'formed']),
      /** etcd's cluster id, hex; `null` until formed. */
      clusterId: z.string().nullable(),
    })
    .nullable(),
  health: z.object({
    state: z.enum(CLUSTER_HEALTH_STATES),
    voters: z.number().int().min(0),
    healthyVoters: z.number().int().min(0),
    /** etcd's member id of the leader. */
    leader: z.string().nullable(),
  }),
  members: z.array(memberViewSchema),
  /** URLs with their scheme. Empty until the epoch has formed. */
  endpoints: z.object({ client: z.array(z.string()), peer: z.array(z.string()) }),
  /** The one membership change that is in progress. */
  intent: z.object({ slot: z.string(), reason: z.string(), step: z.string() }).nullable(),
  /** The one thing that is being done to a member that serves, of an operator's or a roll-out's will. */
  disruption: z
    .object({
      id: z.string(),
      kind: z.string(),
      slot: z.string(),
      by: z.string(),
      reason: z.string(),
      openedAtMs: wallMs,
      forced: z.boolean(),
      step: z.string(),
    })
    .nullable()
    .default(null),
  /** What is being done about etcd's database; `null`: nothing. */
  space: z
    .object({
      /** Members that are still to be defragmented. */
      defragment: z
        .object({
          by: z.string(),
          reason: z.string(),
          atMs: wallMs,
          forced: z.boolean(),
          slots: z.array(z.string()),
        })
        .nullable(),
      /** How far the relief of a NOSPACE alarm is; `fruitless`: an operator has to free space. */
      relief: z.object({ sinceMs: wallMs, stage: z.string(), compactTo: z.string().nullable() }).nullable(),
      /** An alarm that an operator has let go. */
      disarm: z.object({ alarm: z.string(), by: z.string() }).nullable(),
    })
    .nullable()
    .default(null),
  /** `null`: none is configured. */
  archive: archiveViewSchema.nullable().default(null),
  blocked: z.array(blockedViewSchema),
  warnings: z.array(viewWarningSchema),
  plans: z.array(publishedPlanSchema),
  /** The service is being given up; `null`: it is not. */
  uninstall: z
    .object({
      /** Somebody said that the data may go. */
      confirmed: z.boolean(),
      /** Nothing is left but this answer. */
      done: z.boolean(),
      /** What could not be given back, and why. */
      skipped: z.array(z.string()),
    })
    .nullable(),
  mesos: z.object({
    /** URL of the master that the scheduler talks to; `null` before one was found. */
    master: z.string().nullable(),
    subscribed: z.boolean(),
    frameworkId: z.string().nullable(),
    /** How long Mesos keeps the members alive without a scheduler; then it kills every one. */
    failoverTimeoutMs: z.number().min(0),
    suppressed: z.boolean(),
    offersHeld: z.number().int().min(0),
    /** Why there is no subscription, for people; `null` while there is one. */
    problem: z.string().nullable(),
  }),
  story: z.array(storyLineSchema),
  counters: schedulerCountersSchema,
});
export type PublishedView = z.infer<typeof publishedViewSchema>;
