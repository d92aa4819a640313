import { type HttpTransport, HttpTransportError, type Ids } from '../../src/base/ports.ts';
import {
  type AgentCheckpoint,
  type AgentInput,
  type AgentMachine,
  type AgentOutput,
  createAgentMachine,
} from '../../src/local/agent-machine.ts';
import type { ContainerEvent, ContainerRuntime } from '../../src/local/container-runtime.ts';
import type { Instant } from '../../src/local/instant.ts';
import {
  createMasterMachine,
  type MasterInput,
  type MasterMachine,
  type MasterOutput,
} from '../../src/local/master-machine.ts';
import type { AgentDescription, AgentToMaster, MasterToAgent } from '../../src/local/messages.ts';
import type { Registry } from '../../src/local/registry.ts';
import type { Resource } from '../../src/mesos/wire.ts';
import {
  type ByteStream,
  createByteStream,
  createMemoryTransport,
  type MemoryResponse,
} from './memory-transport.ts';
import type { Channel, Network } from './network.ts';
import type { VirtualClock } from './virtual-clock.ts';

/**
 * The local Mesos in memory: its master and agent machines, the links between them, and a transport that leads
 * to the master. The agents' containers are whatever `runtimeOf` makes.
 */
export interface SimMesos {
  /** What one scheduler process talks through, from its host. Ending it drops all that it has open. */
  transport(fromHost: string): { readonly transport: HttpTransport; readonly end: () => void };
  /** That have arrived so far. */
  requests(): number;
  readonly agents: readonly SimAgent[];
  agentAt(host: string): SimAgent;
  /** The agent runs, and it and a master that leads reach each other. */
  isInSight(host: string): boolean;
  /** The master dies; the next one is elected after `downMs`, with what the registry holds. */
  failOver(downMs: number): void;
  /** The connection between master and agent breaks, and what was on its way is lost. */
  resetLink(host: string): void;
  /** What nobody may do from now on, by the names of Mesos's ACLs. */
  deny(actions: readonly string[]): void;
  /** Connections between that host and the master break; new ones can be made at once. */
  resetConnections(fromHost: string): void;
  /** An operator's word to the master. */
  operator(body: unknown): Promise<number>;
  /** Of the master's operator API; the answer's JSON. */
  ask(path: string): unknown;
}

export interface SimAgent {
  readonly host: string;
  /** The agent's process runs. */
  readonly up: boolean;
  agentId(): string | null;
  /** Resources of this agent that are dynamically reserved, as it has persisted them. */
  reserved(): readonly Resource[];
  /** Starts the agent's process on what its work directory holds. */
  start(): void;
  /** Kills the agent's process; its containers live on. */
  stop(): void;
  /** Forgets the work directory: the next start is that of a new agent. */
  wipe(): void;
  /** From the container runtime. Kept for later while the process is down. */
  containerEvent(containerId: string, event: ContainerEvent): void;
}

export interface SimMesosOptions {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly ids: (name: string) => Ids;
  readonly agents: readonly AgentDescription[];
  readonly runtimeOf: (host: string) => ContainerRuntime;
  readonly disk: SimMesosDisk;
  readonly story: (actor: string, text: string) => void;
  /** Masters may die: each stores what the next must know. */
  readonly mastersFail: boolean;
}
/** The volumes of all hosts. */
export interface SimMesosDisk {
  create(host: string, path: string): void;
  remove(host: string, path: string): void;
}

export const MASTER_HOST = '10.0.1.1';
export const MASTER_URL = `http://${MASTER_HOST}:5050`;
const AGENT_PING_TIMEOUT_MS = 2_000;
const AGENT_REREGISTER_TIMEOUT_MS = 30_000;
/** An agent that has lost its connection makes it anew after this. */
const LINK_AGAIN_MS = 200;

