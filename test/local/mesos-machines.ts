import type { Ids } from '../../src/base/ports.ts';
import type { Authorizer } from '../../src/local/acls.ts';
import {
  type AgentCheckpoint,
  type AgentInput,
  type AgentMachine,
  type AgentOutput,
  createAgentMachine,
} from '../../src/local/agent-machine.ts';
import type { ContainerEvent, ContainerSpec, GroupSpec } from '../../src/local/container-runtime.ts';
import {
  createMasterMachine,
  type MasterInput,
  type MasterMachine,
  type MasterOutput,
} from '../../src/local/master-machine.ts';
import type { AgentDescription, MasterToAgent } from '../../src/local/messages.ts';
import type { Registry } from '../../src/local/registry.ts';
import type {
  FrameworkInfo,
  Offer,
  Operation,
  OperationStatus,
  Resource,
  SchedulerEvent,
  TaskInfo,
  TaskStatus,
} from '../../src/mesos/wire.ts';

/** Master and agent machines in memory, wired without delay; time moves when told to. */
export interface Machines {
  readonly agents: readonly TestAgent[];
  nowMs(): number;
  /** Lets everything happen that is due in the next `ms`. */
  advance(ms: number): void;
  subscribe(info?: Partial<FrameworkInfo>, suppressedRoles?: readonly string[]): TestScheduler;
  request(request: TestRequest): TestAnswer;
  /** A POST of JSON to the operator API. */
  operator(body: unknown): TestAnswer;
  /**
   * The master's process is gone; another starts and the agents find it: all of them unless some are named. One
   * of several goes on from what the last one stored.
   */
  restartMaster(returning?: readonly TestAgent[]): void;
}

export interface MachinesOptions {
  /** The master is one of several that follow each other. */
  readonly severalMasters?: boolean;
  /** Who may do what. Default: everybody everything. */
  readonly authorize?: Authorizer;
}

export interface TestAgent {
  readonly description: AgentDescription;
  /** Containers that were launched here, oldest first. */
  readonly launched: ContainerSpec[];
  readonly launchedGroups: GroupSpec[];
  readonly kills: { readonly containerId: string; readonly graceMs: number }[];
  readonly destroyed: string[];
  readonly volumes: Set<string>;
  readonly sent: { readonly kind: string; readonly atMs: number }[];
  checkpoint(): AgentCheckpoint | null;
  agentId(): string | null;
  /** The newest container says something. */
  says(event: ContainerEvent, index?: number): void;
  /** The newest container starts and runs. */
  runs(index?: number): void;
  tell(input: AgentInput): void;
  /** The connection to the master breaks, or is made again. */
  unlink(): void;
  link(): void;
  /** The agent's process is killed; its containers live on. */
  crash(): void;
  start(): void;
  wipe(): void;
  readonly exited: string | null;
  /** SIGSTOP and SIGCONT. */
  paused: boolean;
  /** What the master says is under way while this is set. */
  holding: boolean;
}

export interface TestScheduler {
  readonly frameworkId: string;
  readonly info: FrameworkInfo;
  readonly events: SchedulerEvent[];
  readonly ended: boolean;
  call(body: Record<string, unknown>): TestAnswer;
  drop(): void;
  /** Subscribes again with the same framework id. */
  failOver(): TestScheduler;
  /** Offers that were made and not withdrawn, whatever became of them. */
  offers(): readonly Offer[];
  updates(): readonly TaskStatus[];
  operations(): readonly OperationStatus[];
  states(): readonly string[];
  accept(offer: Offer, operations: readonly Operation[], refuseSeconds?: number): void;
  launch(offer: Offer, taskId: string, given?: Partial<TaskInfo>): void;
  acknowledge(status: TaskStatus | undefined): void;
  acknowledgeAll(): void;
}

/** A scheduler on a Mesos of one agent, and the offer that it was made. */
export function subscribed() {
  const machines = createMachines();
  const [agent] = machines.agents as [TestAgent];
  const scheduler = machines.subscribe();
  const [offer] = scheduler.offers();
  if (offer === undefined) throw new Error('there is no offer');
  return { machines, agent, scheduler, offer };
}

