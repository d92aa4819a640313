import { expect, it } from 'vitest';
import { SmallWorld } from './small-world.ts';

const ASKED = { askedAtMs: 7, by: 'operator', confirmed: false, skipped: [] } as const;
const ARCHIVE = { id: 'a1', place: '/mnt/archive', made: true };

it.each([
  ['no archive', null, null, 'and there is no archive of it: waits for'],
  ['an archive', '100', ARCHIVE, 'and its archive has all up to revision 100, the newest is 100: waits for'],
  ['one that is not open yet', '0', ARCHIVE, 'and what its archive has of it is not known: waits for'],
  [
    'one that is not written any more',
    null,
    ARCHIVE,
    'and nothing is archived any more; what was is in /mnt/archive: waits for',
  ],
] as const)(
  'an uninstall that nobody has confirmed says what is archived, with %s',
  (_, archivedRevision, archive, text) => {
    const world = new SmallWorld();
    world.until(() => world.isWhole());
    world.record = { ...world.record, archive, uninstall: { ...ASKED, skipped: [] } };
    world.archive = archivedRevision === null ? null : { archivedRevision, verifiedFullAtMs: null };
    const { blocked, actions } = world.step();
    expect(blocked.find(({ code }) => code === 'uninstall-waits')?.message).toContain(text);
    expect(actions).toEqual([]);
  },
);
