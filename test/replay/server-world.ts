import type { Ids } from '../../src/base/ports.ts';
import {
  type AgentCheckpoint,
  type AgentInput,
  type AgentMachine,
  type AgentOutput,
  createAgentMachine,
} from '../../src/local/agent-machine.ts';
import type { ContainerEvent, GroupSpec } from '../../src/local/container-runtime.ts';
import {
  createMasterMachine,
  type MasterInput,
  type MasterMachine,
  type MasterOutput,
} from '../../src/local/master-machine.ts';
import type { AgentDescription, MasterToAgent } from '../../src/local/messages.ts';
import type { Registry } from '../../src/local/registry.ts';
import type { AgentAction, Election, ServerScript, TaskStep } from './server-scripts.ts';

/** The local Mesos in memory, with a recording's time for its clock and a script for its processes. */
export interface ServerWorld {
  /** Lets everything happen that is due until then. */
  advanceTo(ms: number): void;
  /** Sends a request and returns what came back at once; a stream's records follow through `onRecord`. */
  request(request: Omit<Extract<MasterInput, { kind: 'request' }>, 'kind'>): ServerAnswer;
  closeStream(exchange: string): void;
}

export interface ServerAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** `null` for a stream. */
  readonly body: string | null;
}

export interface ServerWorldOptions {
  readonly script: ServerScript;
  /** When the master allocates on its own; see `nextAllocationMs` of the master machine. */
  readonly nextAllocationMs: (nowMs: number) => number;
  /** A record of an open stream, `null` for its end. */
  readonly onRecord: (exchange: string, json: string | null, atMs: number) => void;
}

interface Master {
  /** `null` once it was killed. */
  machine: MasterMachine | null;
  /** Streams that it has open. */
  readonly streams: Set<string>;
}

interface Agent {
  readonly description: AgentDescription;
  /** `null` while its process does not run. */
  machine: AgentMachine | null;
  checkpoint: AgentCheckpoint | null;
  link: string | null;
  paused: boolean;
  readonly waiting: AgentInput[];
  /** Containers by id: which task's steps are theirs, and with which grace they were told to end. */
  readonly containers: Map<string, { readonly taskId: string; killedGraceMs: number | null }>;
}

interface Scheduled {
  readonly atMs: number;
  readonly run: () => void;
}

/** Any wall time will do: times are not compared. */
const EPOCH_MS = 1_795_395_000_000;
/** Inputs at one point in time; more is an endless conversation. */
const STEPS_MAX = 100_000;

