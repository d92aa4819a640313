import { describe, expect, it } from 'vitest';
import {
  type InterestInput,
  type InterestState,
  NO_INTEREST,
  nextInterest,
} from '../../src/framework/offer-interest.ts';

const at = (
  nowMs: number,
  wanted: readonly string[],
  changes: Partial<InterestInput> = {},
): InterestInput => ({
  nowMs,
  subscription: 1,
  wanted: new Set(wanted),
  unused: [],
  kept: new Set(),
  random: 0,
  ...changes,
});

/** Feeds inputs one after another and lists what is called at each. */
function calls(...inputs: readonly InterestInput[]): readonly string[] {
  let state: InterestState = NO_INTEREST;
  return inputs.map((input) => {
    const next = nextInterest(state, input);
    state = next.state;
    return next.calls
      .map((call) =>
        call.type === 'DECLINE' ? `DECLINE ${call.decline.filters?.refuse_seconds}` : call.type,
      )
      .join(', ');
  });
}

describe('offers', () => {
  it('flow after a subscription without being asked for', () => {
    expect(calls(at(0, ['a']), at(10, ['a']), at(29_000, ['a']))).toEqual(['', '', '']);
  });
  it('are asked for again when they were in vain for long: a REVIVE may be lost', () => {
    expect(calls(at(0, ['a']), at(30_000, ['a']), at(30_001, ['a']))).toEqual(['', 'REVIVE', '']);
  });
  it('are asked for at once when something new is wanted, or the same again', () => {
    const inputs = [at(0, ['a']), at(1000, ['a', 'b']), at(2000, ['b']), at(3000, ['a', 'b'])];
    expect(calls(...inputs)).toEqual(['', 'REVIVE', '', 'REVIVE']);
  });
  it('are not asked for twice within a moment, but then they are', () => {
    expect(calls(at(0, ['a']), at(1000, ['b']), at(1100, ['b', 'c']), at(1250, ['b', 'c']))).toEqual([
      '',
      'REVIVE',
      '',
      'REVIVE',
    ]);
  });
  it('that do not fit are given back for seconds, and for an hour when nothing is wanted', () => {
    const unused = ['O1'];
    const inputs = [
      at(0, ['a'], { unused }),
      at(6_000, []),
      at(6_500, [], { unused }),
      at(7_001, [], { unused }),
    ];
    expect(calls(...inputs)).toEqual(['DECLINE 5', '', '', 'DECLINE 3600, SUPPRESS']);
  });
  it('stop once, and flow again with the first want', () => {
    expect(calls(at(0, []), at(5_000, []), at(9_000, []), at(9_100, ['a']))).toEqual([
      '',
      'SUPPRESS',
      '',
      'REVIVE',
    ]);
  });
  it('flow for some seconds after every subscription, so that lost reservations are seen', () => {
    expect(calls(at(0, []), at(4_900, []), at(5_000, []), at(6_000, [], { subscription: 2 }))).toEqual([
      '',
      '',
      'SUPPRESS',
      '',
    ]);
  });
  it('that hold the place of a member are kept', () => {
    const held = { unused: ['O1', 'O2'], kept: new Set(['O1']) };
    const next = nextInterest(NO_INTEREST, at(0, ['a'], held));
    expect(next.declined).toEqual(['O2']);
  });
});
