import { assert } from '../base/assert.ts';
import type { Call, Operation } from '../mesos/wire.ts';
import { taskIdOf } from '../protocol/identifiers.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { OfferSummary } from '../protocol/view.ts';
import type { Blocked, Want } from '../reconcile/decision.ts';
import type { OfferedSeat } from '../reconcile/observation.ts';
import { nameLaunched, seatPlaced, seatRelaunched } from '../reconcile/seats.ts';
import type { AgentOffer } from './agent-offers.ts';
import type { SchedulerConfig } from './config.ts';
import { type Ownership, ownerOf, ownershipOf } from './labels.ts';
import { artifactOf } from './launched-artifact.ts';
import { createId, destroyId, reserveId, seatsOf, unreserveId } from './mesos-view.ts';
import { NAME_SHARE } from './name-share.ts';
import { nameTaskInfoOf } from './name-task.ts';
import { type Judgement, type PlacementInput, place } from './placement.ts';
import type { PlacementRules, Surroundings } from './placement-rules.ts';
import { countPorts } from './resources.ts';
import { most, reservedShare, SEAT_PORTS, type SeatNeed } from './seat-cut.ts';
import { type ResizedSeat, resizedSeat } from './seat-resize.ts';
import {
  claimOf,
  isNameShareAlone,
  labelledFor,
  offeredNameShare,
  offeredSeat,
  returnOf,
  walVolumeId,
} from './seat-resources.ts';
import { taskInfoOf } from './task-spec.ts';

/** What is wanted, matched with what is offered: the record to store and, once it is stored, the calls. Pure. */

export interface MatchInput {
  readonly wants: readonly Want[];
  readonly record: ClusterRecord;
  readonly offers: readonly AgentOffer[];
  readonly config: SchedulerConfig;
  /** Base64 SPKI of the schedulers' public key. */
  readonly schedulerKey: string;
  /** See {@link PlacementInput}. */
  readonly shunned: PlacementInput['shunned'];
  readonly around: Surroundings;
  /** A UUID that names what this match makes. */
  readonly freshId: string;
  readonly wallMs: number;
}

export interface Match {
  readonly record: ClusterRecord;
  /** One ACCEPT an agent. */
  readonly accepts: readonly Accept[];
  readonly unmatched: readonly Want[];
  /** Offers that nothing was taken from. */
  readonly unused: readonly string[];
  readonly judged: readonly SlotJudgement[];
}
export interface Accept {
  readonly call: Call;
  readonly agentId: string;
  readonly offerIds: readonly string[];
  readonly launched: readonly LaunchedTask[];
  readonly released: readonly string[];
}
export interface LaunchedTask {
  readonly task: string;
  readonly slot: string;
  /** For people. */
  readonly text: string;
  readonly reason: string;
}
export interface SlotJudgement {
  readonly slot: string;
  readonly judgement: Judgement;
}

/** Seconds for which the rest of an accepted offer, or one that did not fit, is not offered again. */
const REFUSE_WANTED_S = 5;

export function matchOffers(input: MatchInput): Match {
  const state: Matching = {
    record: input.record,
    offers: [...input.offers],
    agents: new Map(),
    unmatched: [],
    judged: [],
  };
  for (const want of input.wants) {
    if (!takeWant(state, want, input)) state.unmatched.push(want);
  }
  const used = new Set([...state.agents.values()].flatMap((agent) => agent.offerIds));
  return {
    record: state.record,
    accepts: [...state.agents.values()].map(acceptOf),
    unmatched: state.unmatched,
    unused: input.offers.flatMap((offer) => offer.offerIds).filter((id) => !used.has(id)),
    judged: state.judged,
  };
}

/** The one mutable value of a match, never seen outside. */
interface Matching {
  record: ClusterRecord;
  offers: AgentOffer[];
  readonly agents: Map<string, AgentOperations>;
  readonly unmatched: Want[];
  readonly judged: SlotJudgement[];
}
interface AgentOperations {
  readonly agentId: string;
  readonly offerIds: readonly string[];
  readonly operations: Operation[];
  readonly launched: LaunchedTask[];
  readonly released: string[];
}

function takeWant(state: Matching, want: Want, input: MatchInput): boolean {
  switch (want.kind) {
    case 'place':
      return takePlace(state, want, input);
    case 'relaunch':
      return takeRelaunch(state, want, input);
    case 'name':
      return takeName(state, want, input);
    case 'release':
      return takeRelease(state, want, input);
  }
}

