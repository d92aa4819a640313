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
  return wantedKeys(match, seen, true).size > 0;
}

it('a leaving place is looked for at first, and then for a minute in every hour', () => {
  const looks = [0, 599_000, 600_000, HOUR_MS - 1, HOUR_MS, HOUR_MS + 59_000, HOUR_MS + 60_000].map((ageMs) =>
    wanted(ageMs),
  );
  expect(looks).toEqual([true, true, false, false, true, true, false]);
});

it.each([
  [{ kind: 'alive' }, true],
  [{ kind: 'over', end: { standing: 'ended', state: 'TASK_KILLED' } }, true],
  [{ kind: 'over', end: { standing: 'asserted', state: 'TASK_GONE' } }, true],
  [{ kind: 'over', end: { standing: 'asserted', state: 'TASK_UNKNOWN' } }, false],
  [{ kind: 'unreachable' }, false],
])('a leaving place is looked for as long as its agent is there: %j', (evidence, expected) => {
  expect(wanted(HOUR_MS / 2, {}, evidence)).toBe(expected);
});

it('a volume that is kept is not looked for', () => {
  const lost = { cause: 'foreign-data', message: 'belongs to another cluster' } as const;
  expect(wanted(0, { lost })).toBe(false);
});
