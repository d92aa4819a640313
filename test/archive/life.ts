import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiverLimits } from '../../src/backup/archiver.ts';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { type ArchiveStore, readWhole } from '../../src/backup/store-port.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { never } from '../backup/sample-log.ts';
import type { EtcdBinary } from '../real-etcd/binaries.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import type { RandomStream } from '../sim/prng.ts';
import { until } from '../wait.ts';
import { type ArchivedPlace, archiveEtcd, placeIn } from './archiving.ts';
import { startLoneEtcd } from './lone-etcd.ts';
import { findLoss, type Lossy, liveWithoutLoss } from './losses.ts';
import { recordWatch } from './watch-recorder.ts';
import { type Lived, type LiveProof, live, type Observation, observeAt, proofAt } from './workload.ts';

/** What a cluster went through, and what its archiver and others say of it. */
export interface ArchivedLife {
  readonly place: ArchivedPlace & { readonly archive: { readonly store: MemoryArchiveStore } };
  /** By a watch of its own, from the beginning. */
  readonly watched: readonly RevisionEvents[];
  readonly lived: Lived;
  /** What etcd itself told of archived revisions, when all was over, as far as it had not compacted them. */
  readonly looks: readonly Observation[];
  readonly proofs: readonly LiveProof[];
}

export interface LifeOptions {
  readonly binary: EtcdBinary;
  /** Empty; is used for the etcd's data and the archive. */
  readonly directory: string;
  readonly random: RandomStream;
  readonly steps: number;
  readonly compacts: boolean;
  /** Each revision is written as it comes, to a directory; else whole segments to a store that takes nothing else. */
  readonly isContinuous: boolean;
}

/** Revisions that etcd is asked for when all is over. */
const LOOKS = 6;

/** Lets a cluster live while the real archiver follows it and takes a full somewhere. The archive has all of it. */
export async function liveArchived(options: LifeOptions): Promise<ArchivedLife> {
  return await liveWithoutLoss(options.binary, async (attempt) => {
    return await liveOnce({ ...options, directory: join(options.directory, `life-${attempt}`) });
  });
}

async function liveOnce(options: LifeOptions): Promise<ArchivedLife & Lossy> {
  const { random, isContinuous, directory } = options;
  const data = join(directory, 'data');
  await mkdir(data, { recursive: true });
  const etcd = await startLoneEtcd(options.binary, data);
  const watch = recordWatch(etcd.url, 2n);
  const over = new AbortController();
  try {
    for (let at = random.integer(0, 5); at > 0; at -= 1) {
      await etcd.theirs.kv.put({ key: Buffer.from(`before/${at}`), value: Buffer.from('x') });
    }
    const store: ArchiveStore = isContinuous
      ? await openDirectoryArchiveStore(join(directory, 'archive'))
      : createMemoryArchiveStore({ grows: false });
    const { clusterId } = await etcd.ours.status(AbortSignal.timeout(10_000));
    const place = await placeIn(store, clusterId);
    const archiver = archiveEtcd(
      place,
      etcd.url,
      { generation: 1, limits: limitsBy(random, isContinuous) },
      over.signal,
    );
    await until('there is a full', 30_000, () => archiver.status().lastFull);
    const atHalf = async () => void (await archiver.fullNow('test'));
    const lived = await live(etcd, random, { ...options, atHalf });
    const last = lived.observations.at(-1)?.revision ?? 0n;
    await until('the watch has told all', 30_000, () => watch.lastRevision >= last);
    await until('all is archived', 30_000, () => archiver.status().archivedRevision >= last);
    const archived = archiver.status().archivedRevision;
    await until(
      'a proof of the end',
      30_000,
      () => BigInt(archiver.status().lastProof?.revision ?? 0) >= last,
    );
    const [looks, proofs]: [Observation[], LiveProof[]] = [[], []];
    for (let look = 0; look < LOOKS; look += 1) {
      const revision = BigInt(random.integer(2, Number(archived)));
      const [seen, proof] = [await observeAt(etcd.theirs, revision), await proofAt(etcd.ours, revision)];
      if (seen !== null) looks.push(seen);
      if (proof !== null) proofs.push(proof);
    }
    over.abort();
    await archiver.ended;
    const loss = await findLoss(place, { etcd, generation: 2, directory });
    const copy = await copyOf(store, isContinuous);
    return {
      place: { archive: { ...place.archive, store: copy }, epoch: place.epoch },
      watched: watch.revisions(),
      lived,
      looks,
      proofs,
      loss,
    };
  } finally {
    over.abort();
    watch.close();
    await etcd.stop();
  }
}

function limitsBy(random: RandomStream, isContinuous: boolean): Partial<ArchiverLimits> {
  return {
    segmentMs: isContinuous ? 0 : 30,
    segmentBytesMax: random.pick([10_000, 100_000, 1e9]),
    batchBytesMax: random.pick([1_000, 100_000]),
    proofMs: 150,
  };
}

/** In memory, where it can be cut without harm to another test. */
async function copyOf(store: ArchiveStore, grows: boolean): Promise<MemoryArchiveStore> {
  const copy = createMemoryArchiveStore({ grows });
  for await (const { key } of store.list('', { signal: never })) {
    copy.objects.set(key, await readWhole(store, key, { bytesMax: 1e9, signal: never }));
  }
  return copy;
}

export function copyOfMemory(store: MemoryArchiveStore): MemoryArchiveStore {
  const copy = createMemoryArchiveStore({ grows: store.growing !== null });
  for (const [key, bytes] of store.objects) copy.objects.set(key, bytes);
  return copy;
}
