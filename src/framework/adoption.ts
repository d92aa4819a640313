import type {
  OperatorAgents,
  OperatorFrameworks,
  OperatorTask,
  OperatorTasks,
} from '../mesos/operator-types.ts';
import type { Resource } from '../mesos/wire.ts';
import { CLUSTER_SIZES, isNameTaskId, taskIdOf, USUAL_CLUSTER_SIZE } from '../protocol/identifiers.ts';
import { peerUrlOf } from '../protocol/launch.ts';
import type { EtcdMember, MemberStatus } from '../protocol/member-status.ts';
import {
  atRest,
  type ClusterRecord,
  type Leaving,
  newEpoch,
  RECORD_SCHEMA_VERSION,
  type Seat,
} from '../protocol/record.ts';
import { tokenOf } from '../reconcile/formation.ts';
import { slotIndexOf } from '../reconcile/pass.ts';
import { type SchedulerConfig, SchedulerError } from './config.ts';
import { type Ownership, ownerOf, readLabels, readLayout } from './labels.ts';
import { rounded } from './resources.ts';
import { walVolumeId } from './seat-resources.ts';
import { evidenceOf } from './task-evidence.ts';

/** Making a record out of what is found in Mesos and what the supervisors say. Pure. */

/** What the master tells of everybody. */
export interface MasterFacts {
  readonly frameworks: OperatorFrameworks;
  readonly agents: OperatorAgents;
  readonly tasks: OperatorTasks;
}

/** What of it is under our framework's name. */
export interface Findings {
  /** Ids of registered frameworks of our name, the newest last, and whether a scheduler is connected there. */
  readonly frameworks: readonly { readonly id: string; readonly connected: boolean }[];
  /** Agents that have not come back since the master was elected: what they hold is not known yet. */
  readonly agentsAwaited: number;
  readonly seats: readonly FoundSeat[];
  /** Ended tasks of a framework that is still registered, whose data ended with their sandboxes. For people. */
  readonly endedSandboxes: readonly string[];
}

/** A reservation under our label, or a task whose reservation is not to be seen. */
export interface FoundSeat {
  readonly owner: Ownership;
  readonly agentId: string;
  readonly agentAddress: string | undefined;
  readonly hostname: string;
  readonly host: string;
  readonly zone: string | null;
  readonly region: string | null;
  readonly resources: readonly Resource[];
  /** The task that may run there: known to the master and not over. */
  readonly live: OperatorTask | null;
  /** The newest one that is over. */
  readonly ended: OperatorTask | null;
  /** The name task that may run beside it. */
  readonly name: OperatorTask | null;
}

export function findOurs(facts: MasterFacts, name: string): Findings {
  const all = [
    ...facts.tasks.tasks,
    ...facts.tasks.unreachable_tasks,
    ...facts.tasks.orphan_tasks,
    ...facts.tasks.completed_tasks,
  ].flatMap((task) => {
    const owner = readLabels(task.labels);
    return owner?.framework === name ? [{ task, owner }] : [];
  });
  const isOver = ({ task }: { task: OperatorTask }): boolean => endOf(task) !== null;
  const isName = ({ task }: { task: OperatorTask }): boolean => isNameTaskId(task.task_id.value);
  const tasks = all.filter((one) => !isName(one));
  const names = all.filter((one) => isName(one) && !isOver(one));
  const seats = new Map<string, FoundSeat>();
  for (const agent of facts.agents.agents) {
    const { agent_info: info, total_resources: resources = [] } = agent;
    for (const resource of resources) {
      const owner = ownerOf(resource);
      if (owner?.framework !== name) continue;
      const key = `${info.id.value} ${owner.seat}`;
      const before = seats.get(key);
      seats.set(key, {
        owner,
        ...whereabouts(agent),
        resources: [...(before?.resources ?? []), resource],
        live: tasks.find((one) => one.owner.seat === owner.seat && !isOver(one))?.task ?? null,
        ended: tasks.findLast((one) => one.owner.seat === owner.seat && isOver(one))?.task ?? null,
        name: names.find((one) => one.owner.seat === owner.seat)?.task ?? null,
      });
    }
  }
  const seen = new Set([...seats.values()].map((seat) => seat.owner.seat));
  const unseen = tasks.filter((one) => !isOver(one) && !seen.has(one.owner.seat));
  const bySandbox = unseen.map(({ task, owner }): FoundSeat => {
    const agent = facts.agents.agents.find(({ agent_info: info }) => info.id.value === task.agent_id.value);
    const isSandbox = readLayout(task.labels).storage === 'sandbox';
    if (agent === undefined || !isSandbox) return hiddenSeat(task, owner);
    const name = names.find((one) => one.owner.seat === owner.seat)?.task ?? null;
    return { owner, ...whereabouts(agent), resources: task.resources ?? [], live: task, ended: null, name };
  });
  const frameworks = facts.frameworks.frameworks
    .filter(({ framework_info: info }) => info.name === name && info.id !== undefined)
    .map(({ framework_info: info, connected }) => ({ id: info.id?.value ?? '', connected }));
  const registered = new Set(frameworks.map(({ id }) => id));
  const endedSandboxes = tasks.filter(
    (one) =>
      isOver(one) &&
      registered.has(one.task.framework_id.value) &&
      readLayout(one.task.labels).storage === 'sandbox',
  );
  return {
    frameworks,
    endedSandboxes: endedSandboxes.map(({ task }) => task.task_id.value),
    agentsAwaited: facts.agents.recovered_agents.length,
    seats: [...seats.values(), ...bySandbox],
  };
}

