import { zstdDecompressSync } from 'node:zlib';
import { listEpochs, openArchive } from '../../src/backup/archive.ts';
import { listFulls, revisionOf, verifyFull } from '../../src/backup/full.ts';
import { readLog } from '../../src/backup/log-reader.ts';
import { fullDataKey } from '../../src/backup/names.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { PublishedArchive } from '../../src/protocol/view.ts';
import type { MemoryArchiveStore } from './memory-archive-store.ts';
import type { EtcdProcess } from './model-etcd.ts';
import type { Entry, RaftNode } from './model-raft.ts';
import { applyToStore, type Change, createKeyStore, type KeyStore } from './model-store.ts';
import { eventsOf } from './model-stream.ts';
import type { ArchiveObserver } from './sim-archive.ts';

/**
 * What must hold of an archive whatever happens, looked at from outside: by what its store takes, by what the record
 * says at that time, and at the end by holding all that a reader finds in it against what the cluster has committed.
 */
export interface ArchiveChecks extends ArchiveObserver {
  committed(leader: RaftNode, entry: Entry): void;
  /** An etcd starts. */
  started(process: EtcdProcess): void;
  /** A scheduler says so of it. */
  published(archive: PublishedArchive | null): void;
  /** A newer record is stored. */
  recordStored(record: ClusterRecord): void;
  /** The record is lost, or replaced by an older one: what it knew of the archive may be forgotten. */
  recordGone(): void;
  /** Members have forgotten what was before this revision. */
  compacted(revision: bigint): void;
  /** What is wrong with what lies there now. */
  atEnd(): Promise<readonly string[]>;
}

export interface ArchiveChecksOptions {
  /** `null`: nothing is archived. */
  readonly place: () => MemoryArchiveStore | null;
  /** The record as it is stored now. */
  readonly record: () => ClusterRecord | null;
  readonly onViolation: (text: string) => void;
}

export function createArchiveChecks(options: ArchiveChecksOptions): ArchiveChecks {
  const { record, onViolation } = options;
  /** Cluster id → all that it has committed. */
  const histories = new Map<string, { readonly store: KeyStore; readonly changes: Map<number, Change> }>();
  /** Place → folder of a log → the highest generation that has begun a segment in it. */
  const generations = new WeakMap<MemoryArchiveStore, Map<string, number>>();
  const seen = new WeakMap<MemoryArchiveStore, Set<string>>();
  const founded = new Set<string>();
  /** Keys of data that a disk has altered. */
  const spoiled = new Set<string>();
  const fulls = createFullChecks(record, onViolation, spoiled);
  /** Archive id → the last revision that a scheduler has said to be archived. */
  const claimed = new Map<string, bigint>();
  /** The archive that a stored record has had as one that is there. */
  let made: string | null = null;

  const checkOwner = (place: MemoryArchiveStore, key: string): void => {
    const known = record()?.archive ?? null;
    const id = idOf(place);
    if (known === null) return;
    if (id !== known.id) {
      onViolation(`${key} is written to archive ${id}, the record says that ours is ${known.id}`);
    } else if (key === ARCHIVE_KEY && known.made) {
      onViolation(`archive ${id} is made where the record says that it was there already`);
    }
  };

  /** Whoever has followed is followed by nobody before him. */
  const checkGeneration = (place: MemoryArchiveStore, key: string): void => {
    const log = /^epochs\/\d+\/log/.exec(key)?.[0];
    if (log === undefined) return;
    const { generation } = headerOf(place.objects.get(key) as Buffer);
    const highest = generations.get(place) ?? new Map<string, number>();
    generations.set(place, highest);
    const before = highest.get(log) ?? 0;
    if (generation < before) {
      onViolation(`${key} is begun by generation ${generation}, after one of generation ${before}`);
    }
    highest.set(log, Math.max(before, generation));
  };

  return {
    sending: fulls.sending,
    read: fulls.read,
    spoiled: (key) => void spoiled.add(key),
    written: (place, key) => {
      const keys = seen.get(place) ?? new Set<string>();
      seen.set(place, keys);
      if (keys.has(key)) return;
      keys.add(key);
      checkOwner(place, key);
      checkGeneration(place, key);
    },
    committed: ({ data: { clusterId } }, { payload }) => {
      if (!['put', 'delete', 'compact', 'alarm'].includes(payload.kind)) return;
      const { store, changes } = histories.get(clusterId) ?? { store: createKeyStore(), changes: new Map() };
      histories.set(clusterId, { store, changes });
      const { revision } = store;
      applyToStore(store, payload as Parameters<typeof applyToStore>[1]);
      const change = store.changes.at(-1);
      if (store.revision > revision && change !== undefined) changes.set(change.revision, change);
    },
    started: (process) => {
      const {
        mode,
        data: { clusterId },
      } = process;
      if (options.place() !== null) fulls.started(process);
      if (mode !== 'bootstrap' || founded.has(clusterId)) return;
      founded.add(clusterId);
      const place = options.place();
      const id = place === null ? null : idOf(place);
      if (id !== null) onViolation(`cluster ${clusterId} is founded over archive ${id}`);
    },
    published: (archive) => {
      if (archive === null || archive.id === null) return;
      const revision = BigInt(archive.archivedRevision);
      if (revision > (claimed.get(archive.id) ?? 0n)) claimed.set(archive.id, revision);
    },
    recordStored: ({ archive }) => {
      if (made !== null && !(archive?.id === made && archive.made)) {
        onViolation(`the record names archive ${JSON.stringify(archive)}, and ${made} was ours`);
      }
      if (archive?.made === true) made = archive.id;
    },
    recordGone: () => {
      made = null;
    },
    compacted: (revision) => {
      const archived = Math.max(0, ...[...claimed.values()].map(Number));
      if (options.place() === null || revision <= archived) return;
      onViolation(`compacted to revision ${revision}, the archive goes up to ${archived}`);
    },
    atEnd: async () => {
      const place = options.place();
      if (place === null) return [];
      const known = record()?.archive ?? null;
      const id = idOf(place);
      if (known === null || !known.made || id !== known.id) {
        return [`the record names the archive ${JSON.stringify(known)}, the one that is there is ${id}`];
      }
      return await contentProblems(place, id, { histories, claimed: claimed.get(id) ?? 0n, spoiled });
    },
  };
}

