import { describe, expect, it } from 'vitest';
import { orAborted, startDeadline, withDeadline } from '../../src/base/deadline.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

describe('a deadline', () => {
  it('aborts when its time is over, and says so', async () => {
    const clock = createVirtualClock();
    const deadline = startDeadline(clock, 100, new AbortController().signal);
    await clock.advance(99);
    expect(deadline.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(deadline.signal.reason).toMatchObject({ code: 'deadline-passed', message: '100 ms have passed' });
    expect(deadline.passed).toBe(true);
    deadline.release();
  });

  it('aborts with the caller’s signal, at once where that has aborted before', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const deadline = startDeadline(clock, 100, controller.signal);
    controller.abort('enough');
    const late = startDeadline(clock, 100, controller.signal);
    for (const { signal, passed } of [deadline, late]) {
      expect({ reason: signal.reason, passed }).toEqual({ reason: 'enough', passed: false });
    }
    expect(clock.pending).toBe(0);
  });

  it('once lifted follows the caller’s signal only, once released nothing', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const lifted = startDeadline(clock, 100, controller.signal);
    const released = startDeadline(clock, 100, controller.signal);
    lifted.lift();
    released.release();
    await clock.advance(1000);
    expect(lifted.signal.aborted).toBe(false);
    controller.abort();
    expect([lifted.signal.aborted, released.signal.aborted]).toEqual([true, false]);
  });

  it('leaves no timer behind when it is cancelled', () => {
    const clock = createVirtualClock();
    const deadline = startDeadline(clock, 100, new AbortController().signal);
    deadline.cancel();
    expect([deadline.signal.aborted, deadline.passed, clock.pending]).toEqual([true, false, 0]);
  });
});

describe('withDeadline', () => {
  it('gives the result, and the error, of work that is done in time', async () => {
    const clock = createVirtualClock();
    const { signal } = new AbortController();
    expect(await withDeadline(clock, 100, signal, async () => await Promise.resolve(7))).toBe(7);
    const failing = withDeadline(clock, 100, signal, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(clock.pending).toBe(0);
  });

  it('does not wait for work that takes no notice', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const slow = withDeadline(clock, 100, controller.signal, () => new Promise(() => {}));
    void clock.advance(100);
    await expect(slow).rejects.toMatchObject({ code: 'deadline-passed' });
    const cut = withDeadline(clock, 100, controller.signal, () => new Promise(() => {}));
    controller.abort(new Error('enough'));
    await expect(cut).rejects.toThrow('enough');
    expect(clock.pending).toBe(0);
  });
});

describe('orAborted', () => {
  it('takes whichever comes first', async () => {
    const controller = new AbortController();
    expect(await orAborted(controller.signal, Promise.resolve(7))).toBe(7);
    controller.abort(new Error('enough'));
    await expect(orAborted(controller.signal, new Promise(() => {}))).rejects.toThrow('enough');
  });
});
