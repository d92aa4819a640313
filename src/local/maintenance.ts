import { isIPv4 } from 'node:net';
import * as z from 'zod';
import type { Action } from './acls.ts';
import { removeAgent } from './agent-loss.ts';
import { rescindInverseOffers } from './inverse-offers.ts';
import {
  type MachineId,
  type MaintenanceWindow,
  machineKey,
  type ScheduledMachine,
  type Unavailability,
} from './maintenance-state.ts';
import {
  type Agent,
  allocateSoon,
  type Master,
  newestFirst,
  offersOn,
  rescindOffer,
  sendToAgent,
} from './master-state.ts';
import { DONE, FORBIDDEN, json, malformed, type OperatorAnswer, refuse } from './operator-answer.ts';

const machineId = z.looseObject({ hostname: z.string().optional(), ip: z.string().optional() });
const time = z.looseObject({ nanoseconds: z.number() });
const unavailability = z.looseObject({ start: time, duration: time.optional() });
const scheduleShape = z.looseObject({
  schedule: z.looseObject({
    windows: z
      .array(z.looseObject({ machine_ids: z.array(machineId).default([]), unavailability }))
      .default([]),
  }),
});
const machinesShape = z.looseObject({ machines: z.array(machineId).default([]) });

export function showSchedule(master: Master, principal: string | null): OperatorAnswer {
  const windows = master.maintenance.schedule.flatMap((window) => {
    const machine_ids = window.machine_ids.filter((id) =>
      mayDo(master, 'get_maintenance_schedules', principal, id),
    );
    return machine_ids.length === 0 ? [] : [{ ...window, machine_ids }];
  });
  return json('GET_MAINTENANCE_SCHEDULE', { schedule: windows.length === 0 ? {} : { windows } });
}

/** A new schedule in place of the old: whoever has offers there is told at once, and asked for what it uses. */
export function updateSchedule(master: Master, body: unknown, principal: string | null): OperatorAnswer {
  const parsed = scheduleShape.safeParse(body);
  if (!parsed.success) return malformed("Expecting 'update_maintenance_schedule' to be present");
  const { windows } = parsed.data.schedule as { readonly windows: readonly MaintenanceWindow[] };
  const problem = scheduleProblem(master, windows);
  if (problem !== null) return refuse(400, problem);
  const ids = windows.flatMap(({ machine_ids }) => machine_ids);
  if (!ids.every((id) => mayDo(master, 'update_maintenance_schedules', principal, id))) return FORBIDDEN;
  const { machines } = master.maintenance;
  const before = new Map(machines);
  machines.clear();
  for (const window of windows) {
    for (const id of window.machine_ids) {
      const mode = before.get(machineKey(id))?.mode ?? 'DRAINING';
      machines.set(machineKey(id), { id, mode, unavailability: window.unavailability });
    }
  }
  master.maintenance.schedule = windows;
  // Mesos does so on every machine, also where nothing has changed.
  for (const agent of newestFirst(master.agents)) {
    for (const offer of offersOn(master, agent.id)) rescindOffer(master, offer);
    rescindInverseOffers(master, agent.id);
    master.inverseAnswers.delete(agent.id);
    for (const framework of master.frameworks.values()) framework.inverseFilters.delete(agent.id);
    allocateSoon(master, agent.id);
  }
  return DONE;
}

/** Maintenance begins: the agents there are told to end and are gone at once. */
export function startMaintenance(master: Master, body: unknown, principal: string | null): OperatorAnswer {
  return withMachines(master, body, {
    name: 'start_maintenance',
    action: 'start_maintenances',
    principal,
    mode: 'DRAINING',
    refusal: 'is not in DRAINING mode and cannot be brought down',
    act: (chosen) => {
      const message = "Operator initiated 'Machine DOWN'";
      for (const machine of chosen) {
        for (const agent of agentsOn(master, machine.id)) {
          sendToAgent(master, agent, { kind: 'shutdown', message });
          removeAgent(master, agent, message);
        }
        master.maintenance.machines.set(machineKey(machine.id), { ...machine, mode: 'DOWN' });
      }
    },
  });
}

/** Maintenance is over: the machines are as any other, and agents may be started there. */
export function stopMaintenance(master: Master, body: unknown, principal: string | null): OperatorAnswer {
  return withMachines(master, body, {
    name: 'stop_maintenance',
    action: 'stop_maintenances',
    principal,
    mode: 'DOWN',
    refusal: 'is not in DOWN mode and cannot be brought up',
    act: (chosen) => {
      const up = new Set(chosen.map(({ id }) => machineKey(id)));
      for (const key of up) master.maintenance.machines.delete(key);
      master.maintenance.schedule = master.maintenance.schedule.flatMap((window) => {
        const machine_ids = window.machine_ids.filter((id) => !up.has(machineKey(id)));
        return machine_ids.length === 0 ? [] : [{ ...window, machine_ids }];
      });
    },
  });
}

