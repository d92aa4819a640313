import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/base/ports.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

interface Subject {
  readonly clock: Clock;
  /** Lets at least this much time pass. */
  readonly pass: (durationMs: number) => Promise<void>;
}

const SUBJECTS: Readonly<Record<string, () => Subject>> = {
  system: () => {
    const clock = createSystemClock();
    return { clock, pass: (durationMs) => new Promise((done) => setTimeout(done, durationMs + 20)) };
  },
  virtual: () => {
    const clock = createVirtualClock();
    return { clock, pass: (durationMs) => clock.advance(durationMs) };
  },
};

describe.each(Object.entries(SUBJECTS))('a %s clock', (_name, create) => {
  it('wakes a sleeper after its time and not before', async () => {
    const { clock, pass } = create();
    const startMs = clock.monotonicMs();
    let wokeMs: number | null = null;
    void clock.sleep(40).then(() => {
      wokeMs = clock.monotonicMs();
    });
    await pass(0);
    expect(wokeMs).toBeNull();
    await pass(60);
    // Timers of Node.js count whole milliseconds and may be early by a part of one.
    expect(Number(wokeMs) - startMs).toBeGreaterThanOrEqual(39);
  });

  it('wakes sleepers in the order of their times, and equal ones in the order they lay down', async () => {
    const { clock, pass } = create();
    const woken: string[] = [];
    const sleep = (name: string, durationMs: number): void => {
      void clock.sleep(durationMs).then(() => woken.push(name));
    };
    sleep('late', 60);
    sleep('early', 10);
    sleep('early too', 10);
    sleep('now', 0);
    await pass(100);
    expect(woken).toEqual(['now', 'early', 'early too', 'late']);
  });

  it('wakes at once when the signal aborts, and does not reject', async () => {
    const { clock, pass } = create();
    const controller = new AbortController();
    const slept = clock.sleep(2 ** 31 - 1, controller.signal);
    await pass(0);
    controller.abort();
    await slept;
    await clock.sleep(2 ** 31 - 1, controller.signal);
  });

  it('never lets monotonic time go back', async () => {
    const { clock, pass } = create();
    let beforeMs = clock.monotonicMs();
    for (let turn = 0; turn < 3; turn += 1) {
      await pass(1);
      expect(clock.monotonicMs()).toBeGreaterThanOrEqual(beforeMs);
      beforeMs = clock.monotonicMs();
    }
  });

  it('tells wall time in milliseconds since 1970, passing as monotonic time does', async () => {
    const { clock, pass } = create();
    const before = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
    expect(before.wallMs).toBeGreaterThan(Date.UTC(2020, 0, 1));
    await pass(50);
    const wallPassedMs = clock.wallMs() - before.wallMs;
    expect(Math.abs(wallPassedMs - (clock.monotonicMs() - before.monotonicMs))).toBeLessThan(40);
  });

  it('refuses a time that no timer can wait', () => {
    const { clock } = create();
    for (const durationMs of [-1, 2 ** 31, Number.NaN]) {
      expect(() => clock.sleep(durationMs)).toThrow('a sleep of');
    }
  });
});

describe('a virtual clock', () => {
  it('lets what a timer sets off run before the next timer', async () => {
    const clock = createVirtualClock();
    const seen: string[] = [];
    void clock.sleep(10).then(async () => {
      seen.push('first');
      for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
      seen.push('all that follows from it');
    });
    void clock.sleep(11).then(() => seen.push('second'));
    await clock.advance(11);
    expect(seen).toEqual(['first', 'all that follows from it', 'second']);
  });

  it('forgets a sleeper that was woken by its signal', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    void clock.sleep(10, controller.signal);
    void clock.sleep(20);
    controller.abort();
    expect(clock.pending).toBe(1);
    await clock.runUntilIdle();
    expect(clock.monotonicMs()).toBe(20);
  });

  it('leaves timers alone when the wall clock jumps', async () => {
    const clock = createVirtualClock({ startMs: 1_000_000 });
    let woken = false;
    void clock.sleep(10).then(() => {
      woken = true;
    });
    clock.jumpWall(-500_000);
    expect(clock.wallMs()).toBe(500_000);
    await clock.advance(9);
    expect(woken).toBe(false);
    await clock.advance(1);
    expect(woken).toBe(true);
  });

  it('says which condition did not come true', async () => {
    const clock = createVirtualClock();
    void clock.sleep(10);
    await expect(clock.runUntil(() => clock.pending === 7, 100)).rejects.toThrow('clock.pending === 7');
  });
});
