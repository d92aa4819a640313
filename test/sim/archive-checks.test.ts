import { beforeEach, describe, expect, test } from 'vitest';
import { beginEpoch, createArchive } from '../../src/backup/archive.ts';
import { openLogWriter } from '../../src/backup/log-writer.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { PublishedArchive } from '../../src/protocol/view.ts';
import { type ArchiveChecks, archiveUnrest, createArchiveChecks } from './archive-checks.ts';
import { createMemoryArchiveStore, type MemoryArchiveStore } from './memory-archive-store.ts';
import type { EtcdProcess } from './model-etcd.ts';
import type { Entry, RaftNode } from './model-raft.ts';
import { eventsOf } from './model-stream.ts';
import { createVirtualClock } from './virtual-clock.ts';

/** Every checker must be seen to fail: here the wrong thing is done by hand. */

const { signal } = new AbortController();
const clock = createVirtualClock();
let place: MemoryArchiveStore;
let record: Pick<ClusterRecord, 'archive' | 'rollout'>;
let violations: string[];
let checks: ArchiveChecks;

const known = (id: string, made = true) => ({ id, place: 'the archive', made });
const rollout = (id: string) => ({ id }) as ClusterRecord['rollout'];
const published = (changes: Partial<PublishedArchive>) => ({ id: 'a', ...changes }) as PublishedArchive;

beforeEach(() => {
  place = createMemoryArchiveStore();
  record = { archive: null, rollout: null };
  violations = [];
  checks = createArchiveChecks({
    place: () => place,
    record: () => record as ClusterRecord,
    onViolation: (text) => violations.push(text),
  });
});

async function makeArchive(id: string) {
  const archive = await createArchive(place, { archiveId: id, owner: 'etcd', atMs: 1 }, signal);
  checks.written(place, 'archive.json');
  const epoch = await beginEpoch(archive, { epoch: 1, clusterId: 'c', parent: null, atMs: 1 }, signal);
  return { archive, epoch };
}

async function openLog(at: Awaited<ReturnType<typeof makeArchive>>, generation: number) {
  const limits = { segmentBytesMax: 10_000, segmentAgeMsMax: 10_000 };
  const before = new Set(place.objects.keys());
  const log = await openLogWriter({ ...at, generation, writer: `w${generation}`, clock, ...limits }, signal);
  for (const key of place.objects.keys()) if (!before.has(key)) checks.written(place, key);
  return log;
}

function start(version: string, mode: EtcdProcess['mode'] = 'resume'): void {
  checks.started({ version, mode, commandLine: { name: 'etcd-0' }, data: { clusterId: 'c' } } as EtcdProcess);
}

function commit(key: string): void {
  checks.committed(
    { data: { clusterId: 'c' } } as RaftNode,
    { payload: { kind: 'put', key, value: 'v' } } as Entry,
  );
}

describe('whose archive it is', () => {
  test('an object is written to another archive than the record names', async () => {
    record.archive = known('ours');
    await makeArchive('theirs');
    expect(violations).toEqual([
      expect.stringContaining('to archive theirs, the record says that ours is ours'),
    ]);
  });

  test('the archive is made again where the record says that it was there', async () => {
    record.archive = known('ours', false);
    await makeArchive('ours');
    expect(violations).toEqual([]);
    record.archive = known('ours');
    place = createMemoryArchiveStore();
    await makeArchive('ours');
    expect(violations).toEqual([expect.stringContaining('archive ours is made where the record')]);
  });

  test('a record names another archive than it did', () => {
    checks.recordStored({ archive: known('a', false) } as ClusterRecord);
    checks.recordStored({ archive: known('a') } as ClusterRecord);
    checks.recordStored({ archive: known('b') } as ClusterRecord);
    expect(violations).toEqual([expect.stringMatching(/"id":"b".*, and a was ours/)]);
  });

  test('a cluster is founded over an archive', async () => {
    start('3.5.29', 'bootstrap');
    await makeArchive('ours');
    // Others of the same cluster may start later.
    start('3.5.29', 'bootstrap');
    expect(violations).toEqual([]);
    checks.started({ version: '3.5.29', mode: 'bootstrap', data: { clusterId: 'd' } } as EtcdProcess);
    expect(violations).toEqual(['cluster d is founded over archive ours']);
  });
});

