import { runExecutor } from '../local/executor.ts';
import { createSystemClock } from './clock.ts';

/** The role `etcd-mesos local executor`, apart from the others because a task waits for its start. */
export async function runLocalExecutor(options: { readonly directory: string }): Promise<void> {
  await runExecutor({ directory: options.directory, clock: createSystemClock() });
  process.exit(0);
}
