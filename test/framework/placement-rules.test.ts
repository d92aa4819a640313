import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { type AgentTraits, attributeText, fieldValue, withTraits } from '../../src/framework/agent-traits.ts';
import { describeRequirements } from '../../src/framework/judgement.ts';
import { type Match, matchOffers } from '../../src/framework/offers.ts';
import { placementJudge, placementRulesOf, type Standing } from '../../src/framework/placement-rules.ts';
import { SEEN_MS, surroundingsOf, withSightings } from '../../src/framework/surroundings.ts';
import type { Attribute, Offer } from '../../src/mesos/wire.ts';
import { type PlacementConstraint, parsePlacement } from '../../src/protocol/placement-constraint.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { Want } from '../../src/reconcile/decision.ts';
import { CONFIG, offer, ROLE, RUN, record, seat } from './fixtures.ts';

function constraintsOf(text: string): readonly PlacementConstraint[] {
  const parsed = parsePlacement(text);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed.value;
}

const agent = (hostname: string, rack: string | null = null, zone: string | null = null): AgentTraits => ({
  hostname,
  zone,
  region: zone === null ? null : 'r1',
  attributes: rack === null ? {} : { rack },
});
const member = (at: number, traits: AgentTraits): Standing => ({ slot: `etcd-${at}`, ...traits });

/** Whether the constraint lets a member onto the agent beside those that stand already. */
function allows(
  text: string,
  traits: AgentTraits,
  others: readonly AgentTraits[] = [],
  seen: string[] = [],
): boolean {
  const constraints = constraintsOf(text);
  const judge = placementJudge(
    placementRulesOf(constraints),
    others.map((one, at) => member(at, one)),
  );
  const values = new Map(constraints.map(({ field }) => [field, new Set(seen)]));
  return [...judge.direct(traits), ...judge.spread(values)(traits)]
    .filter(({ requirement }) =>
      constraints.some(({ field, operator }) => requirement.startsWith(`${field} ${operator}`)),
    )
    .every(({ ok }) => ok);
}

