import { beginEpoch, createArchive } from '../../src/backup/archive.ts';
import { retain } from '../../src/backup/retention.ts';
import {
  type ArchiveStore,
  ArchiveStoreError,
  type GrowingObject,
  type ObjectContent,
  partsOf,
} from '../../src/backup/store-port.ts';
import type { Clock } from '../../src/base/ports.ts';
import type { ArchiveAccess } from '../../src/framework/archive-access.ts';
import { scheduleOf } from '../../src/protocol/schedule.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from './memory-archive-store.ts';
import type { ModelEtcd } from './model-etcd.ts';
import { createModelStreams, type SnapshotFate } from './model-stream.ts';
import type { Network } from './network.ts';
import type { RandomStream } from './prng.ts';

/** The archive's store of a simulated world, and what each scheduler writes it with: the real archiver. */
export interface SimArchive {
  /** Where the store is, for the network. */
  readonly host: string;
  /** What the scheduler process on that host is given. */
  access(by: { readonly host: string; readonly clock: Clock }): ArchiveAccess;
  /** What lies there now. */
  readonly place: MemoryArchiveStore;
  /** It has no room for more, or has it again. */
  fillUp(isFull: boolean): void;
  /** Fulls that are begun from now on; `null`: they are as usual. */
  setSnapshots(fate: SnapshotFate | null): void;
  /** The next full does not read as it was written. */
  spoilNextFull(): void;
  /**
   * Something else lies there from now on: nothing, or another archive, in the name of whoever owns what was there.
   * What was open stays as it was.
   */
  replace(by: 'another' | 'nothing'): void;
  /** What lay there before {@link replace} does again. */
  putBack(): void;
  /** All is as usual from now on. */
  heal(): void;
}

export interface SimArchiveOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly network: Network;
  readonly etcd: Pick<ModelEtcd, 'connect' | 'running'>;
  readonly observer: ArchiveObserver;
}

export interface ArchiveObserver {
  /** It is sent to the store, which has not taken it yet. */
  sending(key: string): void;
  /** The object is there, before whoever put it is told. */
  written(place: MemoryArchiveStore, key: string): void;
  /** All of it was read. */
  read(key: string): void;
  /** It does not read as it was written. */
  spoiled(key: string): void;
}

export const ARCHIVE_HOST = '10.0.5.1';
/** A full, as long as nobody says otherwise. */
const FULL_MS_MAX = 2_000;
/** Whoever cannot be reached is given up after so long at most. */
const TIMEOUT_MS_MAX = 5_000;
const RETENTION = { keepFulls: 2, keepMs: 30_000 };

