import { describe, expect, test } from 'vitest';
import { storyOfRecord } from '../../src/framework/story.ts';
import type { ClusterRecord, Disruption } from '../../src/protocol/record.ts';
import { disruption, record, seat } from './fixtures.ts';

const rests = record({ seats: [seat()] });
const during = (changes: Partial<Disruption> = {}): ClusterRecord => ({
  ...rests,
  disruption: disruption(changes),
});
const told = (before: ClusterRecord, after: ClusterRecord): readonly string[] =>
  storyOfRecord(before, after).map(({ slot, text, reason }) => `${slot}: ${text} (${reason})`);
const paused = { by: 'alice', atMs: 1 };

describe('the story of a disruption', () => {
  test.each([
    ['is opened', {}, 'the restart of etcd-0 is opened (pod restart, by alice)'],
    ['is forced', { forced: true }, 'the restart of etcd-0 is opened (pod restart, by alice, forced)'],
  ])('that %s names who asked', (_what, changes, text) => {
    expect(told(rests, during(changes))).toEqual([`etcd-0: ${text}`]);
  });

  test.each<[string, Partial<Disruption>, Parameters<typeof seat>[0], string]>([
    ['a restart with its new task', {}, { task: 'etcd-0__two' }, 'done'],
    ['a restart without one', {}, {}, 'given up'],
    ['a restart of a task that ended by itself', { begun: false }, { task: 'etcd-0__two' }, 'done'],
    ['a defragmentation that had not begun', { kind: 'defragment', begun: false }, {}, 'given up'],
    ['a handover in time', { kind: 'move-leader', handoverMs: 500 }, {}, 'done'],
    ['a handover that was waited for', { kind: 'move-leader', handoverMs: 15_000 }, {}, 'given up'],
    ['a pause that holds', { kind: 'pause' }, { paused }, 'done'],
    ['a pause that was taken back', { kind: 'pause' }, {}, 'given up'],
  ])('%s', (_what, changes, at, end) => {
    const before = { ...during(changes), seats: [seat(at)] };
    const lines = told(before, { ...before, disruption: null });
    expect(lines).toEqual([expect.stringContaining(` is ${end} (pod restart)`)]);
  });

  test('an etcd that is held down, and let go', () => {
    const down = { ...rests, seats: [seat({ paused })] };
    expect(told(rests, down)).toEqual(['etcd-0: its etcd is to be down (paused by alice)']);
    expect(told(down, rests)).toEqual(['etcd-0: its etcd may run again (it is not paused any more)']);
  });
});
