import { afterEach, describe, expect, test } from 'vitest';
import { beginEpoch, createArchive, listEpochs, openArchive } from '../../src/backup/archive.ts';
import { listFulls } from '../../src/backup/full.ts';
import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';
import type { ArchiveAccess } from '../../src/framework/archive-access.ts';
import { type Archiving, createArchiving, fullWith, sourcesOf } from '../../src/framework/archiving.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { Observation } from '../../src/reconcile/observation.ts';
import { createFakeMember, FAKE_CLUSTER, type FakeMember } from '../backup/fake-member.ts';
import { contentOf, never, sampleRevisions, sampleWriter, shown } from '../backup/sample-log.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import { record, seat } from './fixtures.ts';

/** The archiver of a scheduler, on a store and a member that do what a test says; passes come every 100 ms. */

const PASS_MS = 100;
const PLACE = '/mnt/archive';
const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

const FORMED: ClusterRecord = record({
  epoch: { ...record().epoch, phase: 'formed', clusterId: FAKE_CLUSTER },
  seats: [seat()],
});
const KNOWN = { id: 'archive-1', place: PLACE, made: true };

/** What the members of these slots say: of the fake cluster, the last one leads. */
function seenOf(...ids: readonly string[]): Observation {
  const members = ids.map((id, at) => [id, viewOf(`m${at}`, { leaderId: `m${ids.length - 1}` })] as const);
  return { wallMs: 0, members: new Map(members) } as unknown as Observation;
}
const viewOf = (memberId: string, probe: object = {}, ageMs = 0): object => ({
  ageMs,
  status: { probe: { clusterId: FAKE_CLUSTER, memberId, leaderId: 'm0', isLearner: false, ...probe } },
});

interface Kept {
  record: ClusterRecord;
  fullWanted: string | null;
  readonly archiving: Archiving;
  readonly told: string[];
  /** Every record that was stored because of the archive, and how many objects there were then. */
  readonly stored: { readonly record: ClusterRecord; readonly objects: number }[];
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

function world(store: MemoryArchiveStore = createMemoryArchiveStore()) {
  const clock: VirtualClock = createVirtualClock({ settleTurns: 30 });
  const member: FakeMember = createFakeMember();
  let ids = 0;
  const begin = (first: ClusterRecord, changes: Partial<ArchiveAccess> = {}): Kept => {
    const stop = new AbortController();
    stops.push(stop);
    const told: string[] = [];
    const access: ArchiveAccess = {
      place: PLACE,
      givenUp: null,
      open: () => Promise.resolve(store),
      connect: (url) => member.connect(url),
      openSpool: () => Promise.resolve(null),
      limits: { segmentMs: 0 },
      fullSchedule: null,
      retain: null,
      verification: null,
      ...changes,
    };
    const archiving = createArchiving({
      access,
      clock,
      ids: {
        uuid: () => {
          ids += 1;
          return `id-${ids}`;
        },
      },
      log: silentLogger,
      onChange: () => undefined,
      tell: ({ text, reason }) => told.push(`${text}: ${reason}`),
    });
    const kept: Kept = {
      record: first,
      fullWanted: null,
      archiving,
      told,
      stored: [],
      stop,
      done: archiving.run(stop.signal),
    };
    const pass = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        const next = archiving.claimed(kept.record);
        if (next !== kept.record) kept.stored.push({ record: next, objects: store.objects.size });
        kept.record = next;
        const seen = { ...seenOf('etcd-0-seat'), archive: archiving.sight() };
        archiving.passed({ record: next, seen, fullWanted: kept.fullWanted });
        await clock.sleep(PASS_MS, stop.signal);
      }
    };
    void pass();
    return kept;
  };
  const archived = async ({ archiving }: Kept): Promise<void> => {
    await clock.runUntil(() => archiving.sight().archivedRevision === String(member.revision), 60_000);
  };
  const state =
    ({ archiving }: Kept, wanted: string) =>
    (): boolean =>
      archiving.view().state === wanted;
  return { clock, store, member, begin, archived, state };
}

async function onlyEpoch(store: ArchiveStore) {
  const archive = await openArchive(store, { archiveId: null, owner: null }, never);
  const [epoch] = await listEpochs(archive, never);
  if (epoch === undefined) throw new Error('no epoch');
  return { archive, epoch };
}

/** Everything that is in the only epoch's log. */
const logOf = async (store: ArchiveStore) => await contentOf(await onlyEpoch(store));

