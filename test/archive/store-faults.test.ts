import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createArchive } from '../../src/backup/archive.ts';
import { ArchiveError } from '../../src/backup/errors.ts';
import { listFulls, verifyFull } from '../../src/backup/full.ts';
import { findLine } from '../../src/backup/restore-line.ts';
import { restorableRanges } from '../../src/backup/restore-plan.ts';
import {
  type ArchiveStore,
  ArchiveStoreError,
  type ObjectContent,
  partsOf,
} from '../../src/backup/store-port.ts';
import { verifyArchive } from '../../src/backup/survey.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { type Place, start } from '../backup/archiver-run.ts';
import { createFakeMember } from '../backup/fake-member.ts';
import { contentOf, never, sampleArchive, sampleRevisions, shown } from '../backup/sample-log.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { clock, until } from '../wait.ts';
import { archiveEtcd, placeIn } from './archiving.ts';
import { expectSame, restorableBinaries, restoreTo } from './checks.ts';
import { startLoneEtcd } from './lone-etcd.ts';
import { modelAt } from './model.ts';
import { recordWatch } from './watch-recorder.ts';

/** How a call of a store goes wrong. */
const FAULTS = ['before it is done', 'after it is done', 'in its middle'] as const;
type Fault = (typeof FAULTS)[number];

/** Faults that are tried at the same time: each waits for the archiver's next try. */
const LANES = 12;

const failure = () => new ArchiveStoreError('unavailable', 'as the test wants it');

/** A store of which one call fails, counted from the first; `calls()` says how many there were. */
function faultyStore(store: ArchiveStore, failingCall: number, fault: Fault) {
  let calls = 0;
  const around = async <T>(work: () => Promise<T>, half: () => Promise<unknown>): Promise<T> => {
    calls += 1;
    if (calls !== failingCall) return await work();
    if (fault === 'after it is done') await work();
    if (fault === 'in its middle') await half();
    throw failure();
  };
  const nothing = async (): Promise<void> => await Promise.resolve();
  const { growing } = store;
  const faulty: ArchiveStore = {
    ...store,
    // Of an upload that breaks nothing is there; but all that it would have sent was taken from whoever sends.
    put: async (key, content, options) =>
      await around(
        async () => await store.put(key, content, options),
        async () => await takeHalf(content),
      ),
    head: async (key, signal) => await around(async () => await store.head(key, signal), nothing),
    read: async function* (key, options) {
      calls += 1;
      if (calls === failingCall && fault === 'before it is done') throw failure();
      for await (const part of store.read(key, options)) {
        yield calls === failingCall && fault === 'in its middle'
          ? part.subarray(0, part.byteLength / 2)
          : part;
      }
      if (calls === failingCall) throw failure();
    },
    list: async function* (prefix, options) {
      calls += 1;
      if (calls === failingCall) throw failure();
      yield* store.list(prefix, options);
    },
    growing:
      growing === null
        ? null
        : {
            create: async (key, first, signal) => {
              const object = await around(async () => await growing.create(key, first, signal), nothing);
              let isBroken = false;
              return {
                close: object.close,
                append: async (bytes) => {
                  if (isBroken) throw failure();
                  try {
                    await around(
                      async () => await object.append(bytes),
                      async () => await object.append(bytes.subarray(0, bytes.byteLength / 2)),
                    );
                  } catch (error) {
                    isBroken = true;
                    throw error;
                  }
                },
              };
            },
          },
  };
  return { store: faulty, calls: () => calls };
}

async function takeHalf(content: ObjectContent): Promise<void> {
  let parts = 0;
  for await (const _ of partsOf(content)) {
    parts += 1;
    if (parts === 2) return;
  }
}

