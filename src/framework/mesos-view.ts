import type { ConnectionEvent } from '../mesos/connection.ts';
import type {
  MasterInfo,
  Offer,
  OperationStatus,
  ReceivedTaskStatus,
  SchedulerEvent,
} from '../mesos/wire.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { TaskEvidence } from '../reconcile/observation.ts';
import {
  type Maintenance,
  NO_MAINTENANCE,
  withOffered,
  withoutQuestion,
  withoutQuestions,
  withQuestions,
} from './maintenance.ts';
import { evidenceOf, mergeEvidence } from './task-evidence.ts';

/**
 * What the master has told, folded into one value: events in, the next view out. Pure; the scheduler holds the
 * newest one and every pass looks at it whole.
 */
export interface MesosView {
  readonly subscribed: boolean;
  readonly frameworkId: string | null;
  /** The newest id of ours that Mesos has removed for good; `null`: none. */
  readonly removedFrameworkId: string | null;
  readonly master: MasterInfo | null;
  /** Counts subscriptions: what was said in an earlier one is not "since the present subscription". */
  readonly subscriptions: number;
  /** Monotonic milliseconds at which the present subscription began. */
  readonly subscribedAtMs: number;
  /** Why there is no subscription, for people. */
  readonly problem: string | null;
  /** In hand, by offer id. */
  readonly offers: ReadonlyMap<string, Offer>;
  readonly tasks: ReadonlyMap<string, TaskEvidence>;
  /** Tasks that the master has told of since the present subscription. */
  readonly answered: ReadonlySet<string>;
  /** Every agent that ever made an offer, the one that was heard of last at the end. */
  readonly agents: ReadonlyMap<string, KnownAgent>;
  /** Agents that an operator has marked gone. */
  readonly markedGone: ReadonlySet<string>;
  /** To be acknowledged once what they mean is stored, in the order of arrival. */
  readonly acks: readonly PendingAck[];
  /** Newest result of every operation of ours, by operation id. */
  readonly operations: ReadonlyMap<string, OperationResult>;
  readonly maintenance: Maintenance;
  readonly counts: MesosCounts;
}

export interface KnownAgent {
  readonly id: string;
  readonly hostname: string;
  /** What peers are told: its IP, or its name where it does not say. */
  readonly host: string;
  /** `ip:port` of the agent process: another id at the same address means a rebuilt agent. */
  readonly address: string;
}

/** Something that Mesos repeats until it is acknowledged. */
export type PendingAck =
  | { readonly kind: 'task'; readonly taskId: string; readonly agentId: string; readonly uuid: string }
  | {
      readonly kind: 'operation';
      readonly operationId: string;
      readonly agentId: string | null;
      readonly uuid: string;
    };

export interface OperationResult {
  readonly state: string;
  readonly message: string;
}

export interface MesosCounts {
  readonly offersReceived: number;
  readonly operationsFailed: number;
  readonly taskUpdates: Readonly<Record<string, number>>;
}

/** Operation results that are kept: far more than a cluster has open at once. */
const OPERATIONS_MAX = 1_000;
/** Agents that are remembered; the one seen longest ago goes first. */
const AGENTS_MAX = 10_000;
/** Tasks that are remembered: the newest; those of the record are asked for again by reconciliation. */
const TASKS_MAX = 10_000;

export const EMPTY_VIEW: MesosView = {
  subscribed: false,
  frameworkId: null,
  removedFrameworkId: null,
  master: null,
  subscriptions: 0,
  subscribedAtMs: 0,
  problem: 'not connected yet',
  offers: new Map(),
  tasks: new Map(),
  answered: new Set(),
  agents: new Map(),
  markedGone: new Set(),
  acks: [],
  operations: new Map(),
  maintenance: NO_MAINTENANCE,
  counts: { offersReceived: 0, operationsFailed: 0, taskUpdates: {} },
};

