import type { Ids } from '../base/ports.ts';
import type {
  FrameworkInfo,
  HealthCheck,
  InverseOffer,
  Offer,
  SchedulerEvent,
  TaskInfo,
  TaskStatus,
} from '../mesos/wire.ts';
import type { Authorizer } from './acls.ts';
import type { MasterAuthentication } from './authentication.ts';
import type { Drain } from './drain.ts';
import type { Instant } from './instant.ts';
import type { InverseAnswer } from './inverse-offers.ts';
import type { MaintenanceState } from './maintenance-state.ts';
import type { LocalMasterInfo } from './master-info.ts';
import type { MasterOutput } from './master-io.ts';
import type {
  AgentDescription,
  AgentExecutor,
  AgentOperation,
  AgentTask,
  MasterToAgent,
} from './messages.ts';
import type { ResourceOperation } from './operations.ts';
import { addResources, type Resources, subtractResources, withoutAllocation } from './resources.ts';
import { isTerminal } from './task-status.ts';

/** What a master of the local Mesos knows, shared by the files that each do a part of its work. */
export interface Master {
  readonly config: MasterConfig;
  /** Whether it leads; one that was started alone always does. */
  leadership: MasterStanding;
  readonly ids: Ids;
  /** Of the input that is being handled. */
  now: Instant;
  outputs: MasterOutput[];
  /** Agents whose resources are to be offered at once, when the input has been handled; `all` for every one. */
  allocateNow: 'all' | Set<string>;
  /** By id, oldest first, as are all maps here. */
  readonly frameworks: Map<string, Framework>;
  readonly completedFrameworks: Map<string, Framework>;
  /** Registered ones, connected or not. */
  readonly agents: Map<string, Agent>;
  readonly links: Map<string, string>;
  /** Admitted by an earlier leader and not back since this one was elected. */
  readonly recoveredAgents: Map<string, AgentDescription>;
  /** When those that are not back by then become unreachable; `null` where there are none. */
  recoveredDueMs: number | null;
  readonly unreachableAgents: Map<string, { readonly sinceWallMs: number }>;
  readonly goneAgents: Set<string>;
  /** By agent: those whose operator wants them rid of all tasks. */
  readonly drains: Map<string, Drain>;
  /** Agents that are offered to nobody, whatever runs there. */
  readonly deactivated: Set<string>;
  readonly maintenance: MaintenanceState;
  /** By id, which is unique among offers and inverse offers. */
  readonly inverseOffers: Map<string, OpenInverseOffer>;
  /** By agent and framework. */
  readonly inverseAnswers: Map<string, Map<string, InverseAnswer>>;
  readonly offers: Map<string, OutstandingOffer>;
  /** By the master's own name of them. */
  readonly operations: Map<string, OperationRecord>;
  nextFramework: number;
  nextAgent: number;
  nextOffer: number;
}

/** One of several masters leads; the others know who that is, as soon as there is one, and send everybody there. */
export type MasterStanding =
  | { readonly kind: 'leading'; readonly electedWallMs: number }
  | { readonly kind: 'standby'; readonly leader: LocalMasterInfo | null };

export interface MasterConfig {
  readonly masterId: string;
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  readonly domain: AgentDescription['domain'];
  readonly startedAt: Instant;
  readonly allocationIntervalMs: number;
  readonly agentPingTimeoutMs: number;
  readonly agentPingTimeoutsMax: number;
  readonly agentReregisterTimeoutMs: number;
  readonly healthCheckTypes: ReadonlySet<HealthCheck['type']>;
  /** `null`: nobody has to say who they are. */
  readonly authentication: MasterAuthentication | null;
  readonly authorize: Authorizer;
}

export interface Framework {
  readonly id: string;
  info: FrameworkInfo;
  /** `null` while no scheduler is subscribed. */
  stream: { readonly exchange: string; readonly streamId: string; nextHeartbeatMs: number } | null;
  /** Known only from agents: no scheduler has subscribed to this master yet. */
  recovered: boolean;
  readonly registeredWallMs: number;
  reregisteredWallMs: number;
  unregisteredWallMs: number | null;
  /** When it is removed unless a scheduler subscribes. */
  failoverDueMs: number | null;
  readonly suppressed: Set<string>;
  /** By {@link filterKey}: what it does not want to be offered until when. */
  readonly filters: Map<string, Filter[]>;
  /** By agent: until when it does not want to be asked for it. */
  readonly inverseFilters: Map<string, number>;
  readonly tasks: Map<string, Task>;
  readonly unreachableTasks: Map<string, Task>;
  readonly completedTasks: Task[];
}

