import type { Full } from '../backup/full.ts';
import { describeError } from '../base/errors.ts';
import {
  type Clock,
  type HttpTransport,
  type Ids,
  type Logger,
  type Random,
  type StateStore,
  StateStoreError,
} from '../base/ports.ts';
import type { ConnectionEvent, MesosConnection } from '../mesos/connection.ts';
import type { MasterHeaders } from '../mesos/credentials.ts';
import type { MasterSource } from '../mesos/master-source.ts';
import { createSchedulerConnection } from '../mesos/scheduler-connection.ts';
import type { Call } from '../mesos/wire.ts';
import { isNameTaskId, slotOfTask } from '../protocol/identifiers.ts';
import { supervisorUrlOf } from '../protocol/launch.ts';
import type { Members } from '../protocol/members-port.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import type { OrderKey } from '../protocol/signature.ts';
import type { CommandAnswer } from '../reconcile/command-answers.ts';
import { askToUninstall, type OperatorCommand } from '../reconcile/commands.ts';
import { decide } from '../reconcile/decide.ts';
import type { Action, Decision } from '../reconcile/decision.ts';
import type { Observation } from '../reconcile/observation.ts';
import { type AgentOffer, agentOffersOf, offeredTraits } from './agent-offers.ts';
import { withTraits } from './agent-traits.ts';
import type { ArchiveAccess } from './archive-access.ts';
import { createArchiving, fullWith } from './archiving.ts';
import { ackCall, killCall, launchedBy } from './calls.ts';
import { createChronicle } from './chronicle.ts';
import { createCommandDesk } from './command-desk.ts';
import { frameworkInfoOf, type SchedulerConfig, SchedulerError } from './config.ts';
import { adoptedInstead, type FirstStart, firstStart } from './first-start.ts';
import { refuseFrozen } from './frozen-options.ts';
import { answerQuestions } from './maintenance.ts';
import { createMemberWatch } from './member-watch.ts';
import { remember } from './memory.ts';
import {
  EMPTY_VIEW,
  type MesosView,
  type PendingAck,
  reduceView,
  withLaunched,
  withoutAcks,
  withoutFramework,
  withoutOffers,
} from './mesos-view.ts';
import { observe } from './observe.ts';
import { type InterestState, NO_INTEREST, nextInterest } from './offer-interest.ts';
import { withOfferedPlaces } from './offered-places.ts';
import { type Accept, type Capacity, type Match, matchOffers, straysOf, withCapacity } from './offers.ts';
import { createOrderDesk, describeOrder, type OrderResult } from './orders.ts';
import { createRecordKeeper } from './record-keeper.ts';
import { describeRemoval, type Removal, stayRegistered } from './registration.ts';
import { NOTHING_MISSING, type ReleaseState, settleReleases } from './releases.ts';
import { withReturnedPlaces } from './returned-places.ts';
import { createShunnedPlaces } from './shunned-places.ts';
import type { SchedulerSnapshot } from './snapshot.ts';
import { measurePrefixes, type SpaceMeasurement } from './space-measurement.ts';
import type { StoryEvent } from './story.ts';
import { surroundingsOf, type ValueSightings, withSightings } from './surroundings.ts';
import { type AskingState, NOT_ASKED, nextAsking } from './task-reconciliation.ts';
import { createTrust } from './trust.ts';
import { createWake } from './wake.ts';
import { keptOffers, wantedKeys } from './wanted-offers.ts';

/**
 * The scheduler: one loop that observes, decides, stores and acts. It remembers nothing that the record or the
 * world does not hold, so it may be killed at any point and started again.
 */
