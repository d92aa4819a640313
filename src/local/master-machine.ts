import type { Ids } from '../base/ports.ts';
import type { DomainInfo, HealthCheck } from '../mesos/wire.ts';
import { loseLink } from './agent-loss.ts';
import type { Instant } from './instant.ts';
import { pingAgents, takeAgentMessage } from './master-agents.ts';
import { loseStream, tickFrameworks } from './master-frameworks.ts';
import { answerRequest } from './master-http.ts';
import type { MasterInput, MasterOutput } from './master-io.ts';
import type { Master } from './master-state.ts';
import { makeOffers } from './offers.ts';

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
  /** The health checks that the agents' executors make; tasks with others are refused. Default TCP alone. */
  readonly healthCheckTypes?: readonly HealthCheck['type'][];
}

/** Milliseconds between two allocations where nobody states it. */
const ALLOCATION_INTERVAL_MS_DEFAULT = 200;
const AGENT_PING_TIMEOUT_MS_DEFAULT = 1000;
const AGENT_PING_TIMEOUTS_MAX_DEFAULT = 3;

export function createMasterMachine(options: MasterMachineOptions): MasterMachine {
  const { startedAt } = options;
  const allocationIntervalMs = options.allocationIntervalMs ?? ALLOCATION_INTERVAL_MS_DEFAULT;
  const nextAllocation = options.nextAllocationMs ?? ((nowMs: number) => nowMs + allocationIntervalMs);
  const master = emptyMaster(options, allocationIntervalMs);
  let allocationMs = nextAllocation(startedAt.monotonicMs);

  return {
    nextWakeMs: () => Math.min(allocationMs, ...timers(master)),
    handle(input, now) {
      master.now = now;
      master.outputs = [];
      master.allocateNow = new Set();
      take(input);
      makeOffers(master);
      return master.outputs;
    },
  };

  function take(input: MasterInput): void {
    switch (input.kind) {
      case 'request':
        answerRequest(master, input);
        return;
      case 'stream-closed':
        loseStream(master, input.exchange);
        return;
      case 'agent-message':
        takeAgentMessage(master, input.link, input.message);
        return;
      case 'agent-link-lost':
        loseLink(master, input.link);
        return;
      case 'tick':
        tick();
    }
  }

  function tick(): void {
    pingAgents(master);
    tickFrameworks(master);
    const nowMs = master.now.monotonicMs;
    if (nowMs < allocationMs) return;
    allocationMs = nextAllocation(nowMs);
    master.allocateNow = 'all';
  }
}

function timers(master: Master): readonly number[] {
  const times: number[] = [];
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
      healthCheckTypes: new Set(options.healthCheckTypes ?? ['TCP']),
    },
    ids,
    now: startedAt,
    outputs: [],
    allocateNow: new Set(),
    frameworks: new Map(),
    completedFrameworks: new Map(),
    agents: new Map(),
    links: new Map(),
    unreachableAgents: new Map(),
    goneAgents: new Set(),
    offers: new Map(),
    operations: new Map(),
    nextFramework: 0,
    nextAgent: 0,
    nextOffer: 0,
  };
}