describe('archiving', () => {
  test('begins when the cluster is formed, with an id that is stored before anything is written', async () => {
    const { clock, store, member, begin, archived } = world();
    const kept = begin(record());
    await clock.advance(5_000);
    expect(kept.archiving.view()).toMatchObject({ state: 'waiting', id: null, problem: null, place: PLACE });
    expect(store.objects.size).toBe(0);
    kept.record = FORMED;
    member.write(5);
    await archived(kept);
    expect(kept.stored).toEqual([
      { record: { ...FORMED, archive: { id: 'id-2', place: PLACE, made: false } }, objects: 0 },
      { record: { ...FORMED, archive: { id: 'id-2', place: PLACE, made: true } }, objects: 1 },
    ]);
    expect(kept.archiving.view()).toMatchObject({ state: 'following', id: 'id-2', archivedRevision: '6' });
    expect(kept.told).toEqual([expect.stringContaining(`generation 1 archives to ${PLACE}`)]);
  });

  test('is taken over by the next generation without a gap; the former stops', async () => {
    const { clock, store, member, begin, archived, state } = world();
    const first = begin(FORMED);
    await archived(first);
    member.write(10);
    await archived(first);
    const second = begin({ ...first.record, generation: 2 });
    await clock.runUntil(state(second, 'following'), 60_000);
    member.write(10);
    await archived(second);
    await clock.runUntil(state(first, 'refused'), 60_000);
    expect(first.archiving.view().problem).toContain('another scheduler archives now');
    await clock.advance(600_000);
    expect(first.archiving.view().state).toBe('refused');
    member.write(3);
    await archived(second);
    const { revisions, gaps } = await logOf(store);
    expect(shown(revisions)).toEqual(shown(sampleRevisions(2n, member.revision)));
    expect(gaps).toEqual([{ reason: 'begin', from: '1', to: '1' }]);
  });

  test('goes on under the id that was about to be made when the scheduler was killed', async () => {
    const { begin, archived } = world();
    const kept = begin({ ...FORMED, archive: { ...KNOWN, made: false } });
    await archived(kept);
    expect(kept.record.archive).toEqual(KNOWN);
  });

  test('finds an archive that was moved', async () => {
    const { store, begin, archived } = world();
    await createArchive(store, { archiveId: 'archive-1', owner: 'cluster-1', atMs: 1 }, never);
    const kept = begin({ ...FORMED, archive: { ...KNOWN, place: '/mnt/before' } });
    await archived(kept);
    expect(kept.record.archive).toEqual(KNOWN);
  });

  test.each([
    ['lost', null],
    ['put back', KNOWN],
  ])(
    'takes the archive up again when the record was %s, as a later generation than its writer',
    async (_, known) => {
      const { store, begin, archived } = world();
      const archive = await createArchive(store, { archiveId: KNOWN.id, owner: 'cluster-1', atMs: 1 }, never);
      const birth = { epoch: 1, clusterId: FAKE_CLUSTER, parent: null, atMs: 2 };
      const epoch = await beginEpoch(archive, birth, never);
      await (await sampleWriter({ archive, epoch }, 7)).close();
      const kept = begin({ ...FORMED, archive: known });
      await archived(kept);
      expect(kept.record).toMatchObject({ generation: 8, archive: KNOWN });
    },
  );

  test('is tried for while the store is away', async () => {
    const { clock, store, begin, archived, state } = world();
    let isAway = true;
    const open = (): Promise<ArchiveStore> =>
      isAway ? Promise.reject(new ArchiveStoreError('unavailable', 'no route')) : Promise.resolve(store);
    const kept = begin(FORMED, { open });
    await clock.runUntil(state(kept, 'away'), 1_000);
    expect(kept.archiving.view().problem).toBe('no route');
    expect(kept.archiving.sight().archivedRevision).toBe('0');
    await clock.advance(300_000);
    isAway = false;
    await archived(kept);
  });

  test('knows of a store that hangs while it is opened that it is away', async () => {
    const { clock, store, begin, archived, state } = world();
    const { promise, resolve } = Promise.withResolvers<ArchiveStore>();
    const kept = begin(FORMED, { open: async () => await promise });
    await clock.advance(1_000);
    expect(kept.archiving.view().state).toBe('starting');
    await clock.runUntil(state(kept, 'away'), 20_000);
    expect(kept.archiving.view().problem).toBe('it has not answered for 10 s');
    resolve(store);
    await archived(kept);
    await clock.advance(60_000);
    expect(kept.archiving.view().state).toBe('following');
  });

  test('ends with the term, whatever the store does', async () => {
    const { clock, store, member, begin, archived } = world();
    const kept = begin(FORMED);
    await archived(kept);
    const { growing } = store;
    expect(growing).not.toBeNull();
    store.put = () => new Promise(() => undefined);
    store.head = () => new Promise(() => undefined);
    member.write(5);
    await clock.advance(1_000);
    kept.stop.abort();
    await clock.during(kept.done, 30_000);
  });
});

