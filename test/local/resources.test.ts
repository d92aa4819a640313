import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatResources } from '../../src/local/resource-text.ts';
import {
  addResources,
  containsResources,
  mergeResources,
  type Resources,
  resourceProblem,
  scalarMilli,
  subtractResources,
} from '../../src/local/resources.ts';
import type { Resource } from '../../src/mesos/wire.ts';

const reservations = fc.constantFrom<Partial<Resource>>(
  {},
  { reservations: [{ type: 'DYNAMIC', role: 'etcd', principal: 'p' }] },
  { reservations: [{ type: 'STATIC', role: 'etcd' }] },
  {
    reservations: [{ type: 'DYNAMIC', role: 'etcd', labels: { labels: [{ key: 'a', value: 'b' }] } }],
  },
);
const scalar = fc
  .record({
    name: fc.constantFrom('cpus', 'mem', 'disk'),
    milli: fc.integer({ min: 0, max: 9_000_000 }),
    reservations,
  })
  .map(
    ({ name, milli, reservations: held }): Resource => ({
      name,
      type: 'SCALAR',
      scalar: { value: milli / 1000 },
      ...held,
    }),
  );
const ranges = fc
  .record({
    range: fc.array(fc.tuple(fc.nat(200), fc.nat(30)), { maxLength: 5 }),
    reservations,
  })
  .map(
    ({ range, reservations: held }): Resource => ({
      name: 'ports',
      type: 'RANGES',
      ranges: { range: range.map(([begin, length]) => ({ begin, end: begin + length })) },
      ...held,
    }),
  );
/** Lists in which ports are in one list once only: to have a port twice means nothing. */
const resources = fc.array(fc.oneof(scalar, ranges), { maxLength: 8 }).map(mergeResources);
const scalars = fc.array(scalar, { maxLength: 8 }).map(mergeResources);

const equal = (left: Resources, right: Resources) =>
  containsResources(left, right) && containsResources(right, left);

