import { formatAge } from '../base/duration.ts';
import { gapsWithin, type PublishedArchive } from '../protocol/view.ts';
import { formatBytes } from './amounts.ts';
import type { Colour, Paint } from './style.ts';

const STATES: Readonly<
  Record<PublishedArchive['state'], { readonly says: string; readonly colour: Colour }>
> = {
  waiting: { says: 'waits for the cluster to form', colour: 'yellow' },
  starting: { says: 'is being opened', colour: 'yellow' },
  following: { says: 'is written', colour: 'green' },
  'no-member': { says: 'waits for a member to follow', colour: 'yellow' },
  away: { says: 'takes nothing', colour: 'red' },
  refused: { says: 'is refused', colour: 'red' },
};

/** What the archive is like, in a line of `etcd-mesos status`. */
export function archiveLine(archive: PublishedArchive | null, paint: Paint): string {
  if (archive === null) return paint('none is configured', 'yellow');
  const { place, state, problem, archivedRevision, lagMs } = archive;
  const { says, colour } = STATES[state];
  const lag = lagMs === 0 ? '' : `, ${formatAge(lagMs)} behind`;
  const reach =
    archivedRevision === '0' ? '' : `; it has everything up to revision ${archivedRevision}${lag}`;
  const isWell = state === 'following';
  const why =
    problem === null ? '' : `${isWell ? '; but ' : ': '}${paint(problem, isWell ? 'yellow' : colour)}`;
  return `${place} ${paint(says, colour)}${reach}${why}`;
}

/** The rest of what is known of it; none before it was opened. */
export function archiveLines(archive: PublishedArchive, atMs: number, paint: Paint): readonly string[] {
  if (archive.id === null) return [];
  const { seenRevision, archivedRevision, waitingBytes, spooledBytes, fullWanted, nextFullAtMs } = archive;
  const waiting = [
    ...(waitingBytes === 0 ? [] : [`${formatBytes(waitingBytes)} in memory`]),
    ...(spooledBytes === 0 ? [] : [`${formatBytes(spooledBytes)} on the scheduler's disk`]),
  ];
  const lines: readonly (readonly [string, string])[] = [
    ['seen', seenRevision === archivedRevision ? '' : `revision ${seenRevision}`],
    ['waiting', waiting.join(', ')],
    ['last full', lastFullOf(archive, atMs, paint)],
    ['full wanted', fullWanted ?? ''],
    ['next full', nextFullAtMs === null ? '' : timeOf(nextFullAtMs)],
    ['last proof', lastProofOf(archive, atMs)],
    ['verified', lastVerificationOf(archive, atMs, paint)],
    ...gapsWithin(archive).map(
      ({ reason, from, to }) => ['gap', `revisions ${from} to ${to} are not in the log: ${reason}`] as const,
    ),
  ];
  return lines.filter(([, text]) => text !== '').map(([name, text]) => `  ${name.padEnd(11)}  ${text}`);
}

function lastFullOf({ lastFull }: PublishedArchive, atMs: number, paint: Paint): string {
  if (lastFull === null) return paint('none', 'red');
  const { name, revision, startedAtMs, sizeBytes, verifiedAtMs } = lastFull;
  const verified = verifiedAtMs === null ? '' : ', read back whole';
  return `${name}, revision ${revision}, ${formatBytes(sizeBytes)}, ${agoOf(atMs, startedAtMs)}${verified}`;
}

function lastProofOf({ lastProof }: PublishedArchive, atMs: number): string {
  return lastProof === null ? 'none yet' : `revision ${lastProof.revision}, ${agoOf(atMs, lastProof.atMs)}`;
}

function lastVerificationOf({ lastVerification }: PublishedArchive, atMs: number, paint: Paint): string {
  if (lastVerification === null) return 'not yet by the scheduler';
  const { revision, proofsCompared, problems } = lastVerification;
  const verdict =
    problems.length === 0
      ? paint(`restored to revision ${revision}, ${proofsCompared} proofs agree`, 'green')
      : paint(problems.join('; '), 'red');
  return `${agoOf(atMs, lastVerification.atMs)}: ${verdict}`;
}

const timeOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
const agoOf = (atMs: number, ms: number): string => `${formatAge(atMs - ms)} ago`;