function whereabouts({
  agent_info: info,
  pid,
}: OperatorAgents['agents'][number]): Pick<
  FoundSeat,
  'agentId' | 'agentAddress' | 'hostname' | 'host' | 'zone' | 'region'
> {
  const address = pid?.split('@')[1];
  return {
    agentId: info.id.value,
    agentAddress: address,
    hostname: info.hostname,
    host: address?.slice(0, address.lastIndexOf(':')) ?? info.hostname,
    zone: info.domain?.fault_domain?.zone.name ?? null,
    region: info.domain?.fault_domain?.region.name ?? null,
  };
}

/** A task on an agent that the master does not see at present: where it is, and what it has, is not known. */
function hiddenSeat(task: OperatorTask, owner: Ownership): FoundSeat {
  const agentId = task.agent_id.value;
  return {
    owner,
    agentId,
    agentAddress: undefined,
    hostname: agentId,
    host: '',
    zone: null,
    region: null,
    resources: [],
    live: task,
    ended: null,
    name: null,
  };
}

/** The newest status says who knows; but a task that went with its agent may have none that tells of that. */
function endOf(task: OperatorTask): Seat['taskEnd'] {
  const newest = task.statuses?.at(-1);
  const status = newest?.state === task.state ? newest : { task_id: task.task_id, state: task.state };
  const evidence = evidenceOf(status, Math.round((status.timestamp ?? 0) * 1000));
  return evidence?.kind === 'over' ? evidence.end : null;
}

/** What the supervisor of a found seat answered. By seat id. */
export type Statuses = ReadonlyMap<string, MemberStatus>;

/**
 * The seats of the one cluster that is there, before anything is known of their data.
 * Throws a {@link SchedulerError} where there is not just one, or not all of it can be seen.
 */
export function adoptableSeats(
  findings: Findings,
  as: { readonly pinned: Seat['pinned']; readonly wallMs: number },
): readonly Seat[] {
  const clusters = [...new Set(findings.seats.map((found) => found.owner.cluster))];
  if (clusters.length > 1) {
    throw refuse(`reservations and tasks of ${clusters.length} clusters: ${clusters.join(', ')}`);
  }
  const visible = findings.seats.filter(isVisible);
  const incomplete = visible.filter((found) => portsOf(found) === null);
  if (incomplete.length > 0) {
    throw refuse(
      `reservations without three ports: ${incomplete.map((found) => found.owner.seat).join(', ')}`,
    );
  }
  return visible.map((found) => bareSeat(found, as));
}

/** Where it is, and what it has, is known. */
function isVisible(found: FoundSeat): boolean {
  return found.host !== '';
}

/**
 * What runs on an agent that the master does not see cannot be asked. It can be done without only where the others
 * speak for a quorum: then it is a member of theirs that is away, and is dealt with as such.
 */
