import { Counter, Gauge, Registry } from 'prom-client';
import {
  ARCHIVE_STATES,
  CLUSTER_HEALTH_STATES,
  gapsWithin,
  type PublishedArchive,
  type PublishedMember,
  type PublishedView,
} from '../protocol/view.ts';

/** The scheduler's metrics, in a registry of their own. Each is made of the published view when it is asked for. */
export interface Metrics {
  /** Others may add to it: the process' own metrics. */
  readonly registry: Registry;
  /** The text format of Prometheus. */
  render(view: PublishedView | null): Promise<string>;
  readonly contentType: string;
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];
interface Series {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly labels: readonly string[];
  readonly samples: (view: PublishedView) => readonly Sample[];
}

/** Every metric that this module makes; `docs/metrics.md` lists them. */
export const SERIES: readonly Series[] = [
  one(
    'gauge',
    'scheduler_generation',
    'How often a scheduler took over this cluster.',
    (view) => view.framework.generation,
  ),
  one('gauge', 'scheduler_elected', '1 where an election settles which of several schedulers acts.', (view) =>
    Number(view.scheduler.elected),
  ),
  one(
    'counter',
    'scheduler_terms_total',
    'How often the process of the scheduler that acts has come to lead.',
    (view) => view.scheduler.terms,
  ),
  one('counter', 'scheduler_passes_total', 'Passes of the loop.', (view) => view.counters.passes),
  one(
    'counter',
    'scheduler_pass_failures_total',
    'Passes that ended in an error.',
    (view) => view.counters.passFailures,
  ),
  one(
    'counter',
    'scheduler_pass_seconds_total',
    'Time that all passes took.',
    (view) => view.counters.passMsSum / 1000,
  ),
  one(
    'counter',
    'scheduler_record_saves_total',
    'Times that the cluster record was stored.',
    (view) => view.counters.recordSaves,
  ),
  one('gauge', 'mesos_subscribed', '1 while a Mesos master holds the subscription.', (view) =>
    Number(view.mesos.subscribed),
  ),
  one(
    'counter',
    'mesos_subscriptions_total',
    'Subscriptions that a master accepted.',
    (view) => view.counters.subscriptions,
  ),
  one(
    'gauge',
    'mesos_failover_timeout_seconds',
    'How long Mesos keeps the members without a scheduler.',
    (view) => view.mesos.failoverTimeoutMs / 1000,
  ),
  one('gauge', 'mesos_suppressed', '1 while no offers are wanted.', (view) => Number(view.mesos.suppressed)),
  one('gauge', 'offers_held', 'Offers in hand.', (view) => view.mesos.offersHeld),
  one('counter', 'offers_received_total', 'Offers received.', (view) => view.counters.offersReceived),
  one('counter', 'offers_declined_total', 'Offers declined.', (view) => view.counters.offersDeclined),
  by(
    'counter',
    'offers_rejected_total',
    'Times that an offer did not do for a member, by the requirement that it missed.',
    ['requirement'],
    (view) =>
      Object.entries(view.counters.offersRejected).map(([requirement, count]) => [{ requirement }, count]),
  ),
  one(
    'counter',
    'operations_failed_total',
    'Offer operations that came to nothing.',
    (view) => view.counters.operationsFailed,
  ),
  one('counter', 'tasks_launched_total', 'Tasks of members launched.', (view) => view.counters.launches),
  one(
    'counter',
    'tasks_failed_total',
    'Tasks of members that ended without being told to.',
    (view) => view.counters.tasksFailed,
  ),
  by('counter', 'task_updates_total', 'Status updates by task state.', ['state'], (view) =>
    Object.entries(view.counters.taskUpdates).map(([state, count]) => [{ state }, count]),
  ),
  by('counter', 'orders_total', 'Orders to supervisors by outcome.', ['outcome'], (view) =>
    Object.entries(view.counters.orders).map(([outcome, count]) => [{ outcome }, count]),
  ),
  by('gauge', 'cluster_health', '1 for the state that the cluster is in.', ['state'], (view) =>
    CLUSTER_HEALTH_STATES.map((state) => [{ state }, Number(view.health.state === state)]),
  ),
  one('gauge', 'cluster_size', 'The target number of members.', (view) => view.size),
  one('gauge', 'cluster_voters', 'Voting members.', (view) => view.health.voters),
  one('gauge', 'cluster_healthy_voters', 'Voting members that serve.', (view) => view.health.healthyVoters),
  one('gauge', 'cluster_has_leader', '1 while a leader is known.', (view) =>
    Number(view.health.leader !== null),
  ),
  one(
    'gauge',
    'cluster_epoch',
    'Births of the cluster; 0 before the first.',
    (view) => view.epoch?.number ?? 0,
  ),
  one(
    'counter',
    'cluster_quorum_losses_total',
    'Times that quorum was lost.',
    (view) => view.counters.quorumLosses,
  ),
  one('gauge', 'intent_open', '1 while a membership change is in progress.', (view) =>
    Number(view.intent !== null),
  ),
  one(
    'counter',
    'intents_closed_total',
    'Membership changes that were finished.',
    (view) => view.counters.intentsClosed,
  ),
  by(
    'gauge',
    'disruption_open',
    '1 while a member that serves is restarted, updated, paused or defragmented, or leadership is moved, by kind.',
    ['kind'],
    (view) => (view.disruption === null ? [] : [[{ kind: view.disruption.kind }, 1]]),
  ),
  one(
    'gauge',
    'members_paused',
    'Members whose etcd an operator has stopped.',
    (view) => view.members.filter(({ paused }) => paused !== null).length,
  ),
  by('gauge', 'blocked', 'Things that are wanted and not done, by reason.', ['code'], (view) =>
    [...Map.groupBy(view.blocked, (entry) => entry.code)].map(([code, entries]) => [
      { code },
      entries.length,
    ]),
  ),
  by('gauge', 'warnings', 'Things that are not as safe as they could be, by kind.', ['code'], (view) =>
    [...Map.groupBy(view.warnings, (entry) => entry.code)].map(([code, entries]) => [
      { code },
      entries.length,
    ]),
  ),
  member('member_up', '1 while the member serves.', (entry) => Number(entry.healthy)),
  member('member_is_leader', '1 for the leader.', (entry) => Number(entry.leader)),
  member('member_is_learner', '1 for a learner.', (entry) => Number(entry.role === 'learner')),
  member('member_revision', 'Revision of the key-value store.', (entry) => numberOf(entry.revision)),
  member('member_raft_term', 'Raft term.', (entry) => numberOf(entry.raftTerm)),
  member('member_raft_index', 'Raft index.', (entry) => numberOf(entry.raftIndex)),
  member('member_db_size_bytes', 'Size of the database file.', (entry) => entry.dbSizeBytes),
  member(
    'member_db_size_in_use_bytes',
    'What of the database file is not free.',
    (entry) => entry.dbSizeInUseBytes,
  ),
  member(
    'member_db_quota_bytes',
    'Size of the database file at which etcd refuses writes.',
    (entry) => entry.quotaBytes,
  ),
  by('gauge', 'etcd_alarms', 'Alarms of etcd that stand, by kind.', ['alarm'], (view) => {
    const standing = view.members.find(({ alarms }) => alarms.length > 0)?.alarms ?? [];
    return [...Map.groupBy(standing, ({ alarm }) => alarm)].map(([alarm, entries]) => [
      { alarm },
      entries.length,
    ]);
  }),
  member(
    'member_etcd_restarts',
    'Restarts of etcd by its supervisor, in this task.',
    (entry) => entry.restarts,
  ),
  one('gauge', 'archive_configured', '1 where an archive is configured.', (view) =>
    Number(view.archive !== null),
  ),
  by('gauge', 'archive_state', '1 for the state that the archive is in.', ['state'], ({ archive }) =>
    archive === null ? [] : ARCHIVE_STATES.map((state) => [{ state }, Number(archive.state === state)]),
  ),
  archive('archived_revision', 'Everything up to here is durable in the archive.', (one) =>
    Number(one.archivedRevision),
  ),
  archive('seen_revision', 'The last revision that the archiver was given.', (one) =>
    Number(one.seenRevision),
  ),
  archive(
    'lag_seconds',
    'How long the oldest revision that is not durable in the archive has been waiting.',
    (one) => one.lagMs / 1000,
  ),
  archive('waiting_bytes', 'What waits to be archived, in memory.', (one) => one.waitingBytes),
  archive('spooled_bytes', 'What waits to be archived, on the local disk.', (one) => one.spooledBytes),
  archive(
    'last_full_timestamp_seconds',
    'When the newest full backup was begun; 0: there is none.',
    ({ lastFull }) => secondsOf(lastFull?.startedAtMs),
  ),
  archive(
    'last_full_size_bytes',
    'Size of the newest full backup.',
    ({ lastFull }) => lastFull?.sizeBytes ?? 0,
  ),
  archive(
    'last_proof_timestamp_seconds',
    'When a member last told the hash of its data; 0: never yet.',
    ({ lastProof }) => secondsOf(lastProof?.atMs),
  ),
  archive(
    'last_verification_timestamp_seconds',
    'When the archive was last restored and held against its proofs; 0: never yet.',
    ({ lastVerification }) => secondsOf(lastVerification?.atMs),
  ),
  archive(
    'last_verification_problems',
    'Things that were wrong at the last verification.',
    ({ lastVerification }) => lastVerification?.problems.length ?? 0,
  ),
  archive(
    'gaps',
    'Gaps of the log that the archiver that runs has found; the newest are counted.',
    (one) => gapsWithin(one).length,
  ),
];

