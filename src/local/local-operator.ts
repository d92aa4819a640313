import type { Clock } from '../base/ports.ts';
import { LocalMesosError } from './local-error.ts';
import type { LocalMasters } from './local-masters.ts';
import type { MachineId } from './maintenance-state.ts';

export interface DrainOptions {
  /** No task gets more from SIGTERM to SIGKILL. Default: each has its own grace period. Whole seconds. */
  readonly maxGraceMs?: number;
  /** The agent is marked gone when it is drained. Default no. */
  readonly markGone?: boolean;
}

export interface MaintenancePlan {
  /** From now. */
  readonly startInMs: number;
  readonly durationMs: number;
}

/** What an operator says to the leading master. Each rejects with a {@link LocalMesosError} where it is refused. */
export interface LocalOperator {
  markGone(agentId: string | null): Promise<void>;
  drain(agentId: string | null, options: DrainOptions): Promise<void>;
  deactivate(agentId: string | null): Promise<void>;
  reactivate(agentId: string | null): Promise<void>;
  /** In place of whatever was scheduled before; no machines: nothing is. */
  schedule(machines: readonly MachineId[], plan: MaintenancePlan): Promise<void>;
  startMaintenance(machine: MachineId): Promise<void>;
  stopMaintenance(machine: MachineId): Promise<void>;
}

const NS_PER_MS = 1e6;

export function createLocalOperator(ask: LocalMasters['ask'], clock: Clock): LocalOperator {
  /** `MARK_AGENT_GONE` takes what it is about in `mark_agent_gone`. */
  async function call(type: string, body: object): Promise<void> {
    const answer = await ask('POST', '/api/v1', { type, [type.toLowerCase()]: body });
    if (answer.status >= 200 && answer.status < 300) return;
    const message = `${type} ${JSON.stringify(body)} was refused: ${answer.status} ${answer.body}`;
    throw new LocalMesosError('operator-call-failed', message);
  }
  const about = (agentId: string | null) => ({ agent_id: { value: agentId } });

  return {
    markGone: (agentId) => call('MARK_AGENT_GONE', about(agentId)),
    drain: (agentId, { maxGraceMs, markGone = false }) =>
      call('DRAIN_AGENT', {
        ...about(agentId),
        ...(maxGraceMs === undefined ? {} : { max_grace_period: { seconds: Math.round(maxGraceMs / 1000) } }),
        mark_gone: markGone,
      }),
    deactivate: (agentId) => call('DEACTIVATE_AGENT', about(agentId)),
    reactivate: (agentId) => call('REACTIVATE_AGENT', about(agentId)),
    schedule: (machines, { startInMs, durationMs }) => {
      const unavailability = {
        start: { nanoseconds: (clock.wallMs() + startInMs) * NS_PER_MS },
        duration: { nanoseconds: durationMs * NS_PER_MS },
      };
      const windows = machines.length === 0 ? [] : [{ machine_ids: machines, unavailability }];
      return call('UPDATE_MAINTENANCE_SCHEDULE', { schedule: { windows } });
    },
    startMaintenance: (machine) => call('START_MAINTENANCE', { machines: [machine] }),
    stopMaintenance: (machine) => call('STOP_MAINTENANCE', { machines: [machine] }),
  };
}
