import { expect, test } from 'vitest';
import { KeyPlaces, NO_PLACE } from '../../../src/backup/backend/key-places.ts';
import { createChance } from '../../sim/prng.ts';

test.for([
  ['as they should be', 2 ** 32],
  ['mostly the same', 7],
] as const)('every key has the place that it was given last, also where hashes are %s', ([, hashes]) => {
  const random = createChance(hashes).stream('keys');
  const places = new KeyPlaces();
  const expected = new Map<string, number>();
  const steps = hashes > 7 ? 20_000 : 2000;
  for (let step = 0; step < steps; step += 1) {
    const text = 'k'.repeat(random.integer(0, 9)) + random.integer(0, steps / 2);
    const key = Buffer.from(text);
    const hash = Math.imul(text.length * 31 + Number.parseInt(text.replace(/^k*/, ''), 10), 0x85ebca6b) >>> 0;
    const place = random.chance(0.2) ? NO_PLACE : step;
    const before = places.find(key, hash % hashes);
    expect(places.placeOf(before)).toBe(expected.get(text) ?? NO_PLACE);
    const number = places.add(key, hash % hashes);
    if (expected.has(text)) expect(number).toBe(before);
    else expect(before).toBe(-1);
    places.setPlace(number, place);
    expected.set(text, place);
  }
  expect(places.sizeBytes).toBe([...expected.keys()].reduce((sum, text) => sum + text.length, 0));
});
