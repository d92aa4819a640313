import { expect, test } from 'vitest';
import { runHealthCheck } from '../../src/local/health-check.ts';
import type { HealthCheck } from '../../src/mesos/wire.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

/** Runs a check against outcomes in their order (the last one stays) and says what was told when. */
async function tell(check: Partial<HealthCheck>, outcomes: readonly boolean[], durationMs: number) {
  const clock = createVirtualClock();
  const told: string[] = [];
  let probes = 0;
  const stop = new AbortController();
  const seconds = () => clock.monotonicMs() / 1000;
  void runHealthCheck({
    check: { type: 'TCP', tcp: { port: 1 }, ...check },
    clock,
    signal: stop.signal,
    onHealth: (healthy) => told.push(`${seconds()} ${healthy ? 'healthy' : 'unhealthy'}`),
    onTooManyFailures: () => told.push(`${seconds()} too many`),
    probe: async () => {
      const succeeded = outcomes[Math.min(probes++, outcomes.length - 1)] ?? false;
      return { type: 'TCP', tcp: { succeeded } };
    },
  });
  await clock.advance(durationMs);
  stop.abort();
  await clock.settle();
  return told;
}

const quick = { delay_seconds: 1, interval_seconds: 2, grace_period_seconds: 0 };

test('a success is told once, every failure each time, and a success after it again', async () => {
  const outcomes = [true, true, false, false, true, true];
  expect(await tell({ ...quick, consecutive_failures: 9 }, outcomes, 30_000)).toEqual([
    '1 healthy',
    '5 unhealthy',
    '7 unhealthy',
    '9 healthy',
  ]);
});

test('the failure that is one too many ends the checking; a success between counts anew', async () => {
  const outcomes = [false, false, true, false, false, false];
  expect(await tell({ ...quick, consecutive_failures: 3 }, outcomes, 60_000)).toEqual([
    '1 unhealthy',
    '3 unhealthy',
    '5 healthy',
    '7 unhealthy',
    '9 unhealthy',
    '11 unhealthy',
    '11 too many',
  ]);
});

test('the greatest number of failures never ends it', async () => {
  const told = await tell({ ...quick, consecutive_failures: 4_294_967_295 }, [false], 200_000);
  expect(told).toHaveLength(100);
  expect(told).not.toContain('too many');
});

test('failures within the grace period do not count until there was an outcome that did', async () => {
  const check = { ...quick, grace_period_seconds: 6, consecutive_failures: 2 };
  expect(await tell(check, [false], 60_000)).toEqual(['7 unhealthy', '9 unhealthy', '9 too many']);
  expect(await tell(check, [true, false], 60_000)).toEqual([
    '1 healthy',
    '3 unhealthy',
    '5 unhealthy',
    '5 too many',
  ]);
});

test("without numbers Mesos's defaults hold", async () => {
  expect(await tell({}, [false], 60_000)).toEqual([
    '15 unhealthy',
    '25 unhealthy',
    '35 unhealthy',
    '35 too many',
  ]);
});
