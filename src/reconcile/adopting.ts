import type { MemberStatus } from '../protocol/member-status.ts';
import { newEpoch } from '../protocol/record.ts';
import { tokenOf } from './formation.ts';
import { witnessesOf } from './membership.ts';
import {
  BUSY_WAKE_MS,
  block,
  type Draft,
  type DraftSeat,
  freshStatus,
  leave,
  type Pass,
  wakeWithin,
} from './pass.ts';
import { quorumOf } from './quorum.ts';

/**
 * A cluster whose record was lost while nothing of it ran: its places are known by their labels, and their
 * supervisors are launched to read what the volumes hold. Nothing is prepared and nothing is placed meanwhile, and
 * etcd is only ever started on data that it left, once it is certain whose data that is.
 */
export function adopt(pass: Pass): void {
  wakeWithin(pass, BUSY_WAKE_MS);
  const readings = pass.record.seats.filter((seat) => seat.lost === null).map((seat) => read(pass, seat));
  const held = readings.filter((reading) => reading.kind === 'held');
  if (held.length === 0) {
    const unread = readings.filter((reading) => reading.kind === 'unread');
    adoptUnborn(pass, readings, unread);
    return;
  }
  const birth = birthOf(held);
  if (typeof birth === 'string') {
    block(pass, 'adoption-contradiction', null, `${birth}; nothing is started until an operator decides`);
    return;
  }
  if (!isEnough(pass, readings, birth)) return;
  if (birth.clusterId === null) learnClusterId(pass, held, birth);
  else conclude(pass, readings, { ...birth, clusterId: birth.clusterId });
}

/** What is known of one place. */
type Reading =
  /** etcd was started on it. */
  | {
      readonly kind: 'held';
      readonly seat: DraftSeat;
      readonly status: MemberStatus;
      readonly identity: Identity;
    }
  /** etcd was never started on it; it may be prepared. */
  | { readonly kind: 'blank'; readonly seat: DraftSeat; readonly identity: Identity | null }
  /** Its member knows that the cluster removed it: nothing is ever started or prepared there again (S4). */
  | { readonly kind: 'removed'; readonly seat: DraftSeat; readonly problem: string }
  /** Its supervisor has read it and says that it cannot be used. */
  | { readonly kind: 'broken'; readonly seat: DraftSeat; readonly problem: string }
  /** Nobody has read it yet. */
  | { readonly kind: 'unread'; readonly seat: DraftSeat; readonly problem: string };
type Held = Extract<Reading, { kind: 'held' }>;
type Identity = NonNullable<MemberStatus['identity']>;

function read(pass: Pass, seat: DraftSeat): Reading {
  const status = seat.taskEnd === null ? freshStatus(pass, seat) : null;
  if (status === null) return { kind: 'unread', seat, problem: 'its supervisor does not answer yet' };
  const { identity, dataProblem, phase, problem } = status;
  if (phase === 'removed') return { kind: 'removed', seat, problem: 'the cluster removed its member' };
  if (dataProblem !== null) return { kind: 'broken', seat, problem: problem ?? dataProblem };
  if (phase === 'failed') return { kind: 'unread', seat, problem: problem ?? 'its supervisor cannot go on' };
  if (identity?.started === true) return { kind: 'held', seat, status, identity };
  return { kind: 'blank', seat, identity };
}

/** Nothing that was read holds data: a cluster that was never born, unless what is not read yet says otherwise. */
function adoptUnborn(pass: Pass, readings: readonly Reading[], unread: readonly Reading[]): void {
  const broken = readings.filter((reading) => reading.kind === 'broken' || reading.kind === 'removed');
  if (unread.length > 0 || readings.length === 0) {
    waitFor(pass, unread);
    return;
  }
  if (broken.length > 0) {
    const what = broken.map(({ seat, problem }) => `${placeOf(seat)}: ${problem}`).join('; ');
    block(
      pass,
      'adoption-contradiction',
      null,
      `no volume tells which cluster it is of, and not all can be read: ${what}`,
    );
    return;
  }
  const identities = readings.flatMap((reading) => ('identity' in reading ? (reading.identity ?? []) : []));
  const { record } = pass;
  const number = Math.max(record.epoch.number, ...identities.map((identity) => identity.epoch));
  const attempt = 1 + Math.max(0, ...identities.map((identity) => identity.attempt));
  const token = tokenOf(record.cluster, number, attempt, pass.seen.freshId);
  record.epoch = newEpoch({ number, attempt, token, openedAtMs: record.epoch.openedAtMs }) as Draft<
    typeof record.epoch
  >;
  raiseGeneration(pass);
  const slots = new Set<string>();
  for (const seat of [...record.seats]) {
    if (seat.lost !== null || slots.has(seat.slot)) leave(pass, seat, 'its slot has another place');
    slots.add(seat.slot);
  }
}

interface Birth {
  readonly number: number;
  readonly attempt: number;
  readonly token: string;
  readonly clusterId: string | null;
}

/** The one birth that all started members are of; else what they contradict each other about. */
function birthOf(held: readonly Held[]): Birth | string {
  const [first] = held;
  const found = (what: string, of: (identity: Identity) => string | null): string | null => {
    const told = held.flatMap(({ seat, identity }) => {
      const value = of(identity);
      return value === null ? [] : [{ value, where: `${value} on ${placeOf(seat)}` }];
    });
    if (new Set(told.map(({ value }) => value)).size <= 1) return null;
    return `the volumes hold members of different ${what}: ${told.map(({ where }) => where).join(', ')}`;
  };
  const contradiction =
    found('etcd clusters', ({ clusterId }) => clusterId) ??
    found('epochs', ({ epoch }) => String(epoch)) ??
    found('attempts', ({ attempt }) => String(attempt)) ??
    found('cluster tokens', ({ token }) => token);
  if (contradiction !== null || first === undefined) return contradiction ?? 'no volume holds a member';
  const clusterId = held.map(({ identity }) => identity.clusterId).find((id) => id !== null) ?? null;
  const { epoch: number, attempt, token } = first.identity;
  return { number, attempt, token, clusterId };
}

