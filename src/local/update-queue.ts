import type { TaskStatus } from '../mesos/wire.ts';

/** Milliseconds until an update that was not acknowledged is sent again; doubles each time. */
export const UPDATE_RETRY_MS_MIN = 10_000;
export const UPDATE_RETRY_MS_MAX = 600_000;
/** Updates of one task that wait. Beyond it a task's news of its health replace each other. */
export const UPDATES_MAX = 1000;

/** The updates of one task on their way to its framework: in order, each only when the one before it is taken. */
export interface UpdateQueue {
  /** Everything not acknowledged yet, oldest first. */
  pending(): readonly TaskStatus[];
  add(status: TaskStatus): void;
  /** The oldest, if it is due: never sent or not acknowledged for long enough. Counts as sent. */
  takeDue(nowMs: number): TaskStatus | null;
  /** When the oldest is to be sent (again); `null` when there is none. */
  dueMs(): number | null;
  /** The oldest is due at once: its receiver is new. */
  resend(): void;
  /** Takes the oldest off if it has that uuid, and says what it was. */
  acknowledge(uuid: string): TaskStatus | null;
}

export function createUpdateQueue(initial: readonly TaskStatus[]): UpdateQueue {
  const pending = [...initial];
  let dueMs = Number.NEGATIVE_INFINITY;
  let retryMs = UPDATE_RETRY_MS_MIN;
  const restart = (): void => {
    dueMs = Number.NEGATIVE_INFINITY;
    retryMs = UPDATE_RETRY_MS_MIN;
  };

  return {
    pending: () => pending,
    add: (status) => {
      const last = pending.at(-1);
      const onlyHealth = pending.length > 1 && last?.state === status.state;
      if (pending.length >= UPDATES_MAX && onlyHealth) pending.pop();
      pending.push(status);
    },
    takeDue: (nowMs) => {
      const oldest = pending[0];
      if (oldest === undefined || nowMs < dueMs) return null;
      dueMs = nowMs + retryMs;
      retryMs = Math.min(UPDATE_RETRY_MS_MAX, retryMs * 2);
      return oldest;
    },
    dueMs: () => (pending.length === 0 ? null : dueMs),
    resend: restart,
    acknowledge: (uuid) => {
      if (pending[0]?.uuid !== uuid) return null;
      restart();
      return pending.shift() ?? null;
    },
  };
}
