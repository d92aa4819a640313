import { CodedError } from '../base/errors.ts';
import type { MemberStatus } from './member-status.ts';
import type { Receipt, SignedOrder } from './orders.ts';

/** The seam between the scheduler and its supervisors. */
export interface Members {
  /**
   * The supervisor's status. With `after`, waits up to `waitMs` for a sequence other than that and then
   * answers with what is. Rejects with a {@link MembersError}.
   */
  status(
    url: string,
    wait: { after: number; waitMs: number } | null,
    signal: AbortSignal,
  ): Promise<MemberStatus>;
  /** Carries out one order. A rejection leaves it open whether it was carried out. */
  order(url: string, order: SignedOrder, signal: AbortSignal): Promise<Receipt>;
}

/** Why a supervisor's answer is not there. */
export class MembersError extends CodedError<'unreachable' | 'timeout' | 'malformed' | 'aborted'> {}
