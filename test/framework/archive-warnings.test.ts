import { expect, test } from 'vitest';
import { archiveWarningsOf } from '../../src/framework/archive-warnings.ts';
import { isArchiveWarning, type PublishedArchive } from '../../src/protocol/view.ts';
import { sampleArchive, sampleView } from './sample-view.ts';

const NOW_MS = sampleView().atMs;
const told = (archive: PublishedArchive | null): readonly string[] => {
  const warnings = archiveWarningsOf(archive, NOW_MS);
  expect(warnings.every(isArchiveWarning)).toBe(true);
  return warnings.map(({ code, message }) => `${code}: ${message}`);
};

test('an archive that all is well with is not warned of', () => {
  expect(told(sampleArchive())).toEqual([]);
  // A moment after one archiver took over from another.
  expect(told(sampleArchive({ state: 'no-member', problem: null }))).toEqual([]);
  // What was before it is in its first full.
  expect(told(sampleArchive({ gaps: [{ reason: 'begin', from: '1', to: '9' }] }))).toEqual([]);
  expect(told(sampleArchive({ state: 'waiting', id: null, lastFull: null, nextFullAtMs: null }))).toEqual([]);
});

test('none is told of', () => {
  expect(told(null)).toMatchInlineSnapshot(`
    [
      "no-archive: no archive is configured (--archive): what is on no disk any more is lost, and no earlier state can be restored",
    ]
  `);
});

test.for<[string, Partial<PublishedArchive>]>([
  ['archive-refused', { state: 'refused', problem: 'it holds archive 9, not 5c1e' }],
  ['archive-away', { state: 'away', problem: 'connect ECONNREFUSED', lagMs: 754_321 }],
  ['archive-unfollowed', { state: 'no-member', problem: 'the watch was cancelled: authentication is on' }],
  [
    'archive-gap',
    {
      gaps: [
        { reason: 'begin', from: '1', to: '9' },
        { reason: 'lost', from: '70', to: '79' },
      ],
    },
  ],
  [
    'archive-verification-failed',
    {
      lastVerification: {
        atMs: 0,
        revision: '80',
        proofsCompared: 2,
        problems: ['the proof of revision 70 does not agree', 'another'],
      },
    },
  ],
  ['archive-full-old', { nextFullAtMs: NOW_MS - 3_600_000 }],
  ['archive-full-old', { lastFull: null, nextFullAtMs: null, fullWanted: 'there is none' }],
])('%s', ([code, changes]) => {
  const [one, ...others] = told(sampleArchive(changes));
  expect(others).toEqual([]);
  expect(one?.startsWith(`${code}: `)).toBe(true);
  expect(one).toMatchSnapshot();
});

test('a full is not old while it may still be taken', () => {
  expect(told(sampleArchive({ nextFullAtMs: NOW_MS - 3_599_000 }))).toEqual([]);
});