function refuseHidden(findings: Findings, statuses: Statuses): void {
  const hidden = findings.seats.filter((found) => !isVisible(found));
  const isLed = [...statuses.values()].some((status) => status.probe?.confirmedMembers != null);
  if (hidden.length === 0 || isLed) return;
  const slots = hidden.map((found) => `${found.owner.slot} on agent ${found.agentId}`).join(', ');
  throw refuse(`tasks on agents that the master does not see at present: ${slots}`);
}

/** The seat of a place, before anything is known of its data; `null` where its ports are not all there. */
export function seatOf(
  found: FoundSeat,
  as: { readonly pinned: Seat['pinned']; readonly wallMs: number },
): Seat | null {
  return portsOf(found) === null ? null : bareSeat(found, as);
}

function bareSeat(found: FoundSeat, as: { pinned: Seat['pinned']; wallMs: number }): Seat {
  const { owner, resources } = found;
  const { nameShare, storage } = layoutOf(found);
  const task = found.live ?? found.ended;
  const volume = resources.find((resource) => volumeIdOf(resource) !== undefined && !isWal(resource, owner));
  const wal = resources.find((resource) => isWal(resource, owner));
  const walMb = wal?.scalar?.value ?? 0;
  return {
    id: owner.seat,
    slot: owner.slot,
    agentId: found.agentId,
    ...(found.agentAddress === undefined ? {} : { agentAddress: found.agentAddress }),
    hostname: found.hostname,
    zone: found.zone,
    region: found.region,
    // Offers tell of them.
    attributes: {},
    host: found.host,
    ports: portsOf(found) ?? { peer: 0, client: 0, supervisor: 0 },
    volumeId: (volume === undefined ? undefined : volumeIdOf(volume)) ?? owner.seat,
    storage,
    wal: wal === undefined ? null : { volumeId: walVolumeId(owner.seat), diskMb: walMb },
    nameShare,
    nameTask: found.name === null ? null : { task: found.name.task_id.value, launchedAtMs: as.wallMs },
    resources: {
      cpus: less(sum(resources, 'cpus'), nameShare?.cpus),
      memMb: less(sum(resources, 'mem'), nameShare?.memMb),
      diskMb: less(sum(resources, 'disk'), walMb),
    },
    // A seat whose last task nobody remembers gets the name of one that never was: the master denies it.
    task: task?.task_id.value ?? taskIdOf(owner.slot, `forgotten-${owner.seat}`),
    taskEnd: found.live === null && found.ended !== null ? endOf(found.ended) : null,
    launches: 2,
    launchedAtMs: as.wallMs,
    quickEnds: 0,
    pinned: as.pinned,
    data: null,
    absentMs: 0,
    lost: null,
    paused: null,
  };
}

function volumeIdOf(resource: Resource): string | undefined {
  return resource.disk?.persistence?.id;
}

function isWal(resource: Resource, owner: Ownership): boolean {
  return volumeIdOf(resource) === walVolumeId(owner.seat);
}

/**
 * As the labels tell, if all of them are there. Reservations without that label gave the lowest to peers, the next
 * to clients, the last to the supervisor. `null` where three are not there.
 */
function portsOf(found: FoundSeat): Seat['ports'] | null {
  const { resources } = found;
  const held = resources
    .flatMap((resource) => (resource.name === 'ports' ? (resource.ranges?.range ?? []) : []))
    .flatMap(({ begin, end }) => Array.from({ length: Math.min(8, end - begin + 1) }, (_, at) => begin + at))
    .sort((a, b) => a - b);
  const told = layoutOf(found).ports;
  if (told !== null) return Object.values(told).every((port) => held.includes(port)) ? told : null;
  const [peer, client, supervisor] = held;
  if (peer === undefined || client === undefined || supervisor === undefined) return null;
  return { peer, client, supervisor };
}

/** What the reservation tells of itself; or the task, where nothing is reserved. */
function layoutOf({ resources, live }: FoundSeat): ReturnType<typeof readLayout> {
  const labelled = resources.find((resource) => ownerOf(resource) !== null);
  return readLayout(labelled === undefined ? live?.labels : labelled.reservations?.at(-1)?.labels);
}

function less(amount: number, share = 0): number {
  return Math.max(0, rounded(amount - share));
}

function sum(resources: readonly Resource[], name: string): number {
  return resources.reduce((total, one) => total + (one.name === name ? (one.scalar?.value ?? 0) : 0), 0);
}

