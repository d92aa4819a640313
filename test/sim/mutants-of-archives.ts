import type { Mutant } from './mutants.ts';

const OPENING = 'src/framework/archive-opening.ts';
const GATE = 'src/reconcile/upgrade-backup.ts';

/** Bugs in what keeps an archive from harm, and the cluster that relies on it. */
export const ARCHIVE_MUTANTS: readonly Mutant[] = [
  {
    name: 'upgrade-without-full',
    about: 'a member goes up a minor of etcd whether a full was taken before or not',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: GATE,
        find: '  if (pass.seen.archive === null || !goesUp(pass, rollout, seat)) return false;',
        replace: '  if (pass.seen.archive !== null || !goesUp(pass, rollout, seat)) return false;',
      },
    ],
  },
  {
    name: 'full-of-another-rollout',
    about: 'a full that was taken before a roll-out began counts for it',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: GATE,
        find: '  return atMs !== null && atMs >= rollout.openedAtMs ? atMs : null;',
        replace: '  return atMs;',
      },
    ],
  },
  {
    name: 'full-not-read-back',
    about: 'a full that an upgrade waits for counts before it was read back',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/framework/archiving.ts',
        find: 'return await state.archiver.fullNow(reason, { verify: true });',
        replace: 'return await state.archiver.fullNow(reason, { verify: false });',
      },
    ],
  },
  {
    name: 'first-start-over-archive',
    about: 'a cluster is begun without a look at the archive',
    shownBy: [68],
    isQuick: true,
    edits: [
      {
        file: 'src/framework/scheduler.ts',
        find: "      if (first.record.epoch.phase === 'preparing') await archiving?.assertNothingThere(signal);",
        replace: '',
      },
    ],
  },
  {
    name: 'archive-away-is-empty',
    about: 'an archive that cannot be reached at a first start is taken for an empty one',
    shownBy: [119],
    edits: [
      {
        file: OPENING,
        find: '      if (!(error instanceof ArchiveStoreError)) throw error;\n      signal.throwIfAborted();',
        replace: '      if (error instanceof ArchiveStoreError) return;\n      signal.throwIfAborted();',
      },
    ],
  },
  {
    name: 'archive-begun-anew',
    about: 'where the archive is not any more another is begun under its id',
    shownBy: [56],
    edits: [
      {
        file: OPENING,
        find: '    known?.made === true\n',
        replace: '    known?.made === true && (await archiveIn(input.store, signal)) !== null\n',
      },
    ],
  },
  {
    name: 'archive-of-another-taken',
    about: 'an archive is written whatever its id is',
    shownBy: [56],
    edits: [
      {
        file: OPENING,
        find: '    return await openArchive(store, { archiveId: known.id, owner: record.cluster }, signal);',
        replace: '    return await openArchive(store, { archiveId: null, owner: record.cluster }, signal);',
      },
    ],
  },
  {
    name: 'archive-fence-ignored',
    about:
      'a log that a later generation has written is gone on with: no later one is stored before, and the log does not refuse',
    shownBy: [99],
    edits: [
      {
        file: OPENING,
        find: 'writtenBy: isOthers ? await writtenBy(archive, input.record, signal) : 0 },',
        replace: 'writtenBy: isOthers ? await Promise.resolve(0) : 0 },',
      },
      {
        file: 'src/backup/log-writer.ts',
        find: '  if (!isOlder && !isOwn) throw fenced(key, header, generation);',
        replace: '  if (!isOlder && isOwn) throw fenced(key, header, generation);',
      },
    ],
  },
  {
    name: 'compacted-beyond-the-archive',
    about: 'a full database is compacted whatever the archive has of it',
    shownBy: [216],
    edits: [
      {
        file: 'src/reconcile/space.ts',
        find: '  const bound = archive === null ? window : BigInt(archive.archivedRevision);',
        replace: '  const bound = archive === null ? window : window;',
      },
    ],
  },
];