function takePlace(state: Matching, want: Want & { kind: 'place' }, input: MatchInput): boolean {
  const { config } = input;
  const { role } = config.framework;
  const { placement, judged } = place({
    offers: state.offers,
    record: state.record,
    need: needOf(config),
    role,
    shunned: input.shunned,
    slot: want.slot,
    rules: config.placement,
    around: input.around,
  });
  state.judged.push(...judged.map((judgement) => ({ slot: want.slot, judgement })));
  if (placement === null) return false;
  const seatId = `${want.slot}-${input.freshId}`;
  assert(
    seatsOf(state.record).every((seat) => seat.id !== seatId),
    `two seats were wanted as ${seatId}`,
  );
  const { agent, zone, region, attributes } = placement.offer;
  state.record = seatPlaced(
    state.record,
    {
      id: seatId,
      slot: want.slot,
      agentId: agent.id,
      agentAddress: agent.address,
      hostname: agent.hostname,
      zone,
      region,
      attributes,
      host: agent.host,
      ports: placement.ports,
      volumeId: seatId,
      storage: config.storage.kind,
      wal: walOf(seatId, config),
      nameShare: config.storage.kind === 'persistent' ? NAME_SHARE : null,
      resources: config.spec.resources,
      task: taskIdOf(want.slot, input.freshId),
      pinned: want.run,
    },
    input.wallMs,
  );
  const seat = state.record.seats.at(-1) as Seat;
  const owner = ownerFor(seat, state.record);
  const { principal } = config.framework;
  const operations = operationsOn(state, placement.rest);
  if (seat.storage === 'sandbox') {
    const resources = placement.pieces.map((piece) => piece.resource);
    operations.operations.push(launchOperation(seat, owner, resources, input));
  } else {
    const claim = claimOf(placement, { owner, seat, role, principal });
    if (claim.reserve.length > 0) {
      operations.operations.push({
        type: 'RESERVE',
        id: { value: reserveId(seat.id) },
        reserve: { resources: claim.reserve },
      });
    }
    operations.operations.push(
      { type: 'CREATE', id: { value: createId(seat.id) }, create: { volumes: claim.create } },
      launchOperation(seat, owner, claim.task, input),
    );
  }
  operations.launched.push({
    task: seat.task,
    slot: seat.slot,
    text: `placed on ${seat.hostname}`,
    reason: want.reason,
  });
  return true;
}

function takeRelaunch(state: Matching, want: Want & { kind: 'relaunch' }, input: MatchInput): boolean {
  const seat = state.record.seats.find((one) => one.id === want.seat);
  const offer = state.offers.find((one) => one.agent.id === seat?.agentId);
  if (seat === undefined || offer === undefined) return false;
  const { task, run, resources } = want;
  const { role } = input.config.framework;
  const resized = resources === undefined ? null : resizedSeat(offer, seat, resources, role);
  const offered = resized ?? completeSeat(offer, seat, role);
  if (offered === null || offer.agent.host !== seat.host) return false;
  state.record = seatRelaunched(state.record, seat.id, {
    task,
    run,
    ...(resized === null ? {} : { resources }),
    atMs: input.wallMs,
  });
  const next = state.record.seats.find((one) => one.id === seat.id) as Seat;
  const operations = operationsOn(state, offered.rest);
  const owner = ownerFor(next, state.record);
  if (resized !== null) operations.operations.push(...resizeOperations(resized));
  operations.operations.push(launchOperation(next, owner, offered.task, input));
  operations.launched.push({
    task: next.task,
    slot: next.slot,
    text: `launched again on ${next.hostname}`,
    reason: want.reason,
  });
  return true;
}

function completeSeat(offer: AgentOffer, seat: Seat, role: string): ReturnType<typeof offeredSeat> {
  const offered = offeredSeat(offer, seat, role);
  return offered?.found.complete === true ? offered : null;
}

function resizeOperations({ unreserve, reserve }: ResizedSeat): Operation[] {
  return [
    ...(unreserve.length === 0 ? [] : [{ type: 'UNRESERVE', unreserve: { resources: unreserve } } as const]),
    ...(reserve.length === 0 ? [] : [{ type: 'RESERVE', reserve: { resources: reserve } } as const]),
  ];
}

function takeName(state: Matching, want: Want & { kind: 'name' }, input: MatchInput): boolean {
  const { framework } = input.config;
  const seat = state.record.seats.find((one) => one.id === want.seat);
  const offer = state.offers.find((one) => one.agent.id === seat?.agentId);
  if (seat === undefined || offer === undefined) return false;
  const offered = offeredNameShare(offer, seat, framework.role);
  if (offered === null) return false;
  state.record = nameLaunched(state.record, seat.id, want.task, input.wallMs);
  const owner = ownerFor(seat, state.record);
  const { task } = want;
  const info = nameTaskInfoOf({ framework, owner, seat, task, resources: offered.task });
  const operations = operationsOn(state, offered.rest);
  operations.operations.push({ type: 'LAUNCH', launch: { task_infos: [info] } });
  operations.launched.push({
    task,
    slot: seat.slot,
    text: `DNS tells clients of it on ${seat.hostname}`,
    reason: want.reason,
  });
  return true;
}