export interface Scheduler {
  /**
   * Runs until `signal` aborts or the service is uninstalled, and resolves with which of them it was; or until
   * going on would be wrong: rejects with a {@link SchedulerError}, a `MesosError` that is final, or a
   * `StateStoreError` or `RecordError` of the first read. Once only.
   */
  run(signal: AbortSignal): Promise<SchedulerEnd>;
  /** Rejects with a {@link SchedulerError} `command-not-stored`. */
  tell(command: OperatorCommand): Promise<CommandAnswer>;
  /** Has a member measure its keys. Never rejects. */
  measure(): Promise<SpaceMeasurement>;
  /**
   * Takes a full and reads it back whole. Rejects when that one try fails, and with an `ArchiveError` `missing` where
   * no archive is configured or nothing can be archived now.
   * @param reason for people; it is kept with the full.
   */
  fullNow(reason: string): Promise<Full>;
  snapshot(): SchedulerSnapshot;
}

/** `uninstalled`: nothing of the service is left; the record is gone. */
export type SchedulerEnd = 'stopped' | 'uninstalled';

export interface SchedulerOptions {
  readonly config: SchedulerConfig;
  readonly ports: SchedulerPorts;
  /** After every pass. */
  readonly onChange?: () => void;
  /** A line for each thing that happens, and why. */
  readonly onStory?: (event: StoryEvent) => void;
}

export interface SchedulerPorts {
  readonly transport: HttpTransport;
  readonly masters: MasterSource;
  /** Headers that authenticate us to the master. Default none. */
  readonly masterHeaders?: MasterHeaders;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly log: Logger;
  readonly store: StateStore;
  readonly members: Members;
  readonly orderKey: OrderKey;
  /** Where the cluster is archived; `null`: nowhere. */
  readonly archive: ArchiveAccess | null;
}

