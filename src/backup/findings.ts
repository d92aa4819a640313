import type { Clock, Logger } from '../base/ports.ts';
import type { Gap } from './documents.ts';
import { revisionOf } from './full.ts';
import type { FullTaker } from './full-taker.ts';
import type { ArchiveVerification, DoneVerification } from './scheduled-verification.ts';

export interface FindingsOptions {
  readonly fulls: Pick<FullTaker, 'want'>;
  /** Has the log told of a gap. */
  readonly putGap: (gap: Gap) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What an archiver finds that the log does not have, or has and not as it was: a full has to make up for it. */
export interface Findings {
  /** The log has a gap, and tells so. */
  noteGap(gap: Gap): void;
  noteVerification(verification: ArchiveVerification): void;
  /** Users or roles were changed, which stand in no log. */
  noteAuth(authRevision: bigint): void;
  /** The newest ones. */
  readonly gaps: readonly Gap[];
  /** The newest one; `null` before the first. */
  readonly lastVerification: DoneVerification | null;
}

const GAPS_SHOWN_MAX = 20;
/** Of a reason that stands in a full. */
const REASON_CHARACTERS_MAX = 300;

export function createFindings({ fulls, putGap, clock, logger }: FindingsOptions): Findings {
  const gaps: Gap[] = [];
  let lastVerification: DoneVerification | null = null;

  const noteGap = (gap: Gap): void => {
    gaps.push(gap);
    if (gaps.length > GAPS_SHOWN_MAX) gaps.shift();
    const reason = `revisions ${gap.from} to ${gap.to} are not in the log: ${gap.reason}`;
    fulls.want({ reason, verify: false }, (full) => revisionOf(full) >= BigInt(gap.to));
  };

  return {
    noteGap,
    noteVerification: (verification) => {
      const atMs = clock.wallMs();
      lastVerification = { ...verification, atMs };
      const [problem] = verification.problems;
      if (problem === undefined) return;
      const { lost } = verification;
      if (lost !== null) {
        const gap: Gap = { reason: 'lost', ...lost };
        logger.warn('revisions are missing from the archive', { ...gap });
        putGap(gap);
        noteGap(gap);
      }
      const reason = `a verification found: ${problem}`.slice(0, REASON_CHARACTERS_MAX);
      fulls.want({ reason, verify: true }, (full) => full.document.startedAtMs >= atMs);
    },
    noteAuth: (authRevision) => {
      const seenAtMs = clock.wallMs();
      const reason = `users or roles were changed: auth revision ${authRevision}`;
      fulls.want({ reason, verify: false }, ({ document }) => {
        // What does not tell has it where it was begun later.
        if (document.authRevision === null) return document.startedAtMs >= seenAtMs;
        return BigInt(document.authRevision) >= authRevision;
      });
    },
    get gaps() {
      return [...gaps];
    },
    get lastVerification() {
      return lastVerification;
    },
  };
}