describe('resources', () => {
  it('are all there in themselves, and nothing is left without them', () => {
    fc.assert(
      fc.property(resources, (all) => {
        expect(containsResources(all, all)).toBe(true);
        expect(subtractResources(all, all)).toEqual([]);
        expect(containsResources(all, [])).toBe(true);
      }),
    );
  });

  it('come out as they went in when something is added and taken away again', () => {
    fc.assert(
      fc.property(scalars, scalars, (left, right) => {
        const sum = addResources(left, right);
        expect(containsResources(sum, left) && containsResources(sum, right)).toBe(true);
        expect(equal(subtractResources(sum, right), left)).toBe(true);
      }),
    );
  });

  it('add up in any order and grouping', () => {
    fc.assert(
      fc.property(resources, resources, resources, (a, b, c) => {
        expect(equal(addResources(a, b), addResources(b, a))).toBe(true);
        expect(equal(addResources(addResources(a, b), c), addResources(a, addResources(b, c)))).toBe(true);
      }),
    );
  });

  it('are split without a rest by what they contain', () => {
    fc.assert(
      fc.property(resources, resources, (all, some) => {
        const rest = subtractResources(all, some);
        expect(containsResources(all, rest)).toBe(true);
        if (containsResources(all, some)) expect(equal(addResources(rest, some), all)).toBe(true);
      }),
    );
  });

  it('keep three decimal digits and no more, however often they are added', () => {
    const tenth: Resource = { name: 'cpus', type: 'SCALAR', scalar: { value: 0.1 } };
    let sum: Resources = [];
    for (let count = 0; count < 1000; count += 1) sum = addResources(sum, [tenth]);
    expect(sum).toEqual([{ name: 'cpus', type: 'SCALAR', scalar: { value: 100 } }]);
    expect(scalarMilli(subtractResources(sum, [tenth]), 'cpus')).toBe(99_900);
    expect(mergeResources([{ name: 'cpus', type: 'SCALAR', scalar: { value: 0.0004 } }])).toEqual([]);
  });

  it('ports: agree with a set of numbers', () => {
    const numbers = (all: Resources) =>
      new Set(
        all.flatMap(({ ranges: { range } = { range: [] } }) =>
          range.flatMap(({ begin, end }) =>
            Array.from({ length: end - begin + 1 }, (_, index) => begin + index),
          ),
        ),
      );
    const free = ranges.map(({ reservations: _, ...resource }): Resources => [resource]);
    fc.assert(
      fc.property(free, free, (left, right) => {
        const [a, b] = [numbers(left), numbers(right)];
        expect(numbers(addResources(mergeResources(left), right))).toEqual(new Set([...a, ...b]));
        expect(numbers(subtractResources(mergeResources(left), right))).toEqual(
          new Set([...a].filter((number) => !b.has(number))),
        );
        expect(containsResources(mergeResources(left), right)).toBe([...b].every((number) => a.has(number)));
      }),
    );
  });

  it('a persistent volume or a MOUNT disk is whole: neither part of it nor more of it', () => {
    const volume = (value: number, id: string): Resource => ({
      name: 'disk',
      type: 'SCALAR',
      scalar: { value },
      reservations: [{ type: 'DYNAMIC', role: 'etcd' }],
      disk: { persistence: { id }, volume: { mode: 'RW', container_path: 'data' } },
    });
    const two = addResources([volume(10, 'a')], [volume(10, 'b')]);
    expect(two).toHaveLength(2);
    expect(containsResources(two, [volume(5, 'a')])).toBe(false);
    expect(subtractResources(two, [volume(10, 'a')])).toEqual([volume(10, 'b')]);
    const mount: Resource = {
      name: 'disk',
      type: 'SCALAR',
      scalar: { value: 5000 },
      disk: { source: { type: 'MOUNT', mount: { root: '/disk1' } } },
    };
    expect(containsResources([mount], [{ ...mount, scalar: { value: 1 } }])).toBe(false);
    expect(subtractResources([mount], [mount])).toEqual([]);
    const elsewhere: Resource = {
      ...volume(10, 'a'),
      disk: { persistence: { id: 'a' }, volume: { mode: 'RW', container_path: 'other' } },
    };
    expect(containsResources(two, [elsewhere])).toBe(true);
  });

  it('labels are a set: their order makes no difference', () => {
    const held = (keys: readonly string[]): Resources => [
      {
        name: 'cpus',
        type: 'SCALAR',
        scalar: { value: 1 },
        reservations: [{ type: 'DYNAMIC', role: 'r', labels: { labels: keys.map((key) => ({ key })) } }],
      },
    ];
    expect(containsResources(held(['a', 'b']), held(['b', 'a']))).toBe(true);
    expect(containsResources(held(['a', 'b']), held(['a']))).toBe(false);
  });

  it.each([
    [{ name: 'cpus', type: 'SCALAR', scalar: { value: -1 } }],
    [{ name: 'cpus', type: 'SCALAR', scalar: { value: Number.NaN } }],
    [{ name: 'cpus', type: 'SCALAR' }],
    [{ name: '', type: 'SCALAR', scalar: { value: 1 } }],
    [{ name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 5, end: 4 }] } }],
    [{ name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 1.5, end: 4 }] } }],
    [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, disk: {} }],
    [{ name: 'disk', type: 'SCALAR', scalar: { value: 1 }, disk: { persistence: { id: 'a' } } }],
  ] as [Resource][])('%j is unsound', (resource) => {
    expect(resourceProblem(resource)).not.toBeNull();
  });

  it('are printed as Mesos prints them', () => {
    expect(
      formatResources([
        {
          name: 'disk',
          type: 'SCALAR',
          scalar: { value: 0.5 },
          allocation_info: { role: 'etcd' },
          reservations: [
            {
              type: 'DYNAMIC',
              role: 'etcd',
              principal: 'p',
              labels: { labels: [{ key: 'k', value: 'v' }, { key: 'alone' }] },
            },
          ],
          disk: { persistence: { id: 'v1' }, volume: { mode: 'RW', container_path: 'd' } },
        },
        {
          name: 'ports',
          type: 'RANGES',
          ranges: {
            range: [
              { begin: 5, end: 9 },
              { begin: 1, end: 2 },
            ],
          },
        },
        { name: 'disks', type: 'SET', set: { item: ['a', 'b'] } },
      ]),
    ).toBe(
      'disk(allocated: etcd)(reservations: [(DYNAMIC,etcd,p,{k: v, alone})])[v1:d]:0.5; ' +
        'ports:[1-2, 5-9]; disks:{a, b}',
    );
  });
});
