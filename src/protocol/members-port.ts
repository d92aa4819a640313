import { CodedError } from '../base/errors.ts';
import type { MemberStatus } from './member-status.ts';
import type { Receipt, SignedOrder } from './orders.ts';

/** The longest wait for a change that a question may ask for. More is refused as `malformed`. */
export const STATUS_WAIT_MS_MAX = 30_000;

/**
 * The seam between the scheduler and its supervisors. Both calls reject with a {@link MembersError}. How long an
 * answer may take is the caller's to say, by `signal`; one that has aborted before asks nobody.
 */
export interface Members {
  /**
   * The supervisor's status. With `after`, waits up to `waitMs` (0 … {@link STATUS_WAIT_MS_MAX}) for a sequence
   * other than that and then answers with what is.
   */
  status(
    url: string,
    wait: { after: number; waitMs: number } | null,
    signal: AbortSignal,
  ): Promise<MemberStatus>;
  /** Carries out one order. A rejection leaves it open whether it was carried out. */
  order(url: string, order: SignedOrder, signal: AbortSignal): Promise<Receipt>;
}

/**
 * Why a supervisor's answer is not there. `unreachable`: nobody answers, or the connection broke. `malformed`:
 * what answers is no supervisor that we understand, or takes the question for nonsense.
 */
export class MembersError extends CodedError<'unreachable' | 'malformed' | 'aborted'> {}
