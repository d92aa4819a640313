import type { Ids } from '../base/ports.ts';
import type { DomainInfo, HealthCheck } from '../mesos/wire.ts';
import { ALLOW_ALL, type Authorizer } from './acls.ts';
import { giveUpRecovered, loseLink } from './agent-loss.ts';
import type { MasterAuthentication } from './authentication.ts';
import { finishDrains } from './drain.ts';
import type { Instant } from './instant.ts';
import { makeInverseOffers } from './inverse-offers.ts';
import { pingAgents, takeAgentMessage } from './master-agents.ts';
import { loseStream, tickFrameworks } from './master-frameworks.ts';
import { answerRequest } from './master-http.ts';
import { type LocalMasterInfo, masterInfo } from './master-info.ts';
import type { MasterInput, MasterOutput } from './master-io.ts';
import type { Master } from './master-state.ts';
import { makeOffers } from './offers.ts';
import { recover, registryOf } from './registry.ts';

export type { MasterInput, MasterOutput } from './master-io.ts';

/**
 * The master of the local Mesos as a machine without I/O: it is told what happens and answers with what is to be
 * done, in order. Served over a socket for use, called in memory by the simulation.
 */
export interface MasterMachine {
  /** Takes one input; the outputs are to be carried out in their order. */
  handle(input: MasterInput, now: Instant): readonly MasterOutput[];
  /** Monotonic time at which a `tick` is due even if nothing happens. */
  nextWakeMs(): number;
  /** As it shows itself; its id was made with it. */
  readonly info: LocalMasterInfo;
  /** Only then does it take agents. */
  isLeading(): boolean;
}

export interface MasterMachineOptions {
  /** Makes the master's id, stream ids and uuids. */
  readonly ids: Ids;
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  /** Where the master is; agents of another region are offered to REGION_AWARE frameworks only. Default nowhere. */
  readonly domain?: DomainInfo;
  /** When the master started. */
  readonly startedAt: Instant;
  /**
   * One of several masters: it stands by until it is told that it was elected, and has stored what its successor
   * must know. Default: it is alone and leads.
   */
  readonly standsBy?: boolean;
  /** Milliseconds that the agents of a master's predecessor have to come back before they are unreachable. */
  readonly agentReregisterTimeoutMs?: number;
  /** Milliseconds between two allocations. Default 200. */
  readonly allocationIntervalMs?: number;
  /**
   * Monotonic time of the allocation after the one at `nowMs`, for whoever must have them at given times.
   * Default: `allocationIntervalMs` later.
   */
  readonly nextAllocationMs?: (nowMs: number) => number;
  /** Milliseconds that an agent has to answer a ping. Default 1000. */
  readonly agentPingTimeoutMs?: number;
  /** So many pings in a row without an answer and the agent is unreachable. Default 3. */
  readonly agentPingTimeoutsMax?: number;
  /** The health checks that the agents' executors make; tasks with others are refused. Default all. */
  readonly healthCheckTypes?: readonly HealthCheck['type'][];
  /** Default: nobody has to say who they are. */
  readonly authentication?: MasterAuthentication;
  /** Who may do what. Default: everybody everything. */
  readonly authorize?: Authorizer;
}

/** Milliseconds between two allocations where nobody states it. */
const ALLOCATION_INTERVAL_MS_DEFAULT = 200;
const AGENT_PING_TIMEOUT_MS_DEFAULT = 1000;
const AGENT_PING_TIMEOUTS_MAX_DEFAULT = 3;
/** Mesos's own. */
const AGENT_REREGISTER_TIMEOUT_MS_DEFAULT = 600_000;

