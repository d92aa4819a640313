import type { MemberStatus } from '../protocol/member-status.ts';
import { type OrderBody, type OrderKind, protocolOf } from '../protocol/orders.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { Action, Blocked, Decision, Want } from './decision.ts';
import { FRESH_MS, type MemberView, type Observation, type Spec, type TaskEvidence } from './observation.ts';
import type { Objection } from './quorum.ts';

/**
 * One run of `decide`: what it was given and what it has concluded so far. `record` is a copy of its own that
 * the steps write to; nothing outlives the run but what `decide` returns.
 */
export interface Pass {
  readonly spec: Spec;
  readonly seen: Observation;
  readonly record: Draft<ClusterRecord>;
  readonly wants: Want[];
  readonly actions: Action[];
  readonly blocked: Blocked[];
  /** See {@link Decision}. */
  fullWanted: Decision['fullWanted'];
  /** The next pass is wanted after this many milliseconds. */
  wakeMs: number;
}

export type Draft<T> = T extends readonly (infer U)[]
  ? Draft<U>[]
  : T extends object
    ? { -readonly [K in keyof T]: Draft<T[K]> }
    : T;
export type DraftSeat = Draft<Seat>;

/** With nothing to wait for, the world is looked at again after this long. */
const IDLE_WAKE_MS = 5_000;
/** While something is going on. Events wake the loop earlier; this catches what sends none. */
export const BUSY_WAKE_MS = 250;

export function startPass(spec: Spec, record: ClusterRecord, seen: Observation): Pass {
  return {
    spec,
    seen,
    record: structuredClone(record) as Draft<ClusterRecord>,
    wants: [],
    actions: [],
    blocked: [],
    fullWanted: null,
    wakeMs: IDLE_WAKE_MS,
  };
}

export function wakeWithin(pass: Pass, durationMs: number): void {
  pass.wakeMs = Math.min(pass.wakeMs, durationMs);
}

export function block(pass: Pass, code: string, slot: string | null, message: string): void {
  pass.blocked.push({ code, slot, message });
}

/**
 * An order to a seat's supervisor, in the name of the present epoch. One of an older build that cannot understand it
 * is not given it: then that is what stands in the way.
 */
export function order(pass: Pass, seat: DraftSeat, body: OrderBody, reason: string): void {
  const objection = objectionToOrder(pass, seat, body.kind);
  if (objection !== null) {
    block(pass, 'older-supervisor', seat.slot, objection);
    return;
  }
  const { number: epoch, attempt } = pass.record.epoch;
  pass.actions.push({ kind: 'order', seat: structuredClone(seat), body, epoch, attempt, reason });
  wakeWithin(pass, BUSY_WAKE_MS);
}

/** Whether a supervisor's build understands orders of that kind; `null`: it does, or it is not known yet. */
export function objectionToOrder(pass: Pass, seat: DraftSeat, kind: OrderKind): Objection {
  const status = freshStatus(pass, seat);
  if (status === null || status.protocol >= protocolOf(kind)) return null;
  const rollOut = 'roll this release out to it first (etcd-mesos pod restart, or an update)';
  return `the supervisor of ${seat.slot} is of an older build (${status.build}) that does not know the order ${kind}: ${rollOut}`;
}

export function viewOf(pass: Pass, seat: DraftSeat): MemberView | undefined {
  return pass.seen.members.get(seat.id);
}

/** The supervisor's own word, recent enough to act on, about the seat's present task. */
export function freshStatus(pass: Pass, seat: DraftSeat): MemberStatus | null {
  const view = viewOf(pass, seat);
  // A question that failed after the last answer makes that answer old: the process may just have died.
  if (view === undefined || view.status === null || view.ageMs > FRESH_MS || view.failingMs > 0) return null;
  if (view.status.task !== seat.task || view.status.cluster !== pass.record.cluster) return null;
  return view.status;
}

export function evidenceOf(pass: Pass, task: string): TaskEvidence | undefined {
  return pass.seen.mesos.tasks.get(task);
}

export function seatById(pass: Pass, id: string): DraftSeat | undefined {
  return pass.record.seats.find((seat) => seat.id === id);
}

export function seatsOf(pass: Pass, slot: string): DraftSeat[] {
  return pass.record.seats.filter((seat) => seat.slot === slot);
}

/** Milliseconds that are still to pass before an ended task is launched again; 0: none. */
export function relaunchWaitMs(pass: Pass, seat: DraftSeat): number {
  if (seat.taskEnd === null) return 0;
  const delayMs = relaunchDelayMs(seat.quickEnds);
  const waitedMs = pass.seen.wallMs - seat.taskEnd.atMs;
  // Wall time only spaces the tries: after a jump back the wait is at most begun anew.
  return waitedMs >= 0 && waitedMs < delayMs ? delayMs - waitedMs : 0;
}

/** The first two launches follow at once, then 1 s doubling to a minute. */
function relaunchDelayMs(quickEnds: number): number {
  return quickEnds < 2 ? 0 : Math.min(60_000, 1000 * 2 ** Math.min(quickEnds - 2, 6));
}

/** The slots that the target size asks for. */
export function slotsOf(size: number): string[] {
  return Array.from({ length: size }, (_, index) => `etcd-${index}`);
}

export function slotIndexOf(slot: string): number {
  return Number(slot.replace(/^etcd-/, ''));
}

/** Takes a seat out of service: its task is killed, its volume and reservation are given back. */
export function leave(pass: Pass, seat: DraftSeat, reason: string): void {
  pass.record.seats = pass.record.seats.filter((other) => other.id !== seat.id);
  pass.record.leaving.push({ seat, reason, sinceMs: pass.seen.wallMs });
  wakeWithin(pass, BUSY_WAKE_MS);
}
