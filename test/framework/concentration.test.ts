import { describe, expect, it } from 'vitest';
import { concentrationsOf, storyOfConcentration } from '../../src/framework/concentration.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { record, seat } from './fixtures.ts';

function inZones(
  size: number,
  zones: readonly (string | null)[],
  changes: Partial<Seat> = {},
): ClusterRecord {
  const seats = zones.map((zone, at) =>
    seat({ id: `seat-${at}`, slot: `etcd-${at}`, hostname: `agent-${at}`, zone, ...changes }),
  );
  return record({ size, seats });
}

const codesOf = (of: ClusterRecord): readonly string[] => concentrationsOf(of).map(({ code }) => code);

describe('a majority in one place', () => {
  it.each([
    [3, ['z1', 'z2', 'z3'], []],
    [3, ['z1', 'z1', 'z2'], ['zone-holds-majority']],
    [3, ['z1'], []],
    [5, ['z1', 'z1', 'z2', 'z2', 'z3'], []],
    [5, ['z1', 'z1', 'z1', 'z2', 'z2'], ['zone-holds-majority']],
    [3, [null, null, null], []],
    [1, ['z1'], []],
  ] as const)('of %i members in %j: %j', (size, zones, codes) => {
    expect(codesOf(inZones(size, zones))).toEqual(codes);
  });

  it('is told of hosts too, with the numbers', () => {
    expect(concentrationsOf(inZones(3, [null, null], { hostname: 'agent-1' }))).toEqual([
      {
        code: 'host-holds-majority',
        message: 'host agent-1 holds 2 of 3 members: with it their majority is lost',
      },
    ]);
  });

  it('does not count places that are given up', () => {
    const lost = { lost: { cause: 'agent-gone', message: 'gone' } } as const;
    expect(codesOf(inZones(3, ['z1', 'z1'], lost))).toEqual([]);
  });

  it('is a line of the story when it begins and when it ends', () => {
    const spread = inZones(3, ['z1', 'z2', 'z3']);
    const crowded = inZones(3, ['z1', 'z1', 'z3']);
    expect(storyOfConcentration(spread, crowded)).toEqual([
      {
        slot: null,
        text: 'a majority stands in one place',
        reason: 'zone z1 holds 2 of 3 members: with it their majority is lost',
      },
    ]);
    expect(storyOfConcentration(crowded, crowded)).toEqual([]);
    expect(storyOfConcentration(crowded, spread)).toMatchObject([
      { text: expect.stringContaining('no majority') as string },
    ]);
  });
});