export function createSimMesos(options: SimMesosOptions): SimMesos {
  const { clock, network } = options;
  const now = (): Instant => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const denied = new Set<string>();
  let registry: Registry | null = null;
  const createMaster = () =>
    createMasterMachine({
      ids: options.ids('master'),
      hostname: 'master.example',
      ip: MASTER_HOST,
      port: 5050,
      startedAt: now(),
      allocationIntervalMs: 500,
      agentPingTimeoutMs: AGENT_PING_TIMEOUT_MS,
      // What the simulated executors do.
      healthCheckTypes: ['TCP'],
      agentReregisterTimeoutMs: AGENT_REREGISTER_TIMEOUT_MS,
      standsBy: options.mastersFail,
      authorize: (action) => !denied.has(action),
    });
  /** `null` while none leads. */
  let master: MasterMachine | null = null;
  const exchanges = new Map<string, Exchange>();
  const links = new Map<string, Link>();
  let exchangeCount = 0;
  let requests = 0;

  const tellMaster = (input: MasterInput) => {
    for (const output of master?.handle(input, now()) ?? []) carryOut(output);
    masterTick.schedule();
  };
  const masterTick = createTick(
    clock,
    () => master?.nextWakeMs() ?? null,
    () => tellMaster({ kind: 'tick' }),
  );

  /** Late in bad weather, or never: then the connection breaks. */
  const answer = (name: string, exchange: Exchange, response: MemoryResponse) => {
    const [inMs] = network.fateOf(MASTER_HOST, exchange.fromHost);
    if (inMs === undefined) {
      breakOff(name);
      return;
    }
    exchange.channel.send(() => {
      exchanges.delete(name);
      exchange.answer(response);
    }, inMs);
  };

  const carryOut = (output: MasterOutput) => {
    if (output.kind === 'send') {
      const link = links.get(output.link);
      link?.toAgent.send(() => link.receive(output.message));
      return;
    }
    if (output.kind === 'store') registry = output.registry;
    // Nobody else is ever elected beside it.
    if (output.kind === 'store' || output.kind === 'exit') return;
    const exchange = exchanges.get(output.exchange);
    if (exchange === undefined) return;
    switch (output.kind) {
      case 'respond':
        answer(output.exchange, exchange, output);
        return;
      case 'open-stream': {
        const { stream } = exchange;
        exchange.channel.send(() => exchange.answer({ ...output, body: stream }));
        return;
      }
      case 'record': {
        const bytes = new TextEncoder().encode(output.json);
        exchange.channel.send(() => {
          exchange.stream.push(`${bytes.byteLength}\n`);
          exchange.stream.push(bytes);
        });
        return;
      }
      case 'close-stream':
        exchanges.delete(output.exchange);
        exchange.channel.send(() => exchange.stream.end());
    }
  };

  const request = async (
    fromHost: string,
    {
      method,
      url,
      headers,
      body,
    }: { method: string; url: string; headers: Readonly<Record<string, string>>; body?: string | undefined },
    gone: AbortSignal,
    ended: AbortSignal,
  ): Promise<MemoryResponse> => {
    const target = new URL(url);
    if (master === null || target.hostname !== MASTER_HOST || network.severed(fromHost, MASTER_HOST)) {
      throw new HttpTransportError('connect-failed', `${url}: no route to host`);
    }
    const given = { method, path: target.pathname + target.search, headers, body: body ?? '' };
    const toMaster = network.channel(fromHost, MASTER_HOST);
    const arrivals = network.fateOf(fromHost, MASTER_HOST);
    const { promise, resolve, reject } = Promise.withResolvers<MemoryResponse>();
    // It may break while the request is still on its way, before anybody waits for the answer.
    promise.catch(() => {});
    const stream = createByteStream();
    const toClient = network.channel(MASTER_HOST, fromHost);
    exchangeCount += 1;
    const name = `exchange-${exchangeCount}`;
    exchanges.set(name, { fromHost, stream, channel: toClient, answer: resolve, fail: reject });
    let arrived = false;
    // What was sent arrives, whatever becomes of its sender; then the master finds nobody there.
    const left = () => {
      if (!arrived || !exchanges.delete(name)) return;
      toClient.close();
      tellMaster({ kind: 'stream-closed', exchange: name });
    };
    gone.addEventListener('abort', left, { once: true });
    ended.addEventListener('abort', left, { once: true });
    const arrive = () => {
      arrived = true;
      requests += 1;
      if (!exchanges.has(name)) return;
      tellMaster({ kind: 'request', exchange: name, ...given });
      if (gone.aborted || ended.aborted) left();
    };
    const [first, second] = arrivals;
    if (first === undefined) toMaster.send(() => breakOff(name));
    else toMaster.send(arrive, first);
    // Nobody repeats a subscription on the way; its answer is a stream.
    if (second !== undefined && !isSubscription(given)) {
      void clock.sleep(second).then(() => askOnce(given));
    }
    return await promise;
  };

  /** Its answer goes nowhere. */
  const askOnce = (given: MasterRequest) => {
    exchangeCount += 1;
    tellMaster({ kind: 'request', exchange: `exchange-${exchangeCount}`, ...given });
  };

  const breakOff = (name: string) => {
    const exchange = exchanges.get(name);
    if (exchange === undefined) return;
    exchanges.delete(name);
    exchange.channel.close();
    const error = new HttpTransportError('connection-lost', 'the connection was reset');
    exchange.stream.fail(error);
    exchange.fail(error);
    tellMaster({ kind: 'stream-closed', exchange: name });
  };

  const transport = (fromHost: string) => {
    const ended = new AbortController();
    return {
      transport: createMemoryTransport(({ gone, ...given }) => request(fromHost, given, gone, ended.signal)),
      end: () => ended.abort('ended'),
    };
  };

  /** A broken network breaks the connections over it. */
  network.onChange(() => {
    for (const [name, exchange] of [...exchanges]) {
      if (network.severed(exchange.fromHost, MASTER_HOST)) breakOff(name);
    }
    for (const agent of agents) agent.networkChanged();
  });

  let linkCount = 0;
  const createAgent = (description: AgentDescription): LinkedAgent => {
    const host = description.ip;
    const runtime = options.runtimeOf(host);
    const ids = options.ids(`agent ${host}`);
    let checkpoint: AgentCheckpoint | null = null;
    let machine: AgentMachine | null = null;
    let link: Link | null = null;
    let missed: { readonly containerId: string; readonly event: ContainerEvent }[] = [];

    const tell = (input: AgentInput) => {
      if (machine === null) return;
      const outputs = machine.handle(input, now());
      for (const output of outputs) carryOutForAgent(output);
      tick.schedule();
    };
    const tick = createTick(
      clock,
      () => machine?.nextWakeMs() ?? null,
      () => tell({ kind: 'tick' }),
    );

    const carryOutForAgent = (output: AgentOutput) => {
      switch (output.kind) {
        case 'persist':
          checkpoint = output.checkpoint;
          return;
        case 'send':
          sendToMaster(output.message);
          return;
        case 'launch':
          runtime.launch(output.spec);
          return;
        case 'launch-group':
          runtime.launchGroup(output.spec);
          return;
        case 'kill':
          runtime.kill(output.containerId, output.graceMs);
          return;
        case 'destroy':
          runtime.destroy(output.containerId);
          return;
        case 'create-volume':
          options.disk.create(host, output.hostPath);
          return;
        case 'remove-volume':
          options.disk.remove(host, output.hostPath);
          return;
        case 'exit':
          options.story(host, `the agent ends: ${output.message}`);
          stop();
      }
    };

    const sendToMaster = (message: AgentToMaster) => {
      const current = link;
      if (current !== null && (message.kind === 'register' || message.kind === 'reregister')) {
        // Over a connection of its own: what is on its way to the agent over the old one never comes.
        current.toAgent.close();
        current.toAgent = network.channel(MASTER_HOST, host);
      }
      current?.toMaster.send(() => {
        if (links.has(current.name)) tellMaster({ kind: 'agent-message', link: current.name, message });
      });
    };

    const connect = () => {
      const isOpen = network.reachable(host, MASTER_HOST) && network.reachable(MASTER_HOST, host);
      if (master === null || machine === null || link !== null || !isOpen) return;
      linkCount += 1;
      const created: Link = {
        name: `link-${linkCount}`,
        toAgent: network.channel(MASTER_HOST, host),
        toMaster: network.channel(host, MASTER_HOST),
        receive: (message) => {
          if (link === created) tell({ kind: 'message', message });
        },
      };
      link = created;
      links.set(created.name, created);
      tell({ kind: 'link-up' });
    };

    const disconnect = () => {
      if (link === null) return;
      const { name, toAgent, toMaster } = link;
      link = null;
      toAgent.close();
      toMaster.close();
      links.delete(name);
      tellMaster({ kind: 'agent-link-lost', link: name });
      tell({ kind: 'link-down' });
    };

    const start = () => {
      if (machine !== null) return;
      machine = createAgentMachine({
        description,
        workDirectory: workDirectoryOf(host),
        ids,
        recovered: checkpoint,
      });
      tick.schedule();
      const due = missed;
      missed = [];
      for (const { containerId, event } of due) tell({ kind: 'container', containerId, event });
      connect();
    };

    const stop = () => {
      if (machine === null) return;
      machine = null;
      tick.cancel();
      disconnect();
    };

    return {
      host,
      get up() {
        return machine !== null;
      },
      agentId: () => machine?.agentId() ?? checkpoint?.agentId ?? null,
      reserved: () => (checkpoint?.totalResources ?? []).filter((one) => (one.reservations ?? []).length > 0),
      start,
      stop,
      wipe: () => {
        checkpoint = null;
        missed = [];
      },
      containerEvent: (containerId, event) => {
        if (machine === null) missed.push({ containerId, event });
        else tell({ kind: 'container', containerId, event });
      },
      resetLink: () => {
        disconnect();
        void clock.sleep(LINK_AGAIN_MS).then(connect);
      },
      networkChanged: () => {
        if (master === null || network.severed(host, MASTER_HOST)) disconnect();
        else connect();
      },
    };
  };
  const agents = options.agents.map(createAgent);

  const elect = () => {
    if (master !== null) return;
    master = createMaster();
    if (options.mastersFail) tellMaster({ kind: 'elected', registry });
    masterTick.schedule();
    for (const agent of agents) agent.networkChanged();
  };
  elect();

  const failOver = (downMs: number) => {
    master = null;
    masterTick.cancel();
    for (const name of [...exchanges.keys()]) breakOff(name);
    for (const agent of agents) agent.networkChanged();
    void clock.sleep(downMs).then(elect);
  };

  const ask = (method: string, path: string, body: string): { status: number; body: string } => {
    const found: { status: number; body: string }[] = [];
    exchangeCount += 1;
    const exchange = `exchange-${exchangeCount}`;
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    // Whoever has an operator's word to give waits for a master.
    elect();
    const request = { kind: 'request', exchange, method, path, headers, body } as const;
    for (const output of master?.handle(request, now()) ?? []) {
      if (output.kind === 'respond' && output.exchange === exchange) found.push(output);
      else carryOut(output);
    }
    masterTick.schedule();
    return found[0] ?? { status: 0, body: '' };
  };

  return {
    transport,
    requests: () => requests,
    agents,
    isInSight: (host) =>
      master !== null &&
      network.reachable(host, MASTER_HOST) &&
      network.reachable(MASTER_HOST, host) &&
      agents.some((agent) => agent.host === host && agent.up),
    failOver,
    resetLink: (host) => agents.find((agent) => agent.host === host)?.resetLink(),
    deny: (actions) => {
      denied.clear();
      for (const action of actions) denied.add(action);
    },
    resetConnections: (fromHost) => {
      for (const [name, exchange] of [...exchanges]) if (exchange.fromHost === fromHost) breakOff(name);
    },
    agentAt: (host) => agents.find((agent) => agent.host === host) as SimAgent,
    operator: async (body) => ask('POST', '/api/v1', JSON.stringify(body)).status,
    ask: (path) => JSON.parse(ask('GET', path, '').body) as unknown,
  };
}

