import type { Clock } from '../base/ports.ts';
import type { ConnectionEvent } from '../mesos/connection.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import { type OfferSummary, STORY_LINES_MAX, type StoryLine } from '../protocol/view.ts';
import type { Blocked, Decision } from '../reconcile/decision.ts';
import type { Observation } from '../reconcile/observation.ts';
import { storyOfConcentration } from './concentration.ts';
import type { SchedulerConfig } from './config.ts';
import type { Ownership } from './labels.ts';
import type { MesosView } from './mesos-view.ts';
import type { InterestState } from './offer-interest.ts';
import { createOfferJournal } from './offer-journal.ts';
import { type Capacity, explainUnplaced, type Match, needOf } from './offers.ts';
import type { OrderProblemView } from './orders.ts';
import type { SchedulerSnapshot } from './snapshot.ts';
import { type StoryEvent, type StoryPart, storyOfHealth, storyOfRecord, storyOfTask } from './story.ts';

/** Writes down what the scheduler does, for people: story, counters, explanations. Decides nothing. */
export interface Chronicle {
  begin(sources: () => ChronicleSources): void;
  /** The record that the scheduler begins with. */
  adopt(record: ClusterRecord): void;
  tell(part: StoryPart): void;
  heard(event: ConnectionEvent): void;
  launched(): void;
  declined(count: number): void;
  /** Reservations under our name that belong to another cluster. */
  strangers(owners: readonly Ownership[]): void;
  passed(pass: PassReport): void;
  /** A pass came to nothing. */
  failed(): void;
  snapshot(): Omit<SchedulerSnapshot, 'uninstalled' | 'archive'>;
}

/** What is counted elsewhere. */
export interface ChronicleSources {
  readonly view: MesosView;
  readonly interest: InterestState;
  readonly saves: number;
  readonly orders: Readonly<Record<string, number>>;
}

export interface PassReport {
  readonly before: ClusterRecord;
  readonly seen: Observation;
  readonly decision: Decision;
  readonly match: Match;
  readonly capacity: ReadonlyMap<string, Capacity>;
  readonly problems: ReadonlyMap<string, OrderProblemView>;
  readonly tookMs: number;
}