describe('an archive that is not ours', () => {
  const make = async (store: MemoryArchiveStore, archiveId: string, owner: string) =>
    await createArchive(store, { archiveId, owner, atMs: 1 }, never);

  test.for([
    ['is another cluster’s', { archive: null }, ['archive-1', 'cluster-2'], 'archive of cluster-2'],
    [
      'has another id',
      { archive: KNOWN },
      ['archive-2', 'cluster-1'],
      'holds archive archive-2, not archive-1',
    ],
    ['is not there any more', { archive: KNOWN }, null, 'Archive archive-1 was there'],
    [
      'is not in the place that is named now',
      { archive: { ...KNOWN, place: '/mnt/before' } },
      null,
      'Give --archive /mnt/before again',
    ],
  ] as const)('or %s is refused, and nothing is written', async ([, changes, there, problem]) => {
    const { clock, store, begin, state } = world();
    if (there !== null) await make(store, there[0], there[1]);
    const before = new Map(store.objects);
    const kept = begin({ ...FORMED, ...changes });
    await clock.runUntil(state(kept, 'refused'), 5_000);
    expect(kept.archiving.view().problem).toContain(problem);
    await clock.advance(300_000);
    expect(store.objects).toEqual(before);
    expect(kept.record).toEqual({ ...FORMED, ...changes });
    expect(kept.told).toHaveLength(1);
    await expect(kept.archiving.fullNow('x')).rejects.toThrow('nothing can be archived now');
  });

  test('and what waited when the place was found empty waits as long as that lasts', async () => {
    const { begin, member, store, clock, state, archived } = world(
      createMemoryArchiveStore({ grows: false }),
    );
    const kept = begin(FORMED);
    member.write(3);
    await archived(kept);
    const held = [...store.objects];
    store.objects.clear();
    member.write(3);
    await clock.runUntil(state(kept, 'refused'), 30_000);
    const { lagMs } = kept.archiving.view();
    const atMs = clock.monotonicMs();
    await clock.runUntil(() => clock.monotonicMs() >= atMs + 120_000, 130_000);
    expect(kept.archiving.view().lagMs).toBeGreaterThanOrEqual(lagMs + 120_000);
    for (const [key, bytes] of held) store.objects.set(key, bytes);
    await clock.runUntil(state(kept, 'following'), 120_000);
    await archived(kept);
    expect(kept.archiving.view().lagMs).toBe(0);
  });

  test('or whose epoch is of another cluster is refused where the record knows of none', async () => {
    const { clock, store, begin, state } = world();
    const archive = await make(store, 'archive-1', 'cluster-1');
    await beginEpoch(archive, { epoch: 1, clusterId: 'fff', parent: null, atMs: 2 }, never);
    const kept = begin(FORMED);
    await clock.runUntil(state(kept, 'refused'), 5_000);
    expect(kept.archiving.view().problem).toContain('is of cluster fff, the one that runs is abc');
    expect(kept.record.archive).toBeNull();
  });

  test('gives way to another once it is given up, and only that one', async () => {
    const { clock, begin, archived, state } = world();
    const other = begin({ ...FORMED, archive: KNOWN }, { givenUp: 'archive-0' });
    await clock.runUntil(state(other, 'refused'), 5_000);
    expect(other.archiving.view().problem).toContain('begin another with --archive-given-up archive-1');
    other.stop.abort();
    const kept = begin({ ...FORMED, archive: KNOWN }, { givenUp: 'archive-1' });
    await archived(kept);
    const { archive } = kept.record;
    expect(archive?.id).not.toBe('archive-1');
    const again = begin({ ...kept.record, generation: 2 }, { givenUp: 'archive-1' });
    await archived(again);
    expect(again.record.archive).toEqual(archive);
  });

  test('is taken as soon as it is put right', async () => {
    const { clock, store, begin, archived, state } = world();
    const kept = begin({ ...FORMED, archive: KNOWN });
    await clock.runUntil(state(kept, 'refused'), 5_000);
    await make(store, 'archive-1', 'cluster-1');
    await archived(kept);
    expect(kept.archiving.view()).toMatchObject({ state: 'following', problem: null });
  });
});

