import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import type { MemberStatus } from '../protocol/member-status.ts';
import { type Members, MembersError } from '../protocol/members-port.ts';
import { servesClients } from '../reconcile/names.ts';
import type { MemberView } from '../reconcile/observation.ts';

/** Keeps a question open at every supervisor, so that what changes there is known at once. */
export interface MemberWatch {
  /** Asks these supervisors from now on, and no others. */
  follow(targets: readonly WatchTarget[]): void;
  /** Asks now rather than after the present wait: its task was just said to run. */
  nudge(task: string): void;
  /** By seat id. */
  views(): ReadonlyMap<string, MemberView>;
  sequenceOf(seatId: string): number | null;
  stop(): void;
}
export interface WatchTarget {
  readonly seat: string;
  readonly task: string;
  readonly url: string;
}

/** Supervisors that are asked at a time: every seat a record can hold, and those on their way out. */
const WATCHES_MAX = 288;
/** A question is answered after this long even if nothing changed, so that an answer is never old. */
const WAIT_MS = 1_000;
/** What an answer may take beyond that. */
const ANSWER_MS = 2_000;
const RETRY_FIRST_MS = 100;
/** For this long nothing but {@link RETRY_FIRST_MS} lies between two tries: it may be about to come up. */
const EAGER_MS = 10_000;
/** The longest wait between two tries while a launch is awaited, and after that. */
const RETRY_AWAITED_MS = 1_000;
const RETRY_LAST_MS = 5_000;

interface Watch {
  readonly target: WatchTarget;
  readonly ended: AbortController;
  retry: AbortController;
  status: MemberStatus | null;
  /** Monotonic. */
  answeredAtMs: number;
  failingSinceMs: number | null;
  /** Since when its answers say that it serves no clients. */
  notServingSinceMs: number | null;
}

export function createMemberWatch(options: {
  readonly clock: Clock;
  readonly members: Members;
  /** A supervisor has answered, or has stopped answering. */
  readonly onChange: () => void;
}): MemberWatch {
  const { clock, members, onChange } = options;
  const watches = new Map<string, Watch>();

  const ask = async (watch: Watch): Promise<void> => {
    const after = watch.status?.sequence;
    const wait = after === undefined ? null : { after, waitMs: WAIT_MS };
    const answerMs = ANSWER_MS + (wait?.waitMs ?? 0);
    const status = await withDeadline(clock, answerMs, watch.ended.signal, (signal) =>
      members.status(watch.target.url, wait, signal),
    );
    // Another task's supervisor at the same address says nothing about this one.
    if (status.task !== watch.target.task) {
      throw new MembersError('malformed', `${watch.target.url} is the supervisor of ${status.task}`);
    }
    watch.status = status;
    watch.answeredAtMs = clock.monotonicMs();
    watch.failingSinceMs = null;
    watch.notServingSinceMs = servesClients(status) ? null : (watch.notServingSinceMs ?? watch.answeredAtMs);
  };

  const keepAsking = async (watch: Watch): Promise<void> => {
    let retryMs = RETRY_FIRST_MS;
    while (!isEnded(watch)) {
      const askedAtMs = clock.monotonicMs();
      try {
        await ask(watch);
        retryMs = RETRY_FIRST_MS;
        onChange();
        // A supervisor that answers at once whatever is asked of it is not asked in a circle.
        if (clock.monotonicMs() - askedAtMs < ANSWERS_APART_MS)
          await clock.sleep(ANSWERS_APART_MS, watch.ended.signal);
      } catch {
        if (isEnded(watch)) return;
        const first = watch.failingSinceMs === null;
        watch.failingSinceMs ??= askedAtMs;
        if (first) onChange();
        watch.retry = new AbortController();
        await clock.sleep(retryMs, AbortSignal.any([watch.ended.signal, watch.retry.signal]));
        retryMs = nextRetryMs(watch, retryMs, clock.monotonicMs());
      }
    }
  };

  const end = (seat: string): void => {
    watches.get(seat)?.ended.abort(new MembersError('aborted', 'the supervisor is not watched any more'));
    watches.delete(seat);
  };

  return {
    follow(targets) {
      const wanted = new Map(targets.slice(0, WATCHES_MAX).map((target) => [target.seat, target]));
      for (const [seat, { target }] of watches) {
        const next = wanted.get(seat);
        if (next === undefined || next.task !== target.task || next.url !== target.url) end(seat);
      }
      for (const target of wanted.values()) {
        if (watches.has(target.seat)) continue;
        const watch: Watch = {
          target,
          ended: new AbortController(),
          retry: new AbortController(),
          status: null,
          answeredAtMs: 0,
          failingSinceMs: null,
          notServingSinceMs: null,
        };
        watches.set(target.seat, watch);
        void keepAsking(watch);
      }
    },
    nudge(task) {
      for (const watch of watches.values()) if (watch.target.task === task) watch.retry.abort();
    },
    views() {
      const nowMs = clock.monotonicMs();
      return new Map([...watches].map(([seat, watch]) => [seat, viewOf(watch, nowMs)]));
    },
    sequenceOf: (seatId) => watches.get(seatId)?.status?.sequence ?? null,
    stop() {
      for (const seat of [...watches.keys()]) end(seat);
    },
  };
}

/** The least time between two questions to one supervisor. */
const ANSWERS_APART_MS = 20;

function nextRetryMs(watch: Watch, retryMs: number, nowMs: number): number {
  const eager = nowMs - (watch.failingSinceMs ?? nowMs) < EAGER_MS;
  if (eager || watch.retry.signal.aborted) return RETRY_FIRST_MS;
  return Math.min(retryMs * 1.5, watch.status === null ? RETRY_AWAITED_MS : RETRY_LAST_MS);
}

function isEnded(watch: Watch): boolean {
  return watch.ended.signal.aborted;
}

function viewOf(watch: Watch, nowMs: number): MemberView {
  return {
    status: watch.status,
    ageMs: watch.status === null ? Number.POSITIVE_INFINITY : nowMs - watch.answeredAtMs,
    failingMs: watch.failingSinceMs === null ? 0 : Math.max(1, nowMs - watch.failingSinceMs),
    // Silence is no evidence: up to the newest answer and no further.
    notServingMs: watch.notServingSinceMs === null ? 0 : watch.answeredAtMs - watch.notServingSinceMs,
  };
}
