import type { HealthCheck } from '../mesos/wire.ts';

/** The largest uint32: Mesos is told how a member is, only the scheduler decides what dies. */
const FAILURES_NEVER_KILL = 4_294_967_295;

/** Whether somebody accepts connections at a client port, as Mesos looks itself. */
export function clientCheckOf(port: number): HealthCheck {
  return {
    type: 'TCP',
    tcp: { port },
    delay_seconds: 0,
    interval_seconds: 10,
    timeout_seconds: 5,
    grace_period_seconds: 30,
    consecutive_failures: FAILURES_NEVER_KILL,
  };
}
