import type { Drain } from './drain.ts';
import { type MaintenanceWindow, machineKey, type ScheduledMachine } from './maintenance-state.ts';
import { AGENTS_REMEMBERED_MAX, type Master } from './master-state.ts';
import type { AgentDescription } from './messages.ts';

/**
 * What the next leader of several masters must know of what this one has decided: plain JSON. Of frameworks and
 * tasks it holds nothing, as Mesos's registry does: these are known again when agents and schedulers come back.
 */
export interface Registry {
  readonly schemaVersion: 1;
  /** The agents that were let in and have neither gone nor become unreachable, by id. */
  readonly admitted: Readonly<Record<string, AgentDescription>>;
  readonly unreachable: Readonly<Record<string, { readonly sinceWallMs: number }>>;
  readonly gone: readonly string[];
  readonly drains: Readonly<Record<string, Drain>>;
  readonly deactivated: readonly string[];
  readonly schedule: readonly MaintenanceWindow[];
  readonly machines: readonly ScheduledMachine[];
}

export function registryOf(master: Master): Registry {
  return {
    schemaVersion: 1,
    admitted: Object.fromEntries([
      ...master.recoveredAgents,
      ...[...master.agents.values()].map(({ id, description }) => [id, description] as const),
    ]),
    unreachable: Object.fromEntries(master.unreachableAgents),
    gone: [...master.goneAgents],
    drains: Object.fromEntries(master.drains),
    deactivated: [...master.deactivated],
    schedule: master.maintenance.schedule,
    machines: [...master.maintenance.machines.values()],
  };
}

/** The new leader goes on from what the last one stored; its agents have a while to come back. */
export function recover(master: Master, registry: Registry | null): void {
  if (registry === null) return;
  for (const [id, description] of Object.entries(registry.admitted)) {
    master.recoveredAgents.set(id, description);
  }
  if (master.recoveredAgents.size > 0) {
    master.recoveredDueMs = master.now.monotonicMs + master.config.agentReregisterTimeoutMs;
  }
  for (const [id, since] of Object.entries(registry.unreachable)) master.unreachableAgents.set(id, since);
  for (const [id, drain] of Object.entries(registry.drains)) master.drains.set(id, drain);
  for (const id of registry.deactivated) master.deactivated.add(id);
  master.maintenance.schedule = registry.schedule;
  for (const machine of registry.machines) master.maintenance.machines.set(machineKey(machine.id), machine);
  for (const id of registry.gone.slice(-AGENTS_REMEMBERED_MAX)) master.goneAgents.add(id);
}
