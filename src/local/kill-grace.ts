import type { KillPolicy, TaskInfo } from '../mesos/wire.ts';

/** Milliseconds from SIGTERM to SIGKILL where nobody states it, as in Mesos. */
export const KILL_GRACE_MS_DEFAULT = 3000;

/** What a kill policy grants; `null` where it says nothing. */
export function graceMs(policy: KillPolicy | null | undefined): number | null {
  const nanoseconds = policy?.grace_period?.nanoseconds;
  return nanoseconds === undefined ? null : Math.max(0, Math.round(nanoseconds / 1e6));
}

/** What a task has where its kill grants nothing else. */
export function graceOf(info: TaskInfo): number {
  return graceMs(info.kill_policy) ?? KILL_GRACE_MS_DEFAULT;
}
