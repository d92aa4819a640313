import type { Archive } from '../backup/archive.ts';
import type { ArchiverLimits, ArchiverOptions } from '../backup/archiver.ts';
import type { ArchiveVerification } from '../backup/scheduled-verification.ts';
import type { SpoolPlace } from '../backup/spool.ts';
import type { ArchiveStore } from '../backup/store-port.ts';
import type { Schedule } from '../protocol/schedule.ts';

/** Where the scheduler was told to archive, and how it is done there. */
export interface ArchiveAccess {
  /** Where it is, for people; without credentials. */
  readonly place: string;
  /** The id of an archive that is lost for good: another may be begun in its stead. `null`: none is. */
  readonly givenUp: string | null;
  /** Opens the store to write to it. Rejects with an `ArchiveStoreError`. Safe to repeat. */
  open(signal: AbortSignal): Promise<ArchiveStore>;
  /** To the client listener of a member. */
  readonly connect: ArchiverOptions['connect'];
  /**
   * Where what the store does not take is kept meanwhile; `null`: in memory alone. Rejects with an
   * `ArchiveStoreError`.
   */
  readonly openSpool: () => Promise<SpoolPlace | null>;
  readonly limits: Partial<ArchiverLimits>;
  /** When a full is due; `null`: only where one is needed or asked for. */
  readonly fullSchedule: Schedule | null;
  /** Removes what need not be kept any more; `null`: all is kept. */
  readonly retain: ((archive: Archive, signal: AbortSignal) => Promise<void>) | null;
  /** Restores the archive and holds it against its proofs; `null`: nobody does. */
  readonly verification: {
    /** `null`: never by itself. */
    readonly schedule: Schedule | null;
    readonly run: (archive: Archive, signal: AbortSignal) => Promise<ArchiveVerification>;
  } | null;
}
