import { describe, expect, test } from 'vitest';
import type { Ids, Random } from '../../src/base/ports.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createChance } from '../sim/prng.ts';

const DRAWS = 10_000;

/** Each gives a new one, as another process or another consumer has it. */
const RANDOMS: Readonly<Record<string, (consumer: string) => Random>> = {
  system: createSystemRandom,
  seeded: (consumer) => createChance(1).stream(consumer),
};
const IDS: Readonly<Record<string, (consumer: string) => Ids>> = {
  system: createSystemIds,
  seeded: (consumer) => createChance(1).ids(consumer),
};

describe.each(Object.entries(RANDOMS))('%s randomness', (_name, create) => {
  test('is in [0, 1) and spread over it', () => {
    const random = create('one');
    const tenths = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < DRAWS; draw += 1) {
      const value = random.next();
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
      tenths[Math.floor(value * 10)] = (tenths[Math.floor(value * 10)] ?? 0) + 1;
    }
    // A thousand each, give or take ten standard deviations of thirty.
    for (const count of tenths) expect(Math.abs(count - DRAWS / 10)).toBeLessThan(300);
  });

  test('does not say how it goes on', () => {
    const random = create('one');
    let rises = 0;
    let before = random.next();
    for (let draw = 0; draw < DRAWS; draw += 1) {
      const value = random.next();
      if (value > before) rises += 1;
      before = value;
    }
    expect(Math.abs(rises - DRAWS / 2)).toBeLessThan(300);
  });

  test('is another for another consumer', () => {
    const draw = (consumer: string): number[] => {
      const random = create(consumer);
      return Array.from({ length: 5 }, () => random.next());
    };
    expect(draw('one')).not.toEqual(draw('other'));
  });
});

describe.each(Object.entries(IDS))('%s ids', (_name, create) => {
  test('are lower-case UUIDs of version 4', () => {
    const ids = create('one');
    for (let count = 0; count < 100; count += 1) {
      expect(ids.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  test('never repeat, nor does another consumer have them', () => {
    const sources = [create('one'), create('other')];
    const made = sources.flatMap((ids) => Array.from({ length: DRAWS }, () => ids.uuid()));
    expect(new Set(made).size).toBe(made.length);
  });
});