/** A record that could not be stored is tried again after this long; nothing is done meanwhile. */
const STORE_RETRY_MS = 1_000;
/** Between two looks whether the record was stored without a removed framework id. */
const FORGOTTEN_LOOK_MS = 20;
/** A task that is to die is told so again after this long. */
const KILL_AGAIN_MS = 5_000;
/** Offers that are made at the subscription have come by then. */
const FIRST_OFFERS_MS = 3_000;

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { config, ports } = options;
  const { clock, ids, log } = ports;
  const { role } = config.framework;
  const bornMs = clock.monotonicMs();
  const wake = createWake(clock);
  const keeper = createRecordKeeper(ports.store, clock);
  const chronicle = createChronicle({ clock, config, onStory: options.onStory });
  const watch = createMemberWatch({ clock, members: ports.members, onChange: wake.mark });
  const desk = createOrderDesk({
    clock,
    ids,
    members: ports.members,
    orderKey: ports.orderKey,
    sequenceOf: watch.sequenceOf,
    onResult: (result) => noteResult(result),
  });
  const commands = createCommandDesk({ clock, onCommand: wake.mark });

  let view: MesosView = EMPTY_VIEW;
  let connection: MesosConnection | null = null;
  let interest: InterestState = NO_INTEREST;
  let asking: AskingState = NOT_ASKED;
  let releases: ReleaseState = NOTHING_MISSING;
  let capacity: ReadonlyMap<string, Capacity> = new Map();
  let sightings: ValueSightings = new Map();
  let observedAtMs: number | null = null;
  /** Nothing is placed before it is certain that no other cluster's reservations are under our name. */
  const trust = createTrust({ config, ports, log }, wake.mark);
  let lifetime: AbortSignal = AbortSignal.abort();
  /** Mesos has taken our word, or somebody else's, that the framework is given up. */
  let tornDown = false;
  let uninstalled = false;
  const launchedAtMs = new Map<string, number>();
  const killedAtMs = new Map<string, number>();
  const shunned = createShunnedPlaces();
  const archiving =
    ports.archive === null
      ? null
      : createArchiving({
          access: ports.archive,
          clock,
          ids,
          log,
          onChange: wake.mark,
          tell: chronicle.tell,
        });
  /** Calls about offers take effect in the order in which they were decided. */
  let offerCalls: Promise<void> = Promise.resolve();

  const onEvent = (event: ConnectionEvent): void => {
    view = reduceView(view, event, { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() });
    chronicle.heard(event);
    if (event.kind === 'event' && event.event.type === 'UPDATE') {
      watch.nudge(event.event.update.status.task_id.value);
    }
    wake.mark();
  };

  const noteResult = ({ action, outcome, message, repeated }: OrderResult): void => {
    const { body, reason } = action;
    const { slot } = action.seat;
    const fields = { slot, order: body.kind, outcome, message, reason };
    if (outcome === 'done') log.info('order carried out', fields);
    else if (repeated) log.debug('order not carried out again', fields);
    else log.warn('order not carried out', fields);
    if (!repeated && (body.kind !== 'fence' || outcome !== 'done')) {
      const what = describeOrder(body);
      chronicle.tell({ slot, text: outcome === 'done' ? what : `${what}: ${outcome}: ${message}`, reason });
    }
    wake.mark();
  };

  const send = async (call: Call): Promise<void> => {
    try {
      await connection?.call(call);
    } catch (error) {
      log.warn('call to mesos failed', { call: call.type, error: describeError(error) });
      // What was not launched must not be waited for: the master is asked about it.
      if (call.type === 'ACCEPT') {
        for (const task of launchedBy(call)) launchedAtMs.delete(task);
        asking = NOT_ASKED;
      }
      wake.mark();
    }
  };
  const sendInOrder = (call: Call): void => {
    offerCalls = offerCalls.then(() => send(call));
  };

  const act = (decision: Decision, match: Match, acks: readonly PendingAck[]): void => {
    for (const ack of acks) void send(ackCall(ack));
    view = withoutAcks(view, acks);
    for (const accept of match.accepts) launch(accept);
    for (const action of decision.actions) carryOut(action);
  };

  const launch = (accept: Accept): void => {
    view = withLaunched(
      withoutOffers(view, accept.offerIds),
      accept.launched.map(({ task }) => task),
    );
    for (const { task, slot, text, reason } of accept.launched) {
      remember(launchedAtMs, task, clock.monotonicMs());
      if (!isNameTaskId(task)) chronicle.launched();
      chronicle.tell({ slot, text, reason });
    }
    sendInOrder(accept.call);
  };

  const carryOut = (action: Action): void => {
    const { cluster, generation } = keeper.current;
    if (action.kind === 'order') {
      desk.give(action, { cluster, generation });
      return;
    }
    const nowMs = clock.monotonicMs();
    const lastMs = killedAtMs.get(action.task);
    if (lastMs !== undefined && nowMs - lastMs < KILL_AGAIN_MS) return;
    remember(killedAtMs, action.task, nowMs);
    if (lastMs === undefined) {
      const slot = slotOfTask(action.task);
      const what = isNameTaskId(action.task) ? 'its client name is withdrawn' : 'its task is told to end';
      chronicle.tell({ slot, text: what, reason: action.reason });
    }
    void send(killCall(action));
  };

  /** REVIVE, SUPPRESS and DECLINE, as what is wanted asks for. */
  const settleOffers = (seen: Observation, match: Match, offers: readonly AgentOffer[]): number => {
    if (!view.subscribed) return Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    const onlooker = { trusted: trust.isGiven, ageMs: nowMs - bornMs };
    const next = nextInterest(interest, {
      nowMs,
      subscription: view.subscriptions,
      wanted: wantedKeys(match, seen, onlooker),
      unused: match.unused.filter((id) => view.offers.has(id)),
      kept: trust.isGiven ? keptOffers(seen, match.record, offers) : new Set(match.unused),
      random: ports.random.next(),
    });
    interest = next.state;
    view = withoutOffers(view, next.declined);
    chronicle.declined(next.declined.length);
    next.calls.forEach(sendInOrder);
    return next.wakeMs;
  };

  const settleMaintenance = ({ mesos, wallMs }: Observation, record: ClusterRecord): number => {
    const monotonicMs = clock.monotonicMs();
    const { tasks } = mesos;
    const next = answerQuestions(view.maintenance, { record, tasks, wallMs, monotonicMs });
    view = { ...view, maintenance: next.state };
    for (const call of next.calls) void send(call);
    return next.wakeMs;
  };

  const askMaster = (record: ClusterRecord): number => {
    const next = nextAsking(asking, { view, record, nowMs: clock.monotonicMs(), launchedAtMs });
    asking = next.state;
    for (const call of next.calls) void send(call);
    return next.wakeMs;
  };

  /** One pass; resolves with the milliseconds until the next is wanted. */
  const pass = async (): Promise<number> => {
    const startMs = clock.monotonicMs();
    const before = keeper.current;
    const wallMs = clock.wallMs();
    const { acks } = view;
    const offers = agentOffersOf(view.offers.values(), role, config.placement.attributes);
    const settled = settleReleases(releases, {
      record: withOfferedPlaces(
        {
          record: withTraits(
            withReturnedPlaces(withFrameworkId(archiving?.claimed(before) ?? before, view), offers),
            offers.map(offeredTraits),
          ),
          offers,
          pinned: { artifact: config.spec.artifact, etcd: config.spec.etcd },
          wallMs,
        },
        trust.isGiven,
      ),
      view,
      offers,
      nowMs: startMs,
    });
    const seen = observe({
      record: settled.record,
      view,
      offers,
      members: watch.views(),
      role,
      wallMs,
      monotonicMs: startMs,
      elapsedMs: observedAtMs === null ? null : startMs - observedAtMs,
      freshId: ids.uuid(),
      archive: archiving?.sight() ?? null,
    });
    const told = commands.take(settled.record, { spec: config.spec, seen });
    const decision = decide(config.spec, told.record, seen);
    const trustMs = lookForStrangers(offers, told.record);
    const match = matchOffers({
      wants: view.subscribed && trust.isGiven ? decision.wants : [],
      record: decision.record,
      offers,
      config,
      schedulerKey: ports.orderKey.publicKey,
      shunned: shunned.at(decision.record, startMs),
      around: surroundingsOf(view.master, sightings, startMs),
      freshId: ids.uuid(),
      wallMs: seen.wallMs,
    });
    // Only what finds no place is explained by it.
    if (match.unmatched.some(({ kind }) => kind === 'place')) capacity = withCapacity(capacity, offers);
    const kept = await keeper.keep(match.record).catch((error: unknown) => {
      told.lost();
      throw error;
    });
    told.stored();
    for (const command of told.commands) audit(command);
    // Only now: had the record not been stored, this pass would not have happened.
    observedAtMs = startMs;
    releases = settled.state;
    sightings = withSightings(sightings, match.judged, config.placement, startMs);
    watch.follow(targetsOf(match.record));
    act(decision, match, acks);
    archiving?.passed({ record: match.record, seen, fullWanted: decision.fullWanted });
    const wakes = [
      decision.wakeMs,
      settleOffers(seen, match, offers),
      settleMaintenance(seen, match.record),
      askMaster(match.record),
      trustMs,
    ];
    chronicle.passed({
      before,
      seen,
      decision,
      match,
      capacity,
      problems: desk.problems(),
      tookMs: clock.monotonicMs() - startMs,
    });
    if (decision.givenUp && startMs - view.subscribedAtMs >= FIRST_OFFERS_MS) await tearDown();
    if (kept === 'saved') wake.mark();
    return Math.min(...wakes);
  };

  /** Written down for people; what was told is in the record already. */
  const audit = (command: OperatorCommand): void => {
    const entry = JSON.stringify({ atMs: clock.wallMs(), ...command });
    ports.store.append('audit', entry).catch((error: unknown) => {
      log.warn('the audit log could not be written', { error: describeError(error) });
    });
  };

  /** The last of an uninstall; a call that is lost is made again by the next pass. */
  const tearDown = async (): Promise<void> => {
    try {
      await connection?.call({ type: 'TEARDOWN' });
      tornDown = true;
    } catch (error) {
      log.warn('call to mesos failed', { call: 'TEARDOWN', error: describeError(error) });
      wake.mark();
    }
  };

  /** All was given back: that Mesos has removed us is the end, whether we hear of it now or after a crash. */
  const isGivenUp = (): boolean => {
    const { uninstall, seats, leaving } = keeper.current;
    return uninstall?.confirmed === true && seats.length + leaving.length === 0;
  };

  /** Milliseconds until the look around is over. */
  const lookForStrangers = (offers: readonly AgentOffer[], record: ClusterRecord): number => {
    const { foreign } = straysOf(offers, record);
    chronicle.strangers(foreign);
    return trust.look({ view, record, foreign, signal: lifetime });
  };

  const loop = async (signal: AbortSignal): Promise<void> => {
    const startMs = clock.monotonicMs();
    while (!signal.aborted) {
      let waitMs: number;
      try {
        waitMs = await pass();
      } catch (error) {
        if (!(error instanceof StateStoreError)) throw error;
        chronicle.failed();
        log.error('the cluster record could not be stored; nothing is done until it can', {
          error: describeError(error),
        });
        waitMs = STORE_RETRY_MS;
        await clock.sleep(STORE_RETRY_MS, signal);
      }
      options.onChange?.();
      if (tornDown) return;
      if (view.subscriptions === 0) waitMs = Math.min(waitMs, patienceMs(startMs));
      await wake.next(waitMs, signal);
    }
  };

  /** Milliseconds left to find a master that accepts us; throws when they are over. */
  const patienceMs = (startMs: number): number => {
    if (config.masterTimeoutMs === 0) return Number.POSITIVE_INFINITY;
    const leftMs = startMs + config.masterTimeoutMs - clock.monotonicMs();
    if (leftMs > 0) return leftMs;
    throw new SchedulerError(
      'no-master',
      `no Mesos master has accepted the framework in ${Math.round(config.masterTimeoutMs / 1000)} s: ${view.problem}`,
      { hint: 'Check --master, or give it longer with --master-timeout.' },
    );
  };

  const begin = async ({ record, text }: FirstStart, reason: string): Promise<'ready'> => {
    await keeper.keep(record);
    trust.begin(record);
    chronicle.tell({ slot: null, text, reason });
    return 'ready';
  };

  /** The record, with a generation above every earlier one of it, stored. */
  const takeOver = async (signal: AbortSignal): Promise<'ready' | 'uninstalled'> => {
    const stored = await keeper.open();
    if (stored === null) {
      // Without a record an uninstall is over, and nothing is registered to find out more.
      if (config.uninstall !== null) return 'uninstalled';
      const first = await firstStart({ config, ports, log }, signal);
      if (first.record.epoch.phase === 'preparing') await archiving?.assertNothingThere(signal);
      await refuseFrozen(null, { config, store: ports.store, log });
      return await begin(first, 'no cluster record is stored');
    }
    await refuseFrozen(stored, { config, store: ports.store, log });
    const instead = await adoptedInstead({ config, ports, log }, stored, signal);
    if (instead !== null) return await begin(instead, 'the stored record is older and does not know them');
    trust.begin(stored);
    await keeper.keep({
      ...withUninstall(stored, config, clock.wallMs()),
      generation: stored.generation + 1,
    });
    const text = `scheduler generation ${keeper.current.generation} takes over`;
    chronicle.tell({ slot: null, text, reason: 'a cluster record is stored' });
    return 'ready';
  };

  /** Nothing is left in Mesos: nothing is to be left here. */
  const finish = async (signal: AbortSignal): Promise<SchedulerEnd> => {
    while (!signal.aborted) {
      try {
        await ports.store.clear();
        uninstalled = true;
        const text = 'the service is uninstalled: nothing of it is left in Mesos or in the state';
        chronicle.tell({ slot: null, text, reason: 'uninstalling was asked for' });
        return 'uninstalled';
      } catch (error) {
        if (!(error instanceof StateStoreError)) throw error;
        log.error('the cluster record could not be removed', { error: describeError(error) });
        await clock.sleep(STORE_RETRY_MS, signal);
      }
    }
    return 'stopped';
  };

  const connect = (): MesosConnection => {
    connection = createSchedulerConnection({
      transport: ports.transport,
      clock,
      random: ports.random,
      log,
      masters: ports.masters,
      frameworkInfo: () => frameworkInfoOf(config.framework),
      frameworkId: keeper.current.framework.id,
      ...(ports.masterHeaders === undefined ? {} : { headers: ports.masterHeaders }),
      onEvent,
    });
    return connection;
  };

  const forget = async (removal: Removal, signal: AbortSignal): Promise<void> => {
    const { frameworkId, message, count } = removal;
    const text = describeRemoval(removal);
    view = withoutFramework(view, frameworkId, text);
    chronicle.tell({ slot: null, text, reason: message });
    wake.mark();
    const entry = { atMs: clock.wallMs(), what: 'framework-removed', frameworkId, message, count };
    await ports.store.append('audit', JSON.stringify(entry)).catch((error: unknown) => {
      log.warn('the removal is not in the audit log', { error: describeError(error) });
    });
    while (keeper.current.framework.id !== null && !signal.aborted) {
      await clock.sleep(FORGOTTEN_LOOK_MS, signal);
    }
  };

  return {
    async run(signal) {
      const ended = new AbortController();
      const inner = AbortSignal.any([signal, ended.signal]);
      lifetime = inner;
      chronicle.begin(() => ({ view, interest, saves: keeper.saves, orders: desk.counts() }));
      if ((await takeOver(signal)) === 'uninstalled') return await finish(signal);
      chronicle.adopt(keeper.current);
      const registered = stayRegistered(
        {
          clock,
          connect,
          frameworkId: () => view.frameworkId ?? keeper.current.framework.id,
          mayRegisterAnew: () => !isGivenUp(),
          forget,
        },
        inner,
      ).then((end) => {
        if (end !== 'removed') return;
        tornDown = true;
        wake.mark();
      });
      try {
        await endTogether(ended, [
          registered,
          loop(inner).finally(() => ended.abort()),
          archiving?.run(inner) ?? Promise.resolve(),
        ]);
        return tornDown ? await finish(signal) : 'stopped';
      } finally {
        ended.abort();
        commands.close();
        watch.stop();
        desk.stop();
      }
    },
    tell: (command) => commands.tell(command),
    measure: () => measurePrefixes(desk, chronicle.snapshot().record, chronicle.snapshot().observation),
    fullNow: (reason) => fullWith(archiving, reason),
    snapshot: () => ({ ...chronicle.snapshot(), archive: archiving?.view() ?? null, uninstalled }),
  };
}

