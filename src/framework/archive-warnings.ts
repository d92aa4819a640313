import { formatAge } from '../base/duration.ts';
import { gapsWithin, type PublishedArchive, type ViewWarning } from '../protocol/view.ts';

/** A full that its schedule has asked for this long ago is late. */
const LATE_MS = 3_600_000;

/** What of the archive an operator should know: what would be lost with the disks, and cannot be restored. Pure. */
export function archiveWarningsOf(archive: PublishedArchive | null, nowMs: number): readonly ViewWarning[] {
  if (archive === null) {
    const message =
      'no archive is configured (--archive): what is on no disk any more is lost, and no earlier state can be restored';
    return [{ code: 'no-archive', message }];
  }
  return [
    ...stateWarnings(archive),
    ...gapsWithin(archive)
      .slice(-1)
      .map(({ reason, from, to }) => ({
        code: 'archive-gap',
        message: `revisions ${from} to ${to} are not in the archive's log (${reason}): no state from there to the next full backup can be restored`,
      })),
    ...verificationWarnings(archive),
    ...fullWarnings(archive, nowMs),
  ];
}

function stateWarnings({ state, place, problem, lagMs }: PublishedArchive): readonly ViewWarning[] {
  const why = problem === null ? '' : `: ${problem}`;
  if (state === 'refused') {
    const message = `the archive ${place} is not written, and an operator has to see to it${why}`;
    return [{ code: 'archive-refused', message }];
  }
  if (state === 'away') {
    const message = `the archive ${place} takes nothing; what happens has waited for ${formatAge(lagMs)}${why}`;
    return [{ code: 'archive-away', message }];
  }
  if (state === 'no-member' && problem !== null) {
    const message = `nothing is archived, as no member can be followed: ${problem}`;
    return [{ code: 'archive-unfollowed', message }];
  }
  return [];
}

function verificationWarnings({ lastVerification }: PublishedArchive): readonly ViewWarning[] {
  const [first, ...others] = lastVerification?.problems ?? [];
  if (lastVerification === null || first === undefined) return [];
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  const when = new Date(lastVerification.atMs).toISOString();
  const message = `the archive did not stand the verification of ${when}: ${first}${more}`;
  return [{ code: 'archive-verification-failed', message }];
}

function fullWarnings(archive: PublishedArchive, nowMs: number): readonly ViewWarning[] {
  const { lastFull, nextFullAtMs, fullWanted } = archive;
  if (lastFull === null) {
    if (fullWanted === null) return [];
    const message = 'the archive has no full backup yet, so nothing can be restored from it';
    return [{ code: 'archive-full-old', message }];
  }
  if (nextFullAtMs === null || nowMs - nextFullAtMs < LATE_MS) return [];
  const age = formatAge(nowMs - lastFull.startedAtMs);
  const message = `a full backup was due at ${new Date(nextFullAtMs).toISOString()}; the newest is ${age} old`;
  return [{ code: 'archive-full-old', message }];
}
