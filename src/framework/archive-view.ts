import type { Archiver, ArchiverStatus } from '../backup/archiver.ts';
import type { PublishedArchive } from '../protocol/view.ts';

/** What archiving is at. */
export type ArchivingState =
  /** For the cluster to form, or for the store to be opened; or for the next try of what a fault of ours ended. */
  | { readonly kind: 'waiting' | 'starting' | 'away' | 'refused'; readonly problem: string | null }
  | { readonly kind: 'archiving'; readonly archiver: Archiver };

/** What is published of it. @param of.status of the newest archiver; `null` before the first. */
export function archiveViewOf(of: {
  readonly place: string;
  readonly id: string | null;
  readonly state: ArchivingState;
  readonly status: ArchiverStatus | null;
}): PublishedArchive {
  const { place, id, state, status } = of;
  const lastFull = status?.lastFull ?? null;
  const problem = state.kind === 'archiving' ? (status?.problem ?? null) : state.problem;
  return {
    place,
    id,
    state: stateOf(state, status),
    problem,
    archivedRevision: String(status?.archivedRevision ?? 0n),
    seenRevision: String(status?.seenRevision ?? 0n),
    lagMs: status?.lagMs ?? 0,
    waitingBytes: status?.waitingBytes ?? 0,
    spooledBytes: status?.spooledBytes ?? 0,
    lastFull:
      lastFull === null
        ? null
        : {
            name: lastFull.name,
            revision: lastFull.document.revision ?? lastFull.document.revisionAtLeast,
            startedAtMs: lastFull.document.startedAtMs,
            sizeBytes: lastFull.document.sizeBytes,
            verifiedAtMs: lastFull.verifiedAtMs,
          },
    fullWanted: status?.fullWanted ?? null,
    nextFullAtMs: status?.nextFullAtMs ?? null,
    lastProof:
      status?.lastProof == null ? null : { revision: status.lastProof.revision, atMs: status.lastProof.atMs },
    lastVerification: verificationOf(status),
    gaps: [...(status?.gaps ?? [])],
  };
}

function stateOf(state: ArchivingState, status: ArchiverStatus | null): PublishedArchive['state'] {
  if (state.kind !== 'archiving') return state.kind;
  return status === null || status.state === 'ended' ? 'starting' : status.state;
}

function verificationOf(status: ArchiverStatus | null): PublishedArchive['lastVerification'] {
  const newest = status?.lastVerification ?? null;
  if (newest === null) return null;
  const { atMs, revision, proofsCompared, problems } = newest;
  return { atMs, revision, proofsCompared, problems: [...problems] };
}