/** An uninstall that the scheduler is started for is as good as one that an operator asks for. */
function withUninstall(record: ClusterRecord, config: SchedulerConfig, wallMs: number): ClusterRecord {
  if (config.uninstall === null) return record;
  const { destroyData } = config.uninstall;
  return askToUninstall(record, { by: 'environment', destroyData }, wallMs).record;
}

/** Waits for all; the first that fails ends the others, and its error is the one that counts. */
async function endTogether(ended: AbortController, parts: readonly Promise<void>[]): Promise<void> {
  let failure: { readonly error: unknown } | null = null;
  await Promise.all(
    parts.map((part) =>
      part.catch((error: unknown) => {
        failure ??= { error };
        ended.abort();
      }),
    ),
  );
  const first = failure as { readonly error: unknown } | null;
  if (first !== null) throw first.error as Error;
}

function withFrameworkId(record: ClusterRecord, view: MesosView): ClusterRecord {
  const { id: stored } = record.framework;
  const id = view.frameworkId ?? (stored === view.removedFrameworkId ? null : stored);
  return id === stored ? record : { ...record, framework: { ...record.framework, id } };
}

function targetsOf(record: ClusterRecord): Parameters<ReturnType<typeof createMemberWatch>['follow']>[0] {
  return record.seats
    .filter((seat) => seat.taskEnd === null || seat.taskEnd.standing === 'asserted')
    .map((seat) => ({ seat: seat.id, task: seat.task, url: supervisorUrlOf(seat) }));
}