export function workDirectoryOf(host: string): string {
  return `/agents/${host}`;
}

interface MasterRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

function isSubscription({ body }: MasterRequest): boolean {
  return body.includes('"SUBSCRIBE"');
}

interface Exchange {
  readonly fromHost: string;
  readonly stream: ByteStream;
  readonly channel: Channel;
  readonly answer: (response: MemoryResponse) => void;
  readonly fail: (error: Error) => void;
}

interface LinkedAgent extends SimAgent {
  networkChanged(): void;
  resetLink(): void;
}

interface Link {
  readonly name: string;
  toAgent: Channel;
  readonly toMaster: Channel;
  readonly receive: (message: MasterToAgent) => void;
}

/** Wakes a machine when it wants to be. */
function createTick(clock: VirtualClock, nextWakeMs: () => number | null, wake: () => void) {
  let dueMs: number | null = null;
  let waiting = new AbortController();
  const schedule = () => {
    const next = nextWakeMs();
    if (next === dueMs) return;
    waiting.abort('done');
    dueMs = next;
    if (next === null) return;
    const mine = new AbortController();
    waiting = mine;
    void clock.sleep(Math.max(0, next - clock.monotonicMs()), mine.signal).then(() => {
      if (mine.signal.aborted) return;
      dueMs = null;
      wake();
      schedule();
    });
  };
  return {
    schedule,
    cancel: () => {
      waiting.abort('done');
      dueMs = null;
    },
  };
}
