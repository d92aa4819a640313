import type { Clock } from '../base/ports.ts';
import { endAll, type ProcessTable, processesWithVariable, processTree } from './process-table.ts';

/** Milliseconds between two looks while processes end. */
const PAUSE_MS = 10;

/** Marks every process of one local cluster; inherited by all that is below. */
export const CLUSTER_VARIABLE = 'ETCD_MESOS_LOCAL_CLUSTER';
/** Marks every process of one of its hosts. */
export const HOST_VARIABLE = 'ETCD_MESOS_LOCAL_HOST';

/**
 * Whatever belongs to a mark: the processes that were started with the variable, what descends from them, and who
 * shares a session with these, so a daemon that cleared its environment is found as long as anything leads to it.
 */
export function markedProcesses(table: ProcessTable, variable: string, value: string): ReadonlySet<number> {
  return processTree(table, processesWithVariable(table, `${variable}=${value}`));
}

/**
 * Waits until its owner is gone (the end of stdin), then ends everything of the owner's cluster that is left.
 * A process of its own, in a session of its own: it works when the owner was SIGKILLed and agents are stopped.
 */
export async function runReaper(options: { readonly cluster: string; readonly clock: Clock }): Promise<void> {
  const { stdin } = process;
  await new Promise<void>((resolve) => {
    stdin.once('end', resolve).once('error', () => resolve());
    stdin.resume();
  });
  await endAll(
    (table) => markedProcesses(table, CLUSTER_VARIABLE, options.cluster),
    () => options.clock.sleep(PAUSE_MS),
  );
}