export function createChronicle(options: {
  readonly clock: Clock;
  readonly config: SchedulerConfig;
  readonly onStory?: ((event: StoryEvent) => void) | undefined;
}): Chronicle {
  const { clock, config } = options;
  let sources: (() => ChronicleSources) | null = null;
  let record: ClusterRecord | null = null;
  let last: Pick<PassReport, 'seen' | 'decision'> | null = null;
  let blocked: readonly Blocked[] = [];
  const journal = createOfferJournal();
  let story: readonly StoryLine[] = [];
  let told = 0;
  let foreign: readonly Ownership[] = [];
  let isAway = false;
  const counted = {
    passes: 0,
    passFailures: 0,
    passMsSum: 0,
    offersDeclined: 0,
    launches: 0,
    tasksFailed: 0,
    quorumLosses: 0,
    intentsClosed: 0,
  };

  const tell = (part: StoryPart): void => {
    const event = { atMs: clock.wallMs(), ...part };
    story = [...story, { sequence: told, ...event }].slice(-STORY_LINES_MAX);
    told += 1;
    options.onStory?.(event);
  };

  const count = (pass: PassReport): void => {
    const { before, match, decision } = pass;
    counted.passes += 1;
    counted.passMsSum += pass.tookMs;
    const ended = match.record.seats.filter((seat) => {
      const old = before.seats.find((one) => one.id === seat.id);
      return seat.taskEnd !== null && old?.taskEnd === null && old.task === seat.task;
    });
    counted.tasksFailed += ended.length;
    if (before.intent !== null && before.intent.id !== match.record.intent?.id) counted.intentsClosed += 1;
    const lost = decision.health.state === 'quorum-lost';
    if (lost && last?.decision.health.state !== 'quorum-lost') counted.quorumLosses += 1;
  };

  const narrate = (pass: PassReport): void => {
    for (const seat of pass.before.seats) {
      const before = last?.seen.mesos.tasks.get(seat.task);
      storyOfTask(seat, before, pass.seen.mesos.tasks.get(seat.task)).forEach(tell);
    }
    storyOfRecord(pass.before, pass.match.record).forEach(tell);
    storyOfConcentration(pass.before, pass.match.record).forEach(tell);
    storyOfHealth(last?.decision.health ?? null, pass.decision.health).forEach(tell);
  };

  return {
    begin(next) {
      sources = next;
    },
    adopt(first) {
      record = first;
    },
    tell,
    heard(event) {
      if (event.kind === 'subscribed') {
        const version = event.master?.version ?? 'of unknown version';
        tell({ slot: null, text: `subscribed as ${event.frameworkId}`, reason: `master ${version}` });
        isAway = false;
      } else if (event.kind === 'disconnected') {
        // Once: every try that fails is in the log, and an outage must not push all else out of the story.
        if (!isAway) tell({ slot: null, text: 'lost the master', reason: event.error.message });
        isAway = true;
      }
    },
    launched() {
      counted.launches += 1;
    },
    declined(offers) {
      counted.offersDeclined += offers;
    },
    strangers(owners) {
      if (owners.length > 0) foreign = owners;
    },
    passed(pass) {
      count(pass);
      narrate(pass);
      journal.note(pass.match.judged, pass.seen.wallMs);
      blocked = blockedBy(pass, { config, foreign, summaries: journal.summaries(pass.seen.wallMs) });
      record = pass.match.record;
      last = { seen: pass.seen, decision: pass.decision };
    },
    failed() {
      counted.passFailures += 1;
    },
    snapshot() {
      const from = sources?.();
      const atMs = clock.wallMs();
      return {
        atMs,
        record,
        observation: last?.seen ?? null,
        decision: last?.decision ?? null,
        blocked,
        mesos: {
          subscribed: from?.view.subscribed ?? false,
          frameworkId: from?.view.frameworkId ?? record?.framework.id ?? null,
          master: from?.view.master ?? null,
          problem: from?.view.problem ?? null,
          suppressed: from?.interest.suppressed ?? false,
          offersHeld: from?.view.offers.size ?? 0,
        },
        offers: { summaries: journal.summaries(atMs), explanations: journal.explanations(atMs) },
        story,
        counters: {
          ...counted,
          offersRejected: journal.rejections(),
          recordSaves: from?.saves ?? 0,
          subscriptions: from?.view.subscriptions ?? 0,
          offersReceived: from?.view.counts.offersReceived ?? 0,
          operationsFailed: from?.view.counts.operationsFailed ?? 0,
          taskUpdates: { ...from?.view.counts.taskUpdates },
          orders: { ...from?.orders },
        },
      };
    },
  };
}

/** The core says that a slot waits for an offer; what was offered so far says why none fits. */
function blockedBy(
  pass: PassReport,
  of: {
    readonly config: SchedulerConfig;
    readonly foreign: readonly Ownership[];
    readonly summaries: readonly OfferSummary[];
  },
): readonly Blocked[] {
  const { match } = pass;
  const { config, foreign, summaries } = of;
  const unplaced = match.unmatched.flatMap((want) => (want.kind === 'place' ? [want.slot] : []));
  const explained = unplaced.map((slot) =>
    explainUnplaced({
      slot,
      capacity: pass.capacity,
      need: needOf(config),
      record: match.record,
      rules: config.placement,
      summary: summaries.find((one) => one.slot === slot) ?? null,
    }),
  );
  const rest = pass.decision.blocked.filter(
    (one) => one.code !== 'waits-for-offers' || one.slot === null || !isPlacedOrExplained(one.slot, pass),
  );
  // A refusal of something that is not wanted any more is past.
  const present = [...pass.problems].filter(([id, { kind }]) =>
    pass.decision.actions.some(
      (action) => action.kind === 'order' && action.seat.id === id && action.body.kind === kind,
    ),
  );
  const orders = present.map(([, { slot, kind, outcome, message }]) => ({
    code: `order-${outcome}`,
    slot,
    message: `${kind}: ${message}`,
  }));
  return [...rest, ...explained, ...orders, ...foreignBlocks(foreign)];
}

function isPlacedOrExplained(slot: string, pass: PassReport): boolean {
  return pass.decision.wants.some((want) => want.kind === 'place' && want.slot === slot);
}

function foreignBlocks(foreign: readonly Ownership[]): readonly Blocked[] {
  const clusters = [...new Set(foreign.map((owner) => owner.cluster))];
  return clusters.map((cluster) => ({
    code: 'foreign-reservations',
    slot: null,
    message: `agents hold reservations under this framework's name for another cluster, ${cluster}; they are left alone`,
  }));
}
