import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import {
  type Clock,
  type Leadership,
  type LeadershipTerm,
  type Logger,
  StateStoreError,
} from '../base/ports.ts';
import { MesosError } from '../mesos/errors.ts';
import { SchedulerError } from './config.ts';
import type { SchedulerEnd } from './scheduler.ts';
import type { ActingTime } from './term-ports.ts';

/** One of several schedulers: stands by, and acts while it leads. */
export interface TermsOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Acts until the time is over, which it is with the term or when the process ends, or until the service is
   * uninstalled. When it has settled nothing of it is under way any more. Rejects with what ended it before.
   */
  readonly act: (time: ActingTime) => Promise<SchedulerEnd>;
  /** What a standby does while it waits for its turn, until `signal` aborts; never rejects. */
  readonly standBy: (signal: AbortSignal) => Promise<void>;
  /**
   * Whether another scheduler of this election has taken over by now: the store tells of a later generation than
   * the one that acted last, or nothing at all.
   */
  readonly isOvertaken: () => Promise<boolean>;
  /** Whether Mesos has ever had this framework: then a master that is away will be back. */
  readonly isRegistered: () => boolean;
  /** At every change: the term that has begun, or `null` while this process stands by. */
  readonly onTerm: (term: LeadershipTerm | null) => void;
}

/** Waits before it stands for election again after a term that went wrong; doubles up to the second. */
const PAUSE_FIRST_MS = 1_000;
const PAUSE_LAST_MS = 30_000;
/** A term that held this long has gone well. */
const STEADY_MS = 60_000;
/** A scheduler that lost its term may take this long to let go of the framework; one that stays is no peer. */
const RIVAL_MS = 60_000;
/** For giving a term up. */
const RESIGN_MS = 5_000;

/**
 * Leads whenever it is this process' turn, until `signal` aborts or the service is uninstalled (resolves with which
 * of them it was), or going on would be wrong for whoever leads (rejects with what `act` rejected with). One term
 * follows the other; in between nothing of this process acts.
 */
export async function actInTerms(options: TermsOptions, signal: AbortSignal): Promise<SchedulerEnd> {
  const { leadership, clock, log } = options;
  let failures = 0;
  let rivalSinceMs: number | null = null;
  while (!signal.aborted) {
    log.info('stands by', { leader: leadership.leaderUrl() });
    const term = await termOf(options, signal);
    if (term === null) break;
    const startMs = clock.monotonicMs();
    log.info('leads');
    const end = await oneTerm(options, term, signal);
    if (end.kind === 'uninstalled') return 'uninstalled';
    if (signal.aborted) break;
    if (end.kind === 'final') throw end.error;
    const nowMs = clock.monotonicMs();
    rivalSinceMs = end.kind === 'rival' ? (rivalSinceMs ?? startMs) : null;
    if (end.kind === 'rival' && nowMs - (rivalSinceMs ?? nowMs) >= RIVAL_MS) throw end.error;
    failures = end.kind === 'over' || nowMs - startMs >= STEADY_MS ? 0 : failures + 1;
    log.warn('does not lead any more', { reason: end.reason });
    if (failures > 0) await clock.sleep(pauseMsAfter(failures), signal);
  }
  return 'stopped';
}

/** How a term ended. `over`: by itself. `failed`, `rival`: it was given up for something that may pass. */
type TermEnd =
  | { readonly kind: 'over' | 'failed'; readonly reason: string }
  | { readonly kind: 'rival'; readonly reason: string; readonly error: unknown }
  | { readonly kind: 'final'; readonly error: unknown }
  | { readonly kind: 'uninstalled' };

/** The next term; `null` when `signal` aborted first. */
async function termOf(
  { leadership, standBy }: TermsOptions,
  signal: AbortSignal,
): Promise<LeadershipTerm | null> {
  const waiting = new AbortController();
  const watching = standBy(AbortSignal.any([signal, waiting.signal]));
  try {
    return await leadership.lead(signal);
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    waiting.abort();
    await watching;
  }
}

async function oneTerm(options: TermsOptions, term: LeadershipTerm, signal: AbortSignal): Promise<TermEnd> {
  options.onTerm(term);
  try {
    const end = await options.act({
      over: AbortSignal.any([signal, term.over]),
      holds: () => !signal.aborted && term.holds(),
      leads: () => term.holds(),
    });
    return end === 'uninstalled' ? { kind: end } : { kind: 'over', reason: 'the term is over' };
  } catch (error) {
    return await endOf(error, options, term);
  } finally {
    options.onTerm(null);
    await resign(options, term);
  }
}

async function endOf(error: unknown, options: TermsOptions, term: LeadershipTerm): Promise<TermEnd> {
  const reason = describeError(error);
  if (term.over.aborted) return { kind: 'over', reason: 'the term is over' };
  // Whoever wrote will be seen when the record is read again.
  if (error instanceof SchedulerError && error.code === 'record-conflict') return { kind: 'failed', reason };
  if (error instanceof StateStoreError && error.code === 'unavailable') return { kind: 'failed', reason };
  if (error instanceof SchedulerError && error.code === 'no-master' && options.isRegistered()) {
    return { kind: 'failed', reason };
  }
  // The one that led before may be about to let go.
  if (error instanceof SchedulerError && error.code === 'already-running') {
    return { kind: 'rival', reason, error };
  }
  if (error instanceof MesosError && error.code === 'failed-over' && (await options.isOvertaken())) {
    return { kind: 'over', reason };
  }
  return { kind: 'final', error };
}

async function resign({ clock, log }: TermsOptions, term: LeadershipTerm): Promise<void> {
  try {
    await withDeadline(clock, RESIGN_MS, new AbortController().signal, async () => await term.resign());
  } catch (error) {
    log.warn('leadership was not given up; it ends with the session', { error: describeError(error) });
  }
}

function pauseMsAfter(failures: number): number {
  return Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** Math.min(failures - 1, 16));
}
