import { connect } from 'node:net';
import type { Clock } from '../base/ports.ts';
import type { HealthCheck } from '../mesos/wire.ts';

/** Mesos's defaults (`mesos.proto`, HealthCheck). */
const DELAY_SECONDS = 15;
const INTERVAL_SECONDS = 10;
const TIMEOUT_SECONDS = 20;
const GRACE_PERIOD_SECONDS = 10;
const CONSECUTIVE_FAILURES = 3;

export interface TcpCheckOptions {
  readonly check: HealthCheck;
  readonly clock: Clock;
  /** Ends the checking. */
  readonly signal: AbortSignal;
  /** Every single failure is told, a success only where it is news. */
  readonly onHealth: (healthy: boolean) => void;
  /** The failure that was one too many was told just before. */
  readonly onTooManyFailures: () => void;
  /** Default: a real connection. */
  readonly probe?: (port: number, timeoutMs: number, signal: AbortSignal) => Promise<boolean>;
}

/**
 * Checks a port of this host the way Mesos's command executor does: first after the delay, then an interval after
 * each outcome; failures within the grace period do not count until there was an outcome that did.
 */
export async function runTcpCheck(options: TcpCheckOptions): Promise<void> {
  const { check, clock, signal } = options;
  const probe = options.probe ?? connectTo;
  const intervalMs = (check.interval_seconds ?? INTERVAL_SECONDS) * 1000;
  const timeoutMs = (check.timeout_seconds ?? TIMEOUT_SECONDS) * 1000;
  const gracePeriodMs = (check.grace_period_seconds ?? GRACE_PERIOD_SECONDS) * 1000;
  const failuresMax = check.consecutive_failures ?? CONSECUTIVE_FAILURES;
  const startedMs = clock.monotonicMs();
  let told = false;
  let failures = 0;

  for (let waitMs = (check.delay_seconds ?? DELAY_SECONDS) * 1000; ; waitMs = intervalMs) {
    await clock.sleep(waitMs, signal);
    if (signal.aborted) return;
    const healthy = await probe(check.tcp?.port ?? 0, timeoutMs, signal);
    // A parent that is killing its task is told nothing any more; the flag may have changed while we waited.
    if (hasEnded(signal)) return;
    if (healthy) {
      if (!told || failures > 0) options.onHealth(true);
      told = true;
      failures = 0;
      continue;
    }
    if (!told && gracePeriodMs > 0 && clock.monotonicMs() - startedMs <= gracePeriodMs) continue;
    told = true;
    failures += 1;
    options.onHealth(false);
    if (failures >= failuresMax) {
      options.onTooManyFailures();
      return;
    }
  }

  async function connectTo(port: number, limitMs: number, outer: AbortSignal): Promise<boolean> {
    const done = new AbortController();
    const stop = () => done.abort();
    outer.addEventListener('abort', stop);
    const socket = connect({ host: '127.0.0.1', port });
    const connected = new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    // A limit of zero means none in Mesos.
    const late = clock.sleep(limitMs === 0 ? TIMEOUT_SECONDS * 1000 : limitMs, done.signal).then(() => false);
    const outcome = await Promise.race([connected, late]);
    done.abort();
    outer.removeEventListener('abort', stop);
    socket.destroy();
    return outcome;
  }
}

function hasEnded(signal: AbortSignal): boolean {
  return signal.aborted;
}
