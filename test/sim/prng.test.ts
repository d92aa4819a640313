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
    for (let count = 0; count < 10_000; count += 1) {
      const value = stream.between(-2, 3);
      expect(value).toBeGreaterThanOrEqual(-2);
      expect(value).toBeLessThan(3);
      seen.add(stream.integer(3, 6));
    }
    expect([...seen].toSorted()).toEqual([3, 4, 5, 6]);
    expect(stream.shuffle([1, 2, 3, 4]).toSorted()).toEqual([1, 2, 3, 4]);
  });
});