/** A task `t` runs on the first of two agents, all is acknowledged, and what is left of the agent is on offer again. */
export function runningTask(options?: MachinesOptions) {
  const machines = createMachines([describeAgent(1), describeAgent(2)], options);
  const scheduler = machines.subscribe();
  const agent = machines.agents[0] as TestAgent;
  const offer = scheduler.offers().find(({ hostname }) => hostname === agent.description.hostname);
  if (offer === undefined) throw new Error('there is no offer');
  scheduler.launch(offer, 't');
  agent.runs();
  scheduler.acknowledgeAll();
  machines.advance(2000);
  return { machines, scheduler, agent, agentId: agent.agentId() ?? '' };
}

export interface TestRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}
export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const WALL_MS = 1_700_000_000_000;

export function scalar(name: string, value: number, role = 'etcd'): Resource {
  return { name, type: 'SCALAR', scalar: { value }, allocation_info: { role } };
}

export function describeAgent(number: number, given: Partial<AgentDescription> = {}): AgentDescription {
  const plain = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } });
  const begin = 30_000 + number * 1000;
  return {
    hostname: `agent-${number}`,
    ip: '127.0.0.1',
    port: 5050 + number,
    resources: [
      plain('cpus', 4),
      plain('mem', 1024),
      plain('disk', 1024),
      { name: 'ports', type: 'RANGES', ranges: { range: [{ begin, end: begin + 99 }] } },
    ],
    attributes: [],
    domain: null,
    ...given,
  };
}

