import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  hasQuorum,
  objectionToDisruption,
  objectionToPromotion,
  objectionToRemoval,
  quorumOf,
} from '../../src/reconcile/quorum.ts';

/** A deliberately dumb oracle: counts every subset of healthy voters that could outvote the rest. */
function canDecide(voters: readonly string[], healthy: readonly string[]): boolean {
  const yes = voters.filter((id) => healthy.includes(id)).length;
  return yes > voters.length - yes;
}

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const sets = fc.record({ voters: fc.subarray(ids, { minLength: 1 }), healthy: fc.subarray(ids) });

describe('quorum arithmetic', () => {
  it('knows the quorum of each size', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map((size) => quorumOf(size))).toEqual([1, 2, 2, 3, 3, 4, 4]);
  });

  it('agrees with the oracle', () => {
    fc.assert(
      fc.property(sets, fc.constantFrom(...ids), ({ voters, healthy }, id) => {
        const set = { voters: new Set(voters), healthy: new Set(healthy) };
        expect(hasQuorum(set)).toBe(canDecide(voters, healthy));

        const rest = voters.filter((other) => other !== id);
        const removable =
          !voters.includes(id) || (rest.length > 0 && canDecide(voters, healthy) && canDecide(rest, healthy));
        expect(objectionToRemoval(set, id) === null).toBe(removable);

        const more = [...new Set([...voters, id])];
        const promotable = canDecide(voters, healthy) && canDecide(more, [...healthy, id]);
        expect(objectionToPromotion(set, id) === null).toBe(promotable);

        const stoppable =
          !voters.includes(id) ||
          canDecide(
            voters,
            healthy.filter((other) => other !== id),
          );
        expect(objectionToDisruption(set, id) === null).toBe(stoppable);
      }),
      { numRuns: 20_000 },
    );
  });

  it('says what stands in the way', () => {
    const set = { voters: new Set(['a', 'b', 'c']), healthy: new Set(['a']) };
    expect(objectionToRemoval(set, 'c')).toBe('only 1 of 3 voters are healthy, a quorum is 2');
    expect(objectionToRemoval({ voters: new Set(['a']), healthy: new Set(['a']) }, 'a')).toBe(
      'no voter would be left',
    );
  });
});
