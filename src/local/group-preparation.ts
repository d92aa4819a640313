import { mkdirSync } from 'node:fs';
import { describeError } from '../base/errors.ts';
import type { Logger } from '../base/ports.ts';
import type { ContainerSpec, GroupSpec, OnContainerEvent } from './container-runtime.ts';
import type { PreparedTask } from './executor.ts';
import { linkParentPaths, linkVolumes, sandboxOf } from './sandbox.ts';

export interface GroupPreparationOptions {
  readonly workDirectory: string;
  readonly logger: Logger;
  readonly onEvent: OnContainerEvent;
  /** Brings what the task needs into its sandbox, which exists. */
  readonly prepare: (spec: ContainerSpec, sandbox: string, signal: AbortSignal) => Promise<PreparedTask>;
  /** Throws when what is to be there is not. */
  readonly assertVolumes: (volumes: ContainerSpec['volumes']) => void;
  /** Hands the tasks to the executor of that container; where none runs it is started. */
  readonly deliver: (
    containerId: string,
    tasks: readonly PreparedTask[],
    signal: AbortSignal,
  ) => Promise<void>;
  /** The executor of that container has no use any more unless it has tasks already. */
  readonly abandon: (containerId: string) => void;
}

/** What happens to task groups before their executor has them. */
export function createGroupPreparation(options: GroupPreparationOptions) {
  const groups = new Map<GroupSpec, AbortController>();

  async function prepare(group: GroupSpec, { signal }: AbortController): Promise<void> {
    const { workDirectory } = options;
    const { containerId, executorId } = group;
    const parentSandbox = sandboxOf(workDirectory, { taskId: executorId, containerId });
    try {
      options.assertVolumes(group.volumes);
      mkdirSync(parentSandbox, { recursive: true, mode: 0o750 });
      linkVolumes(group.volumes, parentSandbox);
      const tasks: PreparedTask[] = [];
      for (const spec of group.tasks) {
        const sandbox = sandboxOf(workDirectory, { ...spec, executorId });
        mkdirSync(sandbox, { recursive: true, mode: 0o750 });
        linkParentPaths(spec.parentPaths ?? [], parentSandbox, sandbox);
        tasks.push(await options.prepare(spec, sandbox, signal));
      }
      await options.deliver(containerId, tasks, signal);
      groups.delete(group);
    } catch (error) {
      if (signal.aborted) return;
      groups.delete(group);
      options.logger.warn('group launch failed', { container: containerId, executor: executorId, error });
      const message = `Failed to launch container: ${describeError(error)}`;
      for (const spec of group.tasks) options.onEvent(spec.containerId, { kind: 'fetch-failed', message });
      options.abandon(containerId);
    }
  }

  /** One of its tasks is not wanted any more: none of it is launched. `false` when it is launched already. */
  function cancel(isMeant: (group: GroupSpec) => boolean, told: 'killed' | 'terminated'): boolean {
    const found = [...groups].filter(([group]) => isMeant(group));
    for (const [group, preparing] of found) {
      preparing.abort();
      groups.delete(group);
      // Not from within the call that asked for it.
      setImmediate(() => {
        for (const { containerId } of group.tasks) {
          options.onEvent(
            containerId,
            told === 'killed'
              ? { kind: 'exited', code: null, signal: 'SIGTERM', killed: true }
              : { kind: 'executor-terminated' },
          );
        }
        options.abandon(group.containerId);
      });
    }
    return found.length > 0;
  }

  return {
    launch(group: GroupSpec): void {
      const preparing = new AbortController();
      groups.set(group, preparing);
      void prepare(group, preparing);
    },
    cancelTask: (containerId: string) =>
      cancel(({ tasks }) => tasks.some((spec) => spec.containerId === containerId), 'killed'),
    cancelAll: (containerId: string) => cancel((group) => group.containerId === containerId, 'terminated'),
    /** Whether groups of that executor are on their way to it. */
    has: (containerId: string) => [...groups.keys()].some((group) => group.containerId === containerId),
    close: () => {
      for (const preparing of groups.values()) preparing.abort();
      groups.clear();
    },
  };
}