test('an earlier generation begins a segment after a later one', async () => {
  const at = await makeArchive('ours');
  await openLog(at, 2);
  const [segment = ''] = [...place.objects.keys()].filter((key) => key.includes('/log/'));
  await openLog(at, 3);
  expect(violations).toEqual([]);
  // As it would stand there.
  const late = segment.replace(/\d$/, '9');
  place.objects.set(late, place.objects.get(segment) as Buffer);
  checks.written(place, late);
  expect(violations).toEqual([`${late} is begun by generation 2, after one of generation 3`]);
});

describe('a member goes up a minor in a roll-out', () => {
  const full = 'epochs/00000001/fulls/f/data';
  beforeEach(() => {
    start('3.5.29');
    record.rollout = rollout('one');
  });

  test('after a full of it was read back', () => {
    checks.sending(full);
    checks.read(full);
    start('3.6.11');
    expect(violations).toEqual([]);
  });

  test('with none', () => {
    start('3.5.30');
    expect(violations).toEqual([]);
    start('3.6.11');
    expect(violations).toEqual(['etcd-0 is started with etcd 3.6.11 before a full of one was read back']);
  });

  test('with one that was not read back, does not read as it was written, or was begun before', () => {
    checks.sending(full);
    start('3.6.11');
    checks.spoiled(full);
    checks.read(full);
    expect(violations).toHaveLength(1);
    record.rollout = rollout('two');
    start('3.7.0');
    expect(violations).toHaveLength(2);
  });
});

test('history is compacted that the archive does not have', () => {
  checks.published(published({ archivedRevision: '7' }));
  checks.compacted(7n);
  expect(violations).toEqual([]);
  checks.compacted(8n);
  expect(violations).toEqual(['compacted to revision 8, the archive goes up to 7']);
});

describe('what lies in it at the end', () => {
  const change = (revision: number, key: string) => eventsOf({ revision, key, value: 'v' });

  async function write(...keys: readonly string[]) {
    const log = await openLog(await makeArchive('ours'), 1);
    record.archive = known('ours');
    await log.skip({ reason: 'begin', from: '1', to: '1' });
    const revisions = keys.map((key, at) => change(at + 2, key));
    await log.write({ atMs: 1, leases: [], revisions });
  }

  test('is what was committed, but no full that it goes on from', async () => {
    commit('x');
    commit('y');
    await write('x', 'y');
    expect(await checks.atEnd()).toEqual(['no full has revision 1, from which the log goes on']);
  });

  test('is not what was committed', async () => {
    commit('x');
    commit('y');
    await write('x', 'z');
    expect(await checks.atEnd()).toContain('revision 3 of the log is not what the cluster has committed');
  });

  test('ends before what was said to be archived', async () => {
    commit('x');
    await write('x');
    checks.published(published({ id: 'ours', archivedRevision: '3' }));
    expect(await checks.atEnd()).toContain('revision 3 was said to be archived, the log ends at 2');
  });

  test('is not there any more', async () => {
    record.archive = known('ours');
    expect(await checks.atEnd()).toEqual([expect.stringContaining('the one that is there is null')]);
  });
});

test('an archive is at rest when a member is followed and no full is to be taken', () => {
  const atRest = published({ state: 'following', problem: null, fullWanted: null });
  expect(archiveUnrest(null)).toEqual([]);
  expect(archiveUnrest(atRest)).toEqual([]);
  expect(archiveUnrest({ ...atRest, state: 'refused', problem: 'fenced' })).toEqual([
    'the archive is refused: fenced',
  ]);
  expect(archiveUnrest({ ...atRest, problem: 'no full' })).toEqual([]);
  expect(archiveUnrest({ ...atRest, fullWanted: 'a gap' })).toEqual(['the archive lacks a full: a gap']);
});