export interface Filter {
  readonly resources: Resources;
  readonly untilMs: number;
}

export interface Task {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly role: string;
  readonly info: TaskInfo;
  /** Of the executor that its group was launched under; `null` for a command task. */
  readonly executorId: string | null;
  /** The newest state that its agent knows: a terminal one has freed its resources. */
  state: TaskStatus['state'];
  /** The newest state that its framework was sent; `null` before the first. */
  updateState: TaskStatus['state'] | null;
  updateUuid: string | null;
  /** One of each state in a row, the newest of it. */
  statuses: TaskStatus[];
}

export interface Agent {
  readonly id: string;
  readonly description: AgentDescription;
  /** `null` while it is away; its pings go unanswered then. */
  link: string | null;
  readonly registeredWallMs: number;
  reregisteredWallMs: number | null;
  /** With its dynamic reservations and volumes. */
  total: Resources;
  /** Executors of task groups that run there, by {@link executorKey}. */
  readonly executors: Map<string, AgentExecutor>;
  /** Kills that are to be told when it comes back. */
  readonly killsPending: Map<string, MasterToAgent>;
  nextPingMs: number;
  pinged: boolean;
  pingTimeouts: number;
}

export interface OutstandingOffer {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly role: string;
  readonly offer: Offer;
}

export interface OpenInverseOffer {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly offer: InverseOffer;
}

export interface OperationRecord {
  readonly uuid: string;
  readonly frameworkId: string;
  readonly agentId: string;
  readonly operation: ResourceOperation;
  /** `null` until the agent has told. */
  outcome: AgentOperation | null;
}

/** Bounds of what is remembered of the past; Mesos's own defaults. */
export const COMPLETED_FRAMEWORKS_MAX = 50;
export const TASKS_REMEMBERED_MAX = 1000;
export const AGENTS_REMEMBERED_MAX = 10_000;
/** Frameworks at a time: more is a client gone wild. */
export const FRAMEWORKS_MAX = 1000;
/** Operations that were not acknowledged; beyond it new ones fail. */
export const OPERATIONS_MAX = 10_000;
/** Refusals of one framework for one agent and role that are kept; the oldest go. */
export const FILTERS_MAX = 100;

export function pidOfMaster({ ip, port }: MasterConfig): string {
  return `master@${hostPort(ip, port)}`;
}

export function pidOfAgent({ ip, port }: AgentDescription): string {
  return `slave(1)@${hostPort(ip, port)}`;
}

/** The agent as offers and inverse offers name it. */
export function urlOfAgent(description: AgentDescription) {
  const { hostname, ip, port } = description;
  const pid = pidOfAgent(description);
  return {
    scheme: 'http',
    address: { hostname, ip, port },
    path: `/${pid.slice(0, pid.indexOf('@'))}`,
  };
}

/** Offers and inverse offers are numbered together. */
export function nextOfferId(master: Master): string {
  const id = `${master.config.masterId}-O${master.nextOffer}`;
  master.nextOffer += 1;
  return id;
}

/** Connected, and offered where anything of it is free. */
export function isActive(master: Master, agent: Agent): boolean {
  return agent.link !== null && !master.deactivated.has(agent.id);
}

/** Masters show what they know in this order. */
export function newestFirst<Value>(entries: ReadonlyMap<string, Value>): readonly Value[] {
  return [...entries.values()].reverse();
}

function hostPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Sends `event` to the framework's scheduler, if there is one. */
export function tell(master: Master, framework: Framework, event: SchedulerEvent): void {
  if (framework.stream === null) return;
  master.outputs.push({
    kind: 'record',
    exchange: framework.stream.exchange,
    json: JSON.stringify(event),
  });
}

/** Sends `message` to an agent; it is lost while the agent is away. */
export function sendToAgent(master: Master, agent: Agent, message: MasterToAgent): void {
  if (agent.link !== null) master.outputs.push({ kind: 'send', link: agent.link, message });
}

/** Has the agent's free resources offered as soon as the present input is done. */
export function allocateSoon(master: Master, agentId: string | 'all'): void {
  if (agentId === 'all') master.allocateNow = 'all';
  else if (master.allocateNow !== 'all') master.allocateNow.add(agentId);
}

export function filterKey(role: string, agentId: string): string {
  return `${agentId} ${role}`;
}