/** No member goes up a minor in a roll-out before a full was begun for it, and read back whole as it was written. */
function createFullChecks(
  record: ArchiveChecksOptions['record'],
  onViolation: (text: string) => void,
  spoiled: ReadonlySet<string>,
): Pick<ArchiveChecks, 'sending' | 'read' | 'started'> {
  /** Key of a full's data → the roll-out that was under way when it was begun. */
  const begunIn = new Map<string, string>();
  /** Roll-outs that a full was taken for, and read back. */
  const covered = new Set<string>();
  /** Cluster id → the highest minor that a member of it was started with. */
  const minors = new Map<string, number>();
  return {
    sending: (key) => {
      const { rollout = null } = record() ?? {};
      if (key.endsWith('/data') && rollout !== null) begunIn.set(key, rollout.id);
    },
    read: (key) => {
      const rollout = begunIn.get(key);
      if (rollout !== undefined && !spoiled.has(key)) covered.add(rollout);
    },
    started: ({ version, commandLine, data: { clusterId } }) => {
      const minor = Number(version.split('.')[1]);
      const highest = minors.get(clusterId) ?? minor;
      minors.set(clusterId, Math.max(minor, highest));
      const { rollout = null } = record() ?? {};
      if (minor <= highest || rollout === null || covered.has(rollout.id)) return;
      onViolation(
        `${commandLine.name} is started with etcd ${version} before a full of ${rollout.id} was read back`,
      );
    },
  };
}

/**
 * Why an archive is not at rest, by what the scheduler that acts says of it. A full that an operator asked for may have
 * failed: they were told, and nobody tries again.
 */
export function archiveUnrest(archive: PublishedArchive | null): readonly string[] {
  if (archive === null) return [];
  const { state, problem, fullWanted } = archive;
  const unrest: string[] = [];
  if (state !== 'following') unrest.push(`the archive is ${state}: ${problem}`);
  if (fullWanted !== null) unrest.push(`the archive lacks a full: ${fullWanted}`);
  return unrest;
}

/** Read as whoever restores it would. */
async function contentProblems(
  place: MemoryArchiveStore,
  id: string,
  {
    histories,
    claimed,
    spoiled,
  }: {
    readonly histories: ReadonlyMap<string, { readonly changes: ReadonlyMap<number, Change> }>;
    readonly claimed: bigint;
    readonly spoiled: ReadonlySet<string>;
  },
): Promise<readonly string[]> {
  const { signal } = new AbortController();
  const archive = await openArchive(place, { archiveId: id, owner: null }, signal);
  const epoch = (await listEpochs(archive, signal)).at(-1);
  if (epoch === undefined) return ['the archive has no epoch'];
  const { changes } = histories.get(epoch.document.clusterId) ?? { changes: new Map<number, Change>() };
  const problems: string[] = [];
  let last: bigint | null = null;
  /** Restoring goes on from a full of this revision or a later one. */
  let base = 0n;
  for await (const item of readLog(archive, epoch, { signal })) {
    if (item.kind === 'segment') {
      last ??= BigInt(item.header.previous.lastRevision);
      if (item.header.gap !== null) last = base = BigInt(item.header.gap.to);
    }
    if (item.kind !== 'batch') continue;
    for (const { revision, events } of item.batch.revisions) {
      if (revision !== (last ?? 0n) + 1n) problems.push(`revision ${revision} of the log follows ${last}`);
      last = revision;
      const change = changes.get(Number(revision));
      const isSame =
        change !== undefined && Buffer.concat(eventsOf(change).events).equals(Buffer.concat(events));
      if (!isSame) problems.push(`revision ${revision} of the log is not what the cluster has committed`);
    }
  }
  if ((last ?? 0n) < claimed)
    problems.push(`revision ${claimed} was said to be archived, the log ends at ${last}`);
  const fulls = await listFulls(archive, epoch, signal);
  const sound = fulls.filter((full) => revisionOf(full) >= base);
  if (sound.length === 0) problems.push(`no full has revision ${base}, from which the log goes on`);
  // That a disk has altered one is found when it is read: by an upgrade, a verification or a restore.
  const whole = sound.filter(({ name }) => !spoiled.has(fullDataKey(epoch.document.epoch, name)));
  for (const full of whole.slice(-1)) await verifyFull(archive, full, signal);
  return problems;
}

const ARCHIVE_KEY = 'archive.json';

/** The id in a place; `null`: it holds no archive. */
function idOf({ objects }: MemoryArchiveStore): string | null {
  return /"archiveId":\s*"([^"]+)"/.exec(String(objects.get(ARCHIVE_KEY) ?? ''))?.[1] ?? null;
}

const MAGIC_BYTES = 16;
const FRAME_HEAD_BYTES = 40;

/** What a segment begins with, read by what docs/archive.md says of its bytes. */
function headerOf(segment: Buffer): { readonly generation: number } {
  const frame = segment.subarray(MAGIC_BYTES);
  const stored = frame.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + frame.readUInt32LE(0));
  const payload = frame.readUInt8(5) === 0 ? stored : zstdDecompressSync(stored);
  return JSON.parse(payload.toString()) as { readonly generation: number };
}
