import type { Fault } from './fault.ts';
import { ARCHIVE_FAULTS } from './faults-of-archives.ts';
import { CLOCK_FAULTS } from './faults-of-clocks.ts';
import { HOST_FAULTS } from './faults-of-hosts.ts';
import { MOVE_FAULTS } from './faults-of-moves.ts';
import { NETWORK_FAULTS } from './faults-of-network.ts';
import { MESOS_FAULTS, OPERATOR_FAULTS, TEAR_DOWN } from './faults-of-operators.ts';
import { POD_COMMANDS } from './faults-of-pods.ts';
import { ROLLOUT_FAULTS } from './faults-of-rollouts.ts';
import { SCALING_FAULTS } from './faults-of-scaling.ts';
import { RECORD_FAULTS, SCHEDULER_FAULTS, ZOOKEEPER_FAULTS } from './faults-of-schedulers.ts';
import { SPACE_FAULTS } from './faults-of-space.ts';
import type { SimStorage } from './sim-config.ts';
import type { World } from './world.ts';

/** All that a scenario may do. A new fault is added to the list of its kind; a new kind here. */
export const FAULTS: readonly Fault[] = [
  ...HOST_FAULTS,
  ...NETWORK_FAULTS,
  ...SCHEDULER_FAULTS,
  ...ZOOKEEPER_FAULTS,
  TEAR_DOWN,
  ...RECORD_FAULTS,
  ...OPERATOR_FAULTS,
  ...MESOS_FAULTS,
  ...SCALING_FAULTS,
  ...POD_COMMANDS,
  ...MOVE_FAULTS,
  ...CLOCK_FAULTS,
  ...SPACE_FAULTS,
  ...ROLLOUT_FAULTS,
  ...ARCHIVE_FAULTS,
];

/** Those that can happen in that world now. */
export function faultsIn(world: World, storage: SimStorage): readonly Fault[] {
  return FAULTS.filter(
    ({ on, possible }) => (on === undefined || on.includes(storage)) && possible?.(world) !== false,
  );
}

export function isFinal({ final }: Fault, storage: SimStorage): boolean {
  return final?.includes(storage) === true;
}