/**
 * The record of a cluster that runs, or did. Throws a {@link SchedulerError} where the supervisors contradict
 * each other, or none of them can say what the volumes hold.
 */
export function adoptRecord(input: {
  readonly config: SchedulerConfig;
  readonly findings: Findings;
  readonly seats: readonly Seat[];
  readonly statuses: Statuses;
  readonly wallMs: number;
  readonly freshId: string;
}): ClusterRecord {
  const { config, findings, seats, statuses, wallMs } = input;
  refuseHidden(findings, statuses);
  const identities = seats.flatMap((seat) => statuses.get(seat.id)?.identity ?? []);
  const started = identities.filter((identity) => identity.started);
  const cluster = findings.seats[0]?.owner.cluster ?? '';
  const generation = 1 + Math.max(0, ...[...statuses.values()].map((status) => status.fence.generation));
  const common = {
    schemaVersion: RECORD_SCHEMA_VERSION,
    cluster,
    framework: { name: config.framework.name, id: frameworkIdOf(findings) },
    generation,
    ...atRest(),
  };
  const made = (rest: Pick<ClusterRecord, 'epoch' | 'seats' | 'leaving'>): ClusterRecord => ({
    ...common,
    ...sizeOf(
      config.spec.size ?? USUAL_CLUSTER_SIZE,
      rest.seats.filter(({ lost }) => lost === null),
    ),
    ...rest,
  });
  if (started.length === 0) {
    const isRead = (seat: Seat): boolean => statuses.has(seat.id);
    if (!seats.every(isRead)) {
      return made({ epoch: adoptingEpoch(findings.seats, wallMs), seats: [...seats], leaving: [] });
    }
    return made(unborn(seats, identities, { cluster, wallMs, freshId: input.freshId }));
  }
  return made(formed(seats, statuses, started, wallMs));
}

/**
 * The size that the option says, unless more slots were found: an operator may have said that since, and to have
 * members removed it takes a new word.
 */
function sizeOf(option: number, seats: readonly Seat[]): Pick<ClusterRecord, 'size' | 'sizeOption'> {
  const slots = Math.max(0, ...seats.map(({ slot }) => slotIndexOf(slot) + 1));
  const size = CLUSTER_SIZES.find((one) => one >= Math.max(slots, option)) ?? option;
  return { size, sizeOption: size === option ? null : option };
}

/** Nobody tells yet what the places hold: their volumes will, once supervisors run on them. */
export function adoptingEpoch(found: readonly FoundSeat[], wallMs: number): ClusterRecord['epoch'] {
  const number = Math.max(1, ...found.map(({ owner }) => owner.epoch));
  return {
    ...newEpoch({ number, attempt: 1, token: 'not-read-yet', openedAtMs: wallMs }),
    source: { kind: 'adopted' },
    phase: 'adopting',
  };
}

type Identity = NonNullable<MemberStatus['identity']>;

/** Nothing was ever started: the birth begins anew, on the places that are there. */
function unborn(
  seats: readonly Seat[],
  identities: readonly Identity[],
  of: { cluster: string; wallMs: number; freshId: string },
): Pick<ClusterRecord, 'epoch' | 'seats' | 'leaving'> {
  const number = Math.max(1, ...identities.map((identity) => identity.epoch));
  const attempt = 1 + Math.max(0, ...identities.map((identity) => identity.attempt));
  const { kept, spare } = onePerSlot(seats);
  return {
    epoch: newEpoch({
      number,
      attempt,
      token: tokenOf(of.cluster, number, attempt, of.freshId),
      openedAtMs: of.wallMs,
    }),
    seats: kept,
    leaving: spare.map((seat) => leave(seat, 'its slot has another place', of.wallMs)),
  };
}

function onePerSlot(seats: readonly Seat[]): { kept: Seat[]; spare: Seat[] } {
  const kept = seats.filter((seat, at) => seats.findIndex((other) => other.slot === seat.slot) === at);
  return { kept, spare: seats.filter((seat) => !kept.includes(seat)) };
}