export function createMachines(
  descriptions: readonly AgentDescription[] = [describeAgent(1)],
  options: MachinesOptions = {},
): Machines {
  const ids = countingIds();
  const schedulers = new Map<string, { events: SchedulerEvent[]; ended: boolean }>();
  const answers = new Map<string, TestAnswer>();
  let nowMs = 1000;
  let names = 0;
  const now = () => ({ monotonicMs: nowMs, wallMs: WALL_MS + nowMs });
  let registry: Registry | null = null;
  const standsBy = options.severalMasters === true;
  const newMaster = (): MasterMachine => {
    const startedAt = now();
    return createMasterMachine({
      ids,
      hostname: 'master',
      ip: '127.0.0.1',
      port: 5050,
      startedAt,
      standsBy,
      ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
    });
  };
  let master = newMaster();

  const agents = descriptions.map((description) => createTestAgent(description));
  const machines: Machines = {
    agents,
    nowMs: () => nowMs,
    advance(ms) {
      const endMs = nowMs + ms;
      for (let steps = 0; steps < 1_000_000; steps += 1) {
        const wakes = agents.map((agent) => agent.wakeMs() ?? Number.POSITIVE_INFINITY);
        const dueMs = Math.max(nowMs, Math.min(master.nextWakeMs(), ...wakes));
        if (dueMs > endMs) break;
        nowMs = dueMs;
        for (const agent of agents) if ((agent.wakeMs() ?? Infinity) <= nowMs) agent.tell({ kind: 'tick' });
        if (master.nextWakeMs() <= nowMs) toMaster({ kind: 'tick' });
      }
      nowMs = endMs;
    },
    subscribe: (info = {}, suppressed = []) => subscribe(info, suppressed),
    request,
    operator: (body) => request({ path: '/api/v1', body: JSON.stringify(body) }),
    restartMaster(returning = agents) {
      master = newMaster();
      if (standsBy) toMaster({ kind: 'elected', registry });
      for (const agent of agents) agent.unlink();
      for (const agent of agents) if (returning.includes(agent)) agent.link();
    },
  };
  if (standsBy) toMaster({ kind: 'elected', registry });
  for (const agent of agents) agent.start();
  return machines;

  function toMaster(input: MasterInput): void {
    for (const output of master.handle(input, now())) carryOut(output);
  }

  function carryOut(output: MasterOutput): void {
    if (output.kind === 'respond') answers.set(output.exchange, output);
    else if (output.kind === 'open-stream') answers.set(output.exchange, { ...output, body: '' });
    else if (output.kind === 'record') {
      schedulers.get(output.exchange)?.events.push(JSON.parse(output.json) as SchedulerEvent);
    } else if (output.kind === 'close-stream') {
      const scheduler = schedulers.get(output.exchange);
      if (scheduler !== undefined) scheduler.ended = true;
    } else if (output.kind === 'store') {
      // What is written down must survive being written down.
      registry = JSON.parse(JSON.stringify(output.registry)) as Registry;
    } else if (output.kind === 'send') {
      agents.find((agent) => agent.linkName() === output.link)?.receive(output.message);
    }
  }

  function request(
    { method = 'POST', path, headers = {}, body = '' }: TestRequest,
    given?: string,
  ): TestAnswer {
    names += 1;
    const exchange = given ?? `exchange-${names}`;
    toMaster({
      kind: 'request',
      exchange,
      method,
      path,
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    const answer = answers.get(exchange);
    if (answer === undefined) throw new Error(`${method} ${path} was not answered`);
    return answer;
  }

  function subscribe(given: Partial<FrameworkInfo>, suppressed: readonly string[]): TestScheduler {
    const info: FrameworkInfo = {
      user: 'root',
      name: 'test',
      roles: ['etcd'],
      failover_timeout: 600,
      checkpoint: true,
      capabilities: ['MULTI_ROLE', 'PARTITION_AWARE', 'TASK_KILLING_STATE', 'RESERVATION_REFINEMENT'].map(
        (type) => ({ type }),
      ),
      ...given,
    };
    names += 1;
    const exchange = `stream-${names}`;
    const state = { events: [] as SchedulerEvent[], ended: false };
    schedulers.set(exchange, state);
    const call = { type: 'SUBSCRIBE', ...(info.id === undefined ? {} : { framework_id: info.id }) };
    const answer = request(
      {
        path: '/api/v1/scheduler',
        body: JSON.stringify({ ...call, subscribe: { framework_info: info, suppressed_roles: suppressed } }),
      },
      exchange,
    );
    const [first] = state.events;
    const frameworkId = first?.type === 'SUBSCRIBED' ? first.subscribed.framework_id.value : '';
    const streamId = answer.headers['mesos-stream-id'] ?? '';
    const post = (body: Record<string, unknown>): TestAnswer =>
      request({
        path: '/api/v1/scheduler',
        headers: { 'mesos-stream-id': streamId },
        body: JSON.stringify({ framework_id: { value: frameworkId }, ...body }),
      });
    return testScheduler({ state, frameworkId, info, post, exchange });
  }

  function testScheduler(given: {
    state: { events: SchedulerEvent[]; ended: boolean };
    frameworkId: string;
    info: FrameworkInfo;
    post: (body: Record<string, unknown>) => TestAnswer;
    exchange: string;
  }): TestScheduler {
    const { state, frameworkId, info, post } = given;
    const { events } = state;
    const acknowledged = new Set<string>();
    const scheduler: TestScheduler = {
      frameworkId,
      info,
      events,
      get ended() {
        return state.ended;
      },
      call: post,
      drop: () => toMaster({ kind: 'stream-closed', exchange: given.exchange }),
      failOver: () => subscribe({ ...info, id: { value: frameworkId } }, []),
      offers: () => events.flatMap((event) => (event.type === 'OFFERS' ? event.offers.offers : [])),
      updates: () =>
        events.flatMap((event) => (event.type === 'UPDATE' ? [event.update.status as TaskStatus] : [])),
      operations: () =>
        events.flatMap((event) =>
          event.type === 'UPDATE_OPERATION_STATUS' ? [event.update_operation_status.status] : [],
        ),
      states: () => scheduler.updates().map(({ task_id, state: word }) => `${task_id.value} ${word}`),
      accept: (offer, operations, refuseSeconds = 1) => {
        const filters = { refuse_seconds: refuseSeconds };
        post({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations, filters } });
      },
      launch: (offer, taskId, more = {}) => {
        const task: TaskInfo = {
          name: taskId,
          task_id: { value: taskId },
          agent_id: offer.agent_id,
          resources: [scalar('cpus', 1), scalar('mem', 64)],
          command: { shell: true, value: 'sleep 600' },
          ...more,
        };
        scheduler.accept(offer, [{ type: 'LAUNCH', launch: { task_infos: [task] } }]);
      },
      acknowledge: (status) => {
        const { uuid, agent_id, task_id } = status ?? {};
        if (uuid === undefined) throw new Error('there is nothing to acknowledge');
        acknowledged.add(uuid);
        post({ type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } });
      },
      acknowledgeAll: () => {
        const next = () =>
          scheduler.updates().find(({ uuid }) => uuid !== undefined && !acknowledged.has(uuid));
        for (let status = next(); status !== undefined; status = next()) scheduler.acknowledge(status);
      },
    };
    return scheduler;
  }

  function createTestAgent(description: AgentDescription) {
    let machine: AgentMachine | null = null;
    let checkpoint: AgentCheckpoint | null = null;
    let link: string | null = null;
    const waiting: AgentInput[] = [];
    const underWay: MasterToAgent[] = [];
    let paused = false;
    let holding = false;
    const agent = {
      description,
      launched: [] as ContainerSpec[],
      launchedGroups: [] as GroupSpec[],
      kills: [] as { containerId: string; graceMs: number }[],
      destroyed: [] as string[],
      volumes: new Set<string>(),
      sent: [] as { kind: string; atMs: number }[],
      exited: null as string | null,
      get paused() {
        return paused;
      },
      set paused(value: boolean) {
        paused = value;
        if (!paused) for (const input of waiting.splice(0)) agent.tell(input);
      },
      get holding() {
        return holding;
      },
      set holding(value: boolean) {
        holding = value;
        if (!holding) for (const message of underWay.splice(0)) agent.receive(message);
      },
      receive: (message: MasterToAgent) => {
        if (holding) underWay.push(message);
        else agent.tell({ kind: 'message', message });
      },
      linkName: () => link,
      wakeMs: () => (paused ? null : (machine?.nextWakeMs() ?? null)),
      checkpoint: () => checkpoint,
      agentId: () => machine?.agentId() ?? null,
      says: (event: ContainerEvent, index = -1) => {
        const containerId = agent.launched.at(index)?.containerId ?? '';
        agent.tell({ kind: 'container', containerId, event });
      },
      runs: (index = -1) => {
        agent.says({ kind: 'starting', executorPid: 7 }, index);
        agent.says({ kind: 'running', executorPid: 7 }, index);
      },
      tell: (input: AgentInput) => {
        if (paused) waiting.push(input);
        else for (const output of machine?.handle(input, now()) ?? []) act(output);
      },
      unlink: () => {
        const lost = link;
        link = null;
        agent.tell({ kind: 'link-down' });
        if (lost !== null) toMaster({ kind: 'agent-link-lost', link: lost });
      },
      link: () => {
        names += 1;
        link = `link-${names}`;
        agent.tell({ kind: 'link-up' });
      },
      crash: () => {
        machine = null;
        agent.unlink();
      },
      start: () => {
        machine = createAgentMachine({
          description,
          workDirectory: '/srv/agent',
          ids,
          recovered: checkpoint,
        });
        agent.link();
      },
      wipe: () => {
        checkpoint = null;
      },
    };
    return agent;

    function act(output: AgentOutput): void {
      if (output.kind === 'persist')
        checkpoint = JSON.parse(JSON.stringify(output.checkpoint)) as AgentCheckpoint;
      else if (output.kind === 'send') {
        agent.sent.push({ kind: output.message.kind, atMs: nowMs });
        if (link !== null) toMaster({ kind: 'agent-message', link, message: output.message });
      } else if (output.kind === 'launch') agent.launched.push(output.spec);
      else if (output.kind === 'launch-group') agent.launchedGroups.push(output.spec);
      else if (output.kind === 'kill') agent.kills.push(output);
      else if (output.kind === 'destroy') agent.destroyed.push(output.containerId);
      else if (output.kind === 'create-volume') agent.volumes.add(output.hostPath);
      else if (output.kind === 'remove-volume') agent.volumes.delete(output.hostPath);
      else {
        agent.exited = output.message;
        agent.crash();
      }
    }
  }
}

/** UUIDs of version 4 that count. */
function countingIds(): Ids {
  let count = 0;
  return {
    uuid: () => {
      count += 1;
      return `00000000-0000-4000-8000-${count.toString(16).padStart(12, '0')}`;
    },
  };
}