export function createServerWorld(options: ServerWorldOptions): ServerWorld {
  const { script } = options;
  const ids = countingIds();
  const scheduled: Scheduled[] = [];
  const answers = new Map<string, ServerAnswer>();
  const agents: Agent[] = [];
  let nowMs = 0;
  let links = 0;
  const instant = () => ({ monotonicMs: nowMs, wallMs: EPOCH_MS + nowMs });
  /** What the masters share. */
  let registry: Registry | null = null;
  const ports = script.masterPorts ?? [5050];
  const masters = ports.map((port): Master => {
    const machine = createMasterMachine({
      ids,
      hostname: '127.0.0.1',
      ip: '127.0.0.1',
      port,
      startedAt: instant(),
      standsBy: ports.length > 1,
      nextAllocationMs: options.nextAllocationMs,
      healthCheckTypes: ['TCP', 'HTTP', 'COMMAND'],
      ...(script.authentication === undefined ? {} : { authentication: script.authentication }),
      ...(script.authorize === undefined ? {} : { authorize: script.authorize }),
      ...(script.masterDomain === undefined ? {} : { domain: script.masterDomain }),
    });
    return { machine, streams: new Set() };
  });
  let leading = masters[0];
  if (masters.length > 1) elect(0);
  for (const election of script.elections ?? []) schedule(election.t, () => follow(election));
  for (const { description, registeredMs } of script.agents) {
    const agent: Agent = {
      description,
      machine: null,
      checkpoint: null,
      link: null,
      paused: false,
      waiting: [],
      containers: new Map(),
    };
    agents.push(agent);
    schedule(registeredMs, () => start(agent));
  }
  for (const action of script.actions ?? []) schedule(action.t, () => act(action));

  return {
    advanceTo(ms) {
      for (let steps = 0; steps < STEPS_MAX; steps += 1) {
        const dueMs = Math.max(nowMs, nextDueMs());
        if (dueMs > ms) break;
        nowMs = dueMs;
        runDue();
      }
      nowMs = Math.max(nowMs, ms);
    },
    request(request) {
      const asked = script.asked?.findLast(({ fromMs }) => fromMs <= nowMs)?.master ?? 0;
      toMaster(masters[asked], { kind: 'request', ...request });
      const answer = answers.get(request.exchange);
      if (answer === undefined) throw new Error(`${request.method} ${request.path} was not answered`);
      return answer;
    },
    closeStream: (exchange) => {
      const master = masters.find(({ streams }) => streams.delete(exchange));
      if (master !== undefined) toMaster(master, { kind: 'stream-closed', exchange });
    },
  };

  function follow({ master: index, what }: Election): void {
    const master = masters[index];
    if (master === undefined) throw new Error(`the script has no master ${index}`);
    if (what === 'elected') {
      elect(index);
      return;
    }
    master.machine = null;
    for (const exchange of master.streams) options.onRecord(exchange, null, nowMs);
    for (const agent of agents) {
      agent.link = null;
      toAgent(agent, { kind: 'link-down' });
    }
  }

  function elect(index: number): void {
    leading = masters[index];
    const info = leading?.machine?.info ?? null;
    toMaster(leading, { kind: 'elected', registry });
    for (const master of masters) if (master !== leading) toMaster(master, { kind: 'leader', leader: info });
    for (const agent of agents) if (agent.machine !== null) connect(agent);
  }

  function nextDueMs(): number {
    const wakes = agents.map(({ machine, paused }) => (paused ? null : (machine?.nextWakeMs() ?? null)));
    return Math.min(
      ...masters.map(({ machine }) => machine?.nextWakeMs() ?? Number.POSITIVE_INFINITY),
      ...scheduled.map(({ atMs }) => atMs),
      ...wakes.map((wakeMs) => wakeMs ?? Number.POSITIVE_INFINITY),
    );
  }

  function runDue(): void {
    const due = scheduled.filter(({ atMs }) => atMs <= nowMs).sort((left, right) => left.atMs - right.atMs);
    for (const entry of due) {
      scheduled.splice(scheduled.indexOf(entry), 1);
      entry.run();
    }
    for (const agent of agents) {
      const wakeMs = agent.paused ? null : (agent.machine?.nextWakeMs() ?? null);
      if (wakeMs !== null && wakeMs <= nowMs) toAgent(agent, { kind: 'tick' });
    }
    for (const master of masters) {
      if ((master.machine?.nextWakeMs() ?? Number.POSITIVE_INFINITY) <= nowMs)
        toMaster(master, { kind: 'tick' });
    }
  }

  function schedule(atMs: number, run: () => void): void {
    scheduled.push({ atMs, run });
  }

  function toMaster(master: Master | undefined, input: MasterInput): void {
    for (const output of master?.machine?.handle(input, instant()) ?? []) {
      if (output.kind === 'open-stream') master?.streams.add(output.exchange);
      if (output.kind === 'close-stream') master?.streams.delete(output.exchange);
      carryOutMaster(output);
    }
  }

  function carryOutMaster(output: MasterOutput): void {
    switch (output.kind) {
      case 'store':
        registry = JSON.parse(JSON.stringify(output.registry)) as Registry;
        return;
      case 'exit':
        throw new Error(`a master ended: ${output.message}`);
      case 'respond':
        answers.set(output.exchange, output);
        return;
      case 'open-stream':
        answers.set(output.exchange, { ...output, body: null });
        return;
      case 'record':
        options.onRecord(output.exchange, output.json, nowMs);
        return;
      case 'close-stream':
        options.onRecord(output.exchange, null, nowMs);
        return;
      case 'send':
        deliver(output.link, output.message);
    }
  }

  function deliver(link: string, message: MasterToAgent): void {
    const agent = agents.find((candidate) => candidate.link === link);
    if (agent !== undefined) toAgent(agent, { kind: 'message', message });
  }

  function toAgent(agent: Agent, input: AgentInput): void {
    if (agent.machine === null) return;
    if (agent.paused) {
      agent.waiting.push(input);
      return;
    }
    for (const output of agent.machine.handle(input, instant())) carryOutAgent(agent, output);
  }

  function carryOutAgent(agent: Agent, output: AgentOutput): void {
    switch (output.kind) {
      case 'persist':
        // What is written down must survive being written down.
        agent.checkpoint = JSON.parse(JSON.stringify(output.checkpoint)) as AgentCheckpoint;
        return;
      case 'send':
        if (agent.link !== null) {
          toMaster(leading, { kind: 'agent-message', link: agent.link, message: output.message });
        }
        return;
      case 'launch':
        launch(agent, output.spec.containerId, output.spec.taskId);
        return;
      case 'launch-group':
        launchGroup(agent, output.spec);
        return;
      case 'kill': {
        const container = agent.containers.get(output.containerId);
        if (container !== undefined) container.killedGraceMs = output.graceMs;
        return;
      }
      case 'destroy':
        agent.containers.delete(output.containerId);
        return;
      case 'create-volume':
      case 'remove-volume':
        return;
      case 'exit':
        end(agent);
    }
  }

  function launch(agent: Agent, containerId: string, taskId: string): void {
    agent.containers.set(containerId, { taskId, killedGraceMs: null });
    for (const step of script.tasks?.[taskId] ?? []) schedule(step.t, () => happen(agent, containerId, step));
  }

  function launchGroup(agent: Agent, spec: GroupSpec): void {
    for (const { containerId, taskId } of spec.tasks) launch(agent, containerId, taskId);
    if (!agent.containers.has(spec.containerId)) launch(agent, spec.containerId, spec.executorId);
  }

  function happen(agent: Agent, containerId: string, step: TaskStep): void {
    const container = agent.containers.get(containerId);
    if (container === undefined) return;
    if (step.killedGraceMs !== undefined && container.killedGraceMs !== step.killedGraceMs) return;
    const message = `Failed to launch container: Failed to fetch all URIs for container '${containerId}': exited with status 1`;
    const event: ContainerEvent =
      step.event === 'fetch-failed' ? { kind: 'fetch-failed', message } : step.event;
    toAgent(agent, { kind: 'container', containerId, event });
  }

  function act({ hostname, what }: AgentAction): void {
    const agent = agents.find(({ description }) => description.hostname === hostname);
    if (agent === undefined) throw new Error(`the script has no agent ${hostname}`);
    switch (what) {
      case 'pause':
        agent.paused = true;
        return;
      case 'resume':
        agent.paused = false;
        for (const input of agent.waiting.splice(0)) toAgent(agent, input);
        return;
      case 'kill':
        end(agent);
        return;
      case 'start-empty':
        agent.checkpoint = null;
        agent.containers.clear();
        start(agent);
        return;
      case 'start':
        start(agent);
        return;
      case 'shut-down':
        toAgent(agent, { kind: 'shutdown' });
    }
  }

  function start(agent: Agent): void {
    agent.machine = createAgentMachine({
      description: agent.description,
      workDirectory: '/var/lib/mesos/agent',
      ids,
      recovered: agent.checkpoint,
    });
    connect(agent);
  }

  function connect(agent: Agent): void {
    links += 1;
    agent.link = `link-${links}`;
    toAgent(agent, { kind: 'link-up' });
  }

  function end(agent: Agent): void {
    const { link } = agent;
    agent.machine = null;
    agent.link = null;
    if (link !== null) toMaster(leading, { kind: 'agent-link-lost', link });
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