export function createMasterMachine(options: MasterMachineOptions): MasterMachine {
  const { startedAt } = options;
  const allocationIntervalMs = options.allocationIntervalMs ?? ALLOCATION_INTERVAL_MS_DEFAULT;
  const nextAllocation = options.nextAllocationMs ?? ((nowMs: number) => nowMs + allocationIntervalMs);
  const master = emptyMaster(options, allocationIntervalMs);
  let allocationMs = nextAllocation(startedAt.monotonicMs);
  let stored = '';
  let ended = false;

  return {
    info: masterInfo(master.config),
    isLeading: () => master.leadership.kind === 'leading',
    nextWakeMs: () => Math.min(allocationMs, ...timers(master)),
    handle(input, now) {
      if (ended) return [];
      master.now = now;
      master.outputs = [];
      master.allocateNow = new Set();
      take(input);
      finishDrains(master);
      makeOffers(master);
      makeInverseOffers(master);
      return options.standsBy === true && master.leadership.kind === 'leading' ? withStore() : master.outputs;
    },
  };

  /** What the next leader must know is stored before anybody hears of it. */
  function withStore(): readonly MasterOutput[] {
    const registry = registryOf(master);
    const text = JSON.stringify(registry);
    if (text === stored) return master.outputs;
    stored = text;
    return [{ kind: 'store', registry }, ...master.outputs];
  }

  function take(input: MasterInput): void {
    switch (input.kind) {
      case 'request':
        answerRequest(master, input);
        return;
      case 'stream-closed':
        loseStream(master, input.exchange);
        return;
      case 'agent-message':
        // Whoever stands by hears nothing of agents: they find the leader.
        if (master.leadership.kind === 'leading') takeAgentMessage(master, input.link, input.message);
        return;
      case 'agent-link-lost':
        loseLink(master, input.link);
        return;
      case 'elected':
        if (master.leadership.kind === 'leading') return;
        master.leadership = { kind: 'leading', electedWallMs: master.now.wallMs };
        recover(master, input.registry);
        return;
      case 'leader':
        follow(input.leader);
        return;
      case 'tick':
        tick();
    }
  }

  /** A master that has led and leads no more is of no use: what it holds for true may not be any more. */
  function follow(leader: LocalMasterInfo | null): void {
    if (master.leadership.kind === 'standby') {
      master.leadership = { kind: 'standby', leader };
      return;
    }
    ended = true;
    const message = leader === null ? 'Lost leadership' : `Conceded leadership to ${leader.pid}`;
    master.outputs = [{ kind: 'exit', message }];
  }

  function tick(): void {
    pingAgents(master);
    giveUpRecovered(master);
    tickFrameworks(master);
    const nowMs = master.now.monotonicMs;
    if (nowMs < allocationMs) return;
    allocationMs = nextAllocation(nowMs);
    master.allocateNow = 'all';
  }
}

function timers(master: Master): readonly number[] {
  const times: number[] = master.recoveredDueMs === null ? [] : [master.recoveredDueMs];
  for (const { nextPingMs } of master.agents.values()) times.push(nextPingMs);
  for (const { stream, failoverDueMs } of master.frameworks.values()) {
    if (stream !== null) times.push(stream.nextHeartbeatMs);
    if (failoverDueMs !== null) times.push(failoverDueMs);
  }
  return times;
}

function emptyMaster(options: MasterMachineOptions, allocationIntervalMs: number): Master {
  const { ids, hostname, ip, port, startedAt } = options;
  return {
    config: {
      masterId: ids.uuid(),
      hostname,
      ip,
      port,
      domain: options.domain ?? null,
      startedAt,
      allocationIntervalMs,
      agentPingTimeoutMs: options.agentPingTimeoutMs ?? AGENT_PING_TIMEOUT_MS_DEFAULT,
      agentPingTimeoutsMax: options.agentPingTimeoutsMax ?? AGENT_PING_TIMEOUTS_MAX_DEFAULT,
      agentReregisterTimeoutMs: options.agentReregisterTimeoutMs ?? AGENT_REREGISTER_TIMEOUT_MS_DEFAULT,
      healthCheckTypes: new Set(options.healthCheckTypes ?? ['TCP', 'HTTP', 'COMMAND']),
      authentication: options.authentication ?? null,
      authorize: options.authorize ?? ALLOW_ALL,
    },
    leadership:
      options.standsBy === true
        ? { kind: 'standby', leader: null }
        : { kind: 'leading', electedWallMs: startedAt.wallMs },
    ids,
    now: startedAt,
    outputs: [],
    allocateNow: new Set(),
    frameworks: new Map(),
    completedFrameworks: new Map(),
    agents: new Map(),
    links: new Map(),
    recoveredAgents: new Map(),
    recoveredDueMs: null,
    unreachableAgents: new Map(),
    goneAgents: new Set(),
    drains: new Map(),
    deactivated: new Set(),
    maintenance: { schedule: [], machines: new Map() },
    inverseOffers: new Map(),
    inverseAnswers: new Map(),
    offers: new Map(),
    operations: new Map(),
    nextFramework: 0,
    nextAgent: 0,
    nextOffer: 0,
  };
}