/**
 * The data of a quorum of the slots proves the cluster: what is not read then gets a moment, and is taken for a
 * member that is down. With fewer there is no cluster to bring back yet; unless no other slot holds a member any more,
 * or yet, as when the size was changed. Then those that there are are started to tell: only a quorum completes a
 * linearizable read.
 */
function isEnough(pass: Pass, readings: readonly Reading[], birth: Birth): boolean {
  const { epoch, seats, size, sizeOption } = pass.record;
  const held = readings.filter((reading) => reading.kind === 'held');
  const unread = readings.filter((reading) => reading.kind === 'unread');
  const slots = new Set(held.map(({ seat }) => seat.slot)).size;
  const all = Math.max(sizeOption ?? size, new Set(seats.map((seat) => seat.slot)).size);
  if (slots < quorumOf(all)) {
    if (unread.length > 0) waitFor(pass, unread);
    else if (slots + emptySlots(readings) >= all) {
      if (areQuorum(pass, birth)) return true;
      startHeld(pass, held, birth);
    }
    const where = held.map(({ seat }) => placeOf(seat)).join(', ');
    const message = `members of ${slots} of ${all} slots were found (${where}), a quorum is ${quorumOf(all)}`;
    block(pass, 'adoption-incomplete', null, `${message}; waits for the agents that hold the others`);
    return false;
  }
  if (unread.length > 0 && epoch.waitedMs < pass.spec.bootstrapWindowMs) {
    epoch.waitedMs += pass.seen.elapsedMs;
    waitFor(pass, unread);
    return false;
  }
  return true;
}

function waitFor(pass: Pass, unread: readonly Reading[]): void {
  const what = unread.map((reading) =>
    'problem' in reading ? `${placeOf(reading.seat)}: ${reading.problem}` : placeOf(reading.seat),
  );
  const message = what.length === 0 ? 'no place of the cluster is left' : `not read yet: ${what.join('; ')}`;
  block(pass, 'adopting', null, `what the volumes hold decides; ${message}`);
}

/**
 * Members that were told to start and never said whose they are: started again on the data that is there, they do.
 */
function learnClusterId(pass: Pass, held: readonly Held[], birth: Birth): void {
  block(pass, 'adopting', null, 'no volume tells its etcd cluster: its members are started to tell');
  startHeld(pass, held, birth);
}

/** Slots of which only places are found that never held a member, and members that know that they were removed. */
function emptySlots(readings: readonly Reading[]): number {
  const bySlot = Map.groupBy(readings, ({ seat }) => seat.slot);
  const isEmpty = ({ kind }: Reading): boolean => kind === 'removed' || kind === 'blank';
  return [...bySlot.values()].filter((ofSlot) => ofSlot.every(isEmpty)).length;
}

function areQuorum(pass: Pass, { clusterId }: Birth): boolean {
  return witnessesOf(pass).some(
    ({ probe }) => probe.confirmedMembers !== null && (clusterId === null || probe.clusterId === clusterId),
  );
}

/** Has upkeep start etcd on what it left there. */
function startHeld(pass: Pass, held: readonly Held[], birth: Birth): void {
  if (held.every(({ seat }) => seat.data !== null)) return;
  const { epoch } = pass.record;
  [epoch.number, epoch.attempt, epoch.token] = [birth.number, birth.attempt, birth.token];
  raiseGeneration(pass);
  for (const { seat, identity, status } of held) {
    seat.data = { ...dataOf(birth), memberId: identity.memberId, floor: status.floor };
  }
}

function conclude(pass: Pass, readings: readonly Reading[], birth: Birth & { clusterId: string }): void {
  const { record } = pass;
  const { number, attempt, token, clusterId } = birth;
  Object.assign(record.epoch, {
    number,
    attempt,
    token,
    clusterId,
    phase: 'formed',
    waitedMs: 0,
    members: [],
  });
  raiseGeneration(pass);
  const known = new Map(readings.map((reading) => [reading.seat.id, reading]));
  for (const seat of record.seats) {
    const reading = known.get(seat.id);
    if (reading?.kind === 'held') {
      const { identity, status } = reading;
      seat.data = { ...dataOf(birth), memberId: identity.memberId, floor: status.floor };
    } else if (reading?.kind === 'blank') {
      const { identity } = reading;
      const mine = identity !== null && identity.epoch === number && identity.attempt === attempt;
      seat.data = mine ? { ...dataOf(birth), started: false } : null;
    } else {
      // Whatever is not read, or is lost, may hold a member: it is never prepared again (S5).
      seat.data = dataOf(birth);
    }
  }
}

function dataOf({ number, attempt }: Birth): NonNullable<DraftSeat['data']> {
  return { epoch: number, attempt, started: true, memberId: null, floor: null };
}

/** Above every one that the volumes remember: else their supervisors would refuse our orders. */
function raiseGeneration(pass: Pass): void {
  const { record } = pass;
  const seen = record.seats.map((seat) => freshStatus(pass, seat)?.fence.generation ?? 0);
  const highest = Math.max(0, ...seen);
  if (highest >= record.generation) record.generation = highest + 1;
}

function placeOf(seat: DraftSeat): string {
  return `${seat.slot} on ${seat.hostname}`;
}