function takeRelease(state: Matching, want: Want & { kind: 'release' }, input: MatchInput): boolean {
  const leaving = state.record.leaving.find((entry) => entry.seat.id === want.seat)?.seat;
  const volumeId = leaving?.volumeId ?? want.seat;
  for (const offer of state.offers) {
    const labelled = labelledFor(offer.resources, { id: want.seat, volumeId });
    if (labelled.length === 0) continue;
    const { destroy, unreserve } = returnOf(labelled);
    const operations = operationsOn(state, offer);
    if (destroy.length > 0) {
      operations.operations.push({
        type: 'DESTROY',
        id: { value: destroyId(want.seat, input.freshId) },
        destroy: { volumes: destroy },
      });
    }
    if (unreserve.length > 0) {
      operations.operations.push({
        type: 'UNRESERVE',
        id: { value: unreserveId(want.seat, input.freshId) },
        unreserve: { resources: unreserve },
      });
    }
    operations.released.push(want.seat);
    return true;
  }
  return false;
}

/** What every new seat is to have. */
export function needOf({ spec, storage, ports, framework }: SchedulerConfig): SeatNeed {
  return { resources: spec.resources, storage, ports, preReservedRole: framework.preReservedRole };
}

function walOf(seatId: string, { storage: { wal } }: SchedulerConfig): Seat['wal'] {
  return wal === null ? null : { volumeId: walVolumeId(seatId), diskMb: wal.diskMb };
}

/** The operations of an agent so far; `rest` becomes what later wants see of it. */
function operationsOn(state: Matching, rest: AgentOffer): AgentOperations {
  state.offers = state.offers.map((offer) => (offer.agent.id === rest.agent.id ? rest : offer));
  const before = state.agents.get(rest.agent.id);
  if (before !== undefined) return before;
  const { offerIds } = rest;
  const fresh = { agentId: rest.agent.id, offerIds, operations: [], launched: [], released: [] };
  state.agents.set(rest.agent.id, fresh);
  return fresh;
}

function acceptOf(agent: AgentOperations): Accept {
  return {
    call: {
      type: 'ACCEPT',
      accept: {
        offer_ids: agent.offerIds.map((value) => ({ value })),
        operations: agent.operations,
        filters: { refuse_seconds: REFUSE_WANTED_S },
      },
    },
    agentId: agent.agentId,
    offerIds: agent.offerIds,
    launched: agent.launched,
    released: agent.released,
  };
}

function launchOperation(
  seat: Seat,
  owner: Ownership,
  resources: Parameters<typeof taskInfoOf>[0]['resources'],
  input: MatchInput,
): Operation {
  const { config, schedulerKey } = input;
  const task = taskInfoOf({
    framework: config.framework,
    artifact: artifactOf(seat.pinned.artifact, config),
    owner,
    seat,
    schedulerKey,
    killGraceMs: config.spec.killGraceMs,
    resources,
  });
  return { type: 'LAUNCH', launch: { task_infos: [task] } };
}

function ownerFor(seat: Seat, record: ClusterRecord): Ownership {
  return ownershipOf(seat, {
    framework: record.framework.name,
    cluster: record.cluster,
    epoch: record.epoch.number,
  });
}

/** By seat id: the recorded seats whose reservation is on offer. */
export function offeredSeats(
  offers: readonly AgentOffer[],
  record: ClusterRecord,
  role: string,
): ReadonlyMap<string, OfferedSeat> {
  const offered = new Map<string, OfferedSeat>();
  for (const seat of seatsOf(record)) {
    const offer = offers.find((one) => one.agent.id === seat.agentId);
    if (offer === undefined || (record.seats.includes(seat) && isNameShareAlone(offer, seat))) continue;
    const found = offeredSeat(offer, seat, role);
    if (found !== null) offered.set(seat.id, found.found);
  }
  return offered;
}

/** Seats on offer under our framework's label that the record does not know, of this cluster and of others. */
export function straysOf(
  offers: readonly AgentOffer[],
  record: ClusterRecord,
): { readonly ours: readonly Ownership[]; readonly foreign: readonly Ownership[] } {
  const known = new Set(seatsOf(record).map((seat) => seat.id));
  const ours = new Map<string, Ownership>();
  const foreign = new Map<string, Ownership>();
  for (const offer of offers) {
    for (const resource of offer.resources) {
      const owner = ownerOf(resource);
      if (owner === null || owner.framework !== record.framework.name || known.has(owner.seat)) continue;
      if (owner.cluster === record.cluster) ours.set(owner.seat, owner);
      else foreign.set(owner.seat, owner);
    }
  }
  return { ours: [...ours.values()], foreign: [...foreign.values()] };
}