describe('each operator, as Marathon means it', () => {
  const r1 = agent('a', 'r1', 'z1');
  const r2 = agent('b', 'r2', 'z2');
  const bare = agent('c');

  test('UNIQUE: no two members share the value', () => {
    expect(allows('rack:UNIQUE', r1)).toBe(true);
    expect(allows('rack:UNIQUE', r1, [r2])).toBe(true);
    expect(allows('rack:UNIQUE', agent('d', 'r1'), [r1])).toBe(false);
    expect(allows('hostname:UNIQUE', agent('a', 'r9'), [r1])).toBe(false);
    expect(allows('@zone:UNIQUE', agent('d', 'r9', 'z1'), [r1])).toBe(false);
  });

  test('MAX_PER: at most so many share it', () => {
    expect(allows('rack:MAX_PER:2', r1, [r1])).toBe(true);
    expect(allows('rack:MAX_PER:2', r1, [r1, r1])).toBe(false);
    expect(allows('hostname:MAX_PER:2', r1, [r1, r2])).toBe(true);
  });

  test('CLUSTER: all share it, the given one or that of the first', () => {
    expect(allows('rack:CLUSTER:r1', r2)).toBe(false);
    expect(allows('rack:CLUSTER:r1', r1, [r1])).toBe(true);
    expect(allows('rack:CLUSTER', r2)).toBe(true);
    expect(allows('rack:CLUSTER', r2, [r1])).toBe(false);
    expect(allows('rack:CLUSTER', r1, [r1])).toBe(true);
    expect(allows('rack:CLUSTER', r1, [bare])).toBe(false);
    // Members move to a new value one by one.
    expect(allows('rack:CLUSTER:r2', r2, [r1, r1])).toBe(true);
  });

  test('GROUP_BY with a count: first as many values, then the least used', () => {
    expect(allows('rack:GROUP_BY:3', r1, [r1])).toBe(false);
    expect(allows('rack:GROUP_BY:3', r2, [r1])).toBe(true);
    expect(allows('rack:GROUP_BY:2', r1, [r1, r2])).toBe(true);
    expect(allows('rack:GROUP_BY:2', r1, [r1, r1, r2])).toBe(false);
    expect(allows('rack:GROUP_BY:2', r2, [r1, r1, r2])).toBe(true);
    expect(allows('rack:GROUP_BY:2', agent('d', 'r3'), [r1, r2])).toBe(true);
  });

  test('GROUP_BY without one: evenly over the values that members have and offers showed', () => {
    expect(allows('rack:GROUP_BY', r1, [r1])).toBe(true);
    expect(allows('rack:GROUP_BY', r1, [r1], ['r1', 'r2'])).toBe(false);
    expect(allows('rack:GROUP_BY', r2, [r1], ['r1', 'r2'])).toBe(true);
    expect(allows('rack:GROUP_BY', r1, [r1, r2], ['r1', 'r2'])).toBe(true);
    expect(allows('rack:GROUP_BY', r1, [r1, r1, r2])).toBe(false);
  });

  test('LIKE and UNLIKE: the whole value matches, or does not', () => {
    expect(allows('rack:LIKE:r[12]', r1)).toBe(true);
    expect(allows('rack:LIKE:r', r1)).toBe(false);
    expect(allows('rack:LIKE:x|r1', r1)).toBe(true);
    expect(allows('rack:UNLIKE:r[12]', r1)).toBe(false);
    expect(allows('rack:UNLIKE:r', r1)).toBe(true);
    expect(allows('hostname:LIKE:[ab]', r2)).toBe(true);
    expect(allows('@zone:LIKE:z1', r2)).toBe(false);
    expect(allows('@region:LIKE:r.*', r2)).toBe(true);
  });

  test('IS and IS_NOT: the very value, numbers by their worth', () => {
    expect(allows('rack:IS:r1', r1)).toBe(true);
    expect(allows('rack:IS:r', r1)).toBe(false);
    expect(allows('rack:IS_NOT:r1', r1)).toBe(false);
    expect(allows('rack:IS_NOT:r1', r2)).toBe(true);
    expect(allows('rack:IS:10.0', agent('d', '10'))).toBe(true);
    expect(allows('@region:IS:r1', r1)).toBe(true);
  });

  test('an agent without the field satisfies UNLIKE and IS_NOT alone', () => {
    for (const text of [
      'UNIQUE',
      'MAX_PER:3',
      'CLUSTER',
      'CLUSTER:r1',
      'GROUP_BY',
      'GROUP_BY:2',
      'LIKE:.*',
      'IS:r1',
    ]) {
      expect([text, allows(`rack:${text}`, bare)]).toEqual([text, false]);
    }
    expect(allows('rack:UNLIKE:.*', bare)).toBe(true);
    expect(allows('rack:IS_NOT:r1', bare)).toBe(true);
    expect(allows('@zone:UNIQUE', bare)).toBe(false);
  });

  test('an expression that makes others backtrack for ever is matched at once', () => {
    expect(allows('rack:LIKE:(a+)+b', agent('d', 'a'.repeat(1000)))).toBe(false);
    expect(allows('rack:LIKE:(.*)*(.*)*(.*)*x', agent('d', 'a'.repeat(1000)))).toBe(false);
  });
});

/** The same said as simply as can be, one constraint and one agent at a time. */
function oracle(
  constraint: PlacementConstraint,
  traits: AgentTraits,
  others: readonly AgentTraits[],
): boolean {
  const { field, operator, parameter } = constraint;
  const value = fieldValue(traits, field);
  const theirs = others.map((one) => fieldValue(one, field));
  const count = (wanted: string | null): number => theirs.filter((one) => one === wanted).length;
  if (operator === 'UNLIKE') return value === null || !new RegExp(`^(?:${parameter})$`).test(value);
  if (operator === 'IS_NOT') return value !== parameter;
  if (value === null) return false;
  switch (operator) {
    case 'UNIQUE':
      return !theirs.includes(value);
    case 'MAX_PER':
      return count(value) + 1 <= Number(parameter);
    case 'CLUSTER':
      return parameter === null ? theirs.every((one) => one === value) : value === parameter;
    case 'GROUP_BY': {
      const groups = [...new Set(theirs)].filter((one) => one !== null);
      if (!groups.includes(value)) return true;
      return groups.length >= Number(parameter ?? 0) && groups.every((one) => count(one) >= count(value));
    }
    case 'LIKE':
      return new RegExp(`^(?:${parameter})$`).test(value);
    case 'IS':
      return value === parameter;
  }
}

