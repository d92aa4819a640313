import { expect, it } from 'vitest';
import { wantedKeys } from '../../src/framework/wanted-offers.ts';
import type { Seat } from '../../src/protocol/record.ts';
import { record, seat } from './fixtures.ts';

const HOUR_MS = 3_600_000;

function wanted(ageMs: number, of: Partial<Seat> = {}, evidence?: object): boolean {
  const leaving = [{ seat: seat(of), reason: 'replaced', sinceMs: 0 }];
  const tasks = new Map(evidence === undefined ? [] : [['etcd-0__one', evidence]]);
  const match = { record: record({ leaving }), unmatched: [] } as never;
  const seen = { wallMs: ageMs, mesos: { tasks } } as never;
  return wantedKeys(match, seen, { trusted: true, ageMs: 0 }).size > 0;
}

it('a leaving place is looked for at first, and then for a minute in every hour', () => {
  const looks = [0, 599_000, 600_000, HOUR_MS - 1, HOUR_MS, HOUR_MS + 59_000, HOUR_MS + 60_000].map((ageMs) =>
    wanted(ageMs),
  );
  expect(looks).toEqual([true, true, false, false, true, true, false]);
});

it('a leaving place is looked for as long as its task runs', () => {
  expect(wanted(HOUR_MS / 2, {}, { kind: 'alive' })).toBe(true);
});

it.each([
  [{ kind: 'over', end: { standing: 'ended', state: 'TASK_KILLED', atMs: 0 } }],
  [{ kind: 'over', end: { standing: 'asserted', state: 'TASK_GONE', atMs: 0 } }],
  [{ kind: 'unreachable' }],
])('a leaving place without a task does not keep offers flowing for ever: %j', (evidence) => {
  const looks = [599_000, 600_000, HOUR_MS / 2, HOUR_MS, HOUR_MS + 60_000].map((ageMs) =>
    wanted(ageMs, {}, evidence),
  );
  expect(looks).toEqual([true, false, false, true, false]);
});

it('a leaving place is looked for anew when its task ends', () => {
  const end = { standing: 'ended', state: 'TASK_KILLED', atMs: HOUR_MS / 2 };
  expect(wanted(HOUR_MS / 2, {}, { kind: 'over', end })).toBe(true);
});

it('a volume that is kept is not looked for', () => {
  const lost = { cause: 'foreign-data', message: 'belongs to another cluster' } as const;
  expect(wanted(0, { lost })).toBe(false);
});

it.each([
  ['bootstrap', [false, false, false, true, false]],
  ['adopted', [true, false, false, true, false]],
] as const)('places that a record does not know are looked for: %s', (kind, expected) => {
  const epoch = { ...record({}).epoch, source: { kind }, phase: 'formed' } as const;
  const seen = { wallMs: 0, mesos: { tasks: new Map() } } as never;
  const match = { record: record({ epoch }), unmatched: [] } as never;
  const looks = [599_000, 600_000, HOUR_MS - 1, HOUR_MS, HOUR_MS + 60_000].map(
    (ageMs) => wantedKeys(match, seen, { trusted: true, ageMs }).size > 0,
  );
  expect(looks).toEqual(expected);
});