export function createSimArchive(options: SimArchiveOptions): SimArchive {
  const { clock, random, network, observer } = options;
  const grows = random.chance(0.5);
  const isSpooled = random.chance(0.7);
  const limits = {
    segmentMs: grows ? 0 : 1_000,
    segmentBytesMax: random.pick([2_000, 1_000_000]),
    segmentAgeMsMax: 30_000,
    waitingBytesMax: random.pick([500, 1_000_000]),
    proofMs: 20_000,
    authMs: 30_000,
    logBytesPerFull: random.pick([4_000, 1_000_000]),
  };
  const spoolBytesMax = random.pick([1_000, 1_000_000]);
  const spools = new Map<string, ArchiveStore>();
  let place = createMemoryArchiveStore({ grows });
  let before: MemoryArchiveStore | null = null;
  let isFull = false;
  let fate: SnapshotFate | null = null;
  let isNextSpoiled = false;

  const streams = createModelStreams({
    clock,
    network,
    etcd: options.etcd,
    nextSnapshot: () => fate ?? { durationMs: random.between(10, FULL_MS_MAX), failure: null },
  });

  const written = (where: MemoryArchiveStore, key: string): void => {
    if (isNextSpoiled && key.endsWith('/data')) {
      isNextSpoiled = false;
      const bytes = where.objects.get(key) as Buffer;
      bytes[bytes.byteLength >> 1] = 1 ^ (bytes[bytes.byteLength >> 1] as number);
      observer.spoiled(key);
    }
    observer.written(where, key);
  };

  /** The store as the processes on that host reach it. */
  const storeFrom = (host: string): ArchiveStore => {
    const arrive = async (from: string, to: string): Promise<void> => {
      await clock.sleep(network.latencyMs(from, to));
      if (network.reachable(from, to)) return;
      await clock.sleep(random.between(0, TIMEOUT_MS_MAX));
      throw new ArchiveStoreError('unavailable', 'the archive cannot be reached');
    };
    const ask = async <T>(work: () => Promise<T>): Promise<T> => {
      await arrive(host, ARCHIVE_HOST);
      const answer = await work();
      await arrive(ARCHIVE_HOST, host);
      return answer;
    };
    const unlessFull = (): void => {
      if (isFull) throw new ArchiveStoreError('full', 'the archive has no room');
    };
    async function* sent(content: ObjectContent): AsyncGenerator<Uint8Array> {
      for await (const part of partsOf(content)) {
        if (!network.reachable(host, ARCHIVE_HOST)) await arrive(host, ARCHIVE_HOST);
        unlessFull();
        yield part;
      }
    }
    const growing = (where: MemoryArchiveStore, key: string, object: GrowingObject): GrowingObject => ({
      append: async (bytes) =>
        await ask(async () => {
          unlessFull();
          await object.append(bytes);
          written(where, key);
        }),
      close: async () => await object.close(),
    });
    return {
      place: 'the archive',
      put: async (key, content, putOptions) =>
        await ask(async () => {
          const where = place;
          observer.sending(key);
          const stored = await where.put(key, sent(content), putOptions);
          written(where, key);
          return stored;
        }),
      async *read(key, readOptions) {
        await arrive(host, ARCHIVE_HOST);
        yield* place.read(key, readOptions);
        await arrive(ARCHIVE_HOST, host);
        if (readOptions.range === undefined) observer.read(key);
      },
      head: async (key, signal) => await ask(async () => await place.head(key, signal)),
      async *list(prefix, listOptions) {
        await arrive(host, ARCHIVE_HOST);
        yield* place.list(prefix, listOptions);
        await arrive(ARCHIVE_HOST, host);
      },
      remove: async (key, signal) => await ask(async () => await place.remove(key, signal)),
      growing: !grows
        ? null
        : {
            create: async (key, first, signal) =>
              await ask(async () => {
                unlessFull();
                const where = place;
                const object = await where.growing?.create(key, first, signal);
                if (object === undefined) throw new Error('objects grow in every place or in none');
                written(where, key);
                return growing(where, key, object);
              }),
          },
    };
  };

  const spoolOn = (host: string): ArchiveStore => {
    const store = spools.get(host) ?? createMemoryArchiveStore();
    spools.set(host, store);
    return store;
  };

  const putBack = () => {
    place = before ?? place;
    before = null;
  };

  return {
    host: ARCHIVE_HOST,
    access: ({ host, clock: own }) => ({
      place: 'the archive',
      givenUp: null,
      open: async (signal) => {
        const store = storeFrom(host);
        await store.head('archive.json', signal);
        return store;
      },
      connect: (url) => streams.connect(host, url),
      openSpool: () => Promise.resolve(isSpooled ? { store: spoolOn(host), bytesMax: spoolBytesMax } : null),
      limits,
      fullSchedule: scheduleOf('0 * * * *'),
      retain: async (archive, signal) => void (await retain(archive, RETENTION, { clock: own, signal })),
      verification: null,
    }),
    get place() {
      return place;
    },
    fillUp: (full) => {
      isFull = full;
    },
    setSnapshots: (next) => {
      fate = next;
    },
    spoilNextFull: () => {
      isNextSpoiled = true;
    },
    replace: (by) => {
      before ??= place;
      place = createMemoryArchiveStore({ grows });
      if (by === 'another') void fillForeign(place, ownerOf(before) ?? 'another');
    },
    putBack,
    heal: () => {
      putBack();
      isFull = false;
      fate = null;
      isNextSpoiled = false;
    },
  };
}

/** Of a place that holds an archive. */
function ownerOf({ objects }: MemoryArchiveStore): string | null {
  return /"owner":\s*"([^"]+)"/.exec(String(objects.get('archive.json') ?? ''))?.[1] ?? null;
}

/** The archive of a cluster that was once. */
async function fillForeign(store: ArchiveStore, owner: string): Promise<void> {
  const { signal } = new AbortController();
  const archive = await createArchive(store, { archiveId: 'another', owner, atMs: 1 }, signal);
  await beginEpoch(archive, { epoch: 1, clusterId: 'feed', parent: null, atMs: 1 }, signal);
}