export function reduceView(view: MesosView, event: ConnectionEvent, now: ViewTime): MesosView {
  switch (event.kind) {
    case 'subscribed':
      return {
        ...view,
        subscribed: true,
        frameworkId: event.frameworkId,
        master: event.master,
        subscriptions: view.subscriptions + 1,
        subscribedAtMs: now.monotonicMs,
        problem: null,
        offers: new Map(),
        // Terminal updates that were not acknowledged come again by themselves.
        acks: [],
        answered: new Set(),
        maintenance: withoutQuestions(view.maintenance),
      };
    case 'disconnected':
      return {
        ...view,
        subscribed: false,
        problem: event.error.message,
        offers: new Map(),
        acks: [],
        answered: new Set(),
      };
    case 'event':
      return reduceEvent(view, event.event, now);
  }
}
export interface ViewTime {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/**
 * Mesos has removed the framework: what was said of its tasks and operations is void, and the next id starts without
 * any. What is known of agents stays true.
 */
export function withoutFramework(view: MesosView, frameworkId: string | null, problem: string): MesosView {
  return {
    ...view,
    subscribed: false,
    frameworkId: null,
    removedFrameworkId: frameworkId,
    problem,
    offers: new Map(),
    tasks: new Map(),
    answered: new Set(),
    acks: [],
  };
}

type StreamEvent = Exclude<SchedulerEvent, { type: 'SUBSCRIBED' | 'HEARTBEAT' }>;

function reduceEvent(view: MesosView, event: StreamEvent, now: ViewTime): MesosView {
  switch (event.type) {
    case 'OFFERS':
      return {
        ...withOffers(view, event.offers.offers),
        maintenance: withOffered(view.maintenance, event.offers.offers, now.monotonicMs),
      };
    case 'INVERSE_OFFERS': {
      const { inverse_offers: asked } = event.inverse_offers;
      return { ...view, maintenance: withQuestions(view.maintenance, asked, now.monotonicMs) };
    }
    case 'RESCIND_INVERSE_OFFER': {
      const { value } = event.rescind_inverse_offer.inverse_offer_id;
      return { ...view, maintenance: withoutQuestion(view.maintenance, value) };
    }
    case 'RESCIND':
      return withoutOffers(view, [event.rescind.offer_id.value]);
    case 'UPDATE':
      return withUpdate(view, event.update.status, now);
    case 'UPDATE_OPERATION_STATUS':
      return withOperation(view, event.update_operation_status.status);
    // The connection reports what an ERROR means; FAILURE of an agent alone proves nothing about its disk.
    case 'ERROR':
    case 'FAILURE':
    case 'MESSAGE':
    case 'UNKNOWN':
      return view;
  }
}

function withOffers(view: MesosView, arrived: readonly Offer[]): MesosView {
  const agents = new Map(view.agents);
  const offers = new Map(view.offers);
  for (const offer of arrived) {
    agents.delete(offer.agent_id.value);
    agents.set(offer.agent_id.value, agentOf(offer));
    offers.set(offer.id.value, offer);
  }
  dropOldest(agents, AGENTS_MAX);
  const offersReceived = view.counts.offersReceived + arrived.length;
  return { ...view, agents, offers, counts: { ...view.counts, offersReceived } };
}

/** Where an offer's agent is. */
export function agentOf(offer: Offer): KnownAgent {
  const address = offer.url?.address;
  const host = address?.ip ?? address?.hostname ?? offer.hostname;
  return {
    id: offer.agent_id.value,
    hostname: offer.hostname,
    host,
    address: `${host}:${address?.port ?? 0}`,
  };
}

/** Offers that were accepted, declined or rescinded are in hand no more. */
export function withoutOffers(view: MesosView, offerIds: readonly string[]): MesosView {
  const offers = new Map(view.offers);
  for (const id of offerIds) offers.delete(id);
  return { ...view, offers };
}

/** Acknowledged: taken out of the list. */
export function withoutAcks(view: MesosView, acks: readonly PendingAck[]): MesosView {
  const done = new Set(acks.map((ack) => ack.uuid));
  return { ...view, acks: view.acks.filter((ack) => !done.has(ack.uuid)) };
}

/** A task that was just sent for launch: the master has nothing older to say of it. */
export function withLaunched(view: MesosView, tasks: readonly string[]): MesosView {
  return { ...view, answered: new Set([...view.answered, ...tasks]) };
}

function withUpdate(view: MesosView, status: ReceivedTaskStatus, now: ViewTime): MesosView {
  const taskId = status.task_id.value;
  const heard = evidenceOf(status, now.wallMs);
  const agentId = status.agent_id?.value;
  const uuid = status.uuid ?? '';
  const taskUpdates = {
    ...view.counts.taskUpdates,
    [status.state]: (view.counts.taskUpdates[status.state] ?? 0) + 1,
  };
  return {
    ...view,
    ...(heard === null ? {} : withEvidence(view, taskId, heard)),
    counts: { ...view.counts, taskUpdates },
    ...(status.state === 'TASK_GONE_BY_OPERATOR' && agentId !== undefined
      ? { markedGone: new Set(view.markedGone).add(agentId) }
      : {}),
    ...(uuid === '' || agentId === undefined
      ? {}
      : { acks: withAck(view.acks, { kind: 'task', taskId, agentId, uuid }) }),
  };
}

function withEvidence(
  view: MesosView,
  taskId: string,
  heard: TaskEvidence,
): Pick<MesosView, 'tasks' | 'answered'> {
  const tasks = new Map(view.tasks);
  const evidence = mergeEvidence(tasks.get(taskId), heard);
  tasks.delete(taskId);
  tasks.set(taskId, evidence);
  dropOldest(tasks, TASKS_MAX);
  return { tasks, answered: new Set(view.answered).add(taskId) };
}

function withOperation(view: MesosView, status: OperationStatus): MesosView {
  const operationId = status.operation_id?.value;
  if (operationId === undefined) return view;
  const operations = new Map(view.operations);
  // A call that arrived twice was carried out once: what is said of its second time says nothing of the first.
  const isDone = view.operations.get(operationId)?.state === 'OPERATION_FINISHED';
  const before = isDone && isFailedOperation(status.state) ? view.operations.get(operationId) : undefined;
  operations.delete(operationId);
  operations.set(operationId, before ?? { state: status.state, message: status.message ?? '' });
  dropOldest(operations, OPERATIONS_MAX);
  const uuid = status.uuid?.value ?? '';
  const agentId = status.agent_id?.value ?? null;
  const failed = isFailedOperation(status.state);
  return {
    ...view,
    operations,
    counts: { ...view.counts, operationsFailed: view.counts.operationsFailed + (failed ? 1 : 0) },
    ...(uuid === '' ? {} : { acks: withAck(view.acks, { kind: 'operation', operationId, agentId, uuid }) }),
  };
}

function withAck(acks: readonly PendingAck[], ack: PendingAck): readonly PendingAck[] {
  return acks.some((other) => other.uuid === ack.uuid) ? acks : [...acks, ack];
}

export function isFailedOperation(state: string): boolean {
  return state === 'OPERATION_ERROR' || state === 'OPERATION_FAILED' || state === 'OPERATION_DROPPED';
}

function dropOldest<V>(map: Map<string, V>, countMax: number): void {
  for (const key of map.keys()) {
    if (map.size <= countMax) return;
    map.delete(key);
  }
}

/** The agents of the record whose disks are gone for good: marked gone, or rebuilt at their address. */
export function agentsGoneOf(view: MesosView, record: ClusterRecord): ReadonlySet<string> {
  const gone = new Set(view.markedGone);
  const newest = new Map<string, KnownAgent>();
  for (const agent of view.agents.values()) newest.set(agent.address, agent);
  for (const seat of seatsOf(record)) {
    const address = view.agents.get(seat.agentId)?.address ?? seat.agentAddress;
    const there = address === undefined ? undefined : newest.get(address);
    if (there !== undefined && there.id !== seat.agentId) gone.add(seat.agentId);
  }
  return gone;
}

/** A task of ours and where it runs. */
export interface RecordedTask {
  readonly task: string;
  readonly agentId: string;
}

/** Every task that a record knows: the newest of each seat, and its name task. */
export function tasksOf(record: ClusterRecord): readonly RecordedTask[] {
  return seatsOf(record).flatMap(({ task, nameTask, agentId }) =>
    nameTask === null
      ? [{ task, agentId }]
      : [
          { task, agentId },
          { task: nameTask.task, agentId },
        ],
  );
}

/** Recorded tasks that the master has not told of since the present subscription. */
export function unansweredTasks(view: MesosView, record: ClusterRecord): readonly RecordedTask[] {
  return tasksOf(record).filter(({ task }) => !view.answered.has(task));
}

/** All seats that a record knows, on their way out or not. */
export function seatsOf(record: ClusterRecord): readonly Seat[] {
  return [...record.seats, ...record.leaving.map((entry) => entry.seat)];
}

/**
 * Task evidence for an observation: what the master said, and `never-ran` for a task whose seat could not be
 * reserved or given a volume, even where Mesos does not say so of the task itself.
 */
export function taskEvidenceOf(
  view: MesosView,
  record: ClusterRecord,
  wallMs: number,
): ReadonlyMap<string, TaskEvidence> {
  const tasks = new Map(view.tasks);
  for (const seat of seatsOf(record)) {
    if (seat.launches > 1 || tasks.get(seat.task) !== undefined) continue;
    for (const operationId of [reserveId(seat.id), createId(seat.id)]) {
      const result = view.operations.get(operationId);
      if (result === undefined || !isFailedOperation(result.state)) continue;
      tasks.set(seat.task, {
        kind: 'over',
        agentId: seat.agentId,
        end: {
          standing: 'never-ran',
          state: result.state,
          source: 'SOURCE_MASTER',
          reason: operationId,
          message: result.message,
          atMs: wallMs,
        },
      });
    }
  }
  return tasks;
}

/** Names of the operations on a seat. */
export const reserveId = (seatId: string): string => `${seatId}:reserve`;
export const createId = (seatId: string): string => `${seatId}:create`;
export const destroyId = (seatId: string, attempt: string): string => `${seatId}:destroy:${attempt}`;
export const unreserveId = (seatId: string, attempt: string): string => `${seatId}:unreserve:${attempt}`;