/** The tasks on an agent, of all frameworks. */
export function tasksOn(master: Master, agentId: string): readonly Task[] {
  return [...master.frameworks.values()].flatMap((framework) =>
    [...framework.tasks.values()].filter((task) => task.agentId === agentId),
  );
}

export function offersOn(master: Master, agentId: string): readonly OutstandingOffer[] {
  return [...master.offers.values()].filter((offer) => offer.agentId === agentId);
}

/** What the tasks take: those that have ended take nothing. */
export function usedBy(tasks: Iterable<Task>): Resources {
  let used: Resources = [];
  for (const task of tasks) if (!isTerminal(task.state)) used = addResources(used, task.info.resources);
  return used;
}

/** What of an agent is in use: by tasks, and by executors of task groups as long as they run. */
export function usedOn(master: Master, agent: Agent): Resources {
  return withExecutors(usedBy(tasksOn(master, agent.id)), [...agent.executors.values()]);
}

/** What a framework uses, on all agents. */
export function usedByFramework(master: Master, framework: Framework): Resources {
  const executors = [...master.agents.values()].flatMap((agent) => [...agent.executors.values()]);
  const own = executors.filter(({ frameworkId }) => frameworkId === framework.id);
  return withExecutors(usedBy(framework.tasks.values()), own);
}

function withExecutors(used: Resources, executors: readonly AgentExecutor[]): Resources {
  return executors.reduce((sum, { executor }) => addResources(sum, executor.resources), used);
}

export function executorKey(frameworkId: string, executorId: string): string {
  return `${frameworkId} ${executorId}`;
}

export function offeredIn(offers: Iterable<OutstandingOffer>): Resources {
  let offered: Resources = [];
  for (const { offer } of offers) offered = addResources(offered, offer.resources);
  return offered;
}

/** What of an agent is neither used nor on offer, in the order of all that it has. */
export function availableOn(master: Master, agent: Agent): Resources {
  const used = usedOn(master, agent);
  const offered = offeredIn(offersOn(master, agent.id));
  return subtractResources(
    subtractResources(agent.total, withoutAllocation(used)),
    withoutAllocation(offered),
  );
}

/** Takes an offer back without a word: what it held is free again. */
export function forgetOffer(master: Master, offerId: string): void {
  master.offers.delete(offerId);
}

/** Takes an offer back and says so. */
export function rescindOffer(master: Master, outstanding: OutstandingOffer): void {
  master.offers.delete(outstanding.offer.id.value);
  const framework = master.frameworks.get(outstanding.frameworkId);
  if (framework === undefined) return;
  tell(master, framework, { type: 'RESCIND', rescind: { offer_id: outstanding.offer.id } });
}

/** Moves a task to the framework's bounded past. */
export function completeTask(framework: Framework, task: Task): void {
  framework.tasks.delete(task.info.task_id.value);
  framework.completedTasks.push(task);
  if (framework.completedTasks.length > TASKS_REMEMBERED_MAX) framework.completedTasks.shift();
}

/** Drops the oldest of `entries` beyond `max`. */
export function keepNewest<Key>(entries: Map<Key, unknown> | Set<Key>, max: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(key);
  }
}

/** A task as its agent tells of it. */
export function toTask(
  agentId: string,
  { frameworkId, role, task, executorId, status, state }: AgentTask,
): Task {
  return {
    frameworkId,
    agentId,
    role,
    info: task,
    executorId: executorId ?? null,
    state,
    updateState: status?.state ?? null,
    updateUuid: status?.uuid ?? null,
    statuses: status === null ? [] : [status],
  };
}

/** A task that is launched now. */
export function newTask(
  agentId: string,
  frameworkId: string,
  role: string,
  info: TaskInfo,
  executorId: string | null = null,
): Task {
  return toTask(agentId, {
    frameworkId,
    role,
    task: info,
    ...(executorId === null ? {} : { executorId }),
    status: null,
    state: 'TASK_STAGING',
  });
}

/** A framework of which nothing is known but its info. */
export function emptyFramework(master: Master, id: string, info: FrameworkInfo): Framework {
  return {
    id,
    info: { ...info, id: { value: id } },
    stream: null,
    recovered: false,
    registeredWallMs: master.now.wallMs,
    reregisteredWallMs: master.now.wallMs,
    unregisteredWallMs: null,
    failoverDueMs: null,
    suppressed: new Set(),
    filters: new Map(),
    inverseFilters: new Map(),
    tasks: new Map(),
    unreachableTasks: new Map(),
    completedTasks: [],
  };
}
