import { expect } from 'vitest';
import { listFulls, revisionOf } from '../../src/backup/full.ts';
import { watchDefectsOf } from '../../src/etcd/versions.ts';
import type { Schedule } from '../../src/protocol/schedule.ts';
import { verifyNewestWithin } from '../../src/runtime/draft-files.ts';
import { contentOf, never } from '../backup/sample-log.ts';
import type { EtcdBinary } from '../real-etcd/binaries.ts';
import { clock, until } from '../wait.ts';
import { type ArchivedPlace, archiveEtcd } from './archiving.ts';
import { expectSame, restoreTo } from './checks.ts';
import type { LoneEtcd } from './lone-etcd.ts';
import { observe } from './workload.ts';

/** Times that something is lived through where a version's watch has lost a part of it. */
const LIVES_MAX = 5;

/** Something was lived through; `loss` is what its watch left out and somebody found, `null` where nothing was. */
export interface Lossy {
  readonly loss: string | null;
}

/**
 * Lives until the watch has told all. Only that of a version with listed defects may leave something out, and only
 * where it is found: whoever lives has to fail where it is not.
 */
export async function liveWithoutLoss<Life extends Lossy>(
  { version }: EtcdBinary,
  live: (attempt: number) => Promise<Life>,
): Promise<Life> {
  const mayLose = watchDefectsOf(version.text).length > 0;
  for (let attempt = 1; attempt <= LIVES_MAX; attempt += 1) {
    const life = await live(attempt);
    if (life.loss === null) return life;
    if (!mayLose) expect.fail(`etcd ${version.text}, whose watch has no listed defect, lost: ${life.loss}`);
    console.log(`etcd ${version.text} lost on its watch, and it was found: ${life.loss}`);
  }
  return expect.fail(`etcd ${version.text} lost something on its watch in each of ${LIVES_MAX} lives`);
}

/**
 * Has the next archiver verify an archive whose etcd rests: what it lacks has to become a gap, a full has to fill that,
 * and what is restored then is what etcd has. Returns what was lost, `null` where nothing was.
 */
export async function findLoss(
  place: ArchivedPlace,
  { etcd, generation, directory }: { etcd: LoneEtcd; generation: number; directory: string },
): Promise<string | null> {
  const startedAtMs = clock.wallMs();
  const over = new AbortController();
  const archiver = archiveEtcd(
    place,
    etcd.url,
    {
      generation,
      limits: { segmentMs: 0 },
      verification: {
        schedule: onceAtStart(),
        run: async (signal) => await verifyNewestWithin(directory, place.archive, clock, signal),
      },
    },
    over.signal,
  );
  try {
    const verified = await until('it is verified', 60_000, () => archiver.status().lastVerification);
    await until('no full is wanted', 60_000, () => archiver.status().fullWanted === null);
    over.abort();
    await archiver.ended;
    const { gaps } = await contentOf(place);
    const fulls = await listFulls(place.archive, place.epoch, never);
    const { lost } = verified;
    if (lost !== null) {
      expect(gaps.at(-1)).toEqual({ reason: 'lost', ...lost });
      const filling = fulls.findLast(({ document }) => document.startedAtMs >= startedAtMs);
      expect(filling === undefined ? 0n : revisionOf(filling)).toBeGreaterThanOrEqual(BigInt(lost.to));
    } else {
      expect(verified.problems).toEqual([]);
    }
    const { backend, report, draft } = await restoreTo(place.archive, null, directory);
    expect(report.proofs.disagreeing).toEqual([]);
    await expectSame(backend, await observe(etcd.theirs));
    await draft.discard();
    const found = gaps.filter(({ reason }) => reason === 'lost');
    return found.length === 0 ? null : found.map(({ from, to }) => `revisions ${from} to ${to}`).join(', ');
  } finally {
    over.abort();
    await archiver.ended;
  }
}

function onceAtStart(): Schedule {
  let isDue = true;
  return {
    nextMs: (afterMs) => {
      const dueMs = isDue ? afterMs : Number.POSITIVE_INFINITY;
      isDue = false;
      return dueMs;
    },
  };
}
