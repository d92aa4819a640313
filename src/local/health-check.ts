import type { Clock } from '../base/ports.ts';
import type { CheckInfo, CheckStatusInfo, HealthCheck } from '../mesos/wire.ts';

/** Mesos's defaults (`mesos.proto`, HealthCheck and CheckInfo). */
const DELAY_SECONDS = 15;
const INTERVAL_SECONDS = 10;
const TIMEOUT_SECONDS = 20;
const GRACE_PERIOD_SECONDS = 10;
const CONSECUTIVE_FAILURES = 3;
const HTTP_STATUS_MIN = 200;
const HTTP_STATUS_MAX = 399;

/** One look at a task; `null` when the look itself failed or took too long. */
export type Probe = (timeoutMs: number, signal: AbortSignal) => Promise<CheckStatusInfo | null>;

export interface HealthCheckOptions {
  readonly check: HealthCheck;
  readonly clock: Clock;
  /** Ends the checking. */
  readonly signal: AbortSignal;
  /** Every single failure is told, a success only where it is news. */
  readonly onHealth: (healthy: boolean) => void;
  /** The failure that was one too many was told just before. */
  readonly onTooManyFailures: () => void;
  readonly probe: Probe;
}

/**
 * Checks a task's health the way Mesos's executors do: first after the delay, then an interval after each outcome;
 * failures within the grace period do not count until there was an outcome that did.
 */
export async function runHealthCheck(options: HealthCheckOptions): Promise<void> {
  const { check, clock, signal, probe } = options;
  const gracePeriodMs = (check.grace_period_seconds ?? GRACE_PERIOD_SECONDS) * 1000;
  const failuresMax = check.consecutive_failures ?? CONSECUTIVE_FAILURES;
  const startedMs = clock.monotonicMs();
  let told = false;
  let failures = 0;

  await repeat({ check, clock, signal, probe }, (outcome) => {
    if (isHealthy(check, outcome)) {
      if (!told || failures > 0) options.onHealth(true);
      told = true;
      failures = 0;
      return true;
    }
    if (!told && gracePeriodMs > 0 && clock.monotonicMs() - startedMs <= gracePeriodMs) return true;
    told = true;
    failures += 1;
    options.onHealth(false);
    if (failures < failuresMax) return true;
    options.onTooManyFailures();
    return false;
  });
}

export interface CheckOptions {
  readonly check: CheckInfo;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told when the outcome is another than before; a look that failed has an empty one. */
  readonly onStatus: (status: CheckStatusInfo) => void;
  readonly probe: Probe;
}

/** Looks at a task and tells what is found when it changes; nothing follows from it. */
export async function runCheck(options: CheckOptions): Promise<void> {
  const empty = emptyStatus(options.check.type);
  let last = JSON.stringify(empty);
  await repeat(options, (outcome) => {
    const status = outcome ?? empty;
    const text = JSON.stringify(status);
    if (text !== last) options.onStatus(status);
    last = text;
    return true;
  });
}

/** What is known before the first look. */
export function emptyStatus(type: CheckInfo['type']): CheckStatusInfo {
  return { type, [type.toLowerCase()]: {} };
}

interface Repetition {
  readonly check: HealthCheck | CheckInfo;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly probe: Probe;
}

async function repeat(
  { check, clock, signal, probe }: Repetition,
  take: (outcome: CheckStatusInfo | null) => boolean,
): Promise<void> {
  const intervalMs = (check.interval_seconds ?? INTERVAL_SECONDS) * 1000;
  // A limit of zero means none in Mesos; here nothing waits without one.
  const timeoutMs = (check.timeout_seconds || TIMEOUT_SECONDS) * 1000;
  for (let waitMs = (check.delay_seconds ?? DELAY_SECONDS) * 1000; ; waitMs = intervalMs) {
    await clock.sleep(waitMs, signal);
    if (hasEnded(signal)) return;
    const outcome = await probe(timeoutMs, signal);
    // A parent that is killing its task is told nothing any more; the flag may have changed while we waited.
    if (hasEnded(signal) || !take(outcome)) return;
  }
}

function isHealthy(check: HealthCheck, outcome: CheckStatusInfo | null): boolean {
  if (outcome === null) return false;
  switch (outcome.type) {
    case 'TCP':
      return outcome.tcp?.succeeded === true;
    case 'COMMAND':
      return outcome.command?.exit_code === 0;
    case 'HTTP': {
      const status = outcome.http?.status_code ?? 0;
      const wanted = check.http?.statuses ?? [];
      if (wanted.length > 0) return wanted.includes(status);
      return status >= HTTP_STATUS_MIN && status <= HTTP_STATUS_MAX;
    }
  }
}

function hasEnded(signal: AbortSignal): boolean {
  return signal.aborted;
}