/** The most that an agent was ever seen to offer for new seats. */
export interface Capacity {
  readonly hostname: string;
  readonly cpus: number;
  readonly memMb: number;
  readonly diskMb: number;
  /** The largest MOUNT disk. */
  readonly mountMb: number;
  readonly ports: number;
}

export function withCapacity(
  known: ReadonlyMap<string, Capacity>,
  offers: readonly AgentOffer[],
): ReadonlyMap<string, Capacity> {
  const next = new Map(known);
  for (const { agent, pools, mounts } of offers) {
    const before = known.get(agent.id);
    next.set(agent.id, {
      hostname: agent.hostname,
      cpus: Math.max(before?.cpus ?? 0, most(pools, 'cpus')),
      memMb: Math.max(before?.memMb ?? 0, most(pools, 'mem')),
      diskMb: Math.max(before?.diskMb ?? 0, most(pools, 'disk')),
      mountMb: Math.max(before?.mountMb ?? 0, ...mounts.map(({ sizeMb }) => sizeMb)),
      ports: Math.max(before?.ports ?? 0, ...pools.map((pool) => countPorts(pool.ports)), 0),
    });
  }
  return next;
}

/** A slot that waits for a place, and what is known of where it could be. */
export interface Unplaced {
  readonly slot: string;
  readonly capacity: ReadonlyMap<string, Capacity>;
  readonly need: SeatNeed;
  readonly record: ClusterRecord;
  readonly rules: PlacementRules;
  /** How its offers were judged so far. */
  readonly summary: OfferSummary | null;
}

/** Why a slot has no place yet, for people: what can never fit is told from what only has to be waited for. */
export function explainUnplaced(unplaced: Unplaced): Blocked {
  const { slot, capacity, record, rules, summary, need } = unplaced;
  const { cpus, memMb } = reservedShare(need);
  const { diskMb } = need.resources;
  const onMount = need.storage.diskType === 'mount';
  const agents = [...capacity.values()];
  if (agents.length === 0) {
    return { code: 'waits-for-offers', slot, message: 'no agent has offered anything yet' };
  }
  const lacking = [
    lack('cpus', '', cpus, agents, (agent) => agent.cpus),
    lack('memory', ' MB', memMb, agents, (agent) => agent.memMb),
    onMount
      ? lack('MOUNT disk', ' MB', diskMb, agents, (agent) => agent.mountMb)
      : lack('disk', ' MB', diskMb, agents, (agent) => agent.diskMb),
    lack('ports', '', SEAT_PORTS, agents, (agent) => agent.ports),
  ].filter((text) => text !== null);
  if (lacking.length > 0) {
    return { code: 'offers-never-fit', slot, message: `no agent is large enough: ${lacking.join('; ')}` };
  }
  const held = new Set(record.seats.filter((seat) => seat.lost === null).map((seat) => seat.hostname));
  const free = rules.isOnePerHost ? agents.filter((agent) => !held.has(agent.hostname)) : agents;
  if (free.length === 0) {
    return {
      code: 'no-free-host',
      slot,
      message: `all ${agents.length} known hosts hold a member already; at most one is placed on a host`,
    };
  }
  return {
    code: 'waits-for-offers',
    slot,
    message: `${namesOf(free)} may have room; waiting for an offer that fits${mostlyFailed(summary)}`,
  };
}

/** Hosts that a message names. */
const NAMED_MAX = 10;

function namesOf(agents: readonly Capacity[]): string {
  const names = [...new Set(agents.map((agent) => agent.hostname))];
  const more = names.length - NAMED_MAX;
  return names.slice(0, NAMED_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function mostlyFailed(summary: OfferSummary | null): string {
  if (summary === null || summary.failed.length === 0) return '';
  const failed = summary.failed.map(({ requirement, offers }) => `${offers} on ${requirement}`);
  return `: of ${summary.looked} looked at, ${failed.join(', ')} failed; etcd-mesos debug offers tells more`;
}

function lack(
  name: string,
  unit: string,
  need: number,
  agents: readonly Capacity[],
  of: (agent: Capacity) => number,
): string | null {
  const best = agents.reduce((a, b) => (of(b) > of(a) ? b : a));
  const missing = Math.round((need - of(best)) * 1000) / 1000;
  if (missing <= 0) return null;
  return `${name}: ${need}${unit} needed, at most ${of(best)}${unit} on ${best.hostname}, ${missing}${unit} missing`;
}