describe.for([
  ['with objects that grow', true],
  ['with whole objects only', false],
] as const)('a store %s', ([, grows]) => {
  /** Archives some revisions, with fulls, while one call fails; gives how many calls there were. */
  const archiveWith = async (failingCall: number, fault: Fault): Promise<number> => {
    const memory = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(memory);
    const member = createFakeMember();
    const { store, calls } = faultyStore(memory, failingCall, fault);
    member.write(3);
    const run = start(member, place, { store, limits: { segmentBytesMax: 1_500 } });
    const all = async () =>
      void (await until('all is archived', 30_000, () => {
        const { archivedRevision, fullWanted } = run.archiver.status();
        return archivedRevision === member.revision && fullWanted === null;
      }));
    await all();
    for (let round = 0; round < 4; round += 1) {
      member.write(6);
      await all();
    }
    // One that is asked for is tried once: whoever asks is told.
    await run.archiver.fullNow('test').catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'unavailable' });
    });
    await run.stop();
    await expectSound(place, member.revision);
    return calls();
  };

  test('may fail once at any call: nothing is missing, and nothing is there that was not written', async () => {
    const calls = await archiveWith(0, 'before it is done');
    expect(calls).toBeGreaterThan(20);
    // What fails makes a few calls more.
    const tries = FAULTS.flatMap((fault) =>
      Array.from({ length: calls + 5 }, (_, at) => ({ at: at + 1, fault })),
    );
    const lane = async (): Promise<void> => {
      for (let next = tries.shift(); next !== undefined; next = tries.shift()) {
        try {
          await archiveWith(next.at, next.fault);
        } catch (error) {
          throw new Error(`call ${next.at} fails ${next.fault}`, { cause: error });
        }
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  });

  test('may be slow: the archive lags, says so, and has all in the end', async () => {
    const memory = createMemoryArchiveStore({ grows });
    const place = await sampleArchive(memory);
    const member = createFakeMember();
    let lagMsMax = 0;
    const run = start(member, place, {
      store: slowStore(memory, 40),
      limits: { waitingBytesMax: 4_000, batchBytesMax: 1_000 },
    });
    await until('it follows', 30_000, () => run.archiver.status().archivedRevision === 1n);
    member.write(400);
    await until('all is archived', 60_000, () => {
      const { archivedRevision, lagMs, waitingBytes } = run.archiver.status();
      expect(waitingBytes).toBeLessThan(12_000);
      lagMsMax = Math.max(lagMsMax, lagMs);
      return archivedRevision === member.revision;
    });
    expect(lagMsMax).toBeGreaterThan(100);
    await run.stop();
    await expectSound(place, member.revision);
  });
});

function slowStore(store: ArchiveStore, delayMs: number): ArchiveStore {
  const { growing } = store;
  return {
    ...store,
    put: async (key, content, options) => {
      await clock.sleep(delayMs);
      return await store.put(key, content, options);
    },
    growing:
      growing === null
        ? null
        : {
            create: async (key, first, signal) => {
              const object = await growing.create(key, first, signal);
              return {
                close: object.close,
                append: async (bytes) => {
                  await clock.sleep(delayMs);
                  await object.append(bytes);
                },
              };
            },
          },
  };
}

/** The log is whole from where the member was found on, and so is every full. */
async function expectSound(place: Place, last: bigint): Promise<void> {
  const { revisions, gaps } = await contentOf(place);
  expect(gaps.map(({ reason }) => reason)).toEqual(['begin']);
  const from = BigInt(gaps[0]?.to ?? 0) + 1n;
  expect(shown(revisions)).toEqual(shown(sampleRevisions(from, last)));
  const fulls = await listFulls(place.archive, place.epoch, never);
  expect(fulls.length).toBeGreaterThan(0);
  for (const full of fulls) await verifyFull(place.archive, full, never);
  const { problems } = await verifyArchive(place.archive, { signal: never });
  expect(problems.filter(({ problem }) => !problem.includes('are no whole frame'))).toEqual([]);
}

test('a disk that is full is said to be, and is written again when there is room', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
  const run = promisify(execFile);
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
  } catch (error) {
    await rm(directory, { recursive: true });
    context.skip(`no file system can be mounted here: ${String(error)}`);
  }
  try {
    const ballast = join(directory, 'ballast');
    await writeFile(ballast, Buffer.alloc(400 * 1024));
    const store = await openDirectoryArchiveStore(join(directory, 'archive'));
    const place = await sampleArchive(store);
    const member = createFakeMember();
    const archiving = start(member, place);
    await until('there is a full', 30_000, () => archiving.archiver.status().lastFull);
    await until('the disk is full', 60_000, () => {
      if (archiving.archiver.status().state === 'following') member.write(200);
      return archiving.archiver.status().state === 'away';
    });
    const { problem, archivedRevision } = archiving.archiver.status();
    expect(problem).toMatch(/no space left|ENOSPC/i);
    await rm(ballast);
    await until(
      'it is written again',
      60_000,
      () => archiving.archiver.status().archivedRevision === member.revision,
    );
    expect(member.revision).toBeGreaterThan(archivedRevision);
    await archiving.stop();
    await expectSound(place, member.revision);
  } finally {
    await run('umount', [directory]);
    await rm(directory, { recursive: true });
  }
});

