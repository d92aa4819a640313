import { describe, expect, test } from 'vitest';
import { MUTANTS } from '../sim/mutants.ts';
import { misfits } from '../sim/planting.ts';

/** Whoever changes the sources learns here, not minutes later, that the text of a planted bug is to be found anew. */
describe('planted bugs', () => {
  test.each(MUTANTS)('$name applies to the sources', (mutant) => {
    expect(misfits(mutant)).toEqual([]);
  });

  test('have a name each, and change something', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    for (const { name, edits } of MUTANTS) {
      expect(edits.length, name).toBeGreaterThan(0);
      for (const { find, replace } of edits) expect(replace, name).not.toBe(find);
    }
  });
});
