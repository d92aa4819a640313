import type { Clock } from '../base/ports.ts';
import type { ContainerEvent } from './container-runtime.ts';
import type { PreparedTask } from './executor.ts';
import type { JournalEntry } from './journal.ts';
import { type RunningTask, startTask } from './running-task.ts';

export interface TaskGroupsOptions {
  /** By container; those of the groups are in it while they live. */
  readonly tasks: Map<string, RunningTask>;
  readonly clock: Clock;
  readonly write: (entry: JournalEntry) => void;
  /** No task of any group is left. */
  readonly onAllOver: () => void;
}

/** The rules of Mesos's default executor: when a task of a group fails or is killed, so are the others of it. */
export function createTaskGroups({ tasks, clock, write, onAllOver }: TaskGroupsOptions) {
  return {
    launch(group: readonly PreparedTask[]): void {
      for (const order of group) {
        const { containerId } = order.spec;
        const tell = (event: ContainerEvent, taskPid?: number): void => {
          write({ event, containerId, ...(taskPid === undefined ? {} : { taskPid }) });
          // Not before all of the group have been started, which a command that is not there may precede.
          if (event.kind === 'exited') setImmediate(() => bury(group, containerId, event));
        };
        tasks.set(containerId, startTask({ order, clock, executorPid: null, tell }));
      }
    },
  };

  function bury(
    group: readonly PreparedTask[],
    containerId: string,
    { killed, code }: Extract<ContainerEvent, { kind: 'exited' }>,
  ): void {
    tasks.delete(containerId);
    if (killed || code !== 0) {
      for (const { spec } of group) tasks.get(spec.containerId)?.kill(spec.killGraceMs);
    }
    if (tasks.size === 0) onAllOver();
  }
}