export const METRIC_PREFIX = 'etcd_mesos_';

export function createMetrics(): Metrics {
  const registry = new Registry();
  const instruments = SERIES.map((series) => {
    const configuration = {
      name: METRIC_PREFIX + series.name,
      help: series.help,
      labelNames: [...series.labels],
      registers: [registry],
    };
    return series.type === 'gauge' ? new Gauge(configuration) : new Counter(configuration);
  });
  return {
    registry,
    contentType: registry.contentType,
    async render(view) {
      for (const [index, series] of SERIES.entries()) {
        const instrument = instruments[index];
        instrument?.reset();
        for (const [labels, value] of view === null ? [] : series.samples(view))
          instrument?.inc({ ...labels }, value);
      }
      return await registry.metrics();
    },
  };
}

function one(
  type: Series['type'],
  name: string,
  help: string,
  value: (view: PublishedView) => number,
): Series {
  return { name, help, type, labels: [], samples: (view) => [[{}, value(view)]] };
}

function by(
  type: Series['type'],
  name: string,
  help: string,
  labels: readonly string[],
  samples: Series['samples'],
): Series {
  return { name, help, type, labels, samples };
}

/** A value for each seat that has a task; none where nothing is known. */
function member(name: string, help: string, value: (entry: PublishedMember) => number | null): Series {
  const samples = (view: PublishedView): readonly Sample[] =>
    view.members.flatMap((entry) => {
      const known = value(entry);
      if (known === null || entry.seat === null) return [];
      return [[{ slot: entry.slot, seat: entry.seat, member: entry.memberId ?? '' }, known] as const];
    });
  return { name, help, type: 'gauge', labels: ['slot', 'seat', 'member'], samples };
}

/** Of the archive; 0 where there is none, and where nothing is known. */
function archive(name: string, help: string, value: (archive: PublishedArchive) => number): Series {
  return one('gauge', `archive_${name}`, help, (view) => (view.archive === null ? 0 : value(view.archive)));
}

const secondsOf = (wallMs: number | undefined): number => (wallMs ?? 0) / 1000;

/** Prometheus has floating point alone: above 2^53 a revision is rounded there, and exact in the view. */
const numberOf = (text: string | null): number | null => (text === null ? null : Number(text));
