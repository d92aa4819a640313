import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';

/** Where the seeds come from that a run tries beside the fixed ones: every commit has its own. */
export interface CommitSeeds {
  /** The commit's id, or what stands for it. */
  readonly commit: string;
  readonly seeds: readonly number[];
}

/** Stands for the commit where there is no git, or no repository. */
export const NO_COMMIT = 'no commit';

export function commitSeeds(commit: string, count: number): CommitSeeds {
  const seeds = Array.from({ length: count }, (_, index) =>
    createHash('sha256').update(`${commit} ${index}`).digest().readUInt32BE(0),
  );
  return { commit, seeds };
}

/** The id of the commit that is checked out in that directory. */
export function commitOf(directory: string): string {
  try {
    const answer = execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return answer.trim();
  } catch {
    return NO_COMMIT;
  }
}