const traitsArbitrary: fc.Arbitrary<AgentTraits> = fc.record({
  hostname: fc.constantFrom('h1', 'h2', 'h3', 'h4'),
  zone: fc.constantFrom('z1', 'z2', null),
  region: fc.constantFrom('r1', 'r2', null),
  attributes: fc.oneof(fc.constant({}), fc.record({ rack: fc.constantFrom('a', 'b', 'c') })),
});

const constraintArbitrary: fc.Arbitrary<PlacementConstraint> = fc
  .record({
    field: fc.constantFrom('hostname', '@zone', '@region', 'rack'),
    shape: fc.oneof(
      fc.constantFrom(['UNIQUE', null] as const, ['CLUSTER', null] as const, ['GROUP_BY', null] as const),
      fc.tuple(fc.constantFrom('MAX_PER' as const, 'GROUP_BY' as const), fc.constantFrom('1', '2', '3')),
      fc.tuple(
        fc.constantFrom('CLUSTER' as const, 'IS' as const, 'IS_NOT' as const),
        fc.constantFrom('h1', 'z1', 'r1', 'a'),
      ),
      fc.tuple(
        fc.constantFrom('LIKE' as const, 'UNLIKE' as const),
        fc.constantFrom('[hzr]1', 'a|b', '.*', 'h'),
      ),
    ),
  })
  .map(({ field, shape: [operator, parameter] }) => ({ field, operator, parameter }));

it('agrees with a simple oracle on any constraint, agent and members (property)', () => {
  fc.assert(
    fc.property(
      constraintArbitrary,
      traitsArbitrary,
      fc.array(traitsArbitrary, { maxLength: 6 }),
      (one, traits, others) => {
        const rules = { ...placementRulesOf([one]), constraints: [one] };
        const judge = placementJudge(
          rules,
          others.map((other, at) => member(at, other)),
        );
        const judged = [...judge.direct(traits), ...judge.spread(new Map())(traits)];
        expect(judged.map(({ ok }) => ok)).toEqual([oracle(one, traits, others)]);
      },
    ),
    { numRuns: 1000 },
  );
});

const places = (count: number): readonly Want[] =>
  Array.from({ length: count }, (_, at) => ({ kind: 'place', slot: `etcd-${at}`, run: RUN, reason: 'new' }));

const rack = (value: string): Attribute => ({ name: 'rack', type: 'TEXT', text: { value } });

/** An offer of agent `at`, on a host of its own. */
function on(
  at: number,
  where: { rack?: string; zone?: string; region?: string; away?: boolean } = {},
): Offer {
  const bare = offer({ id: `O${at}`, agent: `S${at}`, hostname: `agent-${at}`, ip: `10.0.0.${at}` });
  const { zone, region = 'home' } = where;
  return {
    ...bare,
    ...(where.rack === undefined ? {} : { attributes: [rack(where.rack)] }),
    ...(zone === undefined && where.region === undefined
      ? {}
      : { domain: { fault_domain: { region: { name: region }, zone: { name: zone ?? 'z' } } } }),
    ...(where.away === true ? { unavailability: { start: { nanoseconds: 0 } } } : {}),
  };
}

function match(
  text: string,
  wants: readonly Want[],
  list: readonly Offer[],
  options: { record?: ClusterRecord; masterRegion?: string; seen?: Map<string, Set<string>> } = {},
): Match {
  const placement = placementRulesOf(constraintsOf(text));
  return matchOffers({
    wants,
    record: options.record ?? record(),
    offers: agentOffersOf(list, ROLE, placement.attributes),
    config: { ...CONFIG, placement },
    schedulerKey: 'a2V5',
    shunned: new Map(),
    around: { masterRegion: options.masterRegion ?? null, seen: options.seen ?? new Map() },
    freshId: 'fresh',
    wallMs: 0,
  });
}