test('a spool that cannot be opened stops nothing, and is told of', async () => {
  const { member, begin, archived } = world();
  const openSpool = () => Promise.reject(new ArchiveStoreError('full', 'no space left on device'));
  const kept = begin(FORMED, { openSpool });
  member.write(5);
  await archived(kept);
  const problem = 'there is no spool: no space left on device';
  expect(kept.archiving.view()).toMatchObject({ state: 'following', problem });
});

describe('a full', () => {
  test('that the core waits for is taken once and read back', async () => {
    const { clock, store, member, begin, archived } = world();
    const { snapshot } = member;
    member.snapshot = async function* () {
      await clock.sleep(700, never);
      yield* snapshot();
    };
    const kept = begin(FORMED);
    await archived(kept);
    await clock.runUntil(() => kept.archiving.view().lastFull !== null, 5_000);
    expect(kept.archiving.sight().verifiedFullAtMs).toBeNull();
    kept.fullWanted = 'before the upgrade';
    await clock.runUntil(() => kept.archiving.sight().verifiedFullAtMs !== null, 5_000);
    kept.fullWanted = null;
    const { lastFull } = kept.archiving.view();
    expect(lastFull).toMatchObject({ verifiedAtMs: expect.any(Number) as number });
    // A restore to this moment has all of it.
    const { archive, epoch } = await onlyEpoch(store);
    const newest = (await listFulls(archive, epoch, never)).at(-1);
    expect(newest?.name).toBe(lastFull?.name);
    expect(kept.archiving.sight().verifiedFullAtMs).toBe(newest?.document.finishedAtMs);
    // It is no later one for a clock that went back.
    clock.jumpWall(-3_600_000);
    const atMs = clock.wallMs();
    expect(kept.archiving.sight().verifiedFullAtMs).toBe(atMs);
    await clock.advance(60_000);
    expect(kept.archiving.sight().verifiedFullAtMs).toBe(atMs);
  });

  test('that could not be taken is tried for again, not at once', async () => {
    const { clock, member, begin, archived } = world();
    const kept = begin(FORMED);
    await archived(kept);
    await clock.runUntil(() => kept.archiving.view().lastFull !== null, 5_000);
    const { snapshot } = member;
    let tries = 0;
    // No error that is expected of a member: the archiver ends with it, and is begun again.
    member.snapshot = () => {
      tries += 1;
      throw new Error('disk is broken');
    };
    kept.fullWanted = 'before the upgrade';
    await clock.advance(20_000);
    expect(tries).toBe(1);
    member.snapshot = snapshot;
    await clock.runUntil(() => kept.archiving.sight().verifiedFullAtMs !== null, 60_000);
  });

  test('is not to be had without an archive', async () => {
    await expect(fullWith(null, 'x')).rejects.toMatchObject({ code: 'missing' });
  });
});

test('followers are followed before the leader, and only who serves', () => {
  const seats = ['a', 'b', 'c', 'd', 'e'].map((id, at) => seat({ id, host: `10.0.0.${at}` }));
  const members = new Map([
    ['a', viewOf('m1', { leaderId: 'm1' })],
    ['b', viewOf('m2', { leaderId: 'm1' })],
    ['c', viewOf('m3', { isLearner: true })],
    ['d', viewOf('m4', {}, 60_000)],
    ['e', viewOf('m5', { clusterId: 'fff' })],
  ]);
  const seen = { members } as unknown as Observation;
  const sources = sourcesOf({ record: { ...FORMED, seats }, seen });
  expect(sources.map(({ url }) => url)).toEqual(['http://10.0.0.1:31001', 'http://10.0.0.0:31001']);
});

test('who is silent about itself is asked only where nobody else is there, and tells why', () => {
  const seats = ['a', 'b'].map((id, at) => seat({ id, host: `10.0.0.${at}` }));
  const silent = { status: { phase: 'running', probe: null, needsUser: { quorum: true } }, ageMs: 0 };
  const urls = (other: object): readonly string[] => {
    const members = new Map([
      ['a', silent],
      ['b', other],
    ]);
    const seen = { members } as unknown as Observation;
    return sourcesOf({ record: { ...FORMED, seats }, seen }).map(({ url }) => url);
  };
  expect(urls(viewOf('m1', { leaderId: 'm1' }))).toEqual(['http://10.0.0.1:31001']);
  expect(urls(silent)).toEqual(['http://10.0.0.0:31001', 'http://10.0.0.1:31001']);
});
