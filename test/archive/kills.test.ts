import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { findLine } from '../../src/backup/restore-line.ts';
import { restorableRanges } from '../../src/backup/restore-plan.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { contentOf, never, shown } from '../backup/sample-log.ts';
import { type Archiving, startArchiving } from '../real-etcd/archiving-process.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import { clock, until } from '../wait.ts';
import { type ArchivedPlace, placeIn } from './archiving.ts';
import { expectSame, restorableBinaries, restoreTo } from './checks.ts';
import { startLoneEtcd } from './lone-etcd.ts';
import { findLoss, type Lossy, liveWithoutLoss } from './losses.ts';
import { modelAt } from './model.ts';
import { scaled } from './scale.ts';
import { recordWatch } from './watch-recorder.ts';
import { live } from './workload.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** Archivers that are killed, or followed while they run, over one history. */
const KILLS = scaled(20);
const AFTER_START_MS_MAX = 700;

const cases = restorableBinaries().flatMap((binary) =>
  [false, true].map((compacts) => ({
    binary,
    compacts,
    name: `etcd ${binary.version.text}, ${compacts ? 'compacted meanwhile' : 'not compacted'}`,
  })),
);

describe.for(cases)('archivers that are killed again and again: $name', ({ binary, compacts }) => {
  let directory: string;
  beforeAll(async () => {
    console.log(`seed ${SEED}; again: SEED=${SEED} npx vitest run --project archive kills`);
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
  });
  afterAll(async () => await rm(directory, { recursive: true, force: true }));

  test(
    `lose nothing that they called durable, and know of all that is missing (${KILLS} kills)`,
    async () => {
      const random = createChance(SEED).stream(`kills ${compacts}`);
      const { place, watched, durable } = await liveWithoutLoss(binary, async (attempt) => {
        return await killAll(random, join(directory, `life-${attempt}`));
      });
      const { revisions, gaps } = await contentOf(place);
      const last = revisions.at(-1)?.revision ?? 0n;
      expect(last).toBeGreaterThanOrEqual(durable);
      if (!compacts) expect(gaps.map(({ reason }) => reason)).toEqual(['begin']);
      // What no gap names is there, as a watch that nobody killed was told it.
      const isMissing = (revision: bigint): boolean =>
        gaps.some(({ from, to }) => revision >= BigInt(from) && revision <= BigInt(to));
      const there = ({ revision }: RevisionEvents): boolean => revision <= last && !isMissing(revision);
      expect(shown(revisions.filter(there))).toEqual(shown(watched.filter(there)));

      const { problems } = await verifyArchive(place.archive, { signal: never });
      const others = problems.filter(({ problem }) => !problem.includes('are no whole frame'));
      expect(others).toEqual([]);
      const line = await findLine(place.archive, null, never);
      const ranges = await restorableRanges(place.archive, line, never);
      expect(ranges.length).toBeGreaterThan(0);
      for (const { from, to } of ranges) {
        for (const revision of new Set([from, BigInt(random.integer(Number(from), Number(to))), to])) {
          const { backend, report, draft } = await restoreTo(place.archive, revision, directory);
          expect(report.proofs.disagreeing).toEqual([]);
          await expectSame(backend, modelAt(watched, revision));
          await draft.discard();
        }
      }
    },
    120_000 + KILLS * 10_000,
  );

  interface Killed extends Lossy {
    readonly place: ArchivedPlace;
    readonly watched: readonly RevisionEvents[];
    /** The newest revision that any of them called durable. */
    readonly durable: bigint;
  }

  async function killAll(random: RandomStream, within: string): Promise<Killed> {
    const [data, archived] = [join(within, 'data'), join(within, 'archive')];
    await mkdir(data, { recursive: true });
    const etcd = await startLoneEtcd(binary, data);
    const watch = recordWatch(etcd.url, 2n);
    const { clusterId } = await etcd.ours.status(AbortSignal.timeout(10_000));
    const place = await placeIn(await openDirectoryArchiveStore(archived), clusterId);
    const archivers: Archiving[] = [];
    const limits = { segmentBytesMax: 60_000, proofMs: 100 };
    const start = (generation: number): Archiving => {
      const archiver = startArchiving(archived, etcd.url, generation, limits);
      archivers.push(archiver);
      return archiver;
    };
    const writing = { isOver: false };
    const writes = (async () => {
      while (!writing.isOver) {
        await live(etcd, random, { steps: 30, compacts, atHalf: async () => await Promise.resolve() });
      }
    })();
    try {
      for (let generation = 1; generation <= KILLS; generation += 1) {
        const archiver = start(generation);
        // Now and then it is killed before it has done anything.
        if (random.chance(0.8)) {
          await until(`generation ${generation} archives`, 60_000, () => archiver.durable() > 0n);
        }
        await clock.sleep(random.integer(0, AFTER_START_MS_MAX));
        // Some are left running: the next one fences them.
        if (random.chance(0.8)) archiver.child.kill('SIGKILL');
      }
      writing.isOver = true;
      await writes;
      const end = BigInt((await etcd.ours.status(AbortSignal.timeout(10_000))).revision);
      const final = start(KILLS + 1);
      await until('all is archived', 60_000, () => final.durable() >= end);
      await until('the watch has told all', 30_000, () => watch.lastRevision >= final.durable());
      final.child.kill('SIGKILL');
      await final.closed;
      const durable = archivers.map((archiver) => archiver.durable());
      return {
        place,
        loss: await findLoss(place, { etcd, generation: KILLS + 2, directory: within }),
        watched: watch.revisions(),
        durable: durable.reduce((one, other) => (one > other ? one : other)),
      };
    } finally {
      writing.isOver = true;
      for (const { child } of archivers) child.kill('SIGKILL');
      await Promise.all(archivers.map(async ({ closed }) => await closed));
      await writes.catch(() => undefined);
      watch.close();
      await etcd.stop();
    }
  }
});
