import { runReaper } from '../local/reaper.ts';
import { createSystemClock } from './clock.ts';

/** The role `etcd-mesos local reaper`: small, because every local Mesos has one. */
export async function runLocalReaper(options: { readonly cluster: string }): Promise<void> {
  await runReaper({ cluster: options.cluster, clock: createSystemClock() });
  process.exit(0);
}