export function showMaintenance(master: Master, principal: string | null): OperatorAnswer {
  const machines = [...master.maintenance.machines.values()].filter(({ id }) =>
    mayDo(master, 'get_maintenance_statuses', principal, id),
  );
  const draining = machines.filter(({ mode }) => mode === 'DRAINING');
  const down = machines.filter(({ mode }) => mode === 'DOWN');
  return json('GET_MAINTENANCE_STATUS', {
    status: {
      ...(draining.length === 0
        ? {}
        : { draining_machines: draining.map(({ id }) => ({ id, ...showAnswers(master, id) })) }),
      ...(down.length === 0 ? {} : { down_machines: down.map(({ id }) => id) }),
    },
  });
}

function showAnswers(master: Master, id: MachineId) {
  const statuses = agentsOn(master, id).flatMap((agent) =>
    [...(master.inverseAnswers.get(agent.id) ?? [])].map(([frameworkId, { status, wallMs }]) => ({
      status,
      framework_id: { value: frameworkId },
      timestamp: { nanoseconds: wallMs * 1e6 },
    })),
  );
  return statuses.length === 0 ? {} : { statuses };
}

interface MachinesCall {
  readonly name: 'start_maintenance' | 'stop_maintenance';
  readonly action: Action;
  readonly principal: string | null;
  /** That machines must be in. */
  readonly mode: ScheduledMachine['mode'];
  readonly refusal: string;
  readonly act: (machines: readonly ScheduledMachine[]) => void;
}

function withMachines(master: Master, body: unknown, call: MachinesCall): OperatorAnswer {
  const parsed = machinesShape.safeParse(body);
  if (!parsed.success) return malformed(`Expecting '${call.name}' to be present`);
  const ids = parsed.data.machines as readonly MachineId[];
  const problem = ids.length === 0 ? 'List of machines is empty' : machinesProblem(ids, 'the schedule');
  if (problem !== null) return refuse(400, problem);
  const chosen: ScheduledMachine[] = [];
  for (const id of ids) {
    const machine = master.maintenance.machines.get(machineKey(id));
    if (machine === undefined)
      return refuse(400, `Machine '${show(id)}' is not part of a maintenance schedule`);
    if (machine.mode !== call.mode) return refuse(400, `Machine '${show(id)}' ${call.refusal}`);
    if (!mayDo(master, call.action, call.principal, id)) return FORBIDDEN;
    chosen.push(machine);
  }
  call.act(chosen);
  return DONE;
}

function scheduleProblem(master: Master, windows: readonly MaintenanceWindow[]): string | null {
  for (const window of windows) {
    if (window.machine_ids.length === 0) return 'List of machines in the maintenance window is empty';
    if (durationOf(window.unavailability) < 0) return "Unavailability 'duration' is negative";
  }
  const ids = windows.flatMap(({ machine_ids }) => machine_ids);
  const problem = machinesProblem(ids, 'the schedule');
  if (problem !== null) return problem;
  const kept = new Set(ids.map(machineKey));
  const dropped = [...master.maintenance.machines].find(
    ([key, { mode }]) => mode === 'DOWN' && !kept.has(key),
  );
  if (dropped === undefined) return null;
  return `Machine '${show(dropped[1].id)}' is deactivated and cannot be removed from the schedule`;
}

function durationOf({ duration }: Unavailability): number {
  return duration?.nanoseconds ?? 0;
}

function machinesProblem(ids: readonly MachineId[], where: string): string | null {
  const seen = new Set<string>();
  for (const id of ids) {
    const { hostname = '', ip = '' } = id;
    if (hostname === '' && ip === '') return "Both 'hostname' and 'ip' for a machine are empty";
    if (ip !== '' && !isIPv4(ip)) return `Failed to parse the IP: ${ip}`;
    if (seen.has(machineKey(id))) return `Machine '${show(id)}' appears more than once in ${where}`;
    seen.add(machineKey(id));
  }
  return null;
}

function agentsOn(master: Master, id: MachineId): readonly Agent[] {
  return [...master.agents.values()].filter(({ description }) => machineKey(description) === machineKey(id));
}

function mayDo(master: Master, action: Action, principal: string | null, id: MachineId): boolean {
  return master.config.authorize(action, principal, [show(id)]);
}

function show({ hostname, ip }: MachineId): string {
  return JSON.stringify({ hostname, ip });
}