const hostsOf = (result: Match): readonly string[] => result.record.seats.map(({ hostname }) => hostname);
const whyNot = (result: Match, hostname: string): string =>
  describeRequirements(
    result.judged.findLast(({ judgement }) => judgement.offer.agent.hostname === hostname)?.judgement
      .requirements ?? [],
  );

describe('placing by constraints', () => {
  it('keeps one member on a host unless hosts are counted otherwise', () => {
    expect(hostsOf(match('rack:LIKE:r1', places(3), [on(1, { rack: 'r1' })]))).toEqual(['agent-1']);
    expect(hostsOf(match('hostname:LIKE:agent-1', places(3), [on(1)]))).toEqual(['agent-1']);
    const shared = match('hostname:MAX_PER:2', places(3), [on(1)]);
    expect(hostsOf(shared)).toEqual(['agent-1', 'agent-1']);
    expect(whyNot(shared, 'agent-1')).toBe(
      'hostname MAX_PER 2: a host with fewer than 2 members is needed, this is agent-1 with etcd-0, etcd-1',
    );
    expect(hostsOf(match('hostname:CLUSTER:agent-2', places(3), [on(1), on(2)]))).toEqual(
      Array(3).fill('agent-2'),
    );
  });

  it('spreads over hosts even where they may be shared', () => {
    expect(hostsOf(match('hostname:MAX_PER:2', places(3), [on(1), on(2), on(3)]))).toEqual([
      'agent-1',
      'agent-2',
      'agent-3',
    ]);
  });

  it('remembers on the seat what the constraint counts', () => {
    const result = match('rack:UNIQUE', places(2), [on(1, { rack: 'r1' }), on(2, { rack: 'r1' })]);
    expect(result.record.seats[0]).toMatchObject({ attributes: { rack: 'r1' }, region: null });
    expect(whyNot(result, 'agent-2')).toBe(
      'rack UNIQUE: a rack without a member is needed, this is r1 with etcd-0',
    );
  });

  it('groups by what is on offer, and by what was on offer lately', () => {
    const racks = [on(1, { rack: 'r1' }), on(2, { rack: 'r1' }), on(3, { rack: 'r2' })];
    expect(hostsOf(match('rack:GROUP_BY', places(2), racks))).toEqual(['agent-1', 'agent-3']);
    const seen = new Map([['rack', new Set(['r1', 'r2'])]]);
    const waiting = match('rack:GROUP_BY', places(2), racks.slice(0, 2), { seen });
    expect(hostsOf(waiting)).toEqual(['agent-1']);
    expect(whyNot(waiting, 'agent-2')).toContain('a rack without a member, as there is one, is needed');
  });

  it('does not wait for a group whose agents would not do anyhow', () => {
    const small = offer({ id: 'O9', agent: 'S9', hostname: 'small', cpus: 0.1 });
    const racks = [on(1, { rack: 'r1' }), on(2, { rack: 'r1' }), { ...small, attributes: [rack('r2')] }];
    expect(hostsOf(match('rack:GROUP_BY', places(2), racks))).toEqual(['agent-1', 'agent-2']);
  });

  it('takes agents of the master’s region alone unless a constraint names regions', () => {
    const list = [on(1, { region: 'far' }), on(2, { region: 'near' }), on(3)];
    const result = match('', places(3), list, { masterRegion: 'near' });
    expect(new Set(hostsOf(result))).toEqual(new Set(['agent-2', 'agent-3']));
    expect(whyNot(result, 'agent-1')).toContain('region near');
    expect(hostsOf(match('@region:IS:far', places(3), list, { masterRegion: 'near' }))).toEqual(['agent-1']);
    expect(hostsOf(match('', places(3), list))).toHaveLength(3);
  });
});

