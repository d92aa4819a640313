import { describe, expect, test } from 'vitest';
import { createChance } from './prng.ts';

describe('chance', () => {
  test('the same seed and name give the same stream, another seed or name another', () => {
    const draw = (seed: number, name: string) => {
      const stream = createChance(seed).stream(name);
      return [stream.next(), stream.next(), stream.next()];
    };
    expect(draw(7, 'network')).toEqual(draw(7, 'network'));
    expect(draw(7, 'network')).not.toEqual(draw(8, 'network'));
    expect(draw(7, 'network')).not.toEqual(draw(7, 'networl'));
  });

  test('a new consumer shifts no other', () => {
    const alone = createChance(7);
    const crowded = createChance(7);
    crowded.stream('newcomer').next();
    const expected = [alone.stream('network').next(), alone.stream('network').next()];
    expect([crowded.stream('network').next(), crowded.stream('network').next()]).toEqual(expected);
  });

  test('draws stay in their ranges and are spread over them', () => {
    const stream = createChance(1).stream('any');
    const seen = new Set<number>();
    let sum = 0;
    for (let count = 0; count < 10_000; count += 1) {
      const value = stream.next();
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
      sum += value;
      seen.add(stream.integer(3, 6));
    }
    expect([...seen].toSorted()).toEqual([3, 4, 5, 6]);
    expect(sum / 10_000).toBeCloseTo(0.5, 1);
    expect(stream.shuffle([1, 2, 3, 4]).toSorted()).toEqual([1, 2, 3, 4]);
  });

  test('ids are UUIDs and do not repeat', () => {
    const ids = createChance(1).ids('tasks');
    const made = Array.from({ length: 1000 }, () => ids.uuid());
    expect(new Set(made).size).toBe(1000);
    for (const id of made) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});
