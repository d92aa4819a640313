import { describe, expect, test } from 'vitest';
import { ArgumentsError, parseSimArguments } from './arguments.ts';
import { MUTANTS } from './mutants.ts';

describe('what the simulation is asked for', () => {
  test('is many seeds from 1 on, on agents’ own disks, when nothing is said', () => {
    expect(parseSimArguments([])).toMatchObject({
      kind: 'many',
      from: 1,
      seeds: 200,
      storage: 'persistent',
      untilFailure: false,
    });
  });

  test('is one seed', () => {
    const args = ['--seed', '7', '--story', '--storage', 'mount'];
    const one = { kind: 'one', seed: 7, storage: 'mount', mutant: null, story: true, trace: false };
    expect(parseSimArguments(args)).toEqual(one);
  });

  test('is a hunt, of all bugs or of some', () => {
    const [first] = MUTANTS;
    const name = first?.name ?? '';
    expect(parseSimArguments(['--mutants'])).toMatchObject({ kind: 'hunt', names: [], seeds: 500 });
    expect(parseSimArguments(['--mutant', name])).toMatchObject({ kind: 'hunt', names: [name] });
    expect(parseSimArguments(['--seed', '1', '--mutant', name])).toMatchObject({ kind: 'one', mutant: name });
  });

  test.each([
    [['--seeds', 'abc'], "--seeds takes a whole number from 1 to 10000000, not 'abc'"],
    [['--seeds', '0'], "not '0'"],
    [['--seeds', '1e3'], "not '1e3'"],
    [['--seed', ''], "--seed takes a whole number from 0 to 4294967295, not ''"],
    [['--seed', '4294967296'], "not '4294967296'"],
    [['--from', '4294967295', '--seeds', '2'], '--from takes a whole number from 0 to 4294967294, not'],
    [['--jobs', '65'], "--jobs takes a whole number from 1 to 64, not '65'"],
    [['--storage', 'floppy'], "--storage takes persistent, sandbox, mount, not 'floppy'"],
    [['--mutant', 'none'], "not 'none'"],
    [['--mutants', '--seeds', '501'], "--seeds takes a whole number from 1 to 500, not '501'"],
    [['--seed', '1', '--seeds', '2'], '--seeds does not go with --seed'],
    [['--story'], '--story does not go with many seeds'],
    [['--mutants', '--storage', 'mount'], '--storage does not go with --mutants'],
    [['--sedes', '5'], "Unknown option '--sedes'"],
    [['12'], "Unexpected argument '12'"],
  ])('is refused: %j', (args, message) => {
    expect(() => parseSimArguments(args)).toThrow(ArgumentsError);
    expect(() => parseSimArguments(args)).toThrow(message);
  });
});
