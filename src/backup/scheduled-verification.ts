import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { Schedule } from '../protocol/schedule.ts';

/** What came of restoring the archive and holding it against its proofs. */
export interface ArchiveVerification {
  /** Up to where it was restored; decimal. */
  readonly revision: string;
  readonly proofsCompared: number;
  /** What is not as it should be, for people; empty: everything is. */
  readonly problems: readonly string[];
  /**
   * Revisions, decimal, in which the log lacks something as a proof shows; `null`: none does. They become a gap of the
   * log, so that nothing is restored across them without a full that has them.
   */
  readonly lost: { readonly from: string; readonly to: string } | null;
}

/** One that was done. */
export interface DoneVerification extends ArchiveVerification {
  readonly atMs: number;
}

export interface VerificationOptions {
  /** `null`: never by itself. */
  readonly schedule: Schedule | null;
  readonly run: (signal: AbortSignal) => Promise<ArchiveVerification>;
}

/** Between two looks at the wall clock, which may jump. */
const LOOK_MS_MAX = 60_000;
/** After one that could not be done. */
const RETRY_MS = 10 * 60_000;

/** Verifies whenever it is due, from now on, until `signal` aborts; tells what came of it. */
export async function verifyBySchedule(
  { schedule, run }: VerificationOptions,
  around: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly onDone: (verification: ArchiveVerification) => void;
  },
  signal: AbortSignal,
): Promise<void> {
  if (schedule === null) return;
  const { clock, logger, onDone } = around;
  for (let dueMs = schedule.nextMs(clock.wallMs()); !signal.aborted; ) {
    const leftMs = dueMs - clock.wallMs();
    if (leftMs > 0) {
      await clock.sleep(Math.min(leftMs, LOOK_MS_MAX), signal);
      continue;
    }
    try {
      const verification = await run(signal);
      const { revision, proofsCompared, problems } = verification;
      const level = problems.length === 0 ? 'info' : 'error';
      logger[level]('the archive was verified', { revision, proofsCompared, problems });
      onDone(verification);
      dueMs = schedule.nextMs(clock.wallMs());
    } catch (error) {
      if (signal.aborted) return;
      logger.warn('the archive was not verified', { problem: describeError(error) });
      dueMs = clock.wallMs() + RETRY_MS;
    }
  }
}