function formed(
  seats: readonly Seat[],
  statuses: Statuses,
  started: readonly Identity[],
  wallMs: number,
): Pick<ClusterRecord, 'epoch' | 'seats' | 'leaving'> {
  const number = Math.max(...started.map((identity) => identity.epoch));
  const newest = started.filter((identity) => identity.epoch === number);
  const attempt = one(
    'attempts',
    newest.map((identity) => String(identity.attempt)),
  );
  const token = one(
    'cluster tokens',
    newest.map((identity) => identity.token),
  );
  const probes = [...statuses.values()].flatMap((status) =>
    status.identity?.epoch === number && status.probe !== null ? [status.probe] : [],
  );
  const confirmed = probes.find((probe) => probe.confirmedMembers !== null);
  const told = newest.flatMap((identity) => identity.clusterId ?? []);
  const clusterId = one('etcd cluster ids', [
    ...(confirmed === undefined ? [] : [confirmed.clusterId]),
    ...(told.length > 0 ? told : probes.map((probe) => probe.clusterId)),
  ]);
  const members = confirmed?.confirmedMembers ?? probes[0]?.localMembers ?? null;
  const judged = seats.map((seat) => {
    const status = statuses.get(seat.id);
    return withData(seat, status, members, { number, attempt: Number(attempt) });
  });
  // Who a quorum does not list is not a member; without a quorum nobody is given up. What lies on its volume stays
  // until the slot has another member that votes (S8).
  const unlisted = { cause: 'data', message: 'the cluster that was adopted does not list it' } as const;
  const isOut = (seat: Seat): boolean => confirmed !== undefined && seat.data?.memberId == null;
  return {
    epoch: {
      number,
      attempt: Number(attempt),
      token,
      source: { kind: 'adopted' },
      phase: 'formed',
      openedAtMs: wallMs,
      waitedMs: 0,
      members: [],
      clusterId,
    },
    seats: judged.map((seat) => (isOut(seat) ? { ...seat, lost: unlisted } : seat)),
    leaving: [],
  };
}

function withData(
  seat: Seat,
  status: MemberStatus | undefined,
  members: readonly EtcdMember[] | null,
  epoch: { number: number; attempt: number },
): Seat {
  const listed = members?.find((member) => member.peerUrls.includes(peerUrlOf(seat)));
  const identity = status?.identity ?? null;
  if (status !== undefined && listed === undefined && identity?.started !== true) return seat;
  return {
    ...seat,
    data: {
      epoch: epoch.number,
      attempt: epoch.attempt,
      // A place that does not answer may hold data: it is never prepared again.
      started: true,
      memberId: listed?.id ?? (members === null ? (identity?.memberId ?? null) : null),
      floor: status?.floor ?? null,
    },
  };
}

/** The one value that all agree on. */
function one(what: string, values: readonly string[]): string {
  const different = [...new Set(values)];
  const [value] = different;
  if (value === undefined) throw refuse(`members that were started, and none of them tells of its ${what}`);
  if (different.length > 1) throw refuse(`members with different ${what}: ${different.join(', ')}`);
  return value;
}

function leave(seat: Seat, reason: string, sinceMs: number): Leaving {
  return { seat, reason, sinceMs };
}

/**
 * The framework that the tasks run under; else the one that the ended ones belong to, whose updates nobody else
 * acknowledges; else the newest registered one of our name.
 */
export function frameworkIdOf(findings: Findings): string | null {
  const running = [...new Set(findings.seats.flatMap((seat) => seat.live?.framework_id.value ?? []))];
  if (running.length > 1) throw refuse(`tasks under ${running.length} framework ids: ${running.join(', ')}`);
  const known = findings.frameworks.map((framework) => framework.id);
  const [id] = running;
  if (id !== undefined && !known.includes(id)) {
    throw refuse(`tasks under framework id ${id}, which is not registered any more`);
  }
  const ended = new Set(
    findings.seats.flatMap((seat) => [seat.ended, seat.name].map((task) => task?.framework_id.value)),
  );
  return id ?? known.findLast((one) => ended.has(one)) ?? known.at(-1) ?? null;
}

/** The error of a start that can neither be the first nor adopt what is there. */
export function refuse(found: string): SchedulerError {
  return new SchedulerError('not-a-first-start', `no cluster record is stored, and Mesos holds ${found}`, {
    hint:
      'Start with the state directory of that cluster. If it is to be given up, tear its framework down; ' +
      '--bootstrap=new begins another cluster and leaves what is there alone.',
  });
}
