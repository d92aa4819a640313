import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { createWatchAssembly } from '../../src/backup/watch-assembly.ts';
import type { WatchAnswer } from '../../src/etcd/port.ts';
import { sampleRevision, sampleRevisions, shown } from './sample-log.ts';
import { watchAnswer } from './watch-answer.ts';

const answer = (events: readonly Uint8Array[], more?: Partial<WatchAnswer>): WatchAnswer =>
  watchAnswer({ clusterId: 'abc', memberId: 'f', revision: 1000n }, events, more);
const eventsOf = (from: bigint, to: bigint): Uint8Array[] =>
  sampleRevisions(from, to).flatMap(({ events }) => [...events]);

test('whole revisions come out, however their events are cut into fragments', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ count: fc.integer({ min: 1, max: 5 }), cuts: fc.array(fc.integer({ min: 0, max: 14 })) }),
      ),
      (answers) => {
        const assembly = createWatchAssembly('abc', 11n);
        const found: RevisionEvents[] = [];
        let next = 11n;
        for (const { count, cuts } of answers) {
          const events = eventsOf(next, next + BigInt(count) - 1n);
          const edges = [
            0,
            ...cuts.filter((cut) => cut < events.length).toSorted((a, b) => a - b),
            events.length,
          ];
          for (let at = 0; at + 1 < edges.length; at += 1) {
            const isFragment = at + 2 < edges.length;
            const step = assembly.take(answer(events.slice(edges[at], edges[at + 1]), { isFragment }));
            expect(step.ending).toBeNull();
            found.push(...step.revisions);
          }
          next += BigInt(count);
          expect(assembly.next).toBe(next);
        }
        expect(shown(found)).toEqual(shown(sampleRevisions(11n, next - 1n)));
      },
    ),
  );
});

test('a revision is not given before it is known to be whole, and earlier ones are', () => {
  const assembly = createWatchAssembly('abc', 1n);
  const events = eventsOf(1n, 2n);
  const first = assembly.take(answer(events.slice(0, -1), { isFragment: true }));
  expect(first.revisions.map(({ revision }) => revision)).toEqual([1n]);
  expect(assembly.next).toBe(2n);
  expect(shown(assembly.take(answer(events.slice(-1))).revisions)).toEqual(shown([sampleRevision(2n)]));
});

describe('what is missing is found', () => {
  test.for([
    ['a revision in the middle', [1n, 2n, 4n], [{ kind: 'lost', from: 3n, to: 3n }]],
    ['the first ones', [5n], [{ kind: 'lost', from: 1n, to: 4n }]],
  ] as const)('%s', ([, revisions, endings]) => {
    const assembly = createWatchAssembly('abc', 1n);
    const step = assembly.take(answer(revisions.flatMap((revision) => [...sampleRevision(revision).events])));
    expect([step.ending]).toEqual(endings);
    expect(step.revisions.map(({ revision }) => revision)).toEqual(revisions.slice(0, -1));
  });

  test('between two answers', () => {
    const assembly = createWatchAssembly('abc', 1n);
    assembly.take(answer(eventsOf(1n, 3n)));
    expect(assembly.take(answer(eventsOf(5n, 5n))).ending).toEqual({ kind: 'lost', from: 4n, to: 4n });
  });

  test('at the end, by what the member says it has told', () => {
    const assembly = createWatchAssembly('abc', 1n);
    expect(assembly.take(answer([], { created: true, revision: 99n })).ending).toBeNull();
    assembly.take(answer(eventsOf(1n, 3n), { revision: 99n }));
    expect(assembly.take(answer([], { revision: 3n })).ending).toBeNull();
    expect(assembly.take(answer([], { revision: 5n })).ending).toEqual({ kind: 'lost', from: 4n, to: 5n });
  });

  test('a part of a revision that comes after the revision was whole', () => {
    const assembly = createWatchAssembly('abc', 1n);
    const [first = new Uint8Array(), ...others] = sampleRevision(2n).events;
    assembly.take(answer([...sampleRevision(1n).events, first]));
    expect(others.length).toBeGreaterThan(0);
    expect(assembly.take(answer(others)).ending).toEqual({ kind: 'lost', from: 2n, to: 2n });
  });
});

test('old events that an old etcd tells again are left out', () => {
  const assembly = createWatchAssembly('abc', 1n);
  assembly.take(answer(eventsOf(1n, 4n)));
  const again = assembly.take(answer(eventsOf(2n, 5n)));
  expect(again.ending).toBeNull();
  expect(shown(again.revisions)).toEqual(shown([sampleRevision(5n)]));
});

test('leases are told with what uses them; a cancelled watch says why', () => {
  const assembly = createWatchAssembly('abc', 1n);
  expect(assembly.take(answer(eventsOf(1n, 9n))).leases).toEqual([4n, 8n]);
  const compacted = assembly.take(answer([], { cancelled: true, compactRevision: 20n }));
  expect(compacted.ending).toEqual({ kind: 'compacted', compactRevision: 20n });
  const cancelled = createWatchAssembly('abc', 1n).take(
    answer([], { cancelled: true, cancelReason: 'no leader' }),
  );
  expect(cancelled.ending).toEqual({ kind: 'cancelled', reason: 'no leader' });
  const other = createWatchAssembly('abd', 1n).take(answer(eventsOf(1n, 1n)));
  expect(other).toMatchObject({ revisions: [], ending: { kind: 'other-cluster', clusterId: 'abc' } });
});
