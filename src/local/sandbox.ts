import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ContainerSpec, parentContainer } from './container-runtime.ts';

/** Where a task's files are below its agent's directory; those of a task in a group are below its executor's. */
export function sandboxOf(
  workDirectory: string,
  task: { readonly taskId: string; readonly executorId?: string | undefined; readonly containerId: string },
): string {
  const { taskId, executorId, containerId } = task;
  const parent = parentContainer(containerId);
  const sandboxes = join(workDirectory, 'sandboxes');
  if (parent === null || executorId === undefined) return join(sandboxes, taskId, containerId);
  return join(sandboxes, executorId, parent, 'containers', containerId.slice(parent.length + 1));
}

/** A volume appears in the sandbox as a link to its directory. */
export function linkVolumes(volumes: ContainerSpec['volumes'], sandbox: string): void {
  for (const { containerPath, hostPath } of volumes) link(hostPath, join(sandbox, containerPath));
}

/** What a task of a group sees of its executor's sandbox; what is not there yet is made, as Mesos does. */
export function linkParentPaths(
  paths: NonNullable<ContainerSpec['parentPaths']>,
  parentSandbox: string,
  sandbox: string,
): void {
  for (const { containerPath, parentPath } of paths) {
    const target = join(parentSandbox, parentPath);
    mkdirSync(target, { recursive: true });
    link(target, join(sandbox, containerPath));
  }
}

function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}
