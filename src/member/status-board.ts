import type { Clock } from '../base/ports.ts';
import type { MemberStatus } from '../protocol/member-status.ts';

/** A status without what only the board adds. */
export type StatusDraft = Omit<MemberStatus, 'sequence'>;

/** Numbers the changes of a status and wakes those who wait for one. */
export interface StatusBoard {
  readonly sequence: number;
  /** Compares with what was published before and counts a change that is worth telling. */
  publish(draft: StatusDraft): void;
  /** Resolves when the sequence is another than `after`, after `waitMs`, or when `signal` aborts. */
  wait(after: number, waitMs: number, signal: AbortSignal): Promise<void>;
}

/** Progress of the data alone wakes waiters at most this often: closely while a learner catches up. */
const PROGRESS_MS = 1_000;
const LEARNER_PROGRESS_MS = 250;

export function createStatusBoard(clock: Clock): StatusBoard {
  let sequence = 1;
  let significant = '';
  let progress = '';
  let changedAtMs = Number.NEGATIVE_INFINITY;
  const waiting = new Set<AbortController>();
  return {
    get sequence() {
      return sequence;
    },
    publish(draft) {
      const next = { significant: significantPart(draft), progress: progressPart(draft) };
      const pauseMs = draft.probe?.isLearner === true ? LEARNER_PROGRESS_MS : PROGRESS_MS;
      const moved = next.progress !== progress && clock.monotonicMs() - changedAtMs >= pauseMs;
      if (next.significant === significant && !moved) return;
      ({ significant, progress } = next);
      changedAtMs = clock.monotonicMs();
      sequence += 1;
      for (const waiter of waiting) waiter.abort();
    },
    async wait(after, waitMs, signal) {
      if (sequence !== after || signal.aborted) return;
      const woken = new AbortController();
      const wake = () => woken.abort();
      waiting.add(woken);
      signal.addEventListener('abort', wake, { once: true });
      await clock.sleep(waitMs, woken.signal);
      waiting.delete(woken);
      signal.removeEventListener('abort', wake);
    },
  };
}

/** What is told at once. Positions are left out: they move with every write. */
function significantPart(draft: StatusDraft): string {
  const { probe, floor: _floor, ...rest } = draft;
  if (probe === null) return JSON.stringify(rest);
  const {
    ageMs: _age,
    raftIndex: _index,
    raftAppliedIndex: _applied,
    revision: _revision,
    ...telling
  } = probe;
  const { dbSizeBytes: _size, dbSizeInUseBytes: _inUse, ...stable } = telling;
  return JSON.stringify({ ...rest, probe: stable });
}

function progressPart(draft: StatusDraft): string {
  const { probe, floor } = draft;
  return JSON.stringify([floor, probe?.revision, probe?.raftAppliedIndex, probe?.dbSizeBytes]);
}
