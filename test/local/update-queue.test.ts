import { describe, expect, it } from 'vitest';
import { createUpdateQueue, UPDATE_RETRY_MS_MAX, UPDATES_MAX } from '../../src/local/update-queue.ts';
import type { TaskState, TaskStatus } from '../../src/mesos/wire.ts';

const status = (uuid: string, state: TaskState = 'TASK_RUNNING'): TaskStatus => ({
  task_id: { value: 't' },
  state,
  uuid,
});

describe('updates of a task', () => {
  it('go out one at a time, the next when the one before it was acknowledged', () => {
    const queue = createUpdateQueue([]);
    queue.add(status('a'));
    queue.add(status('b'));
    expect(queue.takeDue(0)?.uuid).toBe('a');
    expect(queue.takeDue(1)).toBeNull();
    expect(queue.acknowledge('b')).toBeNull();
    expect(queue.acknowledge('a')?.uuid).toBe('a');
    expect(queue.takeDue(2)?.uuid).toBe('b');
    expect(queue.acknowledge('b')?.uuid).toBe('b');
    expect(queue.dueMs()).toBeNull();
  });

  it('are sent again after 10 s, doubling up to 10 min, and start anew with the next', () => {
    const queue = createUpdateQueue([status('a'), status('b')]);
    const gaps: number[] = [];
    queue.takeDue(0);
    for (let nowMs = 0; gaps.length < 9; ) {
      const dueMs = queue.dueMs() ?? 0;
      gaps.push((dueMs - nowMs) / 1000);
      expect(queue.takeDue(dueMs - 1)).toBeNull();
      expect(queue.takeDue(dueMs)?.uuid).toBe('a');
      nowMs = dueMs;
    }
    expect(gaps).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600]);
    expect(gaps.at(-1)).toBe(UPDATE_RETRY_MS_MAX / 1000);
    queue.acknowledge('a');
    expect(queue.takeDue(5_000_000)?.uuid).toBe('b');
    expect(queue.dueMs()).toBe(5_010_000);
  });

  it('are sent at once to who is new', () => {
    const queue = createUpdateQueue([status('a')]);
    queue.takeDue(0);
    expect(queue.takeDue(5)).toBeNull();
    queue.resend();
    expect(queue.takeDue(5)?.uuid).toBe('a');
  });

  it('are bounded: news of health replace each other, states are kept', () => {
    const queue = createUpdateQueue([status('first', 'TASK_STARTING')]);
    for (let index = 0; index < UPDATES_MAX + 500; index += 1) queue.add(status(`health-${index}`));
    queue.add(status('end', 'TASK_FAILED'));
    const uuids = queue.pending().map(({ uuid }) => uuid);
    expect(uuids).toHaveLength(UPDATES_MAX + 1);
    expect(uuids.slice(-2)).toEqual([`health-${UPDATES_MAX + 499}`, 'end']);
    expect(uuids[0]).toBe('first');
  });
});
