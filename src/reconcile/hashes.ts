import type { KvHashAt } from '../protocol/member-status.ts';
import { freshStatus, type Pass } from './pass.ts';
import { quorumOf } from './quorum.ts';

/** Who holds what a majority holds, at one revision and compacted alike. */
export interface HashVerdict {
  /** Members of the majority. */
  readonly sound: ReadonlySet<string>;
  /** Members whose own hash, comparable with theirs, is another. */
  readonly differing: ReadonlySet<string>;
}

/**
 * What the hashes of voters at one revision say; `null` without a majority of all voters.
 * @param hashes by member id.
 */
export function judgeHashes(
  voters: ReadonlySet<string>,
  hashes: ReadonlyMap<string, KvHashAt>,
): HashVerdict | null {
  const groups = new Map<string, string[]>();
  for (const [id, { hash, compactRevision }] of hashes) {
    if (!voters.has(id)) continue;
    const key = `${compactRevision} ${hash}`;
    groups.set(key, [...(groups.get(key) ?? []), id]);
  }
  const majority = [...groups.values()].find((ids) => ids.length >= quorumOf(voters.size));
  if (majority === undefined) return null;
  const sound = new Set(majority);
  const measure = hashes.get(majority[0] ?? '')?.compactRevision;
  const differing = new Set(
    [...hashes].flatMap(([id, { compactRevision }]) =>
      voters.has(id) && !sound.has(id) && compactRevision === measure ? [id] : [],
    ),
  );
  return { sound, differing };
}

/** The hashes that voters gave for the revision that is asked for. */
export function hashesAt(pass: Pass, revision: string): Map<string, KvHashAt> {
  const found = new Map<string, KvHashAt>();
  for (const seat of pass.record.seats) {
    const hash = freshStatus(pass, seat)?.space.hash ?? null;
    const memberId = seat.data?.memberId ?? null;
    if (hash !== null && memberId !== null && hash.revision === revision) found.set(memberId, hash);
  }
  return found;
}

/** Two of the voters that were asked last hold something else at one revision, compacted alike. */
export function doVotersDiffer(pass: Pass, voters: ReadonlySet<string>): boolean {
  const asked = pass.record.space?.hashes ?? null;
  const hashes = asked === null ? [] : [...hashesAt(pass, asked.revision)].filter(([id]) => voters.has(id));
  return hashes.some(([, one]) =>
    hashes.some(([, other]) => one.compactRevision === other.compactRevision && one.hash !== other.hash),
  );
}

/** Of the hashes that were asked for last; `null` while none are, or they tell nothing. */
export function verdictOf(pass: Pass, voters: ReadonlySet<string>): HashVerdict | null {
  const asked = pass.record.space?.hashes ?? null;
  return asked === null ? null : judgeHashes(voters, hashesAt(pass, asked.revision));
}
