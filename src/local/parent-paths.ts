import type { TaskInfo } from '../mesos/wire.ts';
import type { ContainerSpec } from './container-runtime.ts';
import { volumesAmong } from './operations.ts';

/**
 * What of its executor's sandbox a task of a group finds in its own where the agent has the isolator
 * `volume/sandbox_path`: its persistent volumes, and the SANDBOX_PATH volumes of type PARENT that it asks for.
 */
export function parentPathsOf(info: TaskInfo): NonNullable<ContainerSpec['parentPaths']> {
  const persistent = volumesAmong(info.resources).map(({ disk }) => {
    const path = disk.volume?.container_path ?? '';
    return { containerPath: path, parentPath: path };
  });
  const asked = (info.container?.volumes ?? []).flatMap(({ container_path: containerPath, source }) =>
    source?.sandbox_path === undefined ? [] : [{ containerPath, parentPath: source.sandbox_path.path }],
  );
  return [...persistent, ...asked];
}
