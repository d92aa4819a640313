import type { Offer } from '../mesos/wire.ts';
import type { AgentDescription } from './messages.ts';

/** A machine as maintenance names it; agents on it have its host name and address. */
export interface MachineId {
  readonly hostname?: string;
  readonly ip?: string;
}
export type Unavailability = NonNullable<Offer['unavailability']>;
export interface MaintenanceWindow {
  readonly machine_ids: readonly MachineId[];
  readonly unavailability: Unavailability;
}

/** A machine with maintenance ahead (`DRAINING`) or under way (`DOWN`). All others are up. */
export interface ScheduledMachine {
  readonly id: MachineId;
  readonly mode: 'DRAINING' | 'DOWN';
  readonly unavailability: Unavailability;
}

/** What there is of maintenance in a master. */
export interface MaintenanceState {
  schedule: readonly MaintenanceWindow[];
  /** By {@link machineKey}. */
  readonly machines: Map<string, ScheduledMachine>;
}

export function machineKey({ hostname = '', ip = '' }: MachineId): string {
  return `${hostname.toLowerCase()} ${ip}`;
}

export function machineOf(
  { maintenance }: { readonly maintenance: MaintenanceState },
  description: AgentDescription,
): ScheduledMachine | undefined {
  return maintenance.machines.get(machineKey(description));
}

/** When the agent's machine will be away, as far as that is scheduled. */
export function unavailabilityOf(
  master: { readonly maintenance: MaintenanceState },
  description: AgentDescription,
): Unavailability | undefined {
  return machineOf(master, description)?.unavailability;
}