test('of two frameworks that are given one archive at the same moment one is refused', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
  for (let round = 0; round < 50; round += 1) {
    const root = join(directory, String(round));
    const owners = ['one', 'other', 'third'];
    const made = await Promise.allSettled(
      owners.map(async (owner) => {
        const store = await openDirectoryArchiveStore(root);
        return await createArchive(store, { archiveId: `archive of ${owner}`, owner, atMs: 1 }, never);
      }),
    );
    const refused = made.filter((each) => each.status === 'rejected');
    expect(refused).toHaveLength(2);
    for (const { reason } of refused) {
      expect(reason).toBeInstanceOf(ArchiveError);
      expect(reason).toMatchObject({ code: 'other-owner' });
    }
  }
  await rm(directory, { recursive: true });
});

describe.for(restorableBinaries().map((binary) => ({ binary, name: binary.version.text })))(
  'etcd $name, compacted while the store is away',
  ({ binary }) => {
    test('leaves a gap that is known and filled by a full, and no restore across it', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
      await mkdir(join(directory, 'data'));
      const etcd = await startLoneEtcd(binary, join(directory, 'data'));
      const watch = recordWatch(etcd.url, 2n);
      const over = new AbortController();
      try {
        const memory = createMemoryArchiveStore();
        const { clusterId } = await etcd.ours.status(AbortSignal.timeout(10_000));
        const place = await placeIn(memory, clusterId);
        let isAway = false;
        const away: ArchiveStore = {
          ...memory,
          put: async (key, content, options) => {
            if (isAway) throw failure();
            return await memory.put(key, content, options);
          },
          growing: {
            create: async (key, first, signal) => {
              if (isAway) throw failure();
              const object = await memory.growing?.create(key, first, signal);
              if (object === undefined) throw failure();
              return {
                close: object.close,
                append: async (bytes) => {
                  if (isAway) throw failure();
                  await object.append(bytes);
                },
              };
            },
          },
        };
        const archiver = archiveEtcd(
          { ...place, archive: { ...place.archive, store: away } },
          etcd.url,
          {
            generation: 1,
            limits: { segmentMs: 0, waitingBytesMax: 20_000, batchBytesMax: 5_000, proofMs: 100 },
          },
          over.signal,
        );
        const revision = async () => BigInt((await etcd.ours.status(AbortSignal.timeout(10_000))).revision);
        const archived = async () => {
          const wanted = await revision();
          await until('all is archived', 60_000, () => {
            const { archivedRevision, fullWanted } = archiver.status();
            return archivedRevision >= wanted && fullWanted === null;
          });
        };
        const write = async (times: number) => {
          for (let at = 0; at < times; at += 1) {
            await etcd.theirs.kv.put({ key: Buffer.from(`key/${at % 7}`), value: Buffer.alloc(20_000, at) });
          }
        };
        await until('there is a full', 30_000, () => archiver.status().lastFull);
        await write(20);
        await archived();
        isAway = true;
        // More than what waits here and on the way, so that the member is not read from any more.
        for (let round = 0; round < 8; round += 1) {
          await write(100);
          await etcd.ours.compact(String((await revision()) - 1n), true, AbortSignal.timeout(20_000));
        }
        expect(archiver.status().state).toBe('away');
        expect(archiver.status().waitingBytes).toBeLessThan(10_000_000);
        isAway = false;
        await archived();
        await write(20);
        await archived();
        const last = await revision();
        await until('the watch has told all', 30_000, () => watch.lastRevision >= last);
        over.abort();
        await archiver.ended;

        const { gaps, revisions } = await contentOf(place);
        expect(gaps.map(({ reason }) => reason)).toEqual(['begin', 'compacted']);
        const gap = gaps[1] ?? expect.fail('there is no gap');
        const isMissing = (at: bigint) => gaps.some(({ from, to }) => at >= BigInt(from) && at <= BigInt(to));
        expect(shown(revisions)).toEqual(
          shown(watch.revisions().filter((each) => !isMissing(each.revision) && each.revision <= last)),
        );
        await expect(restoreTo(place.archive, BigInt(gap.to) - 1n, directory)).rejects.toMatchObject({
          code: 'unreachable',
        });
        const line = await findLine(place.archive, null, never);
        const ranges = await restorableRanges(place.archive, line, never);
        expect(ranges).toHaveLength(2);
        for (const to of ranges.flatMap((range) => [range.from, range.to])) {
          const { backend, report, draft } = await restoreTo(place.archive, to, directory);
          expect(report.proofs.disagreeing).toEqual([]);
          await expectSame(backend, modelAt(watch.revisions(), to));
          await draft.discard();
        }
      } finally {
        over.abort();
        watch.close();
        await etcd.stop();
        await rm(directory, { recursive: true, force: true });
      }
    });
  },
);