describe('a member that is replaced', () => {
  const lost = seat({ lost: { cause: 'data', message: 'corrupt' } });
  const others = [2, 3].map((at) =>
    seat({ id: `etcd-${at - 1}-seat`, slot: `etcd-${at - 1}`, agentId: `S${at}`, hostname: `agent-${at}` }),
  );
  const wants = places(1);

  it('does not stand in the way of its successor on the only host that is left', () => {
    const result = match('', wants, [on(1), on(2), on(3)], { record: record({ seats: [lost, ...others] }) });
    expect(hostsOf(result).at(-1)).toBe('agent-1');
  });

  it('is not counted in its rack either', () => {
    const racked = [lost, ...others].map((one, at) => ({ ...one, attributes: { rack: `r${at + 1}` } }));
    const list = [on(4, { rack: 'r1' }), on(5, { rack: 'r2' })];
    for (const text of ['rack:UNIQUE', 'rack:GROUP_BY:3', 'rack:GROUP_BY', 'rack:MAX_PER:1']) {
      const result = match(text, wants, list, { record: record({ seats: racked }) });
      expect([text, hostsOf(result).at(-1)]).toEqual([text, 'agent-4']);
    }
  });

  it('keeps its cluster’s value: the others have it', () => {
    const racked = [lost, ...others].map((one) => ({ ...one, attributes: { rack: 'r1' } }));
    const list = [on(4, { rack: 'r2' }), on(5, { rack: 'r1' })];
    const result = match('rack:CLUSTER', wants, list, { record: record({ seats: racked }) });
    expect(hostsOf(result).at(-1)).toBe('agent-5');
  });

  it('does not flee from maintenance to a machine that goes into maintenance', () => {
    const flees = seat({ lost: { cause: 'maintenance', message: 'its machine goes away' } });
    const result = match('', wants, [on(1, { away: true })], {
      record: record({ seats: [flees, ...others] }),
    });
    expect(hostsOf(result)).toHaveLength(3);
    expect(whyNot(result, 'agent-1')).toContain('maintenance: a machine that stays is needed');
  });
});

describe('what is known of agents', () => {
  it.each([
    [{ name: 'a', type: 'TEXT', text: { value: 'x y' } }, 'x y'],
    [{ name: 'a', type: 'SCALAR', scalar: { value: 1.50004 } }, '1.5'],
    [{ name: 'a', type: 'SCALAR', scalar: { value: 10 } }, '10'],
    [
      {
        name: 'a',
        type: 'RANGES',
        ranges: {
          range: [
            { begin: 5, end: 7 },
            { begin: 1, end: 2 },
          ],
        },
      },
      '[1-2,5-7]',
    ],
    [{ name: 'a', type: 'SET', set: { item: ['b', 'a'] } }, '{a,b}'],
  ] as const)('an attribute %j is %s', (attribute, text) => {
    expect(attributeText(attribute)).toBe(text);
  });

  it('comes to seats that were placed before a constraint named it', () => {
    const [offered] = agentOffersOf([on(1, { rack: 'r1', zone: 'z1' })], ROLE, ['rack']);
    if (offered === undefined) throw new Error('no offer');
    const { zone, region, attributes } = offered;
    const traits = { hostname: 'agent-1', zone, region, attributes };
    const before = record({ seats: [seat(), seat({ id: 'other', agentId: 'S2' })] });
    const after = withTraits(before, [{ agentId: 'S1', traits }]);
    expect(after.seats[0]).toMatchObject({ zone: 'z1', region: 'home', attributes: { rack: 'r1' } });
    expect(after.seats[1]).toBe(before.seats[1]);
    expect(withTraits(after, [{ agentId: 'S1', traits }])).toBe(after);
  });

  it('of groups is learned from agents that would do, and forgotten when none is seen any more', () => {
    const rules = placementRulesOf(constraintsOf('rack:GROUP_BY'));
    const { judged } = match('rack:GROUP_BY', places(1), [
      on(1, { rack: 'r1' }),
      on(2, { rack: 'r2' }),
      { ...offer({ id: 'O9', agent: 'S9', hostname: 'small', cpus: 0.1 }), attributes: [rack('r3')] },
    ]);
    const sightings = withSightings(new Map(), judged, rules, 1_000);
    expect(surroundingsOf(null, sightings, 1_000).seen).toEqual(new Map([['rack', new Set(['r1', 'r2'])]]));
    expect(surroundingsOf(null, sightings, 1_001 + SEEN_MS).seen).toEqual(new Map([['rack', new Set()]]));
    const later = withSightings(sightings, judged.slice(0, 1), rules, 1_001 + SEEN_MS);
    expect([...(later.get('rack')?.keys() ?? [])]).toEqual(['r1']);
  });
});
